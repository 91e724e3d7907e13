//! What `mode=discover` reads of requests and responses, and what it makes of any memory. First line: a
//! Content-Type; the rest: a body, a URL and a header in one.
#![no_main]

use std::sync::atomic::AtomicU64;

use libfuzzer_sys::fuzz_target;
use sticky_core::directive::parse;
use sticky_core::discover::judge::judge;
use sticky_core::discover::look::{self, Request};
use sticky_core::discover::sample::{Answer, Exchange, Sample, LEAST_WORDS};
use sticky_core::discover::{is_shown, looks_like_id, Sighting};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let media_type = parts.next().unwrap_or_default();
    let text = parts.next().unwrap_or_default();
    let mut all = Vec::new();
    {
        let mut visit = |kind, name: &[u8], value: &[u8]| {
            assert!(is_shown(name), "{}", name.escape_ascii());
            all.push(Sighting {
                kind,
                name: name.into(),
                value: value.iter().fold(1u64, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                }),
            });
        };
        look::body(media_type, text, &mut visit);
        look::response_header(media_type, text, &mut visit);
        look::request_header(media_type, text, &mut visit);
        let it = Request {
            path: text,
            query: text,
            body_type: media_type,
            body: text,
        };
        look::request(&it, &mut visit);
    }
    let _ = looks_like_id(text);
    all.truncate(64);
    // Any bytes are a sample.
    let words: Vec<_> = (0..LEAST_WORDS)
        .map(|at| {
            let bytes = input.iter().cycle().skip(at % (input.len() + 1)).take(8);
            AtomicU64::new(bytes.fold(0, |word, byte| word << 8 | u64::from(*byte)))
        })
        .collect();
    if let Some(sample) = Sample::of(&words) {
        let who = Exchange {
            client: 1,
            server: 2,
            now: 3,
        };
        sample.note(who, Answer::of(input.len() % 200, media_type), &all, &all);
        for candidate in judge(&sample).candidates {
            let line = candidate.directive;
            let words = line.trim_start_matches("sticky").trim_end_matches(';');
            let words: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
            assert!(parse(&words).is_ok(), "{line}");
        }
    }
});
