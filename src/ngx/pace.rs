//! How long one turn of the event loop may be busy with bodies: who has more to read goes on in the
//! next one, so that other requests need not wait for all of it.
//!
//! Reading little is free: the clock is looked at only when so much was read in a turn that this is
//! nothing beside it. As long as requests wait, others wait behind them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::guard::guard;
use super::request::Request;
use super::sys;
use super::timer::Slot;

/// So much is read without a look at the clock, in bytes.
const FREE: usize = 16 * 1024;

/// So long a turn may read beyond that. It ends with what exceeds it.
const TURN: Duration = Duration::from_micros(1500);

/// What this process has read.
struct Pace {
    /// Bytes that were read at the time [`Pace::at`].
    read: Cell<usize>,
    /// `ngx_current_msec` when something was read last: it is another one in a later turn, but for turns
    /// that are shorter, which count as one.
    at: Cell<sys::ngx_msec_t>,
    /// Since when the turn reads, from [`FREE`] on.
    since: Cell<Option<Instant>>,
    /// Those that go on in the next turn, in order.
    waiting: RefCell<VecDeque<sys::RequestPtr>>,
    /// One of them goes on now.
    is_resuming: Cell<bool>,
    event: Slot,
}

// SAFETY: only the thread of the event loop uses it.
unsafe impl Sync for Pace {}

static PACE: Pace = Pace {
    read: Cell::new(0),
    at: Cell::new(0),
    since: Cell::new(None),
    waiting: RefCell::new(VecDeque::new()),
    is_resuming: Cell::new(false),
    event: Slot::new(),
};

/// Whether a request may read so many more bytes in this turn. If not, it is to [wait](Place::wait).
pub fn may_read(bytes: usize) -> bool {
    // SAFETY: a number that only this thread changes.
    let now = unsafe { sys::ngx_current_msec };
    if PACE.at.replace(now) != now {
        PACE.read.set(0);
        PACE.since.set(None);
    }
    let is_before_others = PACE.is_resuming.get() || PACE.waiting.borrow().is_empty();
    if !is_before_others || !has_time() {
        return false;
    }
    PACE.read.set(PACE.read.get() + bytes);
    true
}

fn has_time() -> bool {
    if PACE.read.get() < FREE {
        return true;
    }
    match PACE.since.get() {
        Some(since) => since.elapsed() < TURN,
        None => {
            PACE.since.set(Some(Instant::now()));
            true
        }
    }
}

/// The place of a request among those that wait. The request gives it up when it ends.
#[derive(Default)]
pub struct Place(Cell<Option<sys::RequestPtr>>);

impl Place {
    /// Has the filters of the request called without a buffer in the next turn.
    pub fn wait(&self, r: Request<'_>) {
        if self.0.get().is_some_and(is_waiting) {
            return;
        }
        self.0.set(Some(r.as_ptr()));
        PACE.waiting.borrow_mut().push_back(r.as_ptr());
        post();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(own) = self.0.get() {
            PACE.waiting.borrow_mut().retain(|r| *r != own);
        }
    }
}

fn is_waiting(r: sys::RequestPtr) -> bool {
    PACE.waiting.borrow().contains(&r)
}

fn post() {
    // SAFETY: zeroes are a value of an event, which is static. Only the event loop uses its queues.
    // ngx_cycle is the running cycle; ngx_post_event() writes into the log of the event.
    unsafe {
        let event = PACE.event.event.get().cast::<sys::ngx_event_t>();
        (*event).log = (*sys::ngx_cycle).log;
        (*event).handler = Some(next_turn);
        sys::ngx_post_event(event, &raw mut sys::ngx_posted_next_events);
    }
}

unsafe extern "C" fn next_turn(_: *mut sys::ngx_event_t) {
    guard((), || {
        // SAFETY: as in may_read().
        PACE.at.set(unsafe { sys::ngx_current_msec });
        // So whoever goes on first reads something in any case.
        PACE.read.set(0);
        PACE.since.set(None);
        let count = PACE.waiting.borrow().len();
        for _ in 0..count {
            if !has_time() {
                break;
            }
            let Some(r) = PACE.waiting.borrow_mut().pop_front() else {
                break;
            };
            // SAFETY: a request that ends has left the queue before (Place::drop()).
            guard((), || unsafe { resume(r) });
            PACE.is_resuming.set(false);
        }
    });
    if !PACE.waiting.borrow().is_empty() {
        post();
    }
}

/// Has the filters of a request go on, and when they have all, whoever feeds them.
///
/// # Safety
/// `r` is a live request.
unsafe fn resume(r: sys::RequestPtr) {
    // SAFETY: a live request and its connection. The filters are called as by ngx_http_writer(); if they
    // fail, so does whoever calls them next, since the connection says so. The events of the connection
    // are those of the request in whose turn it is; another one is posted, and run like those that the
    // filters may have posted (ngx_http_request_handler()), which may be the end of both.
    unsafe {
        // Perhaps it has gone on by another call meanwhile.
        if !Request::of_callback(r).is_body_held() {
            return;
        }
        let connection = (*r.cast::<sys::ngx_http_request_s>()).connection;
        PACE.is_resuming.set(true);
        sys::ngx_http_output_filter(r, std::ptr::null_mut());
        PACE.is_resuming.set(false);
        if !is_waiting(r) {
            if (*connection).data == r.cast() {
                sys::ngx_post_event((*connection).write, &raw mut sys::ngx_posted_events);
            } else {
                sys::ngx_http_post_request(r, std::ptr::null_mut());
            }
        }
        sys::ngx_http_run_posted_requests(connection);
    }
}
