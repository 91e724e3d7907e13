//! A response of a handler of ours whose body is made in several turns of the event loop, so that
//! other requests need not wait for all of it.
//!
//! A turn makes the next part when the client has all of the one before: no more than that is in
//! memory, whatever the client does. In between, the request waits as one does that a filter holds
//! back (`ngx_http_writer()`).

use std::cell::RefCell;

use super::super::chain::{Code, Filling, Marks, Output};
use super::super::guard::guard;
use super::super::owned::Owned;
use super::super::sys;
use super::{Head, Reply, Request};

/// Makes the next part of a body, which it hands out in pieces. Returns whether there is more.
type Make<'r> = dyn FnMut(&mut dyn FnMut(&[u8])) -> bool + 'r;

/// A body that is being made: what is remembered of its request.
pub struct Turns<'r> {
    make: RefCell<Box<Make<'r>>>,
    output: Output,
}

/// What a turn has come to.
enum Turn {
    /// There is more.
    More,
    /// All is made and passed on, with this result.
    Over(Code),
}

impl<'r> Request<'r> {
    /// Answers the request, with a body that `make` hands out part by part. The first part is made at
    /// once: if there is no other, the response has a Content-Length.
    pub fn reply_in_turns(
        self,
        head: Head<'_>,
        make: impl FnMut(&mut dyn FnMut(&[u8])) -> bool + 'r,
    ) -> Reply {
        self.begin_turns(head, Box::new(make))
            .unwrap_or(Reply::of(Code::FAILED))
    }

    /// `None`: out of memory.
    fn begin_turns(self, head: Head<'_>, make: Box<Make<'r>>) -> Option<Reply> {
        // SAFETY: a live request, whose body nobody has read yet.
        let discarded = unsafe { sys::ngx_http_discard_request_body(self.as_ptr()) };
        if discarded != sys::OK {
            return Some(Reply::of(Code::from_int(discarded)));
        }
        let pool = self.pool()?;
        let turns = pool.keep(Turns {
            make: RefCell::new(make),
            output: Output::new(Turns::module()),
        })?;
        let mut filling = turns.output.begin(pool);
        let has_more = turns.fill(self, &mut filling)?;
        let length = (!has_more).then_some(filling.written());
        if !self.begin_reply(head, length) {
            return None;
        }
        // SAFETY: a live request with the header that begin_reply() has made.
        let sent = unsafe { sys::ngx_http_send_header(self.as_ptr()) };
        if sent == sys::ERROR || sent > sys::OK || self.is_header_only() {
            return Some(Reply::of(Code::from_int(sent)));
        }
        // SAFETY: the header was sent, and the chain is that of `filling`.
        let next = |chain| unsafe { sys::ngx_http_output_filter(self.as_ptr(), chain) };
        let code = filling.send(&next).unwrap_or(Code::FAILED);
        if !has_more || code == Code::FAILED {
            return Some(Reply::of(code));
        }
        self.set_context(turns);
        // SAFETY: a live request in a content handler, or one that has got its body. It is counted once
        // more until finish_turns(), and its events are handled as ngx_http_set_write_handler() says.
        unsafe {
            let main = self.main().raw();
            (*main).set_count((*main).count() + 1);
            let r = &mut *self.raw();
            if self.is_main() {
                r.read_event_handler = Some(match r.discard_body() {
                    0 => sys::ngx_http_test_reading,
                    _ => sys::ngx_http_discarded_request_body_handler,
                });
            }
            r.write_event_handler = Some(go_on);
        }
        self.await_turn(turns);
        Some(Reply::DONE)
    }

    /// Has the next turn come: when the client has taken what there is, or when others had theirs.
    fn await_turn(self, turns: &Turns<'_>) {
        // SAFETY: a live request and its connection, as in ngx_http_set_write_handler(). The
        // configuration of a location is complete, with one of the core (ngx_http_core_location()).
        let is_awaited = unsafe {
            let connection = &mut *(*self.raw()).connection;
            let event = connection.write;
            let module = &raw const sys::ngx_http_core_module;
            let core = *(*self.main().raw()).loc_conf.add((*module).ctx_index);
            let core = &*core.cast::<sys::ngx_http_core_loc_conf_t>();
            // Also so that a worker that ends waits for it (ngx_event_no_timers_left()).
            if (*event).delayed() == 0 {
                sys::ngx_add_timer(event, core.send_timeout);
            }
            if turns.output.is_busy() || (*event).delayed() != 0 {
                // A subrequest before whose turn others come is called by the postpone filter.
                sys::ngx_handle_write_event(event, core.send_lowat) == sys::OK
            } else if connection.data == self.as_ptr().cast() {
                // Behind the events that have come meanwhile.
                sys::ngx_post_event(event, &raw mut sys::ngx_posted_next_events);
                true
            } else {
                // Events of the connection are another request's.
                sys::ngx_http_post_request(self.as_ptr(), std::ptr::null_mut()) == sys::OK
            }
        };
        if !is_awaited {
            self.finish_turns(sys::ERROR);
        }
    }

    fn finish_turns(self, code: sys::ngx_int_t) {
        // SAFETY: begin_turns() has counted the request once more, which this takes back; as
        // ngx_http_writer() ends it.
        unsafe {
            (*self.raw()).write_event_handler = Some(sys::ngx_http_request_empty_handler);
            sys::ngx_http_finalize_request(self.as_ptr(), code);
        }
    }
}

impl Turns<'_> {
    /// Fills the chain with the next part. `None`: out of memory.
    fn fill(&self, r: Request<'_>, filling: &mut Filling<'_>) -> Option<bool> {
        let mut is_whole = true;
        let mut make = self.make.borrow_mut();
        let has_more = make(&mut |piece| is_whole = is_whole && filling.push(piece).is_some());
        if !is_whole {
            return None;
        }
        match has_more {
            // Nothing waits for what comes later.
            true if !filling.is_empty() => filling.hurry()?,
            true => {}
            false => filling.mark(Marks::end(r.is_main()))?,
        }
        Some(has_more)
    }

    /// `None`: it cannot go on.
    fn turn(&self, r: Request<'_>) -> Option<Turn> {
        // SAFETY: the header was sent, and the chain is NULL or that of a filling.
        let next = |chain| unsafe { sys::ngx_http_output_filter(r.as_ptr(), chain) };
        let pool = r.pool()?;
        if self.output.is_busy() {
            // Without a buffer of its own, the chain pushes on those before.
            self.output.begin(pool).send(&next)?;
            if self.output.is_busy() {
                return Some(Turn::More);
            }
        }
        let mut filling = self.output.begin(pool);
        let has_more = self.fill(r, &mut filling)?;
        let code = match filling.is_empty() {
            true => Code::default(),
            false => filling.send(&next)?,
        };
        Some(match has_more {
            true => Turn::More,
            false => Turn::Over(code),
        })
    }
}

unsafe extern "C" fn go_on(r: sys::RequestPtr) {
    // SAFETY: ngx_http_request_handler() and ngx_http_run_posted_requests() pass a live request.
    let Some(request) = (unsafe { Request::from_ptr(r) }) else {
        return;
    };
    guard((), || {
        let Some(turns) = request.context::<Turns<'_>>() else {
            return;
        };
        // SAFETY: a live request and its connection, as in ngx_http_writer().
        let (is_late, is_delayed) = unsafe {
            let connection = &mut *(*request.raw()).connection;
            let is_late = (*connection.write).timedout() != 0;
            if is_late {
                connection.set_timedout(1);
            }
            (is_late, (*connection.write).delayed() != 0)
        };
        if is_late {
            request.finish_turns(sys::NGX_HTTP_REQUEST_TIME_OUT as sys::ngx_int_t);
        } else if is_delayed {
            request.await_turn(turns);
        } else {
            match turns.turn(request) {
                Some(Turn::More) => request.await_turn(turns),
                Some(Turn::Over(code)) => request.finish_turns(code.as_int()),
                None => request.finish_turns(sys::ERROR),
            }
        }
    });
}
