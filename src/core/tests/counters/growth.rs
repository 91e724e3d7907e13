//! Zones that take over what was counted in one of another size.

use sticky_core::counters::{Digest, HitCounter, Kind, SessionCounts};

use crate::zone::{count, hits, named, shape, upstreams, Zone};

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
