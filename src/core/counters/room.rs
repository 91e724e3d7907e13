//! How many sessions a server has by now: as last counted, and those that have come since.
//!
//! All workers add to one word when a session comes. A count notes how many there are, less what
//! that word was when the count began: the sum of both words is what the server has. What has ended
//! meanwhile is still in it, until the next count.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// So many sessions of a server, and new ones go to others.
pub type SessionLimit = NonZeroU32;

/// Whoever has more than so many per cent of its sessions is counted as often as may be.
const PRESSING_PERCENT: u64 = 90;

/// Seconds after which every server with a limit is counted again: sessions that come from a state
/// file, or by hand, are in no other number.
const LONGEST_BETWEEN: u64 = 30;

/// Seconds that a count lasts at most. A later one that has ended before it keeps its numbers; what
/// seems to be later by more is of another boot of the system.
const LONGEST_COUNT: u64 = 3600;

/// What an entry of a server keeps of that.
#[derive(Clone, Copy, Debug)]
pub struct RoomCells<'a> {
    /// Sessions that have come, ever. Wraps.
    pub(super) come: &'a AtomicU64,
    /// What is missing to how many there are. Wraps.
    pub(super) base: &'a AtomicU64,
    /// The second of the system's monotonic clock in which the count began that has set it, and 1.
    pub(super) counted: &'a AtomicU64,
}

impl RoomCells<'_> {
    /// A session has come.
    pub fn come(&self) {
        self.come.fetch_add(1, Relaxed);
    }

    /// Sessions that have come so far: to be read before they are counted.
    pub fn come_so_far(&self) -> u64 {
        self.come.load(Relaxed)
    }

    /// There are so many, as counted from the second `began` of the monotonic clock on, when so many had
    /// come.
    pub fn set(&self, count: u64, come_before: u64, began: u64) {
        let known = self.counted.load(Acquire);
        let began = began.saturating_add(1);
        if known > began && known - began < LONGEST_COUNT {
            return;
        }
        self.base.store(count.wrapping_sub(come_before), Relaxed);
        self.counted.store(began, Release);
    }

    /// How many there are, or more.
    pub fn now(&self) -> u64 {
        let come = self.come.load(Relaxed);
        self.base.load(Relaxed).wrapping_add(come)
    }

    /// Whether new ones go to others.
    pub fn is_full(&self, limit: SessionLimit) -> bool {
        self.now() >= u64::from(limit.get())
    }

    /// Whether they are to be counted now, in seconds of the monotonic clock: when the server is near
    /// its limit, and once in a while; and when they were last counted before the configuration,
    /// `since` then.
    pub fn is_due(&self, limit: SessionLimit, since: u64, now: u64) -> bool {
        let is_pressing =
            self.now().saturating_mul(100) > u64::from(limit.get()) * PRESSING_PERCENT;
        let counted = self.counted.load(Acquire);
        // 0 is never.
        let counted = counted.checked_sub(1);
        let is_old = counted.is_none_or(|counted| {
            counted <= since || counted > now || now - counted >= LONGEST_BETWEEN
        });
        is_pressing || is_old
    }
}
