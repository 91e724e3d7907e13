//! JSON in any pieces, against serde_json; with bit 4 of the first byte, pages with JSON in their
//! scripts. First byte: the members; the next four: the pieces.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::json::Member;
use sticky_core::scan::json::{JsonLearner, Members, ScriptLearner};
use sticky_core::url::Names;
use sticky_fuzz::json::Document;
use sticky_fuzz::pieces;

/// How much white space may stand between a name and its value.
const MAX_SPACE: usize = 256;

/// Members by their paths.
const MEMBERS: [&[&[&[u8]]]; 6] = [
    &[&[b"sid"]],
    &[&[b"sid"], &[b"s"]],
    &[&[b"a", b"sid"]],
    &[&[b"a", b"a", b"s"], &[b"sid"]],
    &[&[b":"], &[b"sid"]],
    &[&[b"a", b"a", b"a"], &[b"a", b"s"]],
];

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], body)) = input.split_first_chunk::<5>() else {
        return;
    };
    let wanted: Vec<Member> = MEMBERS[usize::from(*choice & 0x0f) % MEMBERS.len()]
        .iter()
        .map(|path| match path {
            [name] => Member::ByName((*name).into()),
            path => Member::ByPath(path.iter().map(|name| (*name).into()).collect()),
        })
        .collect();
    let members = Arc::new(Members::new(&wanted));
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let learner = || JsonLearner::new(Arc::clone(&members), Arc::clone(&names));
    let seed = u32::from_le_bytes(*seed);
    if choice & 0x10 != 0 {
        pieces::ids(body, seed, || ScriptLearner::new(learner()));
        return;
    }
    pieces::ids(body, seed, learner);
    let found = pieces::read(&[body], learner());

    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    if body
        .windows(MAX_SPACE)
        .any(|part| part.iter().all(is_space))
    {
        return;
    }
    match serde_json::from_slice::<Document>(body) {
        Ok(document) if !document.has_huge() => {
            let expected = document.ids(&wanted);
            assert_eq!(pieces::shown(&found), pieces::shown(&expected));
        }
        _ => {}
    }
});
