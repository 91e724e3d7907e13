//! How large zones are, and whether one can be used.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::counters::{Counters, CountersHeader, Digest, Kind};

use crate::zone::{count, hits, shape, upstreams, Zone};

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
    assert!(shape.bytes() < 40 << 20, "{}", shape.bytes());
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
