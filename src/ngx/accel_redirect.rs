//! X-Accel-Redirect: a server hands its request over to another place of the configuration. Of the
//! header that it has answered with, nginx passes the cookies on to the client
//! (ngx_http_upstream_process_headers()), then takes the modules' contexts away: no filter can tell
//! whose cookies they are.

use std::cell::Cell;

use super::guard::guard;
use super::owned::Context;
use super::request::Request;
use super::sys;

/// What the protocol (proxy, FastCGI …) does at the end of an exchange, while another callback has its
/// place.
#[derive(Default)]
pub struct Finalize(Cell<Option<unsafe extern "C" fn(sys::RequestPtr, sys::ngx_int_t)>>);

/// Is told of it.
pub trait Witness {
    /// What it keeps for a request.
    type Context<'r>: Context + 'r;
    /// Where the callback of the exchange is kept meanwhile.
    fn finalize<'a>(context: &'a Self::Context<'_>) -> &'a Finalize;
    /// The header of the answer is there ([`super::upstream::Exchange::headers`]), and the peer still taken.
    fn handed_over<'r>(r: Request<'r>, context: &'r Self::Context<'r>);
}

/// Has it told when the exchange of this request, whose context is set, ends so.
#[inline]
pub fn watch<'r, W: Witness + 'r>(r: Request<'r>, context: &'r W::Context<'r>) {
    let Some(exchange) = r.upstream() else { return };
    // SAFETY: a field of a live structure, in the one thread of the worker.
    unsafe {
        let place = &raw mut (*exchange.as_ptr()).finalize_request;
        W::finalize(context).0.set(*place);
        *place = Some(finalize::<W>);
    }
}

unsafe extern "C" fn finalize<W: Witness>(r: sys::RequestPtr, code: sys::ngx_int_t) {
    #[cold]
    #[inline(never)]
    fn tell<'r, W: Witness + 'r>(r: Request<'r>, context: &'r W::Context<'r>) {
        guard((), || W::handed_over(r, context));
    }
    // SAFETY: ngx_http_upstream_finalize_request() passes a live request.
    let request = unsafe { Request::from_ptr(r) };
    // Gone when the request was led elsewhere meanwhile. All protocols of nginx but write a line into
    // the debug log then.
    let Some((request, context)) = request.and_then(|r| Some((r, r.context::<W::Context<'_>>()?)))
    else {
        return;
    };
    // Nothing else ends an exchange with this code.
    if code == sys::DECLINED {
        tell::<W>(request, context);
    }
    if let Some(original) = W::finalize(context).0.get() {
        // SAFETY: the protocol's own callback, with nginx's arguments.
        unsafe { original(r, code) };
    }
}
