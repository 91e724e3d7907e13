//! nginx's types and functions: those of nginx-sys, but for the request, whose bit-fields nginx-sys
//! places wrongly for some versions (see build.rs).

pub use nginx_sys::*;

pub use bound::ngx_http_request_s;

#[allow(
    clippy::all,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    unused_imports,
    unsafe_op_in_unsafe_fn
)]
mod bound {
    include!(concat!(env!("OUT_DIR"), "/request.rs"));
}

/// The pointer type that nginx-sys' functions take.
pub type RequestPtr = *mut nginx_sys::ngx_http_request_t;

/// A return code as `ngx_int_t`.
pub const OK: ngx_int_t = NGX_OK as ngx_int_t;
/// See [`OK`].
pub const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;
/// See [`OK`].
pub const AGAIN: ngx_int_t = NGX_AGAIN as ngx_int_t;
/// See [`OK`].
pub const BUSY: ngx_int_t = NGX_BUSY as ngx_int_t;
/// See [`OK`].
pub const DECLINED: ngx_int_t = NGX_DECLINED as ngx_int_t;
/// See [`OK`].
pub const DONE: ngx_int_t = NGX_DONE as ngx_int_t;

/// The bytes of an nginx string; empty when it has none.
///
/// # Safety
/// `s` is a string as nginx makes them: `data` is NULL or points to `len` bytes that stay valid and
/// unchanged for `'a`.
pub unsafe fn bytes<'a>(s: ngx_str_t) -> &'a [u8] {
    if s.data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise; no bytes may be anywhere but at NULL.
    unsafe { std::slice::from_raw_parts(s.data, s.len) }
}

/// An nginx string over bytes that outlive its use.
pub fn string(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t {
        len: bytes.len(),
        data: bytes.as_ptr().cast_mut(),
    }
}
