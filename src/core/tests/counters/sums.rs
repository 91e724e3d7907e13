//! What workers count, and its sums.

use std::collections::HashSet;
use std::mem::size_of;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::counters::{CountersHeader, Digest, HitCounter, Kind, UpstreamSums};
use sticky_core::events::{BodyEnd, Forget, Move, Reader, Skip, Source, Status};
use sticky_core::happened::Happened;
use sticky_core::read_body::ReadBody;

use crate::zone::{count, hits, named, shape, upstreams, Zone};

#[test]
fn what_every_worker_counts_is_in_the_sum() {
    let zone = Zone::begun(shape(2, 20, 16));
    let counters = zone.counters();
    counters.next_configuration();
    let places = counters.name(Kind::Upstream, &upstreams(0..2), 1000);
    let (first, second) = (places[0].unwrap(), places[1].unwrap());
    let servers = [
        Digest::of_server(b"u0", b"127.0.0.1:1"),
        Digest::of_server(b"u1", b"127.0.0.1:1"),
    ];
    let servers = counters.name(Kind::Server, &servers, 1001);
    let server = servers[0].unwrap();
    for worker in 0..40 {
        let own = counters.slot(worker).unwrap().own(first).unwrap();
        for status in Status::ALL {
            own.request(*status);
        }
        own.hit(HitCounter::of(Some(server)));
        own.hit(HitCounter::of(None));
    }
    let sums = counters.upstream_sums(first);
    assert_eq!(sums.requests, [40; Status::COUNT]);
    assert_eq!(sums.since, 1000);
    let others = UpstreamSums {
        since: 1000,
        ..UpstreamSums::default()
    };
    assert_eq!(counters.upstream_sums(second), others);
    assert_eq!(counters.server_sums(server).hits, 40);
    assert_eq!(counters.server_sums(server).since, 1001);
    assert_eq!(counters.server_sums(servers[1].unwrap()).hits, 0);
}

#[test]
fn whatever_happens_to_sessions_has_a_counter_of_its_own() {
    let zone = Zone::begun(shape(1, 1, 1));
    let counters = zone.counters();
    let place = named(&counters, 0, 0);
    let own = counters.slot(0).unwrap().own(place).unwrap();
    let mut expected = UpstreamSums::default();
    let mut happens = |happen: &dyn Fn(&Happened), expect: &dyn Fn(&mut UpstreamSums)| {
        let happened = Happened::default();
        happen(&happened);
        own.happened(&happened);
        expect(&mut expected);
        assert_eq!(counters.upstream_sums(place), expected);
        // As requests are counted: at once, where it is little.
        if !own.few(&happened) {
            own.happened(&happened);
        }
        expect(&mut expected);
        assert_eq!(counters.upstream_sums(place), expected);
    };
    happens(&|_| {}, &|_| {});
    for source in Source::ALL {
        happens(&|it| it.learn(*source), &|sums| {
            sums.learned[source.number()] += 1;
        });
        let learn = |it: &Happened| {
            it.learn(*source);
            Skip::ALL.iter().for_each(|why| it.skip(*why));
        };
        happens(&learn, &|sums| {
            sums.learned[source.number()] += 1;
            sums.skipped.iter_mut().for_each(|sum| *sum += 1);
        });
        happens(&|it| (0..3).for_each(|_| it.learn(*source)), &|sums| {
            sums.learned[source.number()] += 3;
        });
    }
    for why in Skip::ALL {
        happens(&|it| it.skip(*why), &|sums| {
            sums.skipped[why.number()] += 1;
        });
    }
    for why in Move::ALL {
        happens(
            &|it| (0..300).for_each(|_| it.move_session(*why)),
            &|sums| {
                sums.moved[why.number()] += 255;
            },
        );
    }
    for why in Forget::ALL {
        happens(&|it| it.forget(*why), &|sums| {
            sums.forgotten[why.number()] += 1;
        });
    }
    let all = |it: &Happened| {
        Source::ALL.iter().for_each(|source| it.learn(*source));
        Skip::ALL.iter().for_each(|why| it.skip(*why));
        Move::ALL.iter().for_each(|why| it.move_session(*why));
        Forget::ALL.iter().for_each(|why| it.forget(*why));
    };
    happens(&all, &|sums| {
        sums.learned.iter_mut().for_each(|sum| *sum += 1);
        sums.skipped.iter_mut().for_each(|sum| *sum += 1);
        sums.moved.iter_mut().for_each(|sum| *sum += 1);
        sums.forgotten.iter_mut().for_each(|sum| *sum += 1);
    });
    // Bodies have others again.
    for reader in Reader::ALL {
        for end in BodyEnd::ALL {
            let mut body = ReadBody::of_bytes(100);
            body.note(*reader, *end);
            own.body(body);
            own.body_of_one(*reader, *end, 100);
            expected.bodies[reader.number()][end.number()] += 2;
            expected.body_bytes += 200;
            assert_eq!(
                counters.upstream_sums(place),
                expected,
                "{reader:?} {end:?}"
            );
        }
    }
    let mut read_by_two = ReadBody::of_bytes(100);
    for reader in [Reader::Json, Reader::Html] {
        read_by_two.note(reader, BodyEnd::Whole);
        expected.bodies[reader.number()][BodyEnd::Whole.number()] += 1;
    }
    own.body(read_by_two);
    expected.body_bytes += 100;
    own.planned();
    expected.planned = 1;
    assert_eq!(counters.upstream_sums(place), expected);
    // So have statuses.
    Status::ALL.iter().for_each(|status| own.request(*status));
    expected.requests = [1; Status::COUNT];
    assert_eq!(counters.upstream_sums(place), expected);
}

#[test]
fn no_two_workers_share_a_cache_line() {
    let shape = shape(3, 30, 16);
    let zone = Zone::begun(shape);
    let counters = zone.counters();
    let names = (0..30usize).map(|at| Digest::of_server(b"u", &at.to_le_bytes()));
    let servers = counters.name(Kind::Server, &names.collect::<Vec<_>>(), 0);
    let places = counters.name(Kind::Upstream, &upstreams(0..3), 0);
    let mut seen = HashSet::new();
    for worker in 0..shape.slots() {
        let before: Vec<_> = zone.words.iter().map(|word| word.load(Relaxed)).collect();
        for place in &places {
            count(&counters, worker, place.unwrap(), 1);
        }
        for server in &servers {
            let own = counters.slot(worker).unwrap().own(places[0].unwrap());
            own.unwrap().hit(HitCounter::of(*server));
        }
        let after = zone.words.iter().map(|word| word.load(Relaxed));
        let changed = before.iter().zip(after).enumerate();
        let changed = changed.filter(|(_, (before, after))| *before != after);
        let lines: HashSet<_> = changed.map(|(at, _)| at / 8).collect();
        assert!(!lines.is_empty());
        // Behind a header of two lines, in a block of whole pages.
        assert!(seen.is_disjoint(&lines), "worker {worker}");
        seen.extend(lines);
    }
    assert_eq!(size_of::<CountersHeader>() % 64, 0);
    assert_eq!(shape.slots(), 16);
}

#[test]
fn two_workers_lose_nothing_in_one_slot() {
    const TIMES: u64 = 100_000;
    let zone = Zone::begun(shape(1, 1, 1));
    let counters = zone.counters();
    let place = named(&counters, 0, 0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| count(&counters, 3, place, TIMES));
        }
    });
    assert_eq!(hits(&counters, place), 2 * TIMES);
}
