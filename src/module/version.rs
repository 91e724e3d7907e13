//! The version of the module: in its file, in the log of its nginx, in `$sticky_version`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::ngx::cycle::Cycle;
use crate::ngx::log::Level;
use crate::ngx::process::{self, Role};
use crate::ngx::sys::{self, ngx_int_t};
use crate::ngx::variable;

/// Version of the module, such as `0.2.0`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The nginx that it is built for, such as `nginx/1.22.1`.
const BUILT_FOR: &str = env!("NGINX_BUILT_FOR");

// A line of its own, whatever stands before and behind it in the file.
const TEXT: &str = concat!(
    "\nngx_http_sticky_rs/",
    env!("CARGO_PKG_VERSION"),
    " for ",
    env!("NGINX_BUILT_FOR"),
    "\n\0"
);

/// Tells of a file which version it is and for which nginx, to whoever does not load it: `grep -a
/// ^ngx_http_sticky_rs/` and `strings` show this text, `objdump -T` its name.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static ngx_http_sticky_rs_version: [u8; TEXT.len()] = {
    let mut text = [0; TEXT.len()];
    text.copy_from_slice(TEXT.as_bytes());
    text
};

/// Says once in a process which version has been loaded: a reload keeps the file that is loaded.
/// `nginx -t` and the workers do not say it.
pub fn announce(cycle: Cycle<'_>) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);

    if process::is_test() || matches!(process::role(), Role::Worker(_) | Role::Other) {
        return;
    }
    let log = cycle.log().filter(|_| !IS_SAID.swap(true, Relaxed));
    if let Some(log) = log {
        log.write(
            Level::Notice,
            format_args!("sticky: module version {VERSION}, built for {BUILT_FOR}"),
        );
    }
}

/// `$sticky_version`.
pub unsafe extern "C" fn sticky_version(
    _: sys::RequestPtr,
    value: *mut sys::ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: nginx's value; the text is static.
    unsafe { variable::answer(value, Some(VERSION.as_bytes())) };
    sys::OK
}
