//! The value of a variable that a module defines.

use super::sys;

/// Fills in the value of a variable; with `None` it is not found.
///
/// # Safety
/// `value` is what nginx passed to a variable's get_handler, `bytes` live as long as the request.
pub unsafe fn answer(value: *mut sys::ngx_variable_value_t, bytes: Option<&[u8]>) {
    // SAFETY: ngx_http_get_indexed_variable() and ngx_http_get_variable() pass a value to be
    // filled.
    let value = unsafe { &mut *value };
    value.set_no_cacheable(1);
    value.set_escape(0);
    match bytes {
        Some(bytes) => {
            value.set_valid(1);
            value.set_not_found(0);
            value.set_len(bytes.len() as u32);
            value.data = bytes.as_ptr().cast_mut();
        }
        None => {
            value.set_valid(0);
            value.set_not_found(1);
        }
    }
}
