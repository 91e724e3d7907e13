//! A module's callbacks among those of an upstream's balancer.
//!
//! nginx initialises an upstream in two steps: `init_upstream` once, `init_peer` for each request.
//! A balancer sets the first, which sets the second; `keepalive` wraps both. A module that chooses
//! peers must wrap the balancer directly, below keepalive, wherever its directive was written:
//! below_keepalive() wraps before keepalive does, outermost() wraps everything when the
//! configuration is complete, and the innermost of them hooks `init_peer`.

use std::cell::Cell;
#[cfg(nginx_since = "1.29.6")]
use std::os::raw::c_char;

#[cfg(nginx_since = "1.29.6")]
use ngx::core::NGX_CONF_OK;

use super::guard::guard;
use super::owned::SrvConf;
use super::request::Request;
use super::sys;
use super::upstream::Upstream;

/// The upstream's own callbacks.
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

/// What a module does with the requests of an upstream.
pub trait Policy {
    /// What the module keeps for an upstream.
    type Conf<'c>: SrvConf + 'c;
    /// The hook of an upstream.
    fn hook<'a>(conf: &'a Self::Conf<'_>) -> &'a Hook;
    /// Whether [`decide`](Self::decide) is to be called for the upstream.
    fn is_wanted(us: Upstream<'_>) -> bool;
    /// Called for each request, after the balancer was initialised for it.
    fn decide<'r>(r: Request<'r>, us: Upstream<'r>, conf: &'r Self::Conf<'r>);
}

/// The hook of an upstream. `None`: it is no block.
fn hook_of<'c, P: Policy>(us: Upstream<'c>) -> Option<&'c Hook> {
    us.srv_conf::<P::Conf<'c>>().map(|conf| P::hook(conf))
}

/// Wraps the balancer, if there is one by now; what comes next wraps both.
pub fn below_keepalive<P: Policy>(us: Upstream<'_>) {
    let Some(hook) = hook_of::<P>(us) else { return };
    if hook.is_below_keepalive.replace(true) {
        return;
    }
    // SAFETY: ngx_http_upstream() has made the structure, and nobody else uses it meanwhile.
    let peer = unsafe { &mut (*us.as_ptr()).peer };
    hook.below_keepalive.set(peer.init_upstream);
    peer.init_upstream = Some(init_below_keepalive::<P>);
}

/// Lets nginx's own directive, to which `set` passes the words, wrap the balancer, for an upstream
/// that turns out not to be [wanted](Policy::is_wanted) when its block has been read.
#[cfg(nginx_since = "1.29.6")]
pub fn beside_built_in<P: Policy>(
    us: Upstream<'_>,
    set: impl FnOnce() -> *mut c_char,
) -> Result<(), *mut c_char> {
    // SAFETY: as in below_keepalive(). No reference is held, for set() changes the structure.
    let (peer, without) = unsafe {
        let peer = &raw mut (*us.as_ptr()).peer;
        (peer, (*peer).init_upstream)
    };
    let code = set();
    if code != NGX_CONF_OK {
        return Err(code);
    }
    if let Some(hook) = hook_of::<P>(us) {
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
    let Some(hook) = hook_of::<P>(upstream) else {
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
    // SAFETY: a callback of the upstream with nginx's arguments.
    unsafe { init(cf, us) }
}

/// Wraps everything. To be called before ngx_http_upstream_init_main_conf().
pub fn outermost<P: Policy>(us: Upstream<'_>) {
    let Some(hook) = hook_of::<P>(us) else { return };
    // SAFETY: ngx_http_upstream() or ngx_http_upstream_add() has made the structure, and nobody
    // else uses it meanwhile.
    let peer = unsafe { &mut (*us.as_ptr()).peer };
    hook.outermost.set(peer.init_upstream);
    peer.init_upstream = Some(init_outermost::<P>);
}

/// Whether [`Policy::decide`] will be called for each request of the upstream.
pub fn is_hooked<P: Policy>(us: Upstream<'_>) -> bool {
    hook_of::<P>(us).is_some_and(|hook| hook.is_hooked.get())
}

/// Calls the saved callback, then hooks `init_peer` if that has not happened further inside.
///
/// # Safety
/// `cf` and `us` are those that nginx passed to init_upstream.
unsafe fn init<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
    saved: impl FnOnce(&Hook) -> sys::ngx_http_upstream_init_pt,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_init_main_conf() passes a live upstream, and what wraps us passes
    // it on.
    let Some(upstream) = (unsafe { Upstream::from_ptr(us) }) else {
        return sys::ERROR;
    };
    let Some(hook) = hook_of::<P>(upstream) else {
        return sys::ERROR;
    };
    let original = saved(hook).unwrap_or(sys::ngx_http_upstream_init_round_robin);
    // SAFETY: a callback of the upstream with nginx's arguments.
    let code = unsafe { original(cf, us) };
    if code == sys::OK && P::is_wanted(upstream) && !hook.is_hooked.replace(true) {
        // SAFETY: as above; nobody else uses the structure meanwhile.
        let peer = unsafe { &mut (*us).peer };
        hook.init_peer.set(peer.init);
        peer.init = Some(init_peer::<P>);
    }
    code
}

unsafe extern "C" fn init_below_keepalive<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: the arguments of init_upstream.
    guard(sys::ERROR, || unsafe {
        init::<P>(cf, us, |hook| hook.below_keepalive.get())
    })
}

unsafe extern "C" fn init_outermost<P: Policy>(
    cf: *mut sys::ngx_conf_t,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: the arguments of init_upstream.
    guard(sys::ERROR, || unsafe {
        init::<P>(cf, us, |hook| hook.outermost.get())
    })
}

unsafe extern "C" fn init_peer<P: Policy>(
    r: sys::RequestPtr,
    us: *mut sys::ngx_http_upstream_srv_conf_t,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_init_request() passes a live request and upstream.
    let (request, upstream) = unsafe { (Request::of_callback(r), Upstream::of_callback(us)) };
    let Some(conf) = upstream.srv_conf::<P::Conf<'_>>() else {
        return sys::ERROR;
    };
    let Some(original) = P::hook(conf).init_peer.get() else {
        return sys::ERROR;
    };
    // SAFETY: the balancer's own callback with nginx's arguments.
    let code = unsafe { original(r, us) };
    if code == sys::OK {
        guard((), || P::decide(request, upstream, conf));
    }
    code
}
