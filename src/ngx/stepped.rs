//! Work that may take longer than a turn of the event loop is to take: it is done step by step. What
//! is left when a turn has had its time goes on in the next ones, so that requests need not wait for
//! all of it.

use std::time::{Duration, Instant};

use super::guard::guard;
use super::sys;
use super::timer::Slot;

/// So long a turn may work. It ends with the step that exceeds it.
const TURN: Duration = Duration::from_micros(1500);

/// Work that is done step by step.
pub trait Stepped {
    /// Where nginx keeps what comes next, for nothing else.
    fn slot() -> &'static Slot;

    /// Goes on with it as long as it `may_go_on`, or with one step that looks at that no more, well below
    /// a millisecond. Returns whether there is more.
    fn step(may_go_on: &dyn Fn() -> bool) -> bool;
}

/// Whether the work has begun in an earlier turn, and is not done.
pub fn is_under_way<T: Stepped>() -> bool {
    let event = T::slot().event.get().cast::<sys::ngx_event_t>();
    // SAFETY: zeroes are a value of an event, which is static and used by the event loop alone.
    unsafe { (*event).posted() != 0 }
}

/// Works in this turn, and what is left in the next ones.
pub fn work<T: Stepped>() {
    let since = Instant::now();
    let may_go_on = || since.elapsed() < TURN;
    loop {
        // A step that panics is the last one.
        if !guard(false, || T::step(&may_go_on)) {
            return;
        }
        if !may_go_on() {
            break;
        }
    }
    // SAFETY: as above. ngx_cycle is the running cycle; ngx_post_event() writes into the log of the event,
    // and only the event loop uses its queues.
    unsafe {
        let event = T::slot().event.get().cast::<sys::ngx_event_t>();
        (*event).log = (*sys::ngx_cycle).log;
        (*event).handler = Some(go_on::<T>);
        sys::ngx_post_event(event, &raw mut sys::ngx_posted_next_events);
    }
}

unsafe extern "C" fn go_on<T: Stepped>(_: *mut sys::ngx_event_t) {
    work::<T>();
}
