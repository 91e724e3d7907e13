//! The store's clock, the only one that nodes share, as far as this node knows it.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Microseconds that an answer may take which is asked for the time, so that the clock is set by it.
const LONGEST_ASK: u64 = 1_000_000;

/// The difference between the store's clock and the monotonic one, in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub struct StoreClock {
    /// In milliseconds, in two's complement.
    offset: AtomicU64,
    /// Not 0: the store has told the time.
    is_set: AtomicU64,
}

impl StoreClock {
    /// The store has told the time, in microseconds, in answer to a question that was asked at
    /// `asked` and took so long, in microseconds of the monotonic clock.
    pub fn set(&self, store: u64, asked: u64, took: u64) {
        if took > LONGEST_ASK && self.is_set() {
            return;
        }
        let middle = asked.saturating_add(took / 2);
        let offset = (store / 1000).wrapping_sub(middle / 1000);
        self.offset.store(offset, Relaxed);
        self.is_set.store(1, Release);
    }

    /// The store has not told the time, but may be so many milliseconds ahead.
    pub fn guess(&self, ahead: i64) {
        self.offset.store(ahead as u64, Relaxed);
    }

    /// Whether the store has told the time.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Acquire) != 0
    }

    /// Milliseconds since 1970 by the store's clock, as far as is known.
    #[inline]
    pub fn milliseconds(&self, monotonic: u64) -> u64 {
        monotonic.wrapping_add(self.offset.load(Relaxed))
    }

    /// As in new memory.
    pub(super) fn clear(&self) {
        self.offset.store(0, Relaxed);
        self.is_set.store(0, Relaxed);
    }
}
