//! An entry: 16 words, of which any bytes mean something.
//!
//! ```text
//!   0  digest, 2 words; low half 0: vacant       2  since, seconds since 1970
//!   3  the last configuration that names it
//!   4  a server's drain, since when, when the server was last named; of an upstream, what
//!      new sessions may have to avoid      7  spare
//!   8  a server's sessions: in use, not in use, last use, when they were counted
//!      a zone's sessions: when somebody began to count them
//!  12  a server's room, see `room.rs`, 3 words                                15  spare
//!      a zone: what was sent of it, 3 words
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::digest::Digest;
use super::drain::{DrainCells, Mark};
use super::first::FirstCells;
use super::layout::{ENTRY_WORDS, ZONE_COUNTS};
use super::room::RoomCells;

#[derive(Clone, Copy)]
pub(super) struct Entry<'a>(pub(super) &'a [AtomicU64; ENTRY_WORDS]);

/// How many sessions a server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCounts {
    /// To which a request has come back.
    pub in_use: u64,
    /// To which none has so far.
    pub not_in_use: u64,
    /// When the latest of them was last used, in seconds since 1970; 0: there is none.
    pub last_use: u64,
    /// When they were counted, in seconds since 1970.
    pub counted: u64,
}

impl<'a> Entry<'a> {
    pub(super) fn since(self) -> &'a AtomicU64 {
        &self.0[2]
    }

    pub(super) fn named(self) -> &'a AtomicU64 {
        &self.0[3]
    }

    pub(super) fn drain(self) -> DrainCells<'a> {
        let [_, _, _, _, drain, since, seen, ..] = self.0;
        DrainCells { drain, since, seen }
    }

    pub(super) fn mark(self) -> Mark<'a> {
        Mark(&self.0[4])
    }

    /// Of an upstream, which has neither drains nor sessions.
    pub(super) fn first(self) -> FirstCells<'a> {
        let [_, _, _, _, _, words @ ..] = self.0;
        FirstCells(words)
    }

    pub(super) fn room(self) -> RoomCells<'a> {
        let [.., come, base, counted, _] = self.0;
        RoomCells {
            come,
            base,
            counted,
        }
    }

    pub(super) fn digest(self) -> Option<Digest> {
        Digest::from_words([self.0[0].load(Acquire), self.0[1].load(Relaxed)])
    }

    /// First of what is done when it is given to another one: a process that ends before
    /// [`Entry::take`] leaves it vacant.
    pub(super) fn vacate(self) {
        for word in self.0 {
            word.store(0, Relaxed);
        }
    }

    pub(super) fn take(self, digest: Digest, now: u64, configuration: u64) {
        self.since().store(now, Relaxed);
        self.named().store(configuration, Relaxed);
        let [low, high] = digest.words();
        self.0[1].store(high, Relaxed);
        self.0[0].store(low, Release);
    }

    pub(super) fn copy_from(self, other: Entry<'_>) {
        for (word, other) in self.0.iter().zip(other.0) {
            word.store(other.load(Relaxed), Relaxed);
        }
    }

    /// What was sent of a zone.
    pub(super) fn sent(self) -> &'a [AtomicU64] {
        &self.0[12..12 + ZONE_COUNTS]
    }

    pub(super) fn sessions(self) -> Option<SessionCounts> {
        // Last written, first read.
        let counted = self.0[11].load(Acquire);
        (counted != 0).then(|| SessionCounts {
            in_use: self.0[8].load(Relaxed),
            not_in_use: self.0[9].load(Relaxed),
            last_use: self.0[10].load(Relaxed),
            counted,
        })
    }

    pub(super) fn set_sessions(self, counts: &SessionCounts) {
        self.0[8].store(counts.in_use, Relaxed);
        self.0[9].store(counts.not_in_use, Relaxed);
        self.0[10].store(counts.last_use, Relaxed);
        self.0[11].store(counts.counted, Release);
    }

    pub(super) fn may_count(self, now: u64, least: u64) -> bool {
        // 0 is a time that never was.
        let now = now.saturating_add(1);
        let last = self.0[8].load(Relaxed);
        // One that is to come is of another boot of the system, or was never written.
        let is_due = last == 0 || last > now || now - last >= least;
        let begun = || self.0[8].compare_exchange(last, now, Relaxed, Relaxed);
        is_due && begun().is_ok()
    }
}
