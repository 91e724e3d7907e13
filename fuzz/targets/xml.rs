//! XML in any pieces, against quick-xml; with bit 1 of the first byte, the body of a request. First
//! byte: also the names; the next four: the pieces.
#![no_main]

use std::ops::ControlFlow;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::xml::{XmlLearner, XmlNames};
use sticky_core::url::{Names, MAX_ID};
use sticky_fuzz::{pieces, xml};

const NAMES: [&[&[u8]]; 2] = [&[b"sid"], &[b"a", b"sid"]];

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], body)) = input.split_first_chunk::<5>() else {
        return;
    };
    let wanted = NAMES[usize::from(choice & 1)];
    let elements: Vec<Box<[u8]>> = wanted.iter().map(|name| (*name).into()).collect();
    let elements = Arc::new(XmlNames::new(&elements));
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let values = xml::values(body, wanted).map(|mut values| {
        values.retain(|(_, id)| (1..=MAX_ID).contains(&id.len()));
        values
    });
    let mut expected: Option<Vec<Vec<u8>>> =
        values.map(|values| values.into_iter().map(|(_, id)| id).collect());

    if choice & 2 != 0 {
        let mut found = Vec::new();
        let _ = elements.visit_ids(&names, body, &mut |id| {
            found.push(id);
            ControlFlow::Continue(())
        });
        assert!(found.iter().all(|id| (1..=MAX_ID).contains(&id.len())));
        if let (Some(expected), [_]) = (expected, wanted) {
            assert_eq!(pieces::shown(&found), pieces::shown(&expected));
        }
        return;
    }
    let learner = || XmlLearner::new(Arc::clone(&elements), Arc::clone(&names));
    pieces::ids(body, u32::from_le_bytes(*seed), learner);
    if let Some(expected) = &mut expected {
        expected.dedup();
        let found = pieces::read(&[body], learner());
        assert_eq!(pieces::shown(&found), pieces::shown(expected));
    }
});
