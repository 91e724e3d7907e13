//! The zone of the cluster, `sticky/cluster`: what workers and threads of one nginx share about it, in
//! front of the journal's slots. Whatever bytes are there, they are numbers.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::sync::atomic::{Ordering::Release, Ordering::SeqCst};

use super::clock::StoreClock;
use super::hand_drains::{HandDrainCells, HandDrains, MOST_DRAINS};
use super::lease::LeaseCells;
use super::nodes::{NodeCells, Nodes};
use super::record::Seconds;
use super::statistics::StatisticsCells;
use super::wire::NodeId;
use crate::table::sync::AtomicU128;
use crate::table::{Journal, JournalHead, Slot, SLOTS};

const MAGIC: u64 = u64::from_le_bytes(*b"stickycl");

/// Must change with everything that changes the meaning of the bytes.
const VERSION: u64 = 2;

/// Scopes that a node can tell apart: as many as a slot of the journal has numbers for.
pub const MOST_SCOPES: usize = 1 << 14;

/// Nodes of which it is remembered how far their journals were applied.
pub const MOST_NODES: usize = 256;

/// What a node knows of its part in the cluster, as bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Flag {
    /// It has what the others had when it came.
    Joined = 1,
    /// The store answers.
    Up = 2,
    /// The operator was told that the store does not answer.
    ToldAway = 4,
    /// The operator was told that the store may forget what is in it.
    ToldPolicy = 8,
    /// Sessions are to be sent, see [`ClusterHeader::must_fill`].
    MustFill = 16,
    /// Its tables are used, and have more than their state files had.
    InUse = 32,
    /// Its tables are being emptied, for what the others have.
    Emptying = 64,
}

/// What the zone begins with.
#[repr(C, align(64))]
pub struct ClusterHeader {
    magic: AtomicU64,
    version: AtomicU64,
    slots: AtomicU64,
    node: [AtomicU64; 2],
    generation: AtomicU64,
    flags: AtomicU64,
    /// See [`ClusterHeader::run`].
    run: AtomicU64,
    /// Which worker speaks to the store.
    pub lease: LeaseCells,
    /// The store's clock.
    pub clock: StoreClock,
    /// See [`HandDrains::changes`].
    drain_changes: AtomicU64,
    /// See [`ClusterHeader::must_fill`].
    fill: AtomicU64,
    position: AtomicU128,
    journal: JournalHead,
    /// What is counted.
    pub statistics: StatisticsCells,
    nodes: [NodeCells; MOST_NODES],
    scopes: [AtomicU64; MOST_SCOPES],
    drains: [HandDrainCells; MOST_DRAINS],
}

/// What was applied of the stream: the entry, and how many of its records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// Milliseconds of the entry's place.
    pub ms: u64,
    /// Of the entries of one millisecond, which.
    pub sequence: u64,
    /// So many of its records; [`Position::WHOLE`]: all.
    pub records: u32,
}

impl Position {
    /// All records of an entry.
    pub const WHOLE: u32 = u32::MAX;

    fn bits(self) -> u128 {
        let mask = (1u128 << 48) - 1;
        let (ms, sequence) = (u128::from(self.ms) & mask, u128::from(self.sequence) & mask);
        ms << 80 | sequence << 32 | u128::from(self.records)
    }

    fn of(bits: u128) -> Position {
        let mask = (1 << 48) - 1;
        Position {
            ms: (bits >> 80) as u64 & mask,
            sequence: (bits >> 32) as u64 & mask,
            records: bits as u32,
        }
    }
}

impl ClusterHeader {
    /// Bytes of the header and the slots of the journal.
    pub const BYTES: usize = size_of::<ClusterHeader>() + SLOTS * size_of::<Slot>();

    /// A header in new memory.
    #[cfg(not(feature = "model"))]
    pub fn boxed() -> Box<ClusterHeader> {
        Box::new(ClusterHeader {
            magic: AtomicU64::new(0),
            version: AtomicU64::new(0),
            slots: AtomicU64::new(0),
            node: Default::default(),
            generation: AtomicU64::new(0),
            flags: AtomicU64::new(0),
            run: AtomicU64::new(0),
            lease: LeaseCells::default(),
            clock: StoreClock::default(),
            drain_changes: AtomicU64::new(0),
            fill: AtomicU64::new(0),
            position: AtomicU128::new(0),
            journal: JournalHead::default(),
            statistics: StatisticsCells::default(),
            nodes: [const { NodeCells::new() }; MOST_NODES],
            scopes: [const { AtomicU64::new(0) }; MOST_SCOPES],
            drains: [const { HandDrainCells::new() }; MOST_DRAINS],
        })
    }

    /// Whether it was begun by this version of the module, with so many slots behind it.
    pub fn is_valid_for(&self, slots: usize) -> bool {
        self.magic.load(Acquire) == MAGIC
            && self.version.load(Relaxed) == VERSION
            && self.slots.load(Relaxed) == slots as u64
            && slots >= SLOTS
    }

    /// Begins it, for a new node. `is_zero`: it is new memory.
    pub fn begin(&self, slots: &[Slot], node: (u64, u64), is_zero: bool) {
        self.magic.store(0, Release);
        if !is_zero {
            let words = [
                &self.generation,
                &self.flags,
                &self.run,
                &self.drain_changes,
                &self.fill,
            ];
            words.iter().for_each(|word| word.store(0, Relaxed));
            self.lease.clear();
            self.clock.clear();
            self.position.store(0, Relaxed);
            self.statistics.clear();
            self.nodes.iter().for_each(NodeCells::clear);
            self.scopes.iter().for_each(|word| word.store(0, Relaxed));
            self.drains.iter().for_each(HandDrainCells::clear);
        }
        self.version.store(VERSION, Relaxed);
        self.slots.store(slots.len() as u64, Relaxed);
        let [first, second] = &self.node;
        first.store(node.0, Relaxed);
        second.store(node.1, Relaxed);
        // Last, so that it is not valid if the process ends before.
        self.magic.store(MAGIC, Release);
    }

    /// By how many milliseconds the store's clock may be ahead of the monotonic one.
    pub fn guess_clock(&self, slots: &[Slot], ahead: i64) {
        self.clock.guess(ahead);
        self.journal(slots).see_clock(ahead);
    }

    /// Who this node is.
    pub fn node(&self) -> NodeId {
        let [first, second] = &self.node;
        let halves = [first.load(Relaxed), second.load(Relaxed)];
        let mut bytes = [0; 16];
        for (place, half) in bytes.chunks_exact_mut(8).zip(halves) {
            place.copy_from_slice(&half.to_le_bytes());
        }
        NodeId(bytes)
    }

    /// A configuration is complete. Returns its generation, not 0.
    pub fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, AcqRel) + 1
    }

    /// Whether something is so.
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.load(SeqCst) & flag as u64 != 0
    }

    /// Notes whether something is so. Returns whether it was.
    pub fn set(&self, flag: Flag, is_so: bool) -> bool {
        let before = match is_so {
            true => self.flags.fetch_or(flag as u64, SeqCst),
            false => self.flags.fetch_and(!(flag as u64), SeqCst),
        };
        before & flag as u64 != 0
    }

    /// All sessions that were used at that second or later are to be sent: the store has lost them, or
    /// the journal could not keep them.
    pub fn must_fill(&self, since: Seconds) {
        // New memory says that there are none.
        self.fill.fetch_max(!since, SeqCst);
        self.set(Flag::MustFill, true);
    }

    /// Since when sessions are to be sent, if they are. Whoever takes it sends them.
    pub fn take_fill(&self) -> Option<Seconds> {
        self.set(Flag::MustFill, false)
            .then(|| !self.fill.swap(0, SeqCst))
    }

    /// A digest of the run of the server that is the store, as far as is known; 0: none.
    pub fn run(&self) -> u64 {
        self.run.load(Relaxed)
    }

    /// Notes that.
    pub fn note_run(&self, digest: u64) {
        self.run.store(digest, Relaxed);
    }

    /// What was applied of the stream.
    pub fn position(&self) -> Position {
        Position::of(self.position.load(SeqCst))
    }

    /// Notes what was applied of the stream.
    pub fn set_position(&self, position: Position) {
        self.position.store(position.bits(), SeqCst);
    }

    /// How far the journals of nodes were applied.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes::new(&self.nodes)
    }

    /// Servers that operators have drained or put back.
    pub fn drains(&self) -> HandDrains<'_> {
        HandDrains::new(&self.drains, &self.drain_changes)
    }

    /// The journal, with the slots behind the header.
    pub fn journal<'a>(&'a self, slots: &'a [Slot]) -> Journal<'a> {
        let slots = slots.get(..SLOTS).unwrap_or_default();
        Journal::new(&self.journal, slots)
    }

    /// The number of a scope, given to it if it has none. `None`: all are given.
    pub fn give_scope(&self, digest: u64) -> Option<u16> {
        let digest = digest.max(1);
        for (number, place) in self.scopes.iter().enumerate() {
            let known = match place.compare_exchange(0, digest, AcqRel, Acquire) {
                Ok(_) => digest,
                Err(known) => known,
            };
            if known == digest {
                return u16::try_from(number).ok();
            }
        }
        None
    }

    /// What a number stands for.
    pub fn scope(&self, number: u16) -> Option<u64> {
        let digest = self.scopes.get(usize::from(number))?.load(Acquire);
        (digest != 0).then_some(digest)
    }
}
