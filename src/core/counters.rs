//! Counters of the upstreams and servers of a configuration, in memory that all workers share and that
//! outlives them: a zone of its own.
//!
//! ```text
//! zone:  | header 128 B | entries, 128 B each: upstreams, servers, zones | slot 0 | slot 1 | …
//! slot:  | upstreams, 104 counters each | servers, 4 counters each |
//! ```
//!
//! The last slot has what was sent to a server that collects counts, see `counters/unsent.rs`.
//!
//! A worker counts in the slot of its number, modulo the number of slots, so that no two workers
//! share a cache line. Counting is a relaxed addition: two generations of workers may share a slot,
//! and a worker that dies takes nothing with it. The sums are made when somebody asks.
//!
//! An entry is found by a digest of what it stands for, and remembers since when it counts. Only the
//! process that reads configurations gives entries away. What a configuration does not name keeps
//! its entry until others need it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

mod cells;
mod digest;
mod drain;
mod entry;
mod first;
mod layout;
mod room;
mod unsent;

pub use cells::{HitCounter, OwnCounters, ServerSums, UpstreamSums};
pub use digest::{Digest, Kind};
pub use drain::{Drain, DrainCells, DrainedBy, KeptDrain, Mark, FORGOTTEN_AFTER};
pub use entry::SessionCounts;
pub use first::{
    digest as first_digest, FirstCells, Kind as FirstKind, Response as FirstResponse,
    Seen as FirstSeen, FIRST_RESPONSES,
};
pub use layout::{CountersHeader, Named, Shape, ZONE_COUNTS};
pub use room::{RoomCells, SessionLimit};
pub use unsent::{Counted, Unsent};

use cells::{ServerCells, UpstreamCells};
use entry::Entry;
use layout::{ENTRY_WORDS, SERVER_CELLS, UPSTREAM_CELLS};

/// The place of an entry among those of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Place(u32);

impl Place {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The counters in a zone.
#[derive(Clone, Copy)]
pub struct Counters<'a> {
    header: &'a CountersHeader,
    shape: Shape,
    entries: &'a [AtomicU64],
    slots: &'a [AtomicU64],
}

/// Those that one worker counts in.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    upstreams: &'a [AtomicU64],
    servers: &'a [AtomicU64],
}

impl<'a> Slot<'a> {
    /// Those of an upstream and its servers.
    pub fn own(&self, upstream: Place) -> Option<OwnCounters<'a>> {
        Some(OwnCounters::new(self.upstream(upstream)?, self.servers))
    }

    fn upstream(&self, place: Place) -> Option<UpstreamCells<'a>> {
        let begin = place.index() * UPSTREAM_CELLS;
        let cells = self.upstreams.get(begin..begin + UPSTREAM_CELLS)?;
        Some(UpstreamCells(cells.try_into().ok()?))
    }

    fn server(&self, place: Place) -> Option<ServerCells<'a>> {
        let begin = place.index() * SERVER_CELLS;
        let cells = self.servers.get(begin..begin + SERVER_CELLS)?;
        Some(ServerCells(cells.try_into().ok()?))
    }

    fn cells(&self, kind: Kind, place: Place) -> &'a [AtomicU64] {
        let cells = match kind {
            Kind::Upstream => self.upstream(place).map(|cells| &cells.0[..]),
            Kind::Server => self.server(place).map(|cells| &cells.0[..]),
            Kind::Zone => None,
        };
        cells.unwrap_or_default()
    }
}

impl<'a> Counters<'a> {
    /// The counters of a zone. `None`: it is not one of this version, or not whole.
    pub fn open(header: &'a CountersHeader, words: &'a [AtomicU64]) -> Option<Self> {
        Self::with_shape(header, words, header.shape(words.len())?)
    }

    /// Begins anew in a zone; `is_zero` says that all its words are 0, so that none needs to be
    /// written. `None`: it has too few words.
    pub fn begin(
        header: &'a CountersHeader,
        words: &'a [AtomicU64],
        shape: Shape,
        is_zero: bool,
    ) -> Option<Self> {
        let begun = Self::with_shape(header, words, shape)?;
        header.end();
        if !is_zero {
            clear(words);
        }
        header.begin(shape, words.len());
        Some(begun)
    }

    fn with_shape(
        header: &'a CountersHeader,
        words: &'a [AtomicU64],
        shape: Shape,
    ) -> Option<Self> {
        let (entries, rest) = words.split_at_checked(shape.entry_words())?;
        let slots = rest.get(..shape.slot_words() * shape.all_slots())?;
        Some(Self {
            header,
            shape,
            entries,
            slots,
        })
    }

    /// How it is laid out.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// When counts were taken over from a zone of another size, in seconds since 1970; 0: never. What
    /// workers have counted later that were ending then is missing.
    pub fn grown(&self) -> u64 {
        self.header.grown.load(Relaxed)
    }

    /// The counters of the worker of that number.
    pub fn slot(&self, worker: usize) -> Option<Slot<'a>> {
        self.slot_at(worker % self.shape.slots())
    }

    fn slot_at(&self, number: usize) -> Option<Slot<'a>> {
        let words = self.shape.slot_words();
        let begin = number * words;
        let slot = self.slots.get(begin..begin + words)?;
        let (upstreams, servers) =
            slot.split_at_checked(self.shape.room(Kind::Upstream) * UPSTREAM_CELLS)?;
        Some(Slot { upstreams, servers })
    }

    fn all_slots(&self) -> impl Iterator<Item = Slot<'a>> + '_ {
        (0..self.shape.slots()).filter_map(|number| self.slot(number))
    }

    /// What all workers have counted of an upstream.
    pub fn upstream_sums(&self, place: Place) -> UpstreamSums {
        let mut sums = UpstreamSums {
            since: self.since(Kind::Upstream, place),
            ..UpstreamSums::default()
        };
        let cells = self.all_slots().filter_map(|slot| slot.upstream(place));
        cells.for_each(|cells| sums.add(cells));
        sums
    }

    /// What all workers have counted of a server.
    pub fn server_sums(&self, place: Place) -> ServerSums {
        let mut sums = ServerSums {
            since: self.since(Kind::Server, place),
            ..ServerSums::default()
        };
        let cells = self.all_slots().filter_map(|slot| slot.server(place));
        cells.for_each(|cells| sums.add(cells));
        sums
    }

    fn since(&self, kind: Kind, place: Place) -> u64 {
        let entry = self.entry(kind, place);
        entry.map_or(0, |entry| entry.since().load(Relaxed))
    }

    /// How many sessions a server had when they were last counted. `None`: they never were.
    pub fn sessions(&self, server: Place) -> Option<SessionCounts> {
        self.entry(Kind::Server, server)?.sessions()
    }

    /// Notes how many sessions a server has.
    pub fn set_sessions(&self, server: Place, counts: &SessionCounts) {
        if let Some(entry) = self.entry(Kind::Server, server) {
            entry.set_sessions(counts);
        }
    }

    /// A server's drain.
    pub fn drain(&self, server: Place) -> Option<DrainCells<'a>> {
        Some(self.entry(Kind::Server, server)?.drain())
    }

    /// The mark of an upstream some of whose servers may get no new sessions.
    pub fn mark(&self, upstream: Place) -> Option<Mark<'a>> {
        Some(self.entry(Kind::Upstream, upstream)?.mark())
    }

    /// What the first responses of an upstream had.
    pub fn first(&self, upstream: Place) -> Option<FirstCells<'a>> {
        Some(self.entry(Kind::Upstream, upstream)?.first())
    }

    /// How many sessions a server has by now.
    pub fn room(&self, server: Place) -> Option<RoomCells<'a>> {
        Some(self.entry(Kind::Server, server)?.room())
    }

    /// Whether the caller may count the sessions of a zone now, in seconds of the system's monotonic
    /// clock: nobody else has begun to for `least` seconds.
    pub fn may_count(&self, zone: Place, now: u64, least: u64) -> bool {
        let entry = self.entry(Kind::Zone, zone);
        entry.is_some_and(|entry| entry.may_count(now, least))
    }

    fn entry(&self, kind: Kind, place: Place) -> Option<Entry<'a>> {
        if place.index() >= self.shape.room(kind) {
            return None;
        }
        let begin = (self.shape.first(kind) + place.index()) * ENTRY_WORDS;
        let words = self.entries.get(begin..begin + ENTRY_WORDS)?;
        Some(Entry(words.try_into().ok()?))
    }

    fn entries(&self, kind: Kind) -> impl Iterator<Item = (Place, Entry<'a>)> + '_ {
        let places = (0..self.shape.room(kind)).map(|index| Place(index as u32));
        places.filter_map(move |place| Some((place, self.entry(kind, place)?)))
    }

    /// To be called when a configuration is complete, before [`Counters::name`].
    pub fn next_configuration(&self) {
        self.header.configurations.fetch_add(1, Relaxed);
    }

    /// The places of what a configuration names, of one kind, in their order; each has an entry from
    /// then on. `None`: there is no room for it. `now` in seconds since 1970.
    pub fn name(&self, kind: Kind, digests: &[Digest], now: u64) -> Vec<Option<Place>> {
        let configuration = self.header.configurations.load(Relaxed);
        let mut known = HashMap::new();
        for (place, entry) in self.entries(kind) {
            if let Some(digest) = entry.digest() {
                known.entry(digest).or_insert(place);
            }
        }
        for digest in digests {
            let place = known.get(digest).copied();
            if let Some(entry) = place.and_then(|place| self.entry(kind, place)) {
                entry.named().store(configuration, Relaxed);
            }
        }
        let mut free = None;
        let places = digests.iter().map(|digest| {
            if let Some(place) = known.get(digest) {
                return Some(*place);
            }
            let free = free.get_or_insert_with(|| self.free(kind, configuration).into_iter());
            let place = free.next()?;
            let entry = self.entry(kind, place)?;
            entry.vacate();
            self.all_slots()
                .chain(self.sent())
                .for_each(|slot| clear(slot.cells(kind, place)));
            entry.take(*digest, now, configuration);
            known.insert(*digest, place);
            Some(place)
        });
        places.collect()
    }

    /// The places that can be given to others: those that nothing ever had, then those that the
    /// configuration does not name, the ones unused longest first.
    fn free(&self, kind: Kind, configuration: u64) -> Vec<Place> {
        let unused = self.entries(kind).filter_map(|(place, entry)| {
            let unused_for = configuration.wrapping_sub(entry.named().load(Relaxed));
            match entry.digest() {
                None => Some((u64::MAX, place)),
                Some(_) => (unused_for != 0).then_some((unused_for, place)),
            }
        });
        let mut unused: Vec<_> = unused.collect();
        unused.sort_by_key(|(unused_for, _)| std::cmp::Reverse(*unused_for));
        unused.into_iter().map(|(_, place)| place).collect()
    }

    /// Takes over the entries of the zone that this new one replaces, and what was counted there, those
    /// named last first, as long as there is room. `now` in seconds since 1970.
    pub fn take_over(&self, old: &Counters<'_>, now: u64) {
        let configurations = old.header.configurations.load(Relaxed);
        self.header.configurations.store(configurations, Relaxed);
        self.header.grown.store(now, Relaxed);
        let is_behind = old.header.is_behind.load(Relaxed);
        self.header.is_behind.store(is_behind, Relaxed);
        for kind in Kind::ALL {
            let mut all: Vec<_> = old
                .entries(kind)
                .filter(|(_, entry)| entry.digest().is_some())
                .collect();
            all.sort_by_key(|(_, entry)| configurations.wrapping_sub(entry.named().load(Relaxed)));
            for ((from, old_entry), (to, entry)) in all.into_iter().zip(self.entries(kind)) {
                entry.copy_from(old_entry);
                let Some(slot) = self.slot(0) else { return };
                for other in old.all_slots() {
                    let cells = slot.cells(kind, to).iter();
                    for (cell, other) in cells.zip(other.cells(kind, from)) {
                        cell.fetch_add(other.load(Relaxed), Relaxed);
                    }
                }
                if let (Some(sent), Some(other)) = (self.sent(), old.sent()) {
                    let cells = sent.cells(kind, to).iter();
                    for (cell, other) in cells.zip(other.cells(kind, from)) {
                        cell.store(other.load(Relaxed), Relaxed);
                    }
                }
            }
        }
    }
}

fn clear(words: &[AtomicU64]) {
    // Memory that was never used takes none as long as it is not written.
    for word in words.iter().filter(|word| word.load(Relaxed) != 0) {
        word.store(0, Relaxed);
    }
}
