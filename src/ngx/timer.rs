//! A timer that fires every second as long as the process lives.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use super::guard::guard;
use super::sys;

const SECOND: sys::ngx_msec_t = 1000;

/// Called every second.
pub trait EverySecond {
    /// Runs in the event loop, which waits for it.
    fn tick();
}

/// An event, and a connection: nginx's debug log takes every event to have one (ngx_event_ident()).
struct Slot {
    event: UnsafeCell<MaybeUninit<sys::ngx_event_t>>,
    connection: UnsafeCell<MaybeUninit<sys::ngx_connection_t>>,
}

// SAFETY: only the thread of the event loop uses it.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    event: UnsafeCell::new(MaybeUninit::zeroed()),
    connection: UnsafeCell::new(MaybeUninit::zeroed()),
};

/// Starts the timer. In init_process only, once in a process. A worker that ends does not wait for
/// it.
pub fn start<T: EverySecond>() {
    // SAFETY: zeroes are a value of both structures, which are static. ngx_event_process_init() has
    // made the timers of the process (ngx_event_timer_init()): the event module comes before all
    // HTTP modules.
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
    // SAFETY: the caller's promise. ngx_cycle is the running cycle; it may be another each time,
    // with `master_process off`. Handlers of events may update the time, see
    // ngx_http_file_cache_loader_sleep().
    unsafe {
        // ngx_add_timer() counts from ngx_current_msec, which is from before the work: a timer would
        // be due at once after work that took a second.
        sys::ngx_time_update();
        (*event).log = (*sys::ngx_cycle).log;
        sys::ngx_add_timer(event, SECOND);
    }
}

unsafe extern "C" fn fire<T: EverySecond>(event: *mut sys::ngx_event_t) {
    guard((), T::tick);
    // SAFETY: ngx_event_expire_timers() passes the event, which it has taken out of the tree.
    unsafe { arm(event) }
}
