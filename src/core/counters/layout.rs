//! How the zone is laid out, and how large it is for a configuration.

use std::mem::size_of;
use std::sync::atomic::{
    AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::digest::Kind;

const MAGIC: u64 = u64::from_le_bytes(*b"stickyco");

/// Must change with everything that changes the meaning of the bytes: this folder, and the order of
/// the values in `events.rs`.
const VERSION: u64 = 3;

/// Words of an entry.
pub(super) const ENTRY_WORDS: usize = 16;

/// Counters of an upstream in a slot: whole cache lines, with some to spare.
pub(super) const UPSTREAM_CELLS: usize = 104;

/// Counters of a server in a slot.
pub(super) const SERVER_CELLS: usize = 4;

/// What is counted of a zone of sessions elsewhere, and sent from here.
pub const ZONE_COUNTS: usize = 3;

/// Servers for which there is room, for each upstream for which there is.
const SERVERS_PER_UPSTREAM: usize = 8;

const LEAST_UNITS: usize = 16;
const MOST_UNITS: usize = 1 << 24;

/// With fewer, two shapes could have one size (see [`Shape`]).
const LEAST_SLOTS: usize = 4;
/// As many workers as nginx can have (NGX_MAX_PROCESSES).
const MOST_SLOTS: usize = 1 << 10;

/// Slots are shared by workers rather than that the zone gets larger.
const LARGE: usize = 256 << 20;

/// What a zone of counters begins with. Whatever bytes are there, they are numbers.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct CountersHeader {
    magic: AtomicU64,
    version: AtomicU64,
    /// Words behind the header.
    words: AtomicU64,
    units: AtomicU64,
    slots: AtomicU64,
    /// How many configurations there were.
    pub(super) configurations: AtomicU64,
    /// See [`Counters::grown`](super::Counters::grown).
    pub(super) grown: AtomicU64,
    /// See [`CountersHeader::secret`].
    secret: [AtomicU64; 2],
    /// What was counted may not have been sent, see [`Counters::start_sending`].
    ///
    /// [`Counters::start_sending`]: super::Counters::start_sending
    pub(super) is_behind: AtomicU64,
    spare: [AtomicU64; 6],
}

const _: () = assert!(size_of::<CountersHeader>() == 128);

// Cache lines have 64 bytes: 8 words.
const _: () = {
    const fn is_whole(words: usize) -> bool {
        words / 8 * 8 == words
    }
    assert!(is_whole(ENTRY_WORDS) && is_whole(UPSTREAM_CELLS));
    assert!(is_whole(LEAST_UNITS * SERVERS_PER_UPSTREAM * SERVER_CELLS));
};

/// What a configuration has of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// Sticky upstreams.
    pub upstreams: usize,
    /// Servers of all of them.
    pub servers: usize,
    /// Zones of sessions.
    pub zones: usize,
}

/// How much a zone has room for: two powers of two. Two different shapes have different sizes, so that
/// a zone of the same size is a zone of the same shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Upstreams, zones, and an eighth of the servers.
    units: usize,
    slots: usize,
}

impl Shape {
    /// For a configuration, and half as much again.
    pub fn for_configuration(named: Named, workers: usize) -> Shape {
        let servers = named.servers.div_ceil(SERVERS_PER_UPSTREAM);
        let needed = named.upstreams.max(named.zones).max(servers);
        let units = needed.saturating_add(needed.div_ceil(2)).min(MOST_UNITS);
        let mut shape = Shape {
            units: units.next_power_of_two().max(LEAST_UNITS),
            slots: workers.clamp(LEAST_SLOTS, MOST_SLOTS).next_power_of_two(),
        };
        while shape.slots > LEAST_SLOTS && shape.bytes() > LARGE {
            shape.slots /= 2;
        }
        shape
    }

    /// Bytes of the header and all words.
    pub fn bytes(&self) -> usize {
        let words = self.entry_words() + self.slot_words() * self.all_slots();
        size_of::<CountersHeader>() + words * size_of::<AtomicU64>()
    }

    /// For how many workers there are slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Those of workers, and the one of what was sent.
    pub(super) fn all_slots(&self) -> usize {
        self.slots + 1
    }

    /// For how many of a kind there is room.
    pub fn room(&self, kind: Kind) -> usize {
        match kind {
            Kind::Upstream | Kind::Zone => self.units,
            Kind::Server => self.units * SERVERS_PER_UPSTREAM,
        }
    }

    /// The first entry of a kind.
    pub(super) fn first(&self, kind: Kind) -> usize {
        match kind {
            Kind::Upstream => 0,
            Kind::Server => self.room(Kind::Upstream),
            Kind::Zone => self.room(Kind::Upstream) + self.room(Kind::Server),
        }
    }

    pub(super) fn entry_words(&self) -> usize {
        (self.first(Kind::Zone) + self.room(Kind::Zone)) * ENTRY_WORDS
    }

    pub(super) fn slot_words(&self) -> usize {
        self.room(Kind::Upstream) * UPSTREAM_CELLS + self.room(Kind::Server) * SERVER_CELLS
    }
}

// No product overflows.
const _: () = assert!(
    MOST_UNITS
        * (UPSTREAM_CELLS + SERVERS_PER_UPSTREAM * SERVER_CELLS) // those of a slot
        * (MOST_SLOTS + 1)
        < usize::MAX / 16
);

impl CountersHeader {
    /// A secret that all workers have, as long as the zone exists: `new` where there is none yet.
    pub fn secret(&self, new: (u64, u64)) -> (u64, u64) {
        let settle = |place: &AtomicU64, new: u64| {
            // Whoever is first has made it; 0 is none.
            let known = place.compare_exchange(0, new | 1, AcqRel, Acquire);
            known.map_or_else(|known| known, |_| new | 1)
        };
        let [first, second] = &self.secret;
        (settle(first, new.0), settle(second, new.1))
    }

    /// The shape that it was begun with, in a zone of so many words behind it. `None`: it was not, or
    /// by another version.
    pub(super) fn shape(&self, words: usize) -> Option<Shape> {
        let is_whole = self.magic.load(Acquire) == MAGIC
            && self.version.load(Relaxed) == VERSION
            && self.words.load(Relaxed) == words as u64;
        let within = |number: &AtomicU64, least: usize, most: usize| {
            let number = usize::try_from(number.load(Relaxed)).ok()?;
            let is_valid = number.is_power_of_two() && (least..=most).contains(&number);
            is_valid.then_some(number)
        };
        let shape = Shape {
            units: within(&self.units, LEAST_UNITS, MOST_UNITS)?,
            slots: within(&self.slots, LEAST_SLOTS, MOST_SLOTS)?,
        };
        is_whole.then_some(shape)
    }

    /// It is not valid from now on.
    pub(super) fn end(&self) {
        self.magic.store(0, Release);
    }

    pub(super) fn begin(&self, shape: Shape, words: usize) {
        self.version.store(VERSION, Relaxed);
        self.words.store(words as u64, Relaxed);
        self.units.store(shape.units as u64, Relaxed);
        self.slots.store(shape.slots as u64, Relaxed);
        self.configurations.store(0, Relaxed);
        self.grown.store(0, Relaxed);
        self.is_behind.store(0, Relaxed);
        let spare = self.secret.iter().chain(&self.spare);
        spare.for_each(|word| word.store(0, Relaxed));
        // Last, so that it is not valid if the process ends before.
        self.magic.store(MAGIC, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{CountersHeader, Named, Relaxed, Shape, VERSION};

    #[test]
    fn a_zone_of_another_version_is_none() {
        let shape = Shape::for_configuration(Named::default(), 1);
        let header = CountersHeader::default();
        header.begin(shape, 100);
        assert_eq!(header.shape(100), Some(shape));
        for other in [0, VERSION - 1, VERSION + 1] {
            header.version.store(other, Relaxed);
            assert_eq!(header.shape(100), None, "{other}");
        }
    }
}
