//! X-Accel-Redirect: a server answers with another place of the configuration, which nginx then
//! serves the request from. It passes the cookies of that answer on to the client
//! (ngx_http_upstream_process_headers()), but takes the modules' contexts away before a header
//! filter runs: no filter can tell which server has set the cookies.

use std::cell::Cell;

use super::guard::guard;
use super::owned::Context;
use super::request::Request;
use super::sys;

/// What the protocol (proxy, FastCGI …) does at the end of an exchange, while our callback has its
/// place.
#[derive(Default)]
pub struct SavedFinalize(Cell<Option<unsafe extern "C" fn(sys::RequestPtr, sys::ngx_int_t)>>);

/// Called when a server has answered with X-Accel-Redirect, and at the end of each exchange.
pub trait OnRedirect {
    /// The module's context of the request.
    type Context<'r>: Context + 'r;
    /// Where the protocol's callback is kept meanwhile.
    fn finalize<'a>(context: &'a Self::Context<'_>) -> &'a SavedFinalize;
    /// The header of the answer is there
    /// ([`Exchange::headers`](super::exchange::Exchange::headers)), and the peer is not given back
    /// yet.
    fn redirected<'r>(r: Request<'r>, context: &'r Self::Context<'r>);
    /// Whether [`ended`](Self::ended) is to be called.
    fn awaits_end(context: &Self::Context<'_>) -> bool;
    /// The exchange ends, in whatever way. The peer of the latest attempt is not given back yet, if
    /// that has not failed.
    fn ended<'r>(r: Request<'r>, context: &'r Self::Context<'r>);
}

/// Has `A` called when the exchange of this request, whose context is set, ends.
#[inline]
pub fn watch<'r, A: OnRedirect + 'r>(r: Request<'r>, context: &'r A::Context<'r>) {
    let Some(exchange) = r.upstream() else { return };
    // SAFETY: a field of a live structure that nobody else uses meanwhile. The protocol has set it
    // before ngx_http_upstream_init().
    unsafe {
        let place = &raw mut (*exchange.as_ptr()).finalize_request;
        A::finalize(context).0.set(*place);
        *place = Some(finalize::<A>);
    }
}

unsafe extern "C" fn finalize<A: OnRedirect>(r: sys::RequestPtr, code: sys::ngx_int_t) {
    #[cold]
    #[inline(never)]
    fn call<'r, A: OnRedirect + 'r>(
        r: Request<'r>,
        context: &'r A::Context<'r>,
        is_redirected: bool,
    ) {
        if is_redirected {
            guard((), || A::redirected(r, context));
        }
        guard((), || A::ended(r, context));
    }
    // SAFETY: ngx_http_upstream_finalize_request() passes a live request.
    let request = unsafe { Request::from_ptr(r) };
    // There is no context when the request was redirected internally meanwhile
    // (ngx_http_internal_redirect()). All that nginx's own protocols do then is to write a line
    // into the debug log.
    let Some((request, context)) = request.and_then(|r| Some((r, r.context::<A::Context<'_>>()?)))
    else {
        return;
    };
    // ngx_http_upstream_process_headers() ends an exchange with this code, and nothing else does.
    let is_redirected = code == sys::DECLINED;
    if is_redirected || A::awaits_end(context) {
        call::<A>(request, context, is_redirected);
    }
    if let Some(original) = A::finalize(context).0.get() {
        // SAFETY: the protocol's own callback, with nginx's arguments.
        unsafe { original(r, code) };
    }
}
