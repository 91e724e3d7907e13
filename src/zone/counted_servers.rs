//! Where the sessions of each server of a zone are noted.

use std::collections::HashMap;
use std::sync::OnceLock;

use sticky_core::counters::{Counters, Place};
use sticky_core::table::{Fingerprint, ZoneHeader};

/// What the registry of a zone knows servers by, and where their sessions are noted.
pub type ServerPlaces = Vec<(Fingerprint, Place)>;

/// Servers whose counts the event loop notes: of more, a thread does. Half a millisecond.
const MANY: usize = 2048;

/// A server that is always the same.
pub struct NamedServer {
    /// Whose sessions those of its upstream are.
    pub scope: Box<[u8]>,
    /// What it is called in the table.
    pub name: Box<[u8]>,
    /// Where it is counted.
    pub place: Place,
}

/// The servers that have their sessions in a zone. Plain data, so that a thread that counts needs
/// nothing of nginx.
pub struct CountedServers {
    /// Where the zone itself has its entry.
    pub zone: Option<Place>,
    named: Vec<NamedServer>,
    /// A SipHash key that other nginx may still have.
    old: Option<(u64, u64)>,
    /// The same by what the registry knows them by, from the first use on.
    places: OnceLock<ServerPlaces>,
}

impl CountedServers {
    /// Those whose addresses are not resolved at run time.
    pub fn new(zone: Option<Place>, named: Vec<NamedServer>, old: Option<(u64, u64)>) -> Self {
        Self {
            zone,
            named,
            old,
            places: OnceLock::new(),
        }
    }

    /// Whether these, and so many that are resolved at run time, are too many for a turn of the event loop.
    pub fn are_many(&self, resolved: usize) -> bool {
        self.named.len() + resolved > MANY
    }

    /// Where they are noted, in the zone with that header.
    pub fn places(&self, header: &ZoneHeader) -> &[(Fingerprint, Place)] {
        self.places.get_or_init(|| {
            let previous = header.previous.get().map(|(keys, _)| keys);
            let all = [Some(header.identity.sip_keys()), previous, self.old];
            let mut all: Vec<_> = all.into_iter().flatten().collect();
            all.dedup();
            let of = |keys| {
                let named = self.named.iter();
                named.map(move |it| (Fingerprint::new(keys, &it.scope, &it.name), it.place))
            };
            all.into_iter().flat_map(of).collect()
        })
    }
}

/// What had come to each server when a count began.
pub struct Before {
    at: u64,
    come: HashMap<Place, u64>,
}

impl Before {
    /// Of these servers, at that second of the monotonic clock.
    pub fn of<'p>(
        counters: &Counters<'_>,
        servers: impl Iterator<Item = &'p (Fingerprint, Place)>,
        at: u64,
    ) -> Self {
        let come = servers.filter_map(|(_, place)| {
            let room = counters.room(*place)?;
            Some((*place, room.come_so_far()))
        });
        Self {
            at,
            come: come.collect(),
        }
    }

    /// Notes how many sessions a server has: with those that come from then on, that is what it has
    /// later.
    pub fn note(&self, counters: &Counters<'_>, server: Place, count: u64) {
        if let (Some(room), Some(come)) = (counters.room(server), self.come.get(&server)) {
            room.set(count, *come, self.at);
        }
    }
}
