//! What stands in a zone in front of the words. Plain 64-bit atomics, so that any bytes that
//! another build, or a worker that died while writing, may have left are only numbers.
//!
//! ```text
//!    0  magic      8  version    16  capacity   24  k0
//!   32  k1        40  epoch      48  latest full  56  replaced
//!   64  counters, sixteen places for them
//!  192  words: line 0 (4 × 16 bytes), line 1, …
//! ```

#[cfg(not(feature = "model"))]
use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::table::sync::AtomicU64;
use crate::table::tick::Tick;

const MAGIC: u64 = u64::from_le_bytes(*b"sticky\r\n");

/// Changes with anything that gives bytes of a zone another meaning: this file, the word, the
/// way from an id to a key, the choice of lines.
const VERSION: u64 = 2;

#[cfg(not(feature = "model"))] // loom's numbers are larger.
const _: () = {
    assert!(size_of::<Header>() == 64);
    assert!(size_of::<Counters>() == 128);
    assert!(offset_of!(ZoneHeader, counters) == 64);
    assert!(size_of::<ZoneHeader>() == 192);
};

/// Tells whose zone this is, and holds what all its users must agree on.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    capacity: AtomicU64,
    k0: AtomicU64,
    k1: AtomicU64,
    epoch: AtomicU64,
    latest_full: AtomicU64,
    replaced: AtomicU64,
}

impl Header {
    /// Fills in a header: `capacity` in words, the SipHash key, and the second of the system's
    /// monotonic clock from which ticks count. The magic is written last, so that a header cut
    /// short is not valid.
    pub fn init(&self, capacity: usize, k0: u64, k1: u64, epoch: u64) {
        self.magic.store(0, Release);
        self.version.store(VERSION, Release);
        self.capacity.store(capacity as u64, Release);
        self.k0.store(k0, Release);
        self.k1.store(k1, Release);
        self.epoch.store(epoch, Release);
        self.latest_full.store(0, Release);
        self.replaced.store(0, Release);
        self.magic.store(MAGIC, Release);
    }

    /// Whether the zone was written by this version of the table, for `capacity` words.
    pub fn is_valid_for(&self, capacity: usize) -> bool {
        self.magic.load(Acquire) == MAGIC
            && self.version.load(Acquire) == VERSION
            && self.capacity.load(Acquire) == capacity as u64
    }

    /// Number of words that the zone was made for.
    pub fn capacity(&self) -> u64 {
        self.capacity.load(Acquire)
    }

    /// The SipHash key `(k0, k1)`.
    pub fn sip_keys(&self) -> (u64, u64) {
        (self.k0.load(Acquire), self.k1.load(Acquire))
    }

    /// The second of the monotonic clock that is tick 0.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// A live session has had to go at `now`. True for the first worker to say so after `calm`
    /// seconds in which none did.
    pub fn note_full(&self, now: Tick, calm: u64) -> bool {
        let mark = u64::from(now) + 1;
        let latest = self.latest_full.fetch_max(mark, Relaxed);
        latest == 0 || mark.saturating_sub(latest) >= calm
    }

    /// Whether a newer cycle has a zone of another size in place of this one.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Relaxed) != 0
    }

    /// Sets what [`Header::is_replaced`] tells.
    pub fn set_replaced(&self, replaced: bool) {
        self.replaced.store(u64::from(replaced), Relaxed);
    }
}

/// What has happened in a table since the zone was made. Each counts up and wraps, but for those
/// of the latest sweep.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions that entered the table.
    pub learned: AtomicU64,
    /// Live sessions that went to another peer.
    pub moved: AtomicU64,
    /// Words of sessions that were over and gave their place to a new one.
    pub expired_reused: AtomicU64,
    /// Words copied to their other line. Readers rely on it, see `Table::find`: it may be
    /// increased at any time, but not set.
    pub relocated: AtomicU64,
    /// Live sessions, not in use yet, that had to go.
    pub evicted_unconfirmed: AtomicU64,
    /// Live sessions in use that had to go.
    pub evicted_confirmed: AtomicU64,
    /// Sessions that were not learned.
    pub refused: AtomicU64,
    /// Tick of the latest eviction of a live session, plus 1; 0 when there was none.
    pub last_forced: AtomicU64,
    /// Words of sessions that were over and that a sweep has freed.
    pub expired_swept: AtomicU64,
    /// Live sessions, as the latest sweep over the whole table has counted them.
    pub live: AtomicU64,
    /// Those of them that were confirmed.
    pub confirmed: AtomicU64,
    /// Tick of the latest newcomer that had to look far for a place, plus 1; 0 when there was none.
    pub crowded: AtomicU64,
    /// What [`Counters::changes`] was when the state file was last written.
    pub written: AtomicU64,
    spare: [AtomicU64; 3],
}

/// Seconds after which a table counts as crowded no longer.
const CROWDED_FOR: u64 = 60;

impl Counters {
    /// How often a session has come to the table, or gone to another peer.
    pub fn changes(&self) -> u64 {
        self.learned
            .load(Relaxed)
            .wrapping_add(self.moved.load(Relaxed))
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// A newcomer had to look far for a place.
    pub(super) fn note_crowd(&self, now: Tick) {
        let mark = u64::from(now) + 1;
        // Written once a second: every request reads it.
        if self.crowded.load(Relaxed) < mark {
            self.crowded.fetch_max(mark, Relaxed);
        }
    }

    /// Whether that was lately.
    #[inline]
    pub(super) fn was_crowded(&self, now: Tick) -> bool {
        let mark = self.crowded.load(Relaxed);
        mark != 0 && u64::from(now) < mark.saturating_add(CROWDED_FOR)
    }
}

/// What stands in front of the words.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct ZoneHeader {
    /// Whose zone this is.
    pub header: Header,
    /// What has happened in it.
    pub counters: Counters,
}
