//! Threads that work beside the event loop as long as a worker lives, and wait for what is outside it.
//! Whoever ends them waits for a moment only: what they wait for may never come.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::background_task::without_signals;

/// The size of a thread's stack, in bytes: enough for TLS. glibc would take 8 MB.
const STACK: usize = 1 << 20;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
static STOP: AtomicBool = AtomicBool::new(false);

/// Starts a thread. It must not call nginx, and must ask [`is_stopped`] again and again. It uses nothing
/// that goes before the process does.
pub fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let counted = Counted::new();
    let work = move || {
        let _counted = counted;
        work();
    };
    let builder = Builder::new().name("sticky".into()).stack_size(STACK);
    without_signals(|| builder.spawn(work)).map(drop)
}

/// Whether the threads are to end.
pub fn is_stopped() -> bool {
    STOP.load(Relaxed)
}

/// Tells all threads to end for good, and waits until they have, for that time at most. Whether they
/// have.
pub fn stop(patience: Duration) -> bool {
    STOP.store(true, Relaxed);
    let end = Instant::now() + patience;
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    while *running > 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let waited = ENDED.wait_timeout(running, left);
        running = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}

/// One thread in [`RUNNING`], from before it starts until its work is done.
struct Counted;

impl Counted {
    fn new() -> Self {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_all();
    }
}
