//! A timer that fires every second, as long as the process lives.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use super::guard::guard;
use super::sys;

const SECOND: sys::ngx_msec_t = 1000;

/// What is called every second.
pub trait EverySecond {
    /// In the event loop, which waits for it.
    fn tick();
}

/// An event, and the connection that nginx's debug log takes every event to have.
struct Slot {
    event: UnsafeCell<MaybeUninit<sys::ngx_event_t>>,
    connection: UnsafeCell<MaybeUninit<sys::ngx_connection_t>>,
}

// SAFETY: used by the thread of the event loop alone.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    event: UnsafeCell::new(MaybeUninit::zeroed()),
    connection: UnsafeCell::new(MaybeUninit::zeroed()),
};

/// Starts the timer. In init_process only, once in a process. It does not hold up a worker that
/// wants to end.
pub fn start<T: EverySecond>() {
    // SAFETY: zeroes are a value of both structures; they are static. The timers of the process
    // were made by ngx_event_process_init(), which comes before other modules' init_process.
    unsafe {
        let connection = SLOT.connection.get().cast::<sys::ngx_connection_t>();
        (*connection).fd = -1;
        let event = SLOT.event.get().cast::<sys::ngx_event_t>();
        (*event).data = connection.cast();
        (*event).handler = Some(fire::<T>);
        // ngx_event_no_timers_left() does not wait for it.
        (*event).set_cancelable(1);
        arm(event);
    }
}

/// # Safety
/// `event` is that of [`SLOT`], complete.
unsafe fn arm(event: *mut sys::ngx_event_t) {
    // SAFETY: the caller's promise. ngx_cycle changes where there is one process only.
    unsafe {
        (*event).log = (*sys::ngx_cycle).log;
        sys::ngx_add_timer(event, SECOND);
    }
}

unsafe extern "C" fn fire<T: EverySecond>(event: *mut sys::ngx_event_t) {
    guard((), T::tick);
    // SAFETY: ngx_event_expire_timers() passes the event, which it has taken out of the tree.
    unsafe { arm(event) }
}
