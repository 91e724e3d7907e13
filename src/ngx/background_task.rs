//! Work that takes longer than a request may wait, in a thread beside the event loop.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::sys;

/// The size of a thread's stack, in bytes: enough for work on files. glibc would take 8 MB.
const STACK: usize = 512 << 10;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
static STOP: AtomicBool = AtomicBool::new(false);

/// A thread that runs or has ended.
pub struct BackgroundTask<T>(JoinHandle<T>);

/// The work has panicked, so there is no outcome.
pub struct Panicked;

impl<T: Send + 'static> BackgroundTask<T> {
    /// Starts a thread. It must not call nginx, and must ask [`is_stopped`] now and then.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let counted = Counted::new();
        let work = move || {
            let _counted = counted;
            work()
        };
        let builder = Builder::new().name("sticky".into()).stack_size(STACK);
        without_signals(|| builder.spawn(work)).map(Self)
    }

    /// Whether the thread has ended, so that [`BackgroundTask::outcome`] need not wait.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The result of the work. Waits until the thread has ended.
    pub fn outcome(self) -> Result<T, Panicked> {
        self.0.join().map_err(|_| Panicked)
    }
}

/// Whether [`stop_all`] is waiting, and the work should end.
pub fn is_stopped() -> bool {
    STOP.load(Relaxed)
}

/// Tells all threads to end, and waits until they have.
pub fn stop_all() {
    STOP.store(true, Relaxed);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    while *running > 0 {
        running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    STOP.store(false, Relaxed);
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

/// Runs `body` with all signals blocked. A thread that it starts inherits that: nginx's signals
/// must reach the thread of the event loop, to wake it.
pub fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<sys::sigset_t>::zeroed();
    let mut before = MaybeUninit::<sys::sigset_t>::zeroed();
    // SAFETY: zeroes are a value of sigset_t. sigfillset() and pthread_sigmask() fail for wrong
    // arguments only.
    unsafe {
        sys::sigfillset(all.as_mut_ptr());
        sys::pthread_sigmask(sys::SIG_BLOCK as _, all.as_ptr(), before.as_mut_ptr());
    }
    let value = body();
    // SAFETY: as above; before has the mask that was set before.
    unsafe {
        sys::pthread_sigmask(sys::SIG_SETMASK as _, before.as_ptr(), std::ptr::null_mut());
    }
    value
}
