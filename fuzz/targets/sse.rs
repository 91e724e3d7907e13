//! Event streams in any pieces, against the rules of the HTML Standard (9.2.6) in naive code. First
//! byte: the names; the next four: the pieces.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::json::Member;
use sticky_core::scan::json::{JsonLearner, Members};
use sticky_core::scan::sse::SseLearner;
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::Learner;
use sticky_fuzz::{names, pieces, site};

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], stream)) = input.split_first_chunk::<5>() else {
        return;
    };
    let (names, site) = (Arc::new(names(*choice).1), site());
    let members = Arc::new(Members::new(&[Member::ByName(b"sid"[..].into())]));
    let json = || JsonLearner::new(Arc::clone(&members), Arc::clone(&names));
    let urls = || TextLearner::new(Arc::clone(&names), site.clone());
    let found = pieces::sorted_ids(stream, u32::from_le_bytes(*seed), || {
        SseLearner::new(urls(), json())
    });

    let mut expected = BTreeSet::new();
    let mut all_urls = urls();
    for event in events(stream) {
        // The learners see no end of the text: a line feed ends each line.
        all_urls.feed(&event, &mut |id, _| {
            expected.insert(id.to_vec());
            true
        });
        json().feed(&event, &mut |id, _| {
            expected.insert(id.to_vec());
            true
        });
    }
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(pieces::shown(&found), pieces::shown(&expected));
});

/// The data of each event: the values of its data lines, each with a line feed. An incomplete last
/// line counts, too.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut events = vec![Vec::new()];
    let mut rest = stream;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_whole = !after.is_empty();
        rest = match after {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
            [] => &[],
        };
        let event = events.last_mut().expect("there is one");
        if let Some(value) = line.strip_prefix(b"data:") {
            event.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            if is_whole {
                event.push(b'\n');
            }
        } else if line.is_empty() {
            events.push(Vec::new());
        }
    }
    events
}
