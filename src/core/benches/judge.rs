//! How long `mode=discover` takes to judge a sample that is full, in the worst case that is known.
//!
//!     cargo bench -p sticky-core --bench judge
//!
//! It is done in a worker: for the line of the log once a minute, and for each page and JSON of
//! `sticky_status`, of all upstreams that are watched.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use sticky_core::discover::judge::judge;
use sticky_core::discover::sample::{words_for, Answer, Exchange, Sample, MOST_UPSTREAMS};
use sticky_core::discover::{Kind, Part, Sighting};
use sticky_core::events::Source;

const NOW: u64 = 1_700_000_000;
const TIMES: usize = 30;

fn main() {
    // `cargo test --benches` runs this file too, without `--bench`.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    println!("| upstreams | what has ids | one, ms | all, ms |");
    println!("|---:|---|---:|---:|");
    for upstreams in [1, 8, MOST_UPSTREAMS] {
        for (what, shape) in SHAPES {
            let words: Vec<AtomicU64> = (0..words_for(upstreams))
                .map(|_| AtomicU64::new(0))
                .collect();
            let sample = Sample::of(&words).expect("enough words");
            sample.begin(1, NOW, 3600);
            fill(&sample, words.len(), *shape);
            let one = fastest(|| drop(judge(&sample)));
            let ms = one.as_secs_f64() * 1e3;
            println!(
                "| {upstreams} | {what} | {ms:.2} | {:.2} |",
                ms * upstreams as f64
            );
        }
    }
}

/// Places of a response and of a request that have the value of that number.
type Shape = fn(u64, u64) -> u64;

const SHAPES: &[(&str, Shape)] = &[
    ("one place", |_, _| 0),
    ("each place another id", |value, _| value % 100),
    ("four places each, all in common", |value, at| {
        (value + at) % 100
    }),
    ("four places each, by chance", |value, at| {
        mixed(value * 4 + at) % 100
    }),
];

/// Fills it with values that are handed out and come back, four places of each.
fn fill(sample: &Sample<'_>, words: usize, shape: Shape) {
    let kinds = [
        Kind::of_response(Part::Query, Source::Html),
        Kind::of_request(Part::Query),
    ];
    for number in 0..words as u64 / 2 {
        let client = mixed(number % 500);
        let who = |server| Exchange {
            client,
            server,
            now: NOW,
        };
        let seen = |kind: Kind| -> Vec<Sighting> {
            let places = (0..4).map(|at| Sighting {
                kind,
                name: format!("name{}", shape(number, at)).into_bytes().into(),
                value: mixed(number),
            });
            places.collect()
        };
        sample.note(who(1), Answer::Page, &[], &seen(kinds[0]));
        sample.note(who(2), Answer::Page, &seen(kinds[1]), &[]);
    }
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ number >> 32
}

/// Of many times, the fastest: whatever else the machine does.
fn fastest(mut what: impl FnMut()) -> Duration {
    let times = (0..TIMES).map(|_| {
        let begun = Instant::now();
        what();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}
