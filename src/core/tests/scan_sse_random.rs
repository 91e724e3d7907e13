//! Tests for event streams against the same stream in small pieces, which are not searched for events to
//! skip, nor for those to be read where they stand; without these, an id may be lost or made up that way.

use std::sync::Arc;

use sticky_core::scan::json::{JsonLearner, Member, Members};
use sticky_core::scan::sse::SseLearner;
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::{FoundIn, Learner};
use sticky_core::url::{Names, Site};

/// What streams are made of.
const PARTS: &[&str] = &[
    "\n",
    "\n\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "data:",
    "data: ",
    "data\n",
    "event: message\n",
    "id: sid\n",
    ": comment ?sid=1\n",
    "data: {\"sid\":\"a\"}\n\n",
    "data: {\"sid\":\"b\",\"sid\":\"a\"}\n\n",
    "event: x\ndata: {\"n\":1,\"sid\": 17}\n\n",
    "data: {\"inside\":\"besides\"}\n\n",
    "data: {\"s\\u0069d\":\"c\"}\n\n",
    "data: /x?sid=d\n\n",
    "data: {\"u\":\"/x?sid=e\",\"sid\":\"a\"}\n\n",
    "data: {\"sid\":\ndata: \"f\"}\n\n",
    "data: {\"sid\":\"g\n\n",
    "data: {\"sid\":\"a\",\"sid\":\"a\",\"sid\":\"a\",\"sid\":\"a\",\"sid\":\"h\",\"sid\":\"a\",\"sid\":\"a\",\"sid\":\"a\",\"sid\":\"i\"}\n\n",
    "{\"sid\":\"j\"}",
    "\"sid\"",
    ":\"k\"",
    "\\\"sid\\\":\\\"l\\\"",
    "?sid=m",
    "sid",
    "=",
    " ",
    "data: some words of an answer that have no name in them at all\n\n",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

fn ids(members: &Arc<Members>, stream: &[u8], size: usize) -> Vec<(Vec<u8>, FoundIn)> {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let urls = TextLearner::new(Arc::clone(&names), Site::new(b"shop.example", &[]));
    let json = JsonLearner::new(Arc::clone(members), names);
    let mut learner = SseLearner::new(urls, json);
    let mut ids = Vec::new();
    let mut found = |id: &[u8], found_in: FoundIn| {
        ids.push((id.to_vec(), found_in));
        true
    };
    for piece in stream.chunks(size) {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn ids_are_those_of_the_stream_in_small_pieces() {
    let by_name = Member::ByName(b"sid"[..].into());
    let other = Member::ByName(b"inside"[..].into());
    let by_path = Member::ByPath([b"sid"[..].into()].into());
    let all = [vec![by_name.clone()], vec![by_name, other], vec![by_path]];
    let all = all.map(|members| Arc::new(Members::new(&members)));
    let mut random = Random(1);
    let mut count = 0;
    for round in 0..6000 {
        let mut stream = Vec::new();
        for _ in 0..random.below(40) {
            stream.extend_from_slice(PARTS[random.below(PARTS.len())].as_bytes());
        }
        let members = &all[round % all.len()];
        let expected = ids(members, &stream, 100);
        count += expected.len();
        for size in [128, 129, 200, 333, 1024, 100_000] {
            let got = ids(members, &stream, size);
            assert_eq!(
                got,
                expected,
                "{} in pieces of {size}",
                stream.escape_ascii()
            );
        }
    }
    assert!(count > 6000, "{count}");
}
