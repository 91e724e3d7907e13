//! Requests whose bodies are read before their server is chosen: no more of them in one turn of the
//! event loop than it has [time](super::pace) for. The others wait for later turns, in order.
//!
//! nginx chooses a server as soon as a body has come (`ngx_http_upstream_init_request()`), and the body is
//! read whole there. So requests are stopped before, at the two places that lead there:
//!
//! - *The body has come.* Of HTTP/1, HTTP/2 and HTTP/3 alike, nginx calls `rb->post_handler` then, which
//!   all modules for servers set to `ngx_http_upstream_init()`
//!   (`ngx_http_do_read_client_request_body()`, `ngx_http_v2_process_request_body()`,
//!   `ngx_http_v3_do_read_client_request_body()`). A filter of request bodies sees that this comes next, and
//!   puts [a callback](body_has_come) there that calls it in a later turn. nginx waits for nothing of the
//!   client by then: it has taken its timer back and set `ngx_http_block_reading()`. (To keep the end of
//!   the body back instead does not do: of HTTP/3, `ngx_http_v3_request_body_filter()` then wants more.)
//! - *It is there at once*, or is passed on as it comes. nginx chooses within the content handler then: for
//!   a body that has come with the header or was read in an earlier phase (`mirror`), with
//!   `proxy_request_buffering off`, after an internal redirect, for a subrequest. So the first handler of
//!   the content phase is [replaced](close) for the rest of a turn that has spent its time, and as long as
//!   requests wait. Otherwise no request pays anything for that.
//!
//! Others do not wait: a request that has waited for another one's answer in a cache
//! (`proxy_cache_lock`) and goes on without, and those of a module that has a callback of its own called
//! with the body and chooses a server in it.

use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr::{fn_addr_eq, null_mut, NonNull};

use super::guard::guard;
use super::pace::{self, Place};
use super::request::Request;
use super::sys;
use super::timer::Slot;

/// What requests are concerned.
pub trait Admit {
    /// Whether something of ours may read the request's body before it chooses a server, once it has come.
    fn is_read(r: Request<'_>) -> bool;
}

type Filter = unsafe extern "C" fn(sys::RequestPtr, *mut sys::ngx_chain_t) -> sys::ngx_int_t;
type Checker =
    unsafe extern "C" fn(sys::RequestPtr, *mut sys::ngx_http_phase_handler_t) -> sys::ngx_int_t;
type Handler = unsafe extern "C" fn(sys::RequestPtr);

/// While requests wait, the event is posted for the next turn, and its timer is set: a worker that ends
/// waits for timers (`ngx_event_no_timers_left()`). It means nothing when it fires.
const AT_WORK: sys::ngx_msec_t = 60_000;

struct Admission {
    next_filter: Cell<Option<Filter>>,
    /// What stands at the content phase while it is [closed](close).
    gate: Cell<Option<Checker>>,
    /// Where: NULL while it is open.
    closed: Cell<*mut sys::ngx_http_phase_handler_t>,
    /// The request that goes on now, or NULL.
    admitted: Cell<sys::RequestPtr>,
    event: Slot,
}

// SAFETY: only the thread of the event loop uses it.
unsafe impl Sync for Admission {}

static ADMISSION: Admission = Admission {
    next_filter: Cell::new(None),
    gate: Cell::new(None),
    closed: Cell::new(null_mut()),
    admitted: Cell::new(null_mut()),
    event: Slot::new(),
};

/// Lets requests wait whose bodies are [read](Admit::is_read). In postconfiguration only.
pub fn install<A: Admit>() {
    ADMISSION.gate.set(Some(gate::<A>));
    // SAFETY: ngx_http_block() calls it while nobody uses the chain of filters.
    unsafe {
        ADMISSION
            .next_filter
            .set(sys::ngx_http_top_request_body_filter);
        sys::ngx_http_top_request_body_filter = Some(filter::<A>);
    }
}

/// Notes that so many bytes of the request's body were read to choose its server. If the turn has spent
/// its time by that, other requests wait for the next.
#[inline]
pub fn was_read(r: Request<'_>, bytes: usize) {
    pace::was_read(bytes);
    if !pace::may_begin() {
        close(r);
    }
}

/// A request that waits. It is in the request's pool.
struct Waiting {
    r: sys::RequestPtr,
    place: Place,
    /// What is called then.
    go_on: Handler,
    /// What nginx calls when it can write, while ours has its place.
    write: Option<Handler>,
}

// Called for each piece of a request's body, and without one when nginx wants to know whether all was saved.
unsafe extern "C" fn filter<A: Admit>(
    r: sys::RequestPtr,
    chain: *mut sys::ngx_chain_t,
) -> sys::ngx_int_t {
    let Some(next) = ADMISSION.next_filter.get() else {
        return sys::ERROR;
    };
    // SAFETY: nginx's arguments.
    let code = unsafe { next(r, chain) };
    // SAFETY: ngx_http_request_body_length_filter() and the like pass a live request.
    let request = unsafe { Request::of_callback(r) };
    if code == sys::OK && request.is_body_saved() && !pace::may_begin() {
        guard((), || replace_callback::<A>(request));
    }
    code
}

/// Has ours called next, not the callback that chooses a server.
#[cold]
#[inline(never)]
fn replace_callback<A: Admit>(r: Request<'_>) {
    // One that passes the body on as it comes has gone on before, and so has one that was admitted.
    if ADMISSION.admitted.get() == r.as_ptr() || r.is_body_passed_on() || !A::is_read(r) {
        return;
    }
    // SAFETY: a live request whose body nginx reads: it has the structure
    // (ngx_http_read_client_request_body()).
    let callback = unsafe {
        let body = (*r.as_ptr().cast::<sys::ngx_http_request_s>()).request_body;
        &mut (*body).post_handler
    };
    // Others may expect to be called at once, where all is there (ngx_http_read_client_request_body()
    // returns NGX_OK then).
    if is(*callback, sys::ngx_http_upstream_init) {
        *callback = Some(body_has_come);
    }
}

unsafe extern "C" fn body_has_come(r: sys::RequestPtr) {
    // SAFETY: ngx_http_do_read_client_request_body() and the like pass a live request.
    let request = unsafe { Request::of_callback(r) };
    let waits = guard(None, || wait(request, sys::ngx_http_upstream_init));
    if waits.is_none() {
        // SAFETY: the callback that ours has replaced, with nginx's argument.
        unsafe { sys::ngx_http_upstream_init(r) };
    }
}

/// Calls this in a later turn, unless the request has ended by then. `None`: out of memory.
fn wait(r: Request<'_>, go_on: Handler) -> Option<()> {
    let raw = r.as_ptr().cast::<sys::ngx_http_request_s>();
    let waiting = r.pool()?.keep(Waiting {
        r: r.as_ptr(),
        place: Place::default(),
        go_on,
        // SAFETY: a callback of a live request.
        write: unsafe { (*raw).write_event_handler },
    })?;
    // SAFETY: as above.
    unsafe { (*raw).write_event_handler = Some(stay) };
    let with = NonNull::from(waiting).cast::<c_void>();
    waiting.place.wait_to_go_on(take_turn, with);
    close(r);
    if r.is_debugged() {
        r.log().debug(format_args!(
            "sticky: the request waits, its body is read in a later turn of the event loop"
        ));
    }
    Some(())
}

unsafe extern "C" fn stay(_: sys::RequestPtr) {}

/// # Safety
/// `waiting` is a live Waiting.
unsafe fn take_turn(waiting: NonNull<c_void>) {
    // SAFETY: the caller's promise; the request lives as long as its pool. Whoever ends it meanwhile has
    // set another callback (ngx_http_finalize_request() and what it calls). ngx_http_request_handler()
    // calls callbacks in the same way; behind them, the connection's structure is left in any case.
    unsafe {
        let waiting = waiting.cast::<Waiting>().as_ref();
        let r = &mut *waiting.r.cast::<sys::ngx_http_request_s>();
        if !is(r.write_event_handler, stay) {
            return;
        }
        r.write_event_handler = waiting.write;
        let connection = r.connection;
        ADMISSION.admitted.set(waiting.r);
        (waiting.go_on)(waiting.r);
        ADMISSION.admitted.set(null_mut());
        sys::ngx_http_run_posted_requests(connection);
    }
}

fn is(handler: Option<Handler>, ours: Handler) -> bool {
    handler.is_some_and(|handler| fn_addr_eq(handler, ours))
}

/// Has requests wait before the content phase that would have their bodies read.
#[cold]
#[inline(never)]
fn close(r: Request<'_>) {
    await_next_turn();
    if !ADMISSION.closed.get().is_null() {
        return;
    }
    let Some((gate, first)) = ADMISSION.gate.get().zip(first_of_content(r)) else {
        return;
    };
    // SAFETY: ngx_http_init_phase_handlers() has made the structure in the memory of the cycle, which only
    // this thread uses.
    unsafe { (*first.as_ptr()).checker = Some(gate) };
    ADMISSION.closed.set(first.as_ptr());
}

/// The first handler of the content phase, to which all requests come that have a handler of their
/// location. `None`: the request is of an older cycle than that of the process, or another module has
/// its place.
fn first_of_content(r: Request<'_>) -> Option<NonNull<sys::ngx_http_phase_handler_t>> {
    // SAFETY: ngx_cycle is the running cycle, with an ngx_http_conf_ctx_t or NULL at the place of
    // ngx_http_module, whose main_conf is that of all its requests (ngx_http_core_server()); it has one for
    // every HTTP module. The handlers end with one that has no checker (ngx_http_init_phase_handlers()).
    unsafe {
        let http = &raw const sys::ngx_http_module;
        let context = *(*sys::ngx_cycle).conf_ctx.add((*http).index);
        let context = context.cast::<sys::ngx_http_conf_ctx_t>().as_ref()?;
        let main = (*r.as_ptr().cast::<sys::ngx_http_request_s>()).main_conf;
        if main != context.main_conf {
            return None;
        }
        let module = &raw const sys::ngx_http_core_module;
        let core = (*main.add((*module).ctx_index)).cast::<sys::ngx_http_core_main_conf_t>();
        let mut handler = NonNull::new((*core).phase_engine.handlers)?;
        while let Some(checker) = handler.as_ref().checker {
            if fn_addr_eq(checker, sys::ngx_http_core_content_phase as Checker) {
                return Some(handler);
            }
            handler = handler.add(1);
        }
        None
    }
}

/// Lets all requests pass again.
pub fn open() {
    let closed = ADMISSION.closed.replace(null_mut());
    // SAFETY: NULL, or close() has put it there, in the cycle that the process has had since
    // (init_module). The event is static, and used by the event loop alone.
    unsafe {
        if let Some(first) = closed.as_mut() {
            first.checker = Some(sys::ngx_http_core_content_phase);
        }
        let event = ADMISSION.event.event.get().cast::<sys::ngx_event_t>();
        if (*event).timer_set() != 0 {
            sys::ngx_del_timer(event);
        }
    }
}

fn await_next_turn() {
    // SAFETY: zeroes are a value of an event, which is static. Only the event loop uses its queues.
    // ngx_cycle is the running cycle; the debug log takes every event to have a connection
    // (ngx_event_ident()).
    unsafe {
        let event = ADMISSION.event.prepared();
        (*event).log = (*sys::ngx_cycle).log;
        (*event).handler = Some(next_turn);
        if (*event).timer_set() == 0 {
            sys::ngx_add_timer(event, AT_WORK);
        }
        sys::ngx_post_event(event, &raw mut sys::ngx_posted_next_events);
    }
}

unsafe extern "C" fn next_turn(_: *mut sys::ngx_event_t) {
    guard((), || match pace::have_requests_to_wait() {
        true => await_next_turn(),
        false => open(),
    });
}

// Called before a request's content handler, while the gate is closed.
unsafe extern "C" fn gate<A: Admit>(
    r: sys::RequestPtr,
    handler: *mut sys::ngx_http_phase_handler_t,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_core_run_phases() passes a live request.
    let request = unsafe { Request::of_callback(r) };
    let waits = guard(None, || {
        let may_pass = ADMISSION.admitted.get() == r || !A::is_read(request) || pace::may_begin();
        match may_pass {
            true => None,
            false => wait(request, sys::ngx_http_core_run_phases),
        }
    });
    if waits.is_some() {
        // ngx_http_core_run_phases() leaves the request alone then.
        return sys::OK;
    }
    // SAFETY: nginx's arguments.
    unsafe { sys::ngx_http_core_content_phase(r, handler) }
}
