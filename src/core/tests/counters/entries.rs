//! Who has which counters, from one configuration to the next.

use std::collections::HashSet;

use sticky_core::counters::{Digest, Kind, SessionCounts, UpstreamSums};

use crate::zone::{count, hits, named, shape, upstreams, Zone};

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
