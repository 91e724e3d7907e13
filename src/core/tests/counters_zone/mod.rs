//! The memory of a zone of counters, for tests.

use std::mem::size_of;
use std::sync::atomic::AtomicU64;

use sticky_core::counters::{Counters, CountersHeader, Digest, Kind, Named, Place, Shape};

pub struct Zone {
    pub header: CountersHeader,
    pub words: Vec<AtomicU64>,
}

impl Zone {
    /// For an upstream with two servers.
    pub fn new() -> Zone {
        let named = Named {
            upstreams: 1,
            servers: 2,
            zones: 1,
        };
        let shape = Shape::for_configuration(named, 4);
        let words = (shape.bytes() - size_of::<CountersHeader>()) / size_of::<u64>();
        let zone = Zone {
            header: CountersHeader::default(),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        };
        assert!(Counters::begin(&zone.header, &zone.words, shape, true).is_some());
        zone
    }

    pub fn counters(&self) -> Counters<'_> {
        Counters::open(&self.header, &self.words).expect("a zone that was begun")
    }
}

/// The places of the upstream "u" and of its servers "a" and "b".
pub fn places(counters: &Counters<'_>, now: u64) -> (Place, Place, Place) {
    counters.next_configuration();
    let upstream = counters.name(Kind::Upstream, &[Digest::of_upstream(b"u")], now);
    let servers = [b"a", b"b"].map(|name| Digest::of_server(b"u", name));
    let servers = counters.name(Kind::Server, &servers, now);
    (
        upstream[0].unwrap(),
        servers[0].unwrap(),
        servers[1].unwrap(),
    )
}
