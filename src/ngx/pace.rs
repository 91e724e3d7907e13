//! How long one turn of the event loop may be busy with bodies: who has more to read goes on in the
//! next one, so that other requests need not wait for all of it.
//!
//! Reading little is free: the clock is looked at only when so much was read in a turn that this is
//! nothing beside it. As long as responses wait, others wait behind them; the same of requests whose
//! own bodies are to be read (`admission.rs`), which do not wait for responses.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::raw::c_void;
use std::ptr::{null_mut, NonNull};
use std::time::{Duration, Instant};

use super::guard::guard;
use super::request::Request;
use super::sys;
use super::timer::Slot;

/// So much is read between two looks at the clock, in bytes.
const FREE: usize = 16 * 1024;

/// So long a turn may read beyond that. It ends with what exceeds it.
const TURN: Duration = Duration::from_micros(1500);

/// Who waits for a turn.
#[derive(Clone, Copy)]
enum Waiter {
    /// The filters of a request are called without a buffer then.
    Response(sys::RequestPtr),
    /// This is called then, with this argument.
    Request(GoOn, NonNull<c_void>),
}

/// Goes on with a request that has [waited](Place::wait_to_go_on), with what it has left there.
pub type GoOn = unsafe fn(NonNull<c_void>);

/// What this process has read.
struct Pace {
    /// Bytes that were read at the time [`Pace::at`].
    read: Cell<usize>,
    /// `ngx_current_msec` when something was read last: it is another one in a later turn, but for turns
    /// that are shorter, which count as one.
    at: Cell<sys::ngx_msec_t>,
    /// Up to so many of them no look at the clock is needed.
    free: Cell<usize>,
    /// Since when the turn reads, from the first look on.
    since: Cell<Option<Instant>>,
    /// Those that go on in the next turn, in order; `None` for one that has given its place up. The first
    /// one has not.
    waiting: RefCell<VecDeque<Option<Waiter>>>,
    /// So many of them are requests.
    requests: Cell<usize>,
    /// The number of the first of these places, and that of the next one that is given.
    first: Cell<u64>,
    next: Cell<u64>,
    /// The response that goes on now, or NULL, and whether it waits again.
    resumed: Cell<sys::RequestPtr>,
    waits_again: Cell<bool>,
    event: Slot,
}

// SAFETY: only the thread of the event loop uses it.
unsafe impl Sync for Pace {}

static PACE: Pace = Pace {
    read: Cell::new(0),
    at: Cell::new(0),
    free: Cell::new(FREE),
    since: Cell::new(None),
    waiting: RefCell::new(VecDeque::new()),
    requests: Cell::new(0),
    first: Cell::new(0),
    next: Cell::new(0),
    resumed: Cell::new(null_mut()),
    waits_again: Cell::new(false),
    event: Slot::new(),
};

impl Pace {
    #[inline(always)]
    fn is_any_waiting(&self) -> bool {
        self.first.get() != self.next.get()
    }

    fn push(&self, waiter: Waiter) -> u64 {
        if let Waiter::Request(..) = waiter {
            self.requests.set(self.requests.get() + 1);
        }
        self.waiting.borrow_mut().push_back(Some(waiter));
        self.next.replace(self.next.get() + 1)
    }

    fn pop(&self) -> Option<Waiter> {
        let mut waiting = self.waiting.borrow_mut();
        let waiter = waiting.pop_front()??;
        self.first.set(self.first.get() + 1);
        self.forget(waiter, &mut waiting);
        Some(waiter)
    }

    fn leave(&self, number: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let at = number.checked_sub(self.first.get());
        let place = at.and_then(|at| waiting.get_mut(at as usize));
        if let Some(waiter) = place.and_then(Option::take) {
            self.forget(waiter, &mut waiting);
        }
    }

    fn forget(&self, waiter: Waiter, waiting: &mut VecDeque<Option<Waiter>>) {
        if let Waiter::Request(..) = waiter {
            self.requests.set(self.requests.get().saturating_sub(1));
        }
        while waiting.front().is_some_and(Option::is_none) {
            waiting.pop_front();
            self.first.set(self.first.get() + 1);
        }
    }
}

/// Whether a request may read so many more bytes in this turn. If not, it is to [wait](Place::wait).
#[inline]
pub fn may_read(bytes: usize) -> bool {
    note_turn();
    let is_before_others = !PACE.is_any_waiting() || !PACE.resumed.get().is_null();
    if !is_before_others || !has_time(bytes) {
        return false;
    }
    PACE.read.set(PACE.read.get() + bytes);
    true
}

/// Whether the turn has time for a request whose body is to be read, and no other request waits for that.
/// If not, it is to [wait](Place::wait_to_go_on).
#[inline]
pub fn may_begin() -> bool {
    note_turn();
    PACE.requests.get() == 0 && has_time(1)
}

/// Notes that the turn has read so many bytes, whether it had time for them or not.
#[inline]
pub fn was_read(bytes: usize) {
    note_turn();
    PACE.read.set(PACE.read.get() + bytes);
}

/// Whether requests wait, not only responses.
pub fn have_requests_to_wait() -> bool {
    PACE.requests.get() > 0
}

#[inline(always)]
fn note_turn() {
    // SAFETY: a number that only this thread changes.
    let now = unsafe { sys::ngx_current_msec };
    if PACE.at.replace(now) != now {
        PACE.read.set(0);
        PACE.free.set(FREE);
        PACE.since.set(None);
    }
}

/// Whether the turn may read so many more bytes.
#[inline(always)]
fn has_time(bytes: usize) -> bool {
    PACE.read.get() + bytes <= PACE.free.get() || is_turn_left()
}

#[cold]
#[inline(never)]
fn is_turn_left() -> bool {
    let is_left = match PACE.since.get() {
        Some(since) => since.elapsed() < TURN,
        None => {
            PACE.since.set(Some(Instant::now()));
            true
        }
    };
    if is_left {
        PACE.free.set(PACE.read.get() + FREE);
    }
    is_left
}

/// The place of a request among those that wait, by its number. The request gives it up when it ends.
#[derive(Default)]
pub struct Place(Cell<Option<u64>>);

impl Place {
    /// Has the filters of the request called without a buffer in the next turn.
    pub fn wait(&self, r: Request<'_>) {
        if PACE.resumed.get() == r.as_ptr() {
            PACE.waits_again.set(true);
        }
        if self.is_taken() {
            return;
        }
        self.0.set(Some(PACE.push(Waiter::Response(r.as_ptr()))));
        post();
    }

    /// Has this called with this argument in a later turn, when those that wait have gone on. The place is
    /// given up before what it points to is no more.
    pub fn wait_to_go_on(&self, go_on: GoOn, with: NonNull<c_void>) {
        if !self.is_taken() {
            self.0.set(Some(PACE.push(Waiter::Request(go_on, with))));
            post();
        }
    }

    /// Whether the request waits there: its turn has not come yet.
    fn is_taken(&self) -> bool {
        self.0
            .get()
            .is_some_and(|number| number >= PACE.first.get())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.0.get() {
            PACE.leave(number);
        }
    }
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
        // Requests may have read in this turn before.
        note_turn();
        // So whoever goes on first reads something in any case.
        PACE.free.set(PACE.read.get() + FREE);
        let end = PACE.next.get();
        while PACE.first.get() < end && has_time(1) {
            let Some(waiter) = PACE.pop() else {
                break;
            };
            // SAFETY: a request that ends has left the queue before (Place::drop()).
            guard((), || unsafe {
                match waiter {
                    Waiter::Response(r) => resume(r),
                    Waiter::Request(go_on, with) => go_on(with),
                }
            });
            PACE.resumed.set(null_mut());
        }
    });
    if PACE.is_any_waiting() {
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
        PACE.resumed.set(r);
        PACE.waits_again.set(false);
        sys::ngx_http_output_filter(r, null_mut());
        PACE.resumed.set(null_mut());
        if !PACE.waits_again.get() {
            if (*connection).data == r.cast() {
                sys::ngx_post_event((*connection).write, &raw mut sys::ngx_posted_events);
            } else {
                sys::ngx_http_post_request(r, null_mut());
            }
        }
        sys::ngx_http_run_posted_requests(connection);
    }
}
