//! Work that takes longer than a request may wait, in a thread beside the event loop.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::sys;

/// Enough for files; nginx has no say in it, and threads of glibc take 8 MB otherwise.
const STACK: usize = 512 << 10;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
static STOP: AtomicBool = AtomicBool::new(false);

/// A thread that runs, or has come to its end.
pub struct BackgroundTask<T>(JoinHandle<T>);

/// Why there is no outcome: the work has panicked.
pub struct Panicked;

impl<T: Send + 'static> BackgroundTask<T> {
    /// Starts a thread. It must call nothing of nginx, and look at [`is_stopped`] now and then.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let counted = Counted::new();
        let work = move || {
            let _counted = counted;
            work()
        };
        let builder = Builder::new().name("sticky".into()).stack_size(STACK);
        without_signals(|| builder.spawn(work)).map(Self)
    }

    /// Whether [`BackgroundTask::outcome`] need not wait.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// What the work came to.
    pub fn outcome(self) -> Result<T, Panicked> {
        self.0.join().map_err(|_| Panicked)
    }
}

/// Whether [`stop_all`] waits for the work to end.
pub fn is_stopped() -> bool {
    STOP.load(Relaxed)
}

/// Waits until no thread runs, each as short as it can.
pub fn stop_all() {
    STOP.store(true, Relaxed);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    while *running > 0 {
        running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    STOP.store(false, Relaxed);
}

/// Counts a thread from before it starts until its work is done.
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

/// Runs `body` with all signals blocked: a thread inherits that, so that nginx's signals are
/// for the event loop, which they have to wake.
fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<sys::sigset_t>::zeroed();
    let mut before = MaybeUninit::<sys::sigset_t>::zeroed();
    // SAFETY: zeroes are a value of sigset_t; these functions fail for wrong arguments only.
    unsafe {
        sys::sigfillset(all.as_mut_ptr());
        sys::pthread_sigmask(sys::SIG_BLOCK as _, all.as_ptr(), before.as_mut_ptr());
    }
    let value = body();
    // SAFETY: the mask that was there before.
    unsafe {
        sys::pthread_sigmask(sys::SIG_SETMASK as _, before.as_ptr(), std::ptr::null_mut());
    }
    value
}
