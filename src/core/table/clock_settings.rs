//! Which notes of a journal have their time by what the clock was taken for before.
//!
//! A node that has not heard of the store's clock goes by its own. When it hears of it, or when another
//! server with another clock takes the store's place, notes are there that have not been told yet.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::sync::AtomicU64;

/// Settings of the clock that are remembered.
const SETTINGS: usize = 4;

/// The last settings of the clock, in shared memory. One process at a time notes some.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ClockSettings {
    count: AtomicU64,
    /// Each two words: notes before this position have the time by what the clock was taken for; by so
    /// many seconds it is ahead of that, in two's complement.
    last: [[AtomicU64; 2]; SETTINGS],
}

impl Default for ClockSettings {
    fn default() -> ClockSettings {
        ClockSettings {
            count: AtomicU64::new(0),
            last: std::array::from_fn(|_| [AtomicU64::new(0), AtomicU64::new(0)]),
        }
    }
}

impl ClockSettings {
    /// The clock was set forward by so many seconds, after all notes before that position.
    pub fn note(&self, position: u64, ahead: i64) {
        let turn = self.count.load(Relaxed);
        if let Some([before, by]) = self.last.get(turn as usize % SETTINGS) {
            before.store(0, Release);
            by.store(ahead as u64, Release);
            before.store(position, Release);
        }
        self.count.store(turn.wrapping_add(1), Release);
    }

    /// By how many seconds it was set forward since the note at that position.
    pub fn since(&self, position: u64) -> i64 {
        if self.count.load(Acquire) == 0 {
            return 0;
        }
        let last = self.last.iter();
        let later = last.filter(|[before, _]| position < before.load(Acquire));
        let all = later.map(|[_, by]| by.load(Acquire) as i64);
        all.fold(0, i64::saturating_add)
    }

    /// As in new memory.
    pub fn clear(&self) {
        self.last
            .iter()
            .for_each(|[before, _]| before.store(0, Relaxed));
        self.count.store(0, Relaxed);
    }
}
