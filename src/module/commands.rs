//! The directives, and their handlers.

use std::ffi::CStr;
use std::os::raw::{c_char, c_void};
use std::ptr;

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};

use crate::config::cluster::ClusterRefusal;
use crate::config::error::Refusal;
use crate::config::types::{LocationConf, UpstreamConf};
use crate::config::{directives, status_page};
use crate::ngx::conf::Conf;
use crate::ngx::guard::guard;
use crate::ngx::hook;
use crate::ngx::sys::{self, ngx_command_t, ngx_conf_t};

use super::{answer_operator, tag, NginxTable, Steering};

const fn command(
    name: &'static CStr,
    kind: u32,
    set: unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char,
    conf: usize,
) -> ngx_command_t {
    ngx_command_t {
        // ngx_conf_handler() compares with strcmp().
        name: sys::ngx_str_t {
            len: name.count_bytes(),
            data: name.as_ptr().cast_mut().cast(),
        },
        type_: kind as sys::ngx_uint_t,
        set: Some(set),
        conf,
        offset: 0,
        post: ptr::null_mut(),
    }
}

const LOCATION: u32 = sys::NGX_HTTP_MAIN_CONF
    | sys::NGX_HTTP_SRV_CONF
    | sys::NGX_HTTP_LOC_CONF
    | sys::NGX_CONF_NOARGS;

/// Everywhere in `http`: a directive for upstreams is better refused by us than by nginx, which
/// says no more than that it is not allowed.
const ANYWHERE: u32 = sys::NGX_HTTP_UPS_CONF
    | sys::NGX_HTTP_MAIN_CONF
    | sys::NGX_HTTP_SRV_CONF
    | sys::NGX_HTTP_LOC_CONF
    | sys::NGX_HTTP_LIF_CONF
    | sys::NGX_HTTP_SIF_CONF
    | sys::NGX_HTTP_LMT_CONF;

pub(super) static COMMANDS: NginxTable<[ngx_command_t; 14]> = NginxTable::new([
    command(
        c"server",
        sys::NGX_HTTP_UPS_CONF | sys::NGX_CONF_1MORE,
        set_server,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"sticky",
        ANYWHERE | sys::NGX_CONF_ANY,
        set_sticky,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"keepalive",
        sys::NGX_HTTP_UPS_CONF | sys::NGX_CONF_ANY,
        set_keepalive,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"sticky_secret",
        ANYWHERE | sys::NGX_CONF_TAKE1,
        set_secret,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"sticky_strict",
        ANYWHERE | sys::NGX_CONF_TAKE1,
        set_strict,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"sticky_no_fallback",
        LOCATION,
        set_no_fallback,
        sys::NGX_HTTP_LOC_CONF_OFFSET,
    ),
    command(
        c"sticky_hide_cookie",
        LOCATION,
        set_hide_cookie,
        sys::NGX_HTTP_LOC_CONF_OFFSET,
    ),
    command(
        c"sticky_drain_on",
        sys::NGX_HTTP_MAIN_CONF
            | sys::NGX_HTTP_SRV_CONF
            | sys::NGX_HTTP_LOC_CONF
            | sys::NGX_HTTP_LIF_CONF
            | sys::NGX_CONF_TAKE1,
        set_drain_on,
        sys::NGX_HTTP_LOC_CONF_OFFSET,
    ),
    command(
        c"sticky_statsd",
        sys::NGX_HTTP_MAIN_CONF | sys::NGX_CONF_1MORE,
        set_statsd,
        sys::NGX_HTTP_MAIN_CONF_OFFSET,
    ),
    command(
        c"sticky_cluster",
        sys::NGX_HTTP_MAIN_CONF | sys::NGX_CONF_1MORE,
        set_cluster,
        sys::NGX_HTTP_MAIN_CONF_OFFSET,
    ),
    command(
        c"sticky_status",
        sys::NGX_HTTP_LOC_CONF | sys::NGX_CONF_ANY,
        set_status,
        sys::NGX_HTTP_LOC_CONF_OFFSET,
    ),
    command(
        c"fair",
        sys::NGX_HTTP_UPS_CONF | sys::NGX_CONF_ANY,
        set_fair,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    command(
        c"session_sticky",
        sys::NGX_HTTP_UPS_CONF | sys::NGX_CONF_ANY,
        set_session_sticky,
        sys::NGX_HTTP_SRV_CONF_OFFSET,
    ),
    ngx_command_t::empty(),
]);

unsafe extern "C" fn set_sticky(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle(cf, directives::sticky::<Steering>) }
}

/// Carries out a directive, or says what is wrong with it.
///
/// # Safety
/// ngx_conf_handler() has passed `cf`.
unsafe fn handle(
    cf: *mut ngx_conf_t,
    directive: impl FnOnce(Conf<'_>) -> Result<(), Refusal>,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() never passes a NULL cf.
    let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else {
        return NGX_CONF_ERROR;
    };
    guard(NGX_CONF_ERROR, || match directive(cf) {
        Ok(()) => NGX_CONF_OK,
        Err(why) => refuse(cf, &why),
    })
}

/// The same of a directive that may stand once in a block: it tells whether it does.
///
/// # Safety
/// ngx_conf_handler() has passed `cf`.
unsafe fn handle_once(
    cf: *mut ngx_conf_t,
    directive: impl FnOnce(Conf<'_>) -> Result<bool, Refusal>,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() never passes a NULL cf.
    let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else {
        return NGX_CONF_ERROR;
    };
    guard(NGX_CONF_ERROR, || match directive(cf) {
        Ok(true) => NGX_CONF_OK,
        Ok(false) => c"is duplicate".as_ptr().cast_mut(),
        Err(why) => refuse(cf, &why),
    })
}

pub(super) fn refuse(cf: Conf<'_>, why: &Refusal) -> *mut c_char {
    match why {
        Refusal::Reported => {}
        Refusal::Passed(code) => return *code,
        Refusal::Balancer { .. }
        | Refusal::SharedName { .. }
        | Refusal::NotSticky { .. }
        | Refusal::Cluster(ClusterRefusal::Later { .. }) => {
            cf.refuse_elsewhere(format_args!("{why}"))
        }
        _ => cf.refuse(format_args!("{why}")),
    }
    NGX_CONF_ERROR
}

unsafe extern "C" fn set_fair(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle(cf, directives::fair) }
}

unsafe extern "C" fn set_session_sticky(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle(cf, directives::session_sticky) }
}

unsafe extern "C" fn set_server(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle(cf, directives::server) }
}

unsafe extern "C" fn set_secret(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle_once(cf, directives::secret) }
}

unsafe extern "C" fn set_strict(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() never passes a NULL cf. For NGX_HTTP_SRV_CONF_OFFSET it passes
    // what create_srv_conf() has made.
    let (Some(cf), conf) = (unsafe { (Conf::from_ptr(cf), &*conf.cast::<UpstreamConf<'_>>()) })
    else {
        return NGX_CONF_ERROR;
    };
    guard(NGX_CONF_ERROR, || {
        if !cf.is_in_upstream() {
            return refuse(cf, &Refusal::Outside("sticky_strict"));
        }
        let words = cf.words();
        let word = words.first().copied().unwrap_or_default();
        // As ngx_conf_set_flag_slot().
        let is_on = if word.eq_ignore_ascii_case(b"on") {
            true
        } else if word.eq_ignore_ascii_case(b"off") {
            false
        } else {
            cf.refuse(format_args!(
                "invalid value \"{}\" in \"sticky_strict\" directive, it must be \"on\" or \"off\"",
                word.escape_ascii()
            ));
            return NGX_CONF_ERROR;
        };
        if let Err(why) = directives::show(cf, conf, b"sticky_strict") {
            return refuse(cf, &why);
        }
        match conf.strict.replace(Some(is_on)) {
            None => NGX_CONF_OK,
            Some(_) => c"is duplicate".as_ptr().cast_mut(),
        }
    })
}

unsafe extern "C" fn set_keepalive(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() never passes a NULL cf.
    let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else {
        return NGX_CONF_ERROR;
    };
    guard(NGX_CONF_ERROR, || {
        if let Some(us) = cf.upstream() {
            hook::below_keepalive::<Steering>(us);
        }
        cf.pass_on(tag())
    })
}

unsafe extern "C" fn set_status(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: for NGX_HTTP_LOC_CONF_OFFSET, ngx_conf_handler() passes what create_loc_conf() has
    // made.
    let location = unsafe { &*conf.cast::<LocationConf>() };
    let set = |cf: Conf<'_>| {
        let is_first = status_page::set(cf, location)?;
        if is_first {
            if cf.has_other_handler(answer_operator) {
                cf.warn(format_args!("{}", status_page::REPLACES));
            }
            cf.set_handler(answer_operator);
        }
        Ok(is_first)
    };
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle_once(cf, set) }
}

unsafe extern "C" fn set_statsd(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle_once(cf, directives::statsd) }
}

unsafe extern "C" fn set_cluster(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle_once(cf, directives::cluster) }
}

unsafe extern "C" fn set_no_fallback(
    _: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: for NGX_HTTP_LOC_CONF_OFFSET, ngx_conf_handler() passes what create_loc_conf() has
    // made.
    unsafe { set_flag(&(*conf.cast::<LocationConf>()).no_fallback) }
}

unsafe extern "C" fn set_hide_cookie(
    _: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: for NGX_HTTP_LOC_CONF_OFFSET, ngx_conf_handler() passes what create_loc_conf() has
    // made.
    unsafe { set_flag(&(*conf.cast::<LocationConf>()).hide_cookie) }
}

unsafe extern "C" fn set_drain_on(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: for NGX_HTTP_LOC_CONF_OFFSET, ngx_conf_handler() passes what create_loc_conf() has
    // made.
    let location = unsafe { &*conf.cast::<LocationConf>() };
    // SAFETY: ngx_conf_handler() calls it.
    unsafe { handle_once(cf, |cf| directives::drain_on(cf, location)) }
}

fn set_flag(flag: &std::cell::Cell<Option<bool>>) -> *mut c_char {
    match flag.replace(Some(true)) {
        None => NGX_CONF_OK,
        Some(_) => c"is duplicate".as_ptr().cast_mut(),
    }
}
