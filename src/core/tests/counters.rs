//! Tests for the counters that all workers share: without them, what is shown of an upstream is not
//! what has happened, or is another one's.

use std::collections::HashSet;
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sticky_core::counters::{
    Counted, Counters, CountersHeader, Digest, HitCounter, Kind, Named, Place, SessionCounts,
    Shape, Unsent, UpstreamSums,
};
use sticky_core::events::{Forget, Move, Skip, Source, Status};
use sticky_core::happened::Happened;

/// The memory of a zone.
struct Zone {
    header: CountersHeader,
    words: Vec<AtomicU64>,
}

impl Zone {
    fn of(bytes: usize) -> Zone {
        let words = (bytes - size_of::<CountersHeader>()) / size_of::<u64>();
        Zone {
            header: CountersHeader::default(),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn begun(shape: Shape) -> Zone {
        let zone = Zone::of(shape.bytes());
        assert!(Counters::open(&zone.header, &zone.words).is_none());
        assert!(Counters::begin(&zone.header, &zone.words, shape, true).is_some());
        zone
    }

    fn counters(&self) -> Counters<'_> {
        Counters::open(&self.header, &self.words).expect("a zone that was begun")
    }
}

fn shape(upstreams: usize, servers: usize, workers: usize) -> Shape {
    let named = Named {
        upstreams,
        servers,
        zones: 1,
    };
    Shape::for_configuration(named, workers)
}

fn upstreams(names: impl IntoIterator<Item = usize>) -> Vec<Digest> {
    let names = names.into_iter();
    names
        .map(|number| Digest::of_upstream(format!("u{number}").as_bytes()))
        .collect()
}

/// Names one upstream with that number.
fn named(counters: &Counters<'_>, number: usize, now: u64) -> Place {
    let places = counters.name(Kind::Upstream, &upstreams([number]), now);
    places[0].expect("room")
}

fn count(counters: &Counters<'_>, worker: usize, place: Place, times: u64) {
    let slot = counters.slot(worker).expect("a slot");
    let own = slot.own(place).expect("an upstream");
    (0..times).for_each(|_| own.request(Status::Hit));
}

fn hits(counters: &Counters<'_>, place: Place) -> u64 {
    counters.upstream_sums(place).requests[Status::Hit.number()]
}

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
    };
    happens(&|_| {}, &|_| {});
    for source in Source::ALL {
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
    // Statuses have others again.
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
fn a_name_has_the_same_counters_in_every_configuration() {
    let zone = Zone::begun(shape(4, 4, 2));
    let counters = zone.counters();
    counters.next_configuration();
    let first = counters.name(Kind::Upstream, &upstreams(0..4), 10);
    for (at, place) in first.iter().enumerate() {
        count(&counters, at, place.unwrap(), at as u64 + 1);
    }
    // In another order, with others, and one twice.
    counters.next_configuration();
    let second = counters.name(Kind::Upstream, &upstreams([9, 3, 2, 8, 1, 0, 9]), 20);
    assert_eq!(second[5], first[0]);
    assert_eq!(second[4], first[1]);
    assert_eq!(second[2], first[2]);
    assert_eq!(second[1], first[3]);
    assert_eq!(second[0], second[6]);
    for (at, place) in first.iter().enumerate() {
        assert_eq!(hits(&counters, place.unwrap()), at as u64 + 1);
        assert_eq!(counters.upstream_sums(place.unwrap()).since, 10);
    }
    assert_eq!(counters.upstream_sums(second[3].unwrap()).since, 20);
    // One that is gone for a while.
    counters.next_configuration();
    counters.name(Kind::Upstream, &upstreams([1]), 30);
    counters.next_configuration();
    assert_eq!(hits(&counters, named(&counters, 3, 40)), 4);
}

#[test]
fn what_is_unused_longest_gives_its_entry_away_first() {
    let shape = shape(1, 1, 1);
    let room = shape.room(Kind::Upstream);
    let zone = Zone::begun(shape);
    let counters = zone.counters();
    // Each in a configuration of its own, until the room is used up.
    for number in 0..room {
        counters.next_configuration();
        let place = named(&counters, number, number as u64);
        count(&counters, number, place, 1);
    }
    // Number 0 is back: it is not the one unused longest any more.
    counters.next_configuration();
    assert_eq!(hits(&counters, named(&counters, 0, 90)), 1);
    let server = Digest::of_server(b"u", b"s");
    let server = counters.name(Kind::Server, &[server], 0)[0].unwrap();
    let sessions = SessionCounts {
        in_use: 1,
        not_in_use: 2,
        last_use: 3,
        counted: 4,
    };
    counters.set_sessions(server, &sessions);
    for number in room..room + 3 {
        counters.next_configuration();
        let place = named(&counters, number, 100);
        let fresh = UpstreamSums {
            since: 100,
            ..UpstreamSums::default()
        };
        assert_eq!(counters.upstream_sums(place), fresh);
    }
    // So numbers 1 to 3 are gone, the others are not.
    counters.next_configuration();
    let kept: Vec<_> = (4..room).chain([0]).collect();
    let places = counters.name(Kind::Upstream, &upstreams(kept), 200);
    for place in &places {
        assert_eq!(hits(&counters, place.unwrap()), 1);
    }
    // Kinds do not take each other's.
    assert_eq!(counters.sessions(server), Some(sessions));
    // No more than there is room for.
    let all = counters.name(Kind::Upstream, &upstreams(0..room + 3), 300);
    assert_eq!(all.iter().flatten().count(), room);
    let distinct: HashSet<_> = all.iter().flatten().collect();
    assert_eq!(distinct.len(), room);
}

#[test]
fn a_larger_zone_takes_over_what_was_counted() {
    for (before, after) in [
        (shape(3, 30, 2), shape(100, 1000, 2)),
        (shape(100, 1000, 16), shape(100, 1000, 4)),
    ] {
        assert_ne!(before, after);
        let (old, new) = (Zone::begun(before), Zone::begun(after));
        let counters = old.counters();
        counters.next_configuration();
        let places = counters.name(Kind::Upstream, &upstreams(0..3), 10);
        let servers = [
            Digest::of_server(b"u0", b"s"),
            Digest::of_server(b"u1", b"s"),
        ];
        let server = counters.name(Kind::Server, &servers, 11)[1].unwrap();
        for worker in 0..16 {
            for place in &places {
                count(&counters, worker, place.unwrap(), 5);
            }
            let own = counters.slot(worker).unwrap().own(places[0].unwrap());
            own.unwrap().hit(HitCounter::of(Some(server)));
        }
        let sessions = SessionCounts {
            in_use: 7,
            counted: 9,
            ..SessionCounts::default()
        };
        counters.set_sessions(server, &sessions);

        let larger = new.counters();
        assert_eq!(larger.grown(), 0);
        larger.take_over(&counters, 50);
        assert_eq!(larger.grown(), 50);
        larger.next_configuration();
        for place in larger.name(Kind::Upstream, &upstreams(0..3), 60) {
            assert_eq!(hits(&larger, place.unwrap()), 80);
            assert_eq!(larger.upstream_sums(place.unwrap()).since, 10);
        }
        let server = larger.name(Kind::Server, &servers, 60)[1].unwrap();
        assert_eq!(larger.server_sums(server).hits, 16);
        assert_eq!(larger.sessions(server), Some(sessions));
    }
}

#[test]
fn a_smaller_zone_takes_over_what_was_named_last() {
    let (old, new) = (Zone::begun(shape(100, 1, 1)), Zone::begun(shape(1, 1, 1)));
    let counters = old.counters();
    for number in 0..100 {
        counters.next_configuration();
        count(&counters, 0, named(&counters, number, 1), 1);
    }
    let smaller = new.counters();
    let room = smaller.shape().room(Kind::Upstream);
    smaller.take_over(&counters, 50);
    smaller.next_configuration();
    let latest = smaller.name(Kind::Upstream, &upstreams(100 - room..100), 60);
    assert_eq!(latest.len(), room);
    for place in latest {
        assert_eq!(hits(&smaller, place.unwrap()), 1);
    }
}

#[test]
fn a_zone_of_the_same_size_has_the_same_shape() {
    let mut known = std::collections::HashMap::new();
    for upstreams in [0, 1, 10, 11, 12, 22, 100, 1000, 5000] {
        for servers in [0, 1, 60, 100, 200, 1000, 10_000, 40_000] {
            for workers in [0, 1, 2, 4, 5, 8, 16, 64, 500, 5000] {
                let shape = shape(upstreams, servers, workers);
                let same = known.entry(shape.bytes()).or_insert(shape);
                assert_eq!(*same, shape, "{upstreams} {servers} {workers}");
                assert!(shape.room(Kind::Upstream) * 2 >= upstreams * 3);
                assert!(shape.room(Kind::Server) * 2 >= servers * 3);
            }
        }
    }
    assert!(known.len() > 20);
}

#[test]
fn a_thousand_upstreams_with_ten_servers_and_sixteen_workers() {
    let shape = shape(1000, 10_000, 16);
    assert_eq!(shape.slots(), 16);
    assert!(shape.bytes() < 29 << 20, "{}", shape.bytes());
    // However large, workers share slots before that.
    assert!(self::shape(1000, 10_000, 1000).bytes() <= 256 << 20);
    // And what is asked for is never more than can be counted.
    let most = self::shape(usize::MAX, usize::MAX, usize::MAX);
    assert!(most.bytes() > 0);
}

#[test]
fn another_zone_or_a_damaged_one_is_not_opened() {
    let shape = shape(1, 1, 1);
    let zone = Zone::begun(shape);
    let larger = Zone::of(shape.bytes() + 4096);
    // A header of a zone of another size.
    let header = || {
        let header = CountersHeader::default();
        assert!(Counters::begin(&header, &zone.words, shape, true).is_some());
        header
    };
    assert!(Counters::open(&header(), &zone.words).is_some());
    assert!(Counters::open(&header(), &larger.words).is_none());
    assert!(Counters::open(&header(), &zone.words[1..]).is_none());
    assert!(Counters::open(&header(), &[]).is_none());
    // Too small to begin.
    let small = CountersHeader::default();
    assert!(Counters::begin(&small, &zone.words[1..], shape, true).is_none());
    assert!(Counters::begin(&small, &[], shape, true).is_none());
    assert!(Counters::open(&small, &zone.words[1..]).is_none());
}

#[test]
fn arbitrary_bytes_are_counted_in_without_panic() {
    let shape = shape(5, 5, 2);
    let zone = Zone::begun(shape);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..30 {
        for word in &zone.words {
            let bits = match next() % 4 {
                0 => 0,
                1 => u64::MAX,
                _ => next(),
            };
            word.store(bits, Relaxed);
        }
        let counters = zone.counters();
        if round % 2 == 0 {
            counters.next_configuration();
        }
        let all = shape.room(Kind::Upstream) + 4;
        let places = counters.name(Kind::Upstream, &upstreams(0..all), next());
        let given: HashSet<_> = places.iter().flatten().collect();
        assert_eq!(given.len(), places.iter().flatten().count());
        for place in places.into_iter().flatten() {
            let before = hits(&counters, place);
            assert_eq!(before, 0, "an entry of another one is cleared");
            count(&counters, next() as usize, place, 1);
            assert_eq!(hits(&counters, place), 1);
        }
        let other = Zone::begun(self::shape(50, 5, 2));
        other.counters().take_over(&counters, next());
        let zones = counters.name(Kind::Zone, &[Digest::of_zone(b"z")], next());
        counters.may_count(zones[0].unwrap(), next(), 2);
        let server = counters.name(Kind::Server, &[Digest::of_server(b"u", b"s")], 1);
        assert_eq!(counters.sessions(server[0].unwrap()), None);
    }
    // Begun anew, all is 0.
    Counters::begin(&zone.header, &zone.words, shape, false).unwrap();
    assert!(zone.words.iter().all(|word| word.load(Relaxed) == 0));
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

#[test]
fn sessions_of_a_zone_are_counted_once_in_a_while() {
    let zone = Zone::begun(shape(1, 1, 1));
    let counters = zone.counters();
    let zones = [Digest::of_zone(b"a"), Digest::of_zone(b"b")];
    let places = counters.name(Kind::Zone, &zones, 0);
    let (a, b) = (places[0].unwrap(), places[1].unwrap());
    assert!(counters.may_count(a, 0, 2));
    assert!(!counters.may_count(a, 0, 2));
    assert!(!counters.may_count(a, 1, 2));
    assert!(counters.may_count(b, 1, 2));
    assert!(counters.may_count(a, 2, 2));
    assert!(!counters.may_count(a, 3, 2));
    // The system was started anew.
    assert!(counters.may_count(a, 0, 2));
}

#[test]
fn names_are_told_apart() {
    let all = [
        Digest::of_upstream(b"a"),
        Digest::of_zone(b"a"),
        Digest::of_server(b"a", b""),
        Digest::of_server(b"", b"a"),
        Digest::of_server(b"a", b"b"),
        Digest::of_server(b"ab", b""),
        Digest::of_server(b"a", b"bc"),
        Digest::of_server(b"ab", b"c"),
        Digest::of_upstream(b""),
    ];
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

fn unsent_hits_of(counters: &Counters<'_>, place: Place) -> u64 {
    let unsent = counters.unsent(place);
    let hits = |(counted, _): &&(Counted, Unsent<'_>)| *counted == Counted::Request(Status::Hit);
    unsent
        .iter()
        .find(hits)
        .map_or(0, |(_, unsent)| unsent.count)
}

#[test]
fn what_was_counted_is_sent_once() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    assert!(counters.unsent(place).is_empty());
    count(&counters, 0, place, 3);
    count(&counters, 5, place, 4);
    assert_eq!(unsent_hits_of(&counters, place), 7);
    assert_eq!(unsent_hits_of(&counters, place), 0);
    assert_eq!(hits(&counters, place), 7);

    // What could not be sent comes again.
    count(&counters, 1, place, 2);
    for (_, unsent) in counters.unsent(place) {
        unsent.give_back();
    }
    count(&counters, 2, place, 1);
    assert_eq!(unsent_hits_of(&counters, place), 3);

    // Each counter by its own name.
    let own = counters.slot(3).unwrap().own(place).unwrap();
    for status in Status::ALL {
        own.request(*status);
    }
    own.moved_by_hand(5);
    own.forgotten_by_hand(6);
    let happened = Happened::default();
    happened.learn(Source::Json);
    own.happened(&happened);
    for (counted, unsent) in counters.unsent(place) {
        let expected = match counted {
            Counted::Request(_) => 1,
            Counted::Learned(source) => u64::from(source == Source::Json),
            Counted::Moved(reason) => u64::from(reason == Move::Hand) * 5,
            Counted::Forgotten(reason) => u64::from(reason == Forget::Hand) * 6,
        };
        assert_eq!(unsent.count, expected, "{counted:?}");
    }

    let server = Digest::of_server(b"u1", b"127.0.0.1:1");
    let server = counters.name(Kind::Server, &[server], 1000)[0].unwrap();
    assert!(counters.unsent_hits(server).is_none());
    own.hit(HitCounter::of(Some(server)));
    assert_eq!(
        counters.unsent_hits(server).map(|unsent| unsent.count),
        Some(1)
    );
    assert!(counters.unsent_hits(server).is_none());
}

#[test]
fn whoever_sends_at_once_sends_nothing_twice() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    const ROUNDS: u64 = 20_000;
    let sent: u64 = std::thread::scope(|scope| {
        let counting = scope.spawn(|| count(&counters, 0, place, ROUNDS));
        let sending = || {
            let sent = (0..2000).map(|_| unsent_hits_of(&counters, place));
            sent.sum::<u64>()
        };
        let senders: Vec<_> = (0..3).map(|_| scope.spawn(sending)).collect();
        counting.join().unwrap();
        senders.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(sent + unsent_hits_of(&counters, place), ROUNDS);
}

#[test]
fn what_was_sent_goes_with_the_name() {
    let small = Zone::begun(shape(4, 8, 4));
    let before = small.counters();
    before.next_configuration();
    let place = named(&before, 1, 1000);
    count(&before, 0, place, 3);
    assert_eq!(unsent_hits_of(&before, place), 3);
    count(&before, 0, place, 2);

    // A larger zone.
    let large = Zone::begun(shape(400, 800, 4));
    let counters = large.counters();
    counters.take_over(&before, 2000);
    let place = named(&counters, 1, 2000);
    assert_eq!(unsent_hits_of(&counters, place), 2);
    assert_eq!(hits(&counters, place), 5);

    // Its entry becomes another's.
    count(&counters, 0, place, 1);
    let room = counters.shape().room(Kind::Upstream);
    counters.next_configuration();
    let others = counters.name(Kind::Upstream, &upstreams(100..100 + room), 3000);
    assert!(others.contains(&Some(place)));
    assert!(counters.unsent(place).is_empty());
    count(&counters, 0, place, 4);
    assert_eq!(unsent_hits_of(&counters, place), 4);
}

#[test]
fn what_was_counted_while_nobody_sent_is_left_out() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    let server = Digest::of_server(b"u1", b"127.0.0.1:1");
    let server = counters.name(Kind::Server, &[server], 1000)[0].unwrap();
    count(&counters, 0, place, 3);
    // It has always been sent: nothing is left out.
    assert!(!counters.start_sending());
    assert_eq!(unsent_hits_of(&counters, place), 3);
    counters.stop_sending();
    count(&counters, 0, place, 5);
    let own = counters.slot(0).unwrap().own(place).unwrap();
    own.hit(HitCounter::of(Some(server)));
    assert!(counters.start_sending());
    assert!(counters.unsent(place).is_empty());
    assert!(counters.unsent_hits(server).is_none());
    count(&counters, 0, place, 1);
    assert_eq!(unsent_hits_of(&counters, place), 1);
    assert!(!counters.start_sending());
}

#[test]
fn what_a_zone_counts_is_sent_also_when_it_begins_anew() {
    let memory = Zone::begun(shape(4, 8, 4));
    let counters = memory.counters();
    let zone = counters.name(Kind::Zone, &[Digest::of_zone(b"z")], 1000)[0].unwrap();
    let sent = |totals| {
        let unsent = counters.unsent_of_zone(zone, totals);
        unsent.map(|unsent| unsent.map_or(0, |unsent| unsent.count))
    };
    assert_eq!(sent([0, 0, 0]), [0, 0, 0]);
    assert_eq!(sent([5, 1, 0]), [5, 1, 0]);
    assert_eq!(sent([7, 1, 2]), [2, 0, 2]);
    assert_eq!(sent([3, 0, 2]), [3, 0, 0]);
    assert_eq!(sent([3, 2, 2]), [0, 2, 0]);
}
