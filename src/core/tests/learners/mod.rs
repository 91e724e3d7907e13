//! Common to the tests of learners: a body is read whole, byte by byte, and cut at every place,
//! which must make no difference.

#![allow(dead_code)] // Each test uses a part of it.

use std::sync::Arc;

use sticky_core::scan::json::Member;
use sticky_core::scan::json::{JsonLearner, Members};
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

pub fn names(names: &[&str]) -> Arc<Names> {
    let names = names.iter().map(|name| name.as_bytes().into());
    Arc::new(Names::new(names.collect()))
}

pub fn site() -> Site {
    Site::new(b"shop.example", &[b".cdn.example"[..].into()])
}

/// The members that are ids: `sid` by name, `a.b.sid` by path, `.sid` in the outermost object alone,
/// `.` for a text that is one string.
pub fn members(members: &[&str]) -> Vec<Member> {
    let member = |member: &&str| {
        let (steps, is_outermost) = match member.strip_prefix('.') {
            Some(steps) => (steps, true),
            None => (*member, false),
        };
        let steps = steps.split('.').filter(|step| !step.is_empty());
        let mut path: Vec<Box<[u8]>> = steps.map(|step| step.as_bytes().into()).collect();
        if path.len() == 1 && !is_outermost {
            Member::ByName(path.remove(0))
        } else {
            Member::ByPath(path.into())
        }
    };
    members.iter().map(member).collect()
}

pub fn json(wanted: &[Member]) -> JsonLearner {
    JsonLearner::new(Arc::new(Members::new(wanted)), names(&["sid"]))
}

/// The ids that a learner finds, as text.
pub fn ids_in<'a>(
    learner: Box<dyn Learner>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<String> {
    let mut learner = learner;
    let mut ids = Vec::new();
    let mut found = |id: &[u8], _| {
        ids.push(String::from_utf8_lossy(id).into_owned());
        true
    };
    for piece in pieces {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    learner.feed(b"sid=late \"sid\":\"late\" ", &mut |_, _| {
        panic!("fed after its end")
    });
    ids
}

/// The same, after checking that the pieces make no difference.
pub fn ids_at_any_cut(learner: &dyn Fn() -> Box<dyn Learner>, body: &[u8]) -> Vec<String> {
    let whole = ids_in(learner(), [body]);
    let shown = String::from_utf8_lossy(body);
    let bytes = body.chunks(1);
    assert_eq!(ids_in(learner(), bytes), whole, "byte by byte: {shown}");
    for at in 0..=body.len() {
        let (one, two) = body.split_at(at);
        assert_eq!(ids_in(learner(), [one, two]), whole, "cut at {at}: {shown}");
    }
    whole
}
