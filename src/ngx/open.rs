//! Requests that are still open, for whoever looks at them once a second.
//!
//! Nearly all requests end within a second, and must not pay for those that do not. So a request
//! leaves a note of itself when a server is taken for it, and takes that back when the server is
//! given back. What is still noted a second later is [kept](keep): in a list, with a cleanup of its
//! pool that takes it out. So is a request whose response has come, but has not been sent: a
//! download.

use std::cell::Cell;
use std::mem::size_of;
use std::os::raw::c_void;
use std::ptr;

use super::owned::Context;
use super::request::Request;
use super::sys;

/// Notes before they are looked at early.
const NOTES: usize = 1024;

/// The place of a note that was never made, or was looked at already: nothing is read there.
const NOWHERE: u32 = 0;

/// Notes that are looked at together.
const STEP: usize = 8;

/// What is kept in a request's context for its note.
pub struct Place<'r> {
    request: Request<'r>,
    /// Where the note is, or was.
    note: Cell<u32>,
}

impl<'r> Place<'r> {
    /// Of a request.
    #[inline]
    pub fn of(request: Request<'r>) -> Self {
        Self {
            request,
            note: Cell::new(NOWHERE),
        }
    }
}

/// A request in the list, in the memory of a cleanup of its pool. One that was tried at several
/// servers may be there several times.
struct Node {
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
    r: sys::RequestPtr,
}

struct Requests {
    notes: [Cell<*const Place<'static>>; NOTES + 1],
    /// The place of the next one, from the last down to 1.
    next: Cell<u32>,
    /// Those that are kept, looked at longest ago first; NULL before the first.
    first: Cell<*const Node>,
    last: Cell<*const Node>,
    count: Cell<usize>,
}

// SAFETY: only the thread of the event loop uses them.
unsafe impl Sync for Requests {}

static OPEN: Requests = Requests {
    notes: [const { Cell::new(ptr::null()) }; NOTES + 1],
    next: Cell::new(NOTES as u32),
    first: Cell::new(ptr::null()),
    last: Cell::new(ptr::null()),
    count: Cell::new(0),
};

/// A server was taken for a request.
///
/// # Safety
/// The place stays where it is until [`leave`] is called for it, and is that of a live request.
#[inline(always)]
pub(super) unsafe fn enter(place: &Place<'_>) {
    let at = OPEN.next.get();
    // SAFETY: next is set here and in look() alone, and is 1 to NOTES.
    unsafe { OPEN.notes.get_unchecked(at as usize) }.set(ptr::from_ref(place).cast());
    place.note.set(at);
    OPEN.next.set(at - 1);
    if at == 1 {
        look();
    }
}

/// The server is given back.
#[inline(always)]
pub(super) fn leave(place: &Place<'_>) {
    // SAFETY: note is NOWHERE, or what enter() has set.
    unsafe { OPEN.notes.get_unchecked(place.note.get() as usize) }.set(ptr::null());
    if place.request.has_unsent() {
        keep(place);
    }
}

/// Looks at the notes: what is still there is kept.
#[cold]
#[inline(never)]
fn look() {
    let made = OPEN.notes.get(OPEN.next.get() as usize + 1..);
    for notes in made.unwrap_or_default().chunks(STEP) {
        // Nearly all were taken back.
        if notes.iter().fold(0, |all, note| all | note.get() as usize) == 0 {
            continue;
        }
        for note in notes {
            // SAFETY: enter() has put it there, and leave() was not called yet.
            if let Some(place) = unsafe { note.replace(ptr::null()).as_ref() } {
                place.note.set(NOWHERE);
                keep(place);
            }
        }
    }
    OPEN.next.set(NOTES as u32);
}

/// Puts a request into the list, where it stays until its pool is destroyed.
#[cold]
#[inline(never)]
pub fn keep(place: &Place<'_>) {
    let Some(pool) = place.request.pool() else {
        return;
    };
    // SAFETY: a live pool, which the request does not outlive. ngx_pool_cleanup_add() returns
    // NULL or a cleanup whose data has that size and the alignment of ngx_palloc(). Handlers are
    // called before the memory of the pool is freed (ngx_destroy_pool()).
    unsafe {
        let cleanup = sys::ngx_pool_cleanup_add(pool.as_ptr(), size_of::<Node>());
        let Some(cleanup) = cleanup.as_mut() else {
            return;
        };
        let node = cleanup.data.cast::<Node>();
        node.write(Node {
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            r: place.request.as_ptr(),
        });
        append(node);
        cleanup.handler = Some(end);
    }
}

/// The pool of a request that is kept is destroyed.
unsafe extern "C" fn end(data: *mut c_void) {
    // SAFETY: ngx_destroy_pool() calls this once, with what keep() has put there and into the list.
    unsafe { remove(data.cast()) }
}

/// # Safety
/// The node is not in the list, and stays where it is until [`remove`] is called.
unsafe fn append(node: *const Node) {
    let last = OPEN.last.replace(node);
    // SAFETY: nodes in the list live, as the caller promises for each.
    unsafe {
        (*node).previous.set(last);
        (*node).next.set(ptr::null());
        match last.as_ref() {
            Some(last) => last.next.set(node),
            None => OPEN.first.set(node),
        }
    }
    OPEN.count.set(OPEN.count.get() + 1);
}

/// # Safety
/// The node is in the list.
unsafe fn remove(node: *const Node) {
    // SAFETY: nodes in the list live, see append().
    unsafe {
        let (previous, next) = ((*node).previous.get(), (*node).next.get());
        match previous.as_ref() {
            Some(previous) => previous.next.set(next),
            None => OPEN.first.set(next),
        }
        match next.as_ref() {
            Some(next) => next.previous.set(previous),
            None => OPEN.last.set(previous),
        }
    }
    OPEN.count.set(OPEN.count.get() - 1);
}

/// Requests that are shown between two looks whether there is time for more.
const SHOWN_AT_ONCE: usize = 64;

/// How many requests are open since the last time.
pub fn count() -> usize {
    look();
    OPEN.count.get()
}

/// Shows the contexts of open requests, `most` of them at most and as long as it `may_go_on`, those
/// first that were not shown for longest. Returns how many it has shown. Nothing that `show` does ends
/// a request.
pub fn each<C: Context>(
    most: usize,
    may_go_on: &dyn Fn() -> bool,
    mut show: impl FnMut(&C),
) -> usize {
    let most = OPEN.count.get().min(most);
    for shown in 0..most {
        if shown % SHOWN_AT_ONCE == 0 && !may_go_on() {
            return shown;
        }
        let node = OPEN.first.get();
        // SAFETY: nodes in the list live, and so do their requests: their pools, which both are in,
        // are not destroyed before end(). The context is of the request, or that of none after an
        // internal redirect.
        unsafe {
            let Some(r) = node.as_ref().map(|node| node.r) else {
                return shown;
            };
            remove(node);
            append(node);
            if let Some(context) = Request::from_ptr(r).and_then(|r| r.context::<C>()) {
                show(context);
            }
        }
    }
    most
}
