//! Time as nginx's event loop last saw it.

use super::sys;

/// Whole seconds of nginx's monotonic clock (`ngx_current_msec`): the same in all processes, not
/// moved by a change of the date, and older than any zone.
pub fn monotonic_seconds() -> u64 {
    // SAFETY: a plain word that only this process' event loop writes (ngx_time_update()).
    unsafe { sys::ngx_current_msec as u64 / 1000 }
}

/// Seconds since 1970 (`ngx_time()`).
pub fn unix_seconds() -> i64 {
    sys::ngx_time() as i64
}
