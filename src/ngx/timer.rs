//! Timers that fire again and again as long as the process lives.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use super::guard::guard;
use super::sys;

/// Called again and again.
pub trait Repeated {
    /// Milliseconds from the end of one call to the next one.
    const EVERY: u32;

    /// Where nginx keeps it, for nothing else.
    fn slot() -> &'static Slot;

    /// Runs in the event loop, which waits for it.
    fn tick();
}

/// An event, and a connection: nginx's debug log takes every event to have one (ngx_event_ident()).
pub struct Slot {
    pub(super) event: UnsafeCell<MaybeUninit<sys::ngx_event_t>>,
    connection: UnsafeCell<MaybeUninit<sys::ngx_connection_t>>,
}

// SAFETY: only the thread of the event loop uses it.
unsafe impl Sync for Slot {}

impl Slot {
    /// One that is not in use.
    pub const fn new() -> Self {
        Self {
            event: UnsafeCell::new(MaybeUninit::zeroed()),
            connection: UnsafeCell::new(MaybeUninit::zeroed()),
        }
    }

    /// The event, with the connection.
    pub(super) fn prepared(&self) -> *mut sys::ngx_event_t {
        let event = self.event.get().cast::<sys::ngx_event_t>();
        // SAFETY: zeroes are a value of both structures, which only the event loop uses.
        unsafe {
            let connection = self.connection.get().cast::<sys::ngx_connection_t>();
            (*connection).fd = -1;
            (*event).data = connection.cast();
        }
        event
    }
}

/// Starts a timer. In init_process only, once in a process for each slot. A worker that ends does not
/// wait for it.
pub fn start<T: Repeated>() {
    // SAFETY: zeroes are a value of both structures, which are static. ngx_event_process_init() has
    // made the timers of the process (ngx_event_timer_init()): the event module comes before all
    // HTTP modules.
    unsafe {
        let event = T::slot().prepared();
        (*event).handler = Some(fire::<T>);
        // ngx_event_no_timers_left() does not wait for it.
        (*event).set_cancelable(1);
        arm::<T>(event);
    }
}

/// # Safety
/// `event` is that of the slot, complete.
unsafe fn arm<T: Repeated>(event: *mut sys::ngx_event_t) {
    // SAFETY: the caller's promise. ngx_cycle is the running cycle; it may be another each time,
    // with `master_process off`. Handlers of events may update the time, see
    // ngx_http_file_cache_loader_sleep().
    unsafe {
        // ngx_add_timer() counts from ngx_current_msec, which is from before the work: a timer would
        // be due at once after work that took a second.
        sys::ngx_time_update();
        (*event).log = (*sys::ngx_cycle).log;
        sys::ngx_add_timer(event, T::EVERY as sys::ngx_msec_t);
    }
}

unsafe extern "C" fn fire<T: Repeated>(event: *mut sys::ngx_event_t) {
    guard((), T::tick);
    // SAFETY: ngx_event_expire_timers() passes the event, which it has taken out of the tree.
    unsafe { arm::<T>(event) }
}
