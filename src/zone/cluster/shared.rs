//! What the threads of the cluster have in common, and what they tell the thread of the event loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::atomic::{Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sticky_core::cluster::header::ClusterHeader;
use sticky_core::cluster::lease::Lease;
use sticky_core::cluster::{Journal, Slot};

use crate::ngx::clock::monotonic_now;
use crate::ngx::companion;
use crate::ngx::log::Level;

use super::plan::Plan;
use crate::zone::table_zone::Parts;

/// Lines that wait for the event loop.
const MOST_LINES: usize = 64;

/// A thread sleeps so long before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(10);

/// What both threads and the event loop have.
pub struct Shared {
    /// The lease under which they work.
    pub lease: Lease,
    lines: Mutex<VecDeque<(Level, String)>>,
    ended: AtomicUsize,
    is_over: AtomicBool,
    /// A digest of the run of the server that the receiver has found fit; 0: none.
    pub fit: AtomicU64,
    /// Whoever has it sends, or goes back to what was sent before.
    pub sending: Mutex<()>,
    /// The store answers, but takes nothing.
    pub is_refused: AtomicBool,
}

impl Shared {
    /// For threads that start with that lease.
    pub fn new(lease: Lease) -> Shared {
        Shared {
            lease,
            lines: Mutex::default(),
            ended: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            fit: AtomicU64::new(0),
            sending: Mutex::new(()),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Tells the threads to end.
    pub fn end(&self) {
        self.is_over.store(true, Release);
    }

    /// Whether one of them has ended, or more.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Acquire) > 0
    }

    /// Hands what is to be in the log to `write`.
    pub fn write_lines(&self, write: impl Fn(Level, &str)) {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        for (level, line) in lines {
            write(level, &line);
        }
    }
}

/// Notes that a thread has ended, also by a panic.
pub struct Ended<'s>(pub &'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, AcqRel);
    }
}

/// What a thread works with.
pub struct Context<'a> {
    /// The zone of the cluster.
    pub header: &'a ClusterHeader,
    /// The journal's places in it.
    pub slots: &'a [Slot],
    /// The tables that take part, in the order of the plan, each followed by those that it has replaced.
    pub tables: &'a [Vec<Parts<'a>>],
    /// What the configuration says.
    pub plan: &'a Plan,
    /// What both threads have.
    pub shared: &'a Shared,
}

impl<'a> Context<'a> {
    /// The journal.
    pub fn journal(&self) -> Journal<'a> {
        self.header.journal(self.slots)
    }

    /// Whether this thread still has its lease, and is not to end. Notes that it is there.
    pub fn goes_on(&self) -> bool {
        !companion::is_stopped()
            && !self.shared.is_over.load(Acquire)
            && self.header.lease.beat(self.shared.lease, monotonic_now())
    }

    /// Waits for that time, or until this thread is to end.
    pub fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.goes_on() {
                return;
            }
            thread::sleep(left.min(NAP));
        }
    }

    /// Writes a line into nginx's log, soon.
    pub fn say(&self, level: Level, line: String) {
        let mut lines = self
            .shared
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_LINES {
            lines.push_back((level, format!("sticky: {line}")));
        }
    }

    /// Seconds since 1970 by the store's clock.
    pub fn store_seconds(&self) -> u64 {
        self.store_milliseconds() / 1000
    }

    /// The same in milliseconds.
    pub fn store_milliseconds(&self) -> u64 {
        self.header.clock.milliseconds(monotonic_now())
    }
}
