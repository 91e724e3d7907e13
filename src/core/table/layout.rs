//! The header of a zone, in front of its words. It consists of 64-bit atomics, so whatever bytes
//! another build, or a worker that died while writing, has left are valid numbers.
//!
//! ```text
//!    0  magic      8  version    16  capacity   24  k0
//!   32  k1        40  epoch      48  last full  56  replaced: 1, parted: 2, skipped: 4
//!   64  counters, sixteen of 8 bytes
//!  192  of the registry: epoch, sweeps
//!  208  times and counts for operators: scanned, state written, state errors
//!  232  the SipHash key before this one: k0, k1, the tick from which it counts no more and 1
//!  256  the registry's entries, 16 bytes each, see `entries_of` in registry.rs
//!    …  words: line 0 (4 × 16 bytes), line 1, …
//! ```

#[cfg(not(feature = "model"))]
use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::registry::{entries_of, Registry, RegistryHead};
use super::sync::{fence, AtomicU128, AtomicU64};
use super::tick::Tick;
use super::word::Word;
use super::Table;

const MAGIC: u64 = u64::from_le_bytes(*b"sticky\r\n");

/// Must change with everything that changes the meaning of the bytes of a zone: this file, the
/// registry, the word, how an id becomes a key, how a key selects its lines.
const VERSION: u64 = 6;

#[cfg(not(feature = "model"))] // loom's atomics are larger.
const _: () = {
    assert!(size_of::<ZoneIdentity>() == 64);
    assert!(size_of::<Counters>() == 128);
    assert!(offset_of!(ZoneHeader, counters) == 64);
    assert!(offset_of!(ZoneHeader, registry) == 192);
    assert!(offset_of!(ZoneHeader, notes) == 208);
    assert!(offset_of!(ZoneHeader, previous) == 232);
    assert!(size_of::<ZoneHeader>() == 256);
};

/// Identifies a zone of this module, and holds what all its users must agree on.
#[repr(C)]
#[derive(Debug, Default)]
pub struct ZoneIdentity {
    magic: AtomicU64,
    version: AtomicU64,
    capacity: AtomicU64,
    k0: AtomicU64,
    k1: AtomicU64,
    epoch: AtomicU64,
    last_full: AtomicU64,
    succession: AtomicU64,
}

/// In `succession`: a newer configuration has replaced the zone by one of another size.
const REPLACED: u64 = 1;

/// In `succession`: some sessions may stand only in the zone that this one has replaced.
const PARTED: u64 = 2;

/// In `succession`: whoever has this zone and the one that has replaced it goes on without this
/// one.
const SKIPPED: u64 = 4;

impl ZoneIdentity {
    /// Fills in all fields: `capacity` in words, the SipHash key, and the second of the system's
    /// monotonic clock from which ticks count. The magic is written last, so that the result is not
    /// valid if the process dies before.
    pub fn init(&self, capacity: usize, k0: u64, k1: u64, epoch: u64) {
        self.magic.store(0, Release);
        self.version.store(VERSION, Release);
        self.capacity.store(capacity as u64, Release);
        self.k0.store(k0, Release);
        self.k1.store(k1, Release);
        self.epoch.store(epoch, Release);
        self.last_full.store(0, Release);
        self.succession.store(0, Release);
        self.magic.store(MAGIC, Release);
    }

    /// Whether the zone was written by this version of the table, for `capacity` words.
    pub fn is_valid_for(&self, capacity: usize) -> bool {
        self.magic.load(Acquire) == MAGIC
            && self.version.load(Acquire) == VERSION
            && self.capacity.load(Acquire) == capacity as u64
    }

    /// The SipHash key `(k0, k1)`.
    pub fn sip_keys(&self) -> (u64, u64) {
        (self.k0.load(Acquire), self.k1.load(Acquire))
    }

    /// The second of the monotonic clock that is tick 0.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// Records that a live session was evicted at `now`. True for one worker if the last such
    /// record is at least `quiet` seconds old, or there was none.
    pub fn note_full(&self, now: Tick, quiet: u64) -> bool {
        let this = u64::from(now) + 1;
        let last = self.last_full.fetch_max(this, Relaxed);
        last == 0 || this.saturating_sub(last) >= quiet
    }

    /// Whether a newer configuration has replaced this zone by one of another size.
    pub fn is_replaced(&self) -> bool {
        self.succession.load(Relaxed) & REPLACED != 0
    }

    /// Sets what [`ZoneIdentity::is_replaced`] returns.
    pub fn set_replaced(&self, is_replaced: bool) {
        self.set(REPLACED, is_replaced);
    }

    /// Whether all sessions are in this zone. Else some may stand only in the one that it has
    /// replaced, see [`Predecessor`](super::Predecessor).
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.succession.load(Acquire) & PARTED == 0
    }

    /// Sets what [`ZoneIdentity::is_whole`] returns.
    pub fn set_whole(&self, is_whole: bool) {
        self.set(PARTED, !is_whole);
    }

    /// Whether the zone is to be passed over between the one that has replaced it and the one that
    /// it has replaced, see [`Predecessor`](super::Predecessor).
    pub fn is_skipped(&self) -> bool {
        self.succession.load(Acquire) & SKIPPED != 0
    }

    /// Has the zone passed over from now on. Returns whether it was whole until then.
    pub fn skip(&self) -> bool {
        self.succession.fetch_or(SKIPPED, AcqRel) & PARTED == 0
    }

    /// The memory of the zone is about to be given back to the system: all sessions are in the one
    /// that has replaced it. From then on its words may be zeroes.
    pub fn give_up(&self) {
        self.magic.store(0, SeqCst);
    }

    /// Whether the memory may have been given back. To be asked after its words were read: then
    /// nothing follows from a session that was not found.
    pub fn is_given_up(&self) -> bool {
        // After the words.
        fence(Acquire);
        self.magic.load(Acquire) != MAGIC
    }

    fn set(&self, bit: u64, is_set: bool) {
        match is_set {
            true => self.succession.fetch_or(bit, AcqRel),
            false => self.succession.fetch_and(!bit, AcqRel),
        };
    }
}

/// What has happened in a table since the zone was created. Counters wrap; fields that do not count
/// up say so.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions inserted.
    pub learned: AtomicU64,
    /// Live sessions moved to another peer.
    pub moved: AtomicU64,
    /// Words of expired sessions reused for new ones.
    pub expired_reused: AtomicU64,
    /// Words copied to their other line. Look-ups rely on it (rule 3 of the table): it may be
    /// increased at any time, but never set.
    pub relocated: AtomicU64,
    /// Live sessions evicted to which no request had come back.
    pub evicted_unused: AtomicU64,
    /// Live sessions in use evicted.
    pub evicted_in_use: AtomicU64,
    /// Sessions that were not learned.
    pub refused: AtomicU64,
    /// Not a count: tick of the last eviction of a live session, plus 1; 0 if there was none.
    pub last_eviction: AtomicU64,
    /// Words of expired sessions freed by a sweep.
    pub expired_swept: AtomicU64,
    /// Not a sum: live sessions in the last sweep over the whole table.
    pub live: AtomicU64,
    /// Not a sum: those of them that were confirmed.
    pub confirmed: AtomicU64,
    /// Not a count: tick of the last insertion that had to search far for a place, plus 1; 0 if
    /// there was none.
    pub last_crowded: AtomicU64,
    /// Not a count: a digest of what identifies the state file that was last written from this
    /// table; 0 before the first.
    pub state_written: AtomicU64,
    /// Not a count: 0 until the first word is inserted, see [`Counters::is_unused`].
    used: AtomicU64,
    /// Not a count: a digest of the last error of the state file that was logged; 0 if there is
    /// none.
    pub state_error: AtomicU64,
    /// Not a sum: words of newcomers, sessions that are not in use. A hint, which a worker that
    /// dies leaves wrong by one and a sweep corrects; it may be below 0, in two's complement.
    pub newcomers: AtomicU64,
}

/// A table is crowded for so many seconds after an insertion had to search far for a place.
const CROWDED_FOR: u64 = 60;

impl Counters {
    /// Whether no word was ever put into the table, so that there is nothing to read in it. Its
    /// memory may not even exist yet: the system provides a page when it is first read or written.
    pub fn is_unused(&self) -> bool {
        self.used.load(Relaxed) == 0
    }

    /// A word is about to be put into the table. Noted before that, so that a worker that dies in
    /// between leaves no word that nobody looks for.
    pub(super) fn note_use(&self) {
        if self.is_unused() {
            self.used.store(1, Relaxed);
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// A word has taken a place without a session.
    #[inline(always)]
    pub(super) fn note_filled(&self, new: Word) {
        if !new.is_in_use() {
            Self::count(&self.newcomers);
        }
    }

    /// A word has taken the place of another one.
    #[inline]
    pub(super) fn note_swap(&self, old: Word, new: Word) {
        match (old.is_newcomer(), new.is_newcomer()) {
            (false, true) => drop(self.newcomers.fetch_add(1, Relaxed)),
            (true, false) => drop(self.newcomers.fetch_sub(1, Relaxed)),
            _ => {}
        }
    }

    /// Records that an insertion had to search far for a place.
    pub(super) fn note_crowded(&self, now: Tick) {
        let this = u64::from(now) + 1;
        // At most once a second: every request reads it.
        if self.last_crowded.load(Relaxed) < this {
            self.last_crowded.fetch_max(this, Relaxed);
        }
    }

    /// Whether there was such an insertion a moment ago.
    #[inline]
    pub(super) fn is_crowded(&self, now: Tick) -> bool {
        let last = self.last_crowded.load(Relaxed);
        last != 0 && u64::from(now) < last.saturating_add(CROWDED_FOR)
    }

    /// The same, `passed` seconds after the epoch: mostly there was no such insertion at all.
    #[inline(always)]
    pub(super) fn is_rarely_crowded(&self, passed: u64) -> bool {
        #[inline(never)]
        fn is_recent(last: u64, passed: u64) -> bool {
            passed < last.saturating_add(CROWDED_FOR)
        }
        let last = self.last_crowded.load(Relaxed);
        last != 0 && is_recent(last, passed)
    }
}

/// What nothing but the pages of operators asks. 0: not known. A module that does not write it leaves
/// it so.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Notes {
    /// When the last sweep over the whole table ended, in seconds since 1970.
    pub scanned_at: AtomicU64,
    /// When the state file was last written, or read, in seconds since 1970: its own time.
    pub state_written_at: AtomicU64,
    /// How often that has failed.
    pub state_errors: AtomicU64,
}

/// The SipHash key that the zone had before. Sessions that were learned under it keep their words
/// until a request brings their id, or they expire.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PreviousKey {
    k0: AtomicU64,
    k1: AtomicU64,
    /// The tick from which on it does not count any more, plus 1. 0: there is none.
    until: AtomicU64,
}

impl PreviousKey {
    /// The SipHash key, and the tick from which on it does not count any more.
    pub fn get(&self) -> Option<((u64, u64), Tick)> {
        let until = self.until.load(Acquire).checked_sub(1)?;
        let keys = (self.k0.load(Acquire), self.k1.load(Acquire));
        Some((keys, Tick::try_from(until).ok()?))
    }

    /// The same at `now`, if it still counts.
    pub fn at(&self, now: Tick) -> Option<((u64, u64), Tick)> {
        self.get().filter(|(_, until)| now < *until)
    }

    /// Sets what [`PreviousKey::get`] returns. Only by the process that makes the zones.
    pub fn set(&self, previous: Option<((u64, u64), Tick)>) {
        self.until.store(0, Release);
        if let Some(((k0, k1), until)) = previous {
            self.k0.store(k0, Release);
            self.k1.store(k1, Release);
            self.until.store(u64::from(until) + 1, Release);
        }
    }
}

/// What a zone begins with, in front of the entries of its registry and its words.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct ZoneHeader {
    /// Whether it is a zone of this module, and which.
    pub identity: ZoneIdentity,
    /// What has happened in its table.
    pub counters: Counters,
    /// What the workers must agree on of the registry.
    pub registry: RegistryHead,
    /// For the pages of operators.
    pub notes: Notes,
    /// What sessions of a while ago may be under.
    pub previous: PreviousKey,
}

impl ZoneHeader {
    /// Gives the zone another SipHash key. Sessions that are under the one that it had are looked for
    /// under that one, too, before `until`. Only by the process that makes the zones.
    pub fn change_key(&self, (k0, k1): (u64, u64), until: Tick) {
        self.previous.set(Some((self.identity.sip_keys(), until)));
        self.identity.k0.store(k0, Release);
        self.identity.k1.store(k1, Release);
    }

    /// The registry and the words of a zone with this header and those 128-bit words behind it.
    pub fn split<'a>(&'a self, rest: &'a [AtomicU128]) -> (Registry<'a>, &'a [AtomicU128]) {
        let (entries, words) = rest.split_at(entries_of(rest.len()));
        (Registry::new(&self.registry, entries), words)
    }

    /// The table of such a zone.
    pub fn table<'a>(&'a self, rest: &'a [AtomicU128]) -> Table<'a> {
        let (registry, words) = self.split(rest);
        Table::new(words, &self.counters).with_registry(registry)
    }
}
