//! The filters of responses, and the end of each request.

use crate::config::directives;
use crate::ngx::admission;
use crate::ngx::chain::{Chain, Code};
use crate::ngx::conf::Conf;
use crate::ngx::guard::guard;
use crate::ngx::request::Request;
use crate::ngx::sys::{self, ngx_conf_t, ngx_int_t};
use crate::request::context::RequestContext;
use crate::request::count::{self, Rest};
use crate::response::{self, discover, learn, rewrite};

use super::{Bodies, NginxTable, Steering};

type HeaderFilter = unsafe extern "C" fn(sys::RequestPtr) -> ngx_int_t;
type BodyFilter = unsafe extern "C" fn(sys::RequestPtr, *mut sys::ngx_chain_t) -> ngx_int_t;

static NEXT_HEADER_FILTER: NginxTable<HeaderFilter> = NginxTable::new(no_header_filter);
static NEXT_BODY_FILTER: NginxTable<BodyFilter> = NginxTable::new(no_body_filter);
#[cfg(nginx_since = "1.29.0")]
static NEXT_EARLY_HINTS_FILTER: NginxTable<HeaderFilter> = NginxTable::new(no_header_filter);

/// Puts the filters on top of the chains built so far, and asks for the end of each request, if any
/// upstream is sticky.
pub(super) unsafe extern "C" fn install_filters(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: ngx_http_block() passes the cf of the http block.
    let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else {
        return sys::ERROR;
    };
    guard(sys::ERROR, || match directives::is_used::<Steering>(cf) {
        Ok(false) => sys::OK,
        Err(why) => {
            cf.refuse(format_args!("{why}"));
            sys::ERROR
        }
        Ok(true) if !cf.add_log_handler(log_handler) => sys::ERROR,
        Ok(true) => {
            if directives::reads_bodies(cf) {
                admission::install::<Bodies>();
            }
            // SAFETY: ngx_http_block() calls this while nobody uses the chains of filters.
            unsafe {
                if let Some(next) = sys::ngx_http_top_header_filter {
                    *NEXT_HEADER_FILTER.0.get() = next;
                }
                sys::ngx_http_top_header_filter = Some(header_filter);
                if let Some(next) = sys::ngx_http_top_body_filter {
                    *NEXT_BODY_FILTER.0.get() = next;
                }
                sys::ngx_http_top_body_filter = Some(body_filter);
                #[cfg(nginx_since = "1.29.0")]
                {
                    if let Some(next) = sys::ngx_http_top_early_hints_filter {
                        *NEXT_EARLY_HINTS_FILTER.0.get() = next;
                    }
                    sys::ngx_http_top_early_hints_filter = Some(early_hints_filter);
                }
            }
            sys::OK
        }
    })
}

// Called for every response. One of an upstream that is not sticky costs a look at its context.
unsafe extern "C" fn header_filter(r: sys::RequestPtr) -> ngx_int_t {
    // As a C function, so that the call of it can be the last jump of this one.
    #[inline(never)]
    extern "C" fn guarded<'r>(r: sys::RequestPtr, context: &'r RequestContext<'r>) -> ngx_int_t {
        guard((), || response::header(context.request, context));
        // SAFETY: as below.
        unsafe { (*NEXT_HEADER_FILTER.0.get())(r) }
    }
    // SAFETY: ngx_http_send_header() passes a live request, and so do the filters before ours.
    let request = unsafe { Request::of_callback(r) };
    if let Some(context) = request.context::<RequestContext<'_>>() {
        if !guard(false, || response::header_at_once(request, context)) {
            return guarded(r, context);
        }
    }
    // SAFETY: install_filters() has saved the next filter, which gets nginx's arguments.
    unsafe { (*NEXT_HEADER_FILTER.0.get())(r) }
}

/// Where no filter follows, which nginx does not do.
unsafe extern "C" fn no_header_filter(_: sys::RequestPtr) -> ngx_int_t {
    sys::ERROR
}

/// The same.
unsafe extern "C" fn no_body_filter(_: sys::RequestPtr, _: *mut sys::ngx_chain_t) -> ngx_int_t {
    sys::ERROR
}

#[cfg(nginx_since = "1.29.0")]
unsafe extern "C" fn early_hints_filter(r: sys::RequestPtr) -> ngx_int_t {
    // SAFETY: ngx_http_send_early_hints() passes a live request, and so do the filters before ours.
    if let Some(request) = unsafe { Request::from_ptr(r) } {
        if let Some(context) = request.context::<RequestContext<'_>>() {
            guard((), || response::early_hints(request, context));
        }
    }
    // SAFETY: install_filters() has saved the next filter, which gets nginx's arguments.
    unsafe { (*NEXT_EARLY_HINTS_FILTER.0.get())(r) }
}

// Called once for every request, and for a subrequest where those are logged: what is done with most of
// them is short.
unsafe extern "C" fn log_handler(r: sys::RequestPtr) -> ngx_int_t {
    // As a C function, so that the call of it can be the last jump of this one.
    #[inline(never)]
    extern "C" fn guarded(context: &RequestContext<'_>, rest: Rest) -> ngx_int_t {
        guard((), || count::rest(context, rest));
        sys::OK
    }
    // SAFETY: ngx_http_log_request() passes a live request.
    let request = unsafe { Request::of_callback(r) };
    if let Some(context) = request.context::<RequestContext<'_>>() {
        let rest = count::ended(context);
        if rest != Rest::Nothing {
            return guarded(context, rest);
        }
    }
    sys::OK
}

// Called for each piece of every response: what is done with most of them is short.
unsafe extern "C" fn body_filter(r: sys::RequestPtr, chain: *mut sys::ngx_chain_t) -> ngx_int_t {
    // SAFETY: ngx_http_output_filter() passes a live request, and so do the filters before ours.
    let request = unsafe { Request::of_callback(r) };
    if let Some(context) = request.context::<RequestContext<'_>>() {
        if context.awaits_body.get() {
            // SAFETY: nginx's arguments.
            return unsafe { awaited_body(r, context, chain) };
        }
    }
    // SAFETY: nginx's arguments.
    unsafe { next_body_filter(r, chain) }
}

/// # Safety
/// nginx's arguments of a body filter.
#[inline(always)]
unsafe fn next_body_filter(r: sys::RequestPtr, chain: *mut sys::ngx_chain_t) -> ngx_int_t {
    // SAFETY: install_filters() has saved the next filter, which gets nginx's arguments.
    unsafe { (*NEXT_BODY_FILTER.0.get())(r, chain) }
}

/// # Safety
/// `r` and `chain` are nginx's arguments of a body filter, `context` is that of `r`.
// As a C function, so that the call of it can be the last jump.
#[inline(never)]
unsafe extern "C" fn awaited_body(
    r: sys::RequestPtr,
    context: &RequestContext<'_>,
    chain: *mut sys::ngx_chain_t,
) -> ngx_int_t {
    let request = context.request;
    // SAFETY: ngx_http_output_filter() passes a chain or NULL; nobody changes it before the next
    // filter.
    let pieces = unsafe { Chain::from_ptr(chain) };
    // SAFETY: the next filter gets the request, and a chain or NULL.
    let next = |chain| unsafe { next_body_filter(r, chain) };
    if let Some(page) = context.page.get() {
        let code = guard(None, || {
            rewrite::body(request, context, page, pieces, &next)
        });
        return code.map_or(sys::ERROR, Code::as_int);
    }
    if let Some(watched) = context.watched.get() {
        guard((), || discover::body(request, watched, pieces));
        return next(chain);
    }
    if guard(true, || learn::body::read(context, pieces)) {
        return next(chain);
    }
    let code = guard(None, || learn::body::go_on(context, pieces, &next));
    code.map_or(sys::ERROR, Code::as_int)
}
