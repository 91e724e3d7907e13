//! A zone of counters, and what is done with it.

use std::mem::size_of;
use std::sync::atomic::AtomicU64;

use sticky_core::counters::{Counters, CountersHeader, Digest, Kind, Named, Place, Shape};
use sticky_core::events::Status;

/// The memory of a zone.
pub struct Zone {
    pub header: CountersHeader,
    pub words: Vec<AtomicU64>,
}

impl Zone {
    pub fn of(bytes: usize) -> Zone {
        let words = (bytes - size_of::<CountersHeader>()) / size_of::<u64>();
        Zone {
            header: CountersHeader::default(),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub fn begun(shape: Shape) -> Zone {
        let zone = Zone::of(shape.bytes());
        assert!(Counters::open(&zone.header, &zone.words).is_none());
        assert!(Counters::begin(&zone.header, &zone.words, shape, true).is_some());
        zone
    }

    pub fn counters(&self) -> Counters<'_> {
        Counters::open(&self.header, &self.words).expect("a zone that was begun")
    }
}

pub fn shape(upstreams: usize, servers: usize, workers: usize) -> Shape {
    let named = Named {
        upstreams,
        servers,
        zones: 1,
    };
    Shape::for_configuration(named, workers)
}

pub fn upstreams(names: impl IntoIterator<Item = usize>) -> Vec<Digest> {
    let names = names.into_iter();
    names
        .map(|number| Digest::of_upstream(format!("u{number}").as_bytes()))
        .collect()
}

/// Names one upstream with that number.
pub fn named(counters: &Counters<'_>, number: usize, now: u64) -> Place {
    let places = counters.name(Kind::Upstream, &upstreams([number]), now);
    places[0].expect("room")
}

pub fn count(counters: &Counters<'_>, worker: usize, place: Place, times: u64) {
    let slot = counters.slot(worker).expect("a slot");
    let own = slot.own(place).expect("an upstream");
    (0..times).for_each(|_| own.request(Status::Hit));
}

pub fn hits(counters: &Counters<'_>, place: Place) -> u64 {
    counters.upstream_sums(place).requests[Status::Hit.number()]
}
