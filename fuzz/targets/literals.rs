//! Object literals in any pieces; with bit 0 of the first byte, those in the scripts of a page. Every
//! member that serde_json finds in JSON is found. The next four bytes: the pieces.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::json::{Member, ScriptLearner};
use sticky_core::scan::literals::{LiteralLearner, LiteralNames};
use sticky_core::url::Names;
use sticky_fuzz::json::Document;
use sticky_fuzz::pieces;

/// How much white space may stand between a name and what is around it.
const MAX_SPACE: usize = 250;

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], body)) = input.split_first_chunk::<5>() else {
        return;
    };
    let wanted: [&[u8]; 2] = [b"sid", b"s"];
    let members: Vec<Box<[u8]>> = wanted.iter().map(|name| (*name).into()).collect();
    let members = Arc::new(LiteralNames::new(&members));
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let learner = || LiteralLearner::new(Arc::clone(&members), Arc::clone(&names));
    let seed = u32::from_le_bytes(*seed);
    if choice & 1 != 0 {
        pieces::ids(body, seed, || ScriptLearner::of_literals(learner()));
        return;
    }
    let found = pieces::ids(body, seed, learner);

    // Escapes may stand in names, and some in values that are no ids then.
    let has_space = body
        .windows(MAX_SPACE)
        .any(|part| part.iter().all(u8::is_ascii_whitespace));
    if has_space || body.contains(&b'\\') {
        return;
    }
    if let Ok(document) = serde_json::from_slice::<Document>(body) {
        let wanted = wanted.map(|name| Member::ByName(name.into()));
        if !document.has_huge() {
            for id in document.ids(&wanted) {
                assert!(found.contains(&id), "{}", id.escape_ascii());
            }
        }
    }
});
