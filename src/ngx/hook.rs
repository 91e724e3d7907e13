//! The place of a module among the balancers of an upstream.
//!
//! nginx initialises an upstream in two steps: `init_upstream` once, `init_peer` for each request.
//! A balancer sets the first, which sets the second; `keepalive` wraps both. A module that steers
//! must stand directly around the balancer and beneath keepalive, wherever its directive was
//! written: below_keepalive() takes that place before keepalive does, outermost() takes the outermost place
//! when the configuration is complete, and the first of them to be initialised gets the peer.

use std::cell::Cell;
#[cfg(nginx_since = "1.29.6")]
use std::os::raw::c_char;

#[cfg(nginx_since = "1.29.6")]
use ngx::core::NGX_CONF_OK;

use super::guard::guard;
use super::request::Request;
use super::sys;
use super::upstream::Upstream;

/// The callbacks that were there before.
#[derive(Default)]
pub struct Hook {
    below_keepalive: Cell<sys::ngx_http_upstream_init_pt>,
    is_below_keepalive: Cell<bool>,
    outermost: Cell<sys::ngx_http_upstream_init_pt>,
    init_peer: Cell<sys::ngx_http_upstream_init_peer_pt>,
    is_hooked: Cell<bool>,
    #[cfg(nginx_since = "1.29.6")]
    built_in: Cell<sys::ngx_http_upstream_init_pt>,
    #[cfg(nginx_since = "1.29.6")]
    without: Cell<sys::ngx_http_upstream_init_pt>,
}

/// What is done with the requests of an upstream.
pub trait Policy {
    /// The hook of this upstream.
    fn hook<'c>(us: Upstream<'c>) -> Option<&'c Hook>;
    /// The upstream's requests are to be decided on.
    fn is_wanted(us: Upstream<'_>) -> bool;
    /// Called for each request, after the balancer was initialised for it.
    fn decide(r: Request<'_>, us: Upstream<'_>);
}

/// Takes the place above the balancer, if there is one by now, and below whatever comes next.
pub fn below_keepalive<P: Policy>(us: Upstream<'_>) {
    let Some(hook) = P::hook(us) else { return };
    if hook.is_below_keepalive.replace(true) {
        return;
    }
    // SAFETY: the configuration is being read, in one thread.
    let peer = unsafe { &mut (*us.as_ptr()).peer };
    hook.below_keepalive.set(peer.init_upstream);
    peer.init_upstream = Some(init_below_keepalive::<P>);
}

/// Lets nginx's own directive, which `set` hands the words on to, take its place, for the upstreams
/// whose requests are not to be decided on by us: that is known when the block has been read.
#[cfg(nginx_since = "1.29.6")]
pub fn beside_built_in<P: Policy>(
    us: Upstream<'_>,
    set: impl FnOnce() -> *mut c_char,
) -> Result<(), *mut c_char> {
    // SAFETY: as in below_keepalive(); no reference is held, for set() changes the structure.
    let (peer, without) = unsafe {
        let peer = &raw mut (*us.as_ptr()).peer;
        (peer, (*peer).init_upstream)
    };
    let code = set();
    if code != NGX_CONF_OK {
        return Err(code);
    }
    if let Some(hook) = P::hook(us) {
        hook.without.set(without);
        // SAFETY: as above.
        unsafe {
            hook.built_in.set((*peer).init_upstream);
            (*peer).init_upstream = Some(init_either::<P>);
        }
    }
    Ok(())
}

#[cfg(nginx_since = "1.29.6")]
unsafe extern "C" fn init_either<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_init_main_conf() passes a live upstream.
    let Some(upstream) = (unsafe { Upstream::from_ptr(us) }) else {
        return sys::ERROR;
    };
    let Some(hook) = P::hook(upstream) else {
        return sys::ERROR;
    };
    let chosen = guard(None, || {
        if P::is_wanted(upstream) {
            hook.without.get()
        } else {
            hook.built_in.get()
        }
    });
    let init = chosen.unwrap_or(sys::ngx_http_upstream_init_round_robin);
    // SAFETY: nginx's arguments, passed on.
    unsafe { init(cf, us) }
}

/// Takes the outermost place. To be called before ngx_http_upstream_init_main_conf().
pub fn outermost<P: Policy>(us: Upstream<'_>) {
    let Some(hook) = P::hook(us) else { return };
    // SAFETY: as in below_keepalive().
    let peer = unsafe { &mut (*us.as_ptr()).peer };
    hook.outermost.set(peer.init_upstream);
    peer.init_upstream = Some(init_outermost::<P>);
}

/// nginx will ask us for each request of the upstream.
pub fn is_hooked<P: Policy>(us: Upstream<'_>) -> bool {
    P::hook(us).is_some_and(|hook| hook.is_hooked.get())
}

/// Calls the saved callback, then hooks the peer if that has not happened further inside.
///
/// # Safety
/// `cf` and `us` are those that nginx passed to init_upstream.
unsafe fn init<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
    saved: impl FnOnce(&Hook) -> sys::ngx_http_upstream_init_pt,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_init_main_conf() passes a live upstream; a module that wraps passes
    // on what it got.
    unsafe {
        let Some(upstream) = Upstream::from_ptr(us) else {
            return sys::ERROR;
        };
        let Some(hook) = P::hook(upstream) else {
            return sys::ERROR;
        };
        let original = saved(hook).unwrap_or(sys::ngx_http_upstream_init_round_robin);
        let code = original(cf, us);
        if code == sys::OK && P::is_wanted(upstream) && !hook.is_hooked.replace(true) {
            hook.init_peer.set((*us).peer.init);
            (*us).peer.init = Some(init_peer::<P>);
        }
        code
    }
}

unsafe extern "C" fn init_below_keepalive<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: nginx's arguments, passed on.
    guard(sys::ERROR, || unsafe {
        init::<P>(cf, us, |hook| hook.below_keepalive.get())
    })
}

unsafe extern "C" fn init_outermost<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: nginx's arguments, passed on.
    guard(sys::ERROR, || unsafe {
        init::<P>(cf, us, |hook| hook.outermost.get())
    })
}

unsafe extern "C" fn init_peer<P: Policy>(
    r: sys::RequestPtr,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_init_request() passes a live request and upstream.
    let (request, upstream) = unsafe { (Request::from_ptr(r), Upstream::from_ptr(us)) };
    let (Some(request), Some(upstream)) = (request, upstream) else {
        return sys::ERROR;
    };
    let Some(original) = P::hook(upstream).and_then(|hook| hook.init_peer.get()) else {
        return sys::ERROR;
    };
    // SAFETY: the balancer's own callback.
    let code = unsafe { original(r, us) };
    if code == sys::OK {
        guard((), || P::decide(request, upstream));
    }
    code
}
