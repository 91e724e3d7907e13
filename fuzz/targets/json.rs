//! JSON in any pieces, against serde_json; with bit 4 of the first byte, pages with JSON in their
//! scripts, with bit 5, the body of a request, with bit 6, older payloads of Engine.IO. First byte:
//! the members; the next four: the pieces.
#![no_main]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::json::{
    EngineIoLearner, JsonLearner, Member, MemberPaths, Members, ScriptLearner,
};
use sticky_core::url::{Names, MAX_ID};
use sticky_fuzz::json::Document;
use sticky_fuzz::pieces;

/// How much white space may stand between a name and its value.
const MAX_SPACE: usize = 256;

/// Members by their paths, none of which is searched beside others that are read: these come in
/// another order than in the text.
const MEMBERS: [&[&[&[u8]]]; 10] = [
    &[&[b"sid"]],
    &[&[b"sid"], &[b"s"]],
    &[&[b"a", b"sid"]],
    &[&[b"a", b"a", b"s"], &[b"sid"]],
    &[&[b":"], &[b"sid"]],
    &[&[b"a", b"a", b"a"], &[b"a", b"s"]],
    &[&[b"a", b"0"], &[b"a", b"1", b"s"]],
    &[&[], &[b"0", b"s"]],
    // From the outermost object on.
    &[&[b"^", b"sid"]],
    &[&[b"^", b"0"], &[b"^", b"1", b"s"]],
];

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], body)) = input.split_first_chunk::<5>() else {
        return;
    };
    let wanted: Vec<Member> = MEMBERS[usize::from(*choice & 0x0f) % MEMBERS.len()]
        .iter()
        .map(|path| match path {
            [name] => Member::ByName((*name).into()),
            [b"^", path @ ..] => Member::ByPath(path.iter().map(|name| (*name).into()).collect()),
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
    if choice & 0x20 != 0 {
        is_requested(&wanted, &names, body);
        return;
    }
    if choice & 0x40 != 0 {
        let found = pieces::ids(body, seed, || EngineIoLearner::new(learner()));
        if let Some(text) = jsonp(body) {
            let expected = pieces::read(&[text.as_bytes()], learner());
            let new: BTreeSet<_> = expected.iter().collect();
            assert_eq!(found.iter().collect::<BTreeSet<_>>(), new);
        }
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
            let mut expected = document.ids(&wanted);
            if is_number(body) {
                expected.clear();
            }
            assert_eq!(pieces::shown(&found), pieces::shown(&expected));
        }
        _ => {}
    }
});

fn is_number(body: &[u8]) -> bool {
    body.trim_ascii().iter().all(u8::is_ascii_digit)
}

/// The text in the JSONP of Engine.IO, as serde_json decodes its string.
fn jsonp(body: &[u8]) -> Option<String> {
    let string = body.strip_prefix(b"___eio[0](")?;
    let mut texts = serde_json::Deserializer::from_slice(string).into_iter::<String>();
    let text = texts.next()?.ok()?;
    let written = string.get(..texts.byte_offset())?;
    // Half of a character outside of the first 65,536 is decoded otherwise.
    let is_wide = written
        .windows(3)
        .any(|part| part.eq_ignore_ascii_case(b"\\ud"));
    (!is_wide && written.starts_with(b"\"")).then_some(text)
}

/// A request has the ids that serde_json finds, in the order of the members.
fn is_requested(wanted: &[Member], names: &Names, body: &[u8]) {
    let paths = Arc::new(MemberPaths::new(wanted));
    let read = |until: usize| {
        let mut ids = Vec::new();
        let _ = paths.visit_ids(names, body, &mut |id| {
            ids.push(id);
            match ids.len() == until {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        ids
    };
    let found = read(usize::MAX);
    assert!(found.iter().all(|id| (1..=MAX_ID).contains(&id.len())));
    assert_eq!(read(1).first(), found.first());
    let Ok(document) = serde_json::from_slice::<Document>(body) else {
        return;
    };
    if document.has_huge() || is_number(body) {
        return;
    }
    let values = document.values(wanted);
    let mut expected = Vec::new();
    for member in 0..wanted.len() {
        let mut ids: Vec<Vec<u8>> = Vec::new();
        for (_, id) in values.iter().filter(|(own, _)| *own == member) {
            if wanted.len() == 1 || !ids.contains(id) && ids.len() < 8 {
                ids.push(id.clone());
            }
        }
        expected.extend(ids);
    }
    assert_eq!(pieces::shown(&found), pieces::shown(&expected));
}
