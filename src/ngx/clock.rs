//! Time as nginx's event loop last saw it.

use super::sys;

/// Whole seconds of nginx's monotonic clock (`ngx_current_msec`): the same in all processes, not
/// set with the date, and begun before any zone was made.
pub fn monotonic_seconds() -> u64 {
    // SAFETY: a word that only ngx_time_update() of this process writes, in the same thread.
    unsafe { sys::ngx_current_msec as u64 / 1000 }
}

/// Seconds since 1970 (`ngx_time()`).
pub fn unix_seconds() -> i64 {
    sys::ngx_time() as i64
}

/// Milliseconds of the same monotonic clock as the system has them now. Also for other threads than
/// that of the event loop.
pub fn monotonic_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let rest = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(rest)
}
