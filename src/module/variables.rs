//! The variables, and their handlers.

use crate::ngx::guard::guard;
use crate::ngx::request::Request;
use crate::ngx::sys::{self, ngx_conf_t, ngx_int_t};
use crate::ngx::variable;
use crate::request::context::RequestContext;
use crate::request::origin;
use crate::response::{self, cookie, rewrite};

use super::version::sticky_version;

/// Registers the variables.
///
/// # Safety
/// `cf` is what ngx_http_block() passes to preconfiguration.
pub unsafe extern "C" fn add_variables(cf: *mut ngx_conf_t) -> ngx_int_t {
    for (name, handler) in [
        (
            &b"sticky_status"[..],
            sticky_status as unsafe extern "C" fn(_, _, _) -> _,
        ),
        (&b"sticky_peer"[..], sticky_peer),
        (&b"upstream_sticky_status"[..], upstream_sticky_status),
        (&b"sticky_learned"[..], sticky_learned),
        (&b"sticky_skipped"[..], sticky_skipped),
        (&b"sticky_age"[..], sticky_age),
        (&b"sticky_id_hash"[..], sticky_id_hash),
        (&b"sticky_args"[..], sticky_args),
        (&b"sticky_cookies"[..], sticky_cookies),
        (&b"sticky_from"[..], sticky_from),
        (&b"sticky_known"[..], sticky_known),
        (&b"sticky_version"[..], sticky_version),
    ] {
        let mut name = sys::string(name);
        // SAFETY: ngx_http_add_variable() copies the name. It returns NULL, after it wrote why, or
        // a variable of the configuration, which nobody else uses meanwhile.
        unsafe {
            let Some(variable) =
                sys::ngx_http_add_variable(cf, &mut name, sys::NGX_HTTP_VAR_NOCACHEABLE as usize)
                    .as_mut()
            else {
                return sys::ERROR;
            };
            variable.get_handler = Some(handler);
        }
    }
    sys::OK
}

unsafe extern "C" fn sticky_status(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let context = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        guard((), || {
            // add_header may come before our header filter.
            response::observe(r, context);
        });
        Some(context)
    });
    let status = context.map(|context| context.status.get().name().as_bytes());
    // SAFETY: nginx's value; the bytes are static.
    unsafe { variable::answer(value, status) };
    sys::OK
}

unsafe extern "C" fn upstream_sticky_status(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let tries = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        let tries = guard(String::new(), || context.tries());
        r.pool()?.copy(tries.as_bytes())
    });
    let tries = tries.filter(|tries| !tries.is_empty());
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, tries) };
    sys::OK
}

unsafe extern "C" fn sticky_peer(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let peer = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        guard((), || {
            response::observe(r, context);
        });
        context.answered.get()
    });
    // SAFETY: nginx's value; the name is a copy in the request's pool, or that of a peer that stays
    // as long as the cycle.
    unsafe { variable::answer(value, peer) };
    sys::OK
}

unsafe extern "C" fn sticky_skipped(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let skipped = unsafe { Request::from_ptr(r) }
        .and_then(|r| guard(None, || shown(r, &response::skipped(r)?)));
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, skipped) };
    sys::OK
}

unsafe extern "C" fn sticky_learned(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let learned = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        guard(None, || {
            response::observe(r, context);
            shown(r, &context.happened().learned().to_string())
        })
    });
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, learned) };
    sys::OK
}

unsafe extern "C" fn sticky_age(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let age = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        guard(None, || shown(r, &context.age()?.to_string()))
    });
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, age) };
    sys::OK
}

unsafe extern "C" fn sticky_id_hash(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let hash = unsafe { Request::from_ptr(r) }.and_then(|r| {
        let context = r.context::<RequestContext<'_>>()?;
        guard(None, || {
            response::observe(r, context);
            shown(r, &format!("{:08x}", context.id_hash()?))
        })
    });
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, hash) };
    sys::OK
}

/// A text in the request's pool, if it is not empty.
fn shown<'r>(r: Request<'r>, text: &str) -> Option<&'r [u8]> {
    r.pool()?
        .copy(text.as_bytes())
        .filter(|text| !text.is_empty())
}

unsafe extern "C" fn sticky_args(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let args = unsafe { Request::from_ptr(r) }
        .and_then(|r| guard(None, || rewrite::args_of_application(r)));
    // SAFETY: nginx's value; the bytes are the request's or in its pool.
    unsafe { variable::answer(value, args) };
    sys::OK
}

unsafe extern "C" fn sticky_cookies(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let cookies = unsafe { Request::from_ptr(r) }
        .and_then(|r| guard(None, || cookie::cookies_of_application(r)));
    // SAFETY: nginx's value; the bytes are the request's or in its pool.
    unsafe { variable::answer(value, cookies) };
    sys::OK
}

unsafe extern "C" fn sticky_from(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let place = unsafe { Request::from_ptr(r) }
        .and_then(|r| guard(None, || r.pool()?.copy(&origin::place(r)?)));
    // SAFETY: nginx's value; the text is in the request's pool.
    unsafe { variable::answer(value, place) };
    sys::OK
}

unsafe extern "C" fn sticky_known(
    r: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a live request.
    let is_known =
        unsafe { Request::from_ptr(r) }.and_then(|r| guard(None, || origin::is_known(r)));
    let known = is_known.map(|known| if known { &b"1"[..] } else { b"0" });
    // SAFETY: nginx's value; the bytes are static.
    unsafe { variable::answer(value, known) };
    sys::OK
}
