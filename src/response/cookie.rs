//! `mode=cookie`: the cookie that a response sets, and the application's part of it (`transfer`).

use std::borrow::Cow;

use sticky_core::directive::CookieRule;
use sticky_core::events::Skip;
use sticky_core::http::{cache_control, cookie};

use crate::config::cookie_variables::CookieVariables;
use crate::config::peer_index::{IndexView, Peer};
use crate::config::types::{LocationConf, MainConf};
use crate::ngx::header::Header;
use crate::ngx::request::Request;
use crate::request::context::RequestContext;

const SET_COOKIE: &[u8] = b"set-cookie";

/// The cookies of the request without those that name a server.
pub fn cookies_of_application(r: Request<'_>) -> Option<&[u8]> {
    let names = r.main_conf::<MainConf<'_>>()?.own_cookies.borrow();
    match cookie::without(r.cookies(), &names)? {
        Cow::Borrowed(cookies) => Some(cookies),
        Cow::Owned(cookies) => r.pool()?.copy(&cookies),
    }
}

/// Whether the response sets our cookie. That of a subrequest does not, nor does one that shared
/// caches may keep: they would hand the cookie out to all.
pub fn is_shown(r: Request<'_>, rule: &CookieRule) -> bool {
    is_wanted(r, rule) && !is_kept_by_caches(r, rule, false)
}

fn is_kept_by_caches(r: Request<'_>, rule: &CookieRule, has_hidden: bool) -> bool {
    let is_set_cookie = |header: Header<'_>| header.name().eq_ignore_ascii_case(SET_COOKIE);
    !rule.cacheable
        && cache_control::is_for_all(r.cache_control())
        && !has_hidden
        && !r.response_headers().any(is_set_cookie)
}

fn is_wanted(r: Request<'_>, rule: &CookieRule) -> bool {
    r.is_main()
        && !rule.hide_cookie
        && r.loc_conf::<LocationConf>()
            .is_none_or(|location| location.hide_cookie.get() != Some(true))
}

/// The cookie that a response of the peer called `name` gets, where that is always the same, and
/// certainly wanted. `None`: there is more to look at.
#[inline(always)]
pub fn line<'r>(
    r: Request<'r>,
    context: &RequestContext<'r>,
    rule: &CookieRule,
    name: &[u8],
) -> Option<&'r [u8]> {
    let index = context.sticky.fixed_index()?;
    let line = &*context.peer_to_show(index, name)?.set_cookie;
    let has_own = || r.has_response_header(|length| length == SET_COOKIE.len());
    let is_certain = !line.is_empty()
        && is_wanted(r, rule)
        && r.cache_control().next().is_none()
        && !has_own()
        && !context.sticky.is_dry_run;
    is_certain.then_some(line)
}

/// Adds the cookie to a response.
#[inline(always)]
pub fn add<'r>(r: Request<'r>, line: &'r [u8]) {
    // Out of memory: the response goes without the cookie, the next one sets it.
    let _ = r.push_response_header(b"Set-Cookie", line);
}

/// Replaces the server's cookies of that name by ours, as nginx-sticky-module-ng does. `name` is the
/// name of the peer that gives the response.
#[inline(never)]
pub fn set<'r>(
    r: Request<'r>,
    context: &RequestContext<'r>,
    rule: &CookieRule,
    variables: &CookieVariables<'r>,
    name: &[u8],
) {
    let known = context.peer_index();
    // A fixed index outlives the request, so that its text need not be copied.
    let (peer, line) = match &known {
        IndexView::Fixed(index) => {
            let peer = context.peer_to_show(index, name);
            (peer, peer.map(|peer| &*peer.set_cookie))
        }
        IndexView::Now(index) => (context.peer_to_show(index, name), None),
    };
    let Some(peer) = peer else { return };
    let mut theirs = None;
    for header in r.response_headers() {
        if !header.name().eq_ignore_ascii_case(SET_COOKIE) {
            continue;
        }
        if let Some(value) = cookie::value_set(header.value(), &rule.name) {
            theirs = Some(value);
            if !context.sticky.is_dry_run {
                header.hide();
            }
        }
    }
    if !is_wanted(r, rule) {
        return;
    }
    if is_kept_by_caches(r, rule, theirs.is_some()) {
        context.noted.skip(Skip::Shared);
        return;
    }
    if context.sticky.is_dry_run {
        return;
    }
    let line = line
        .filter(|line| !line.is_empty())
        .or_else(|| new_line(r, context, (rule, variables), peer, theirs));
    if let Some(line) = line {
        add(r, line);
    }
}

#[inline(never)]
fn new_line<'r>(
    r: Request<'r>,
    context: &RequestContext<'r>,
    (rule, variables): (&CookieRule, &CookieVariables<'r>),
    peer: &Peer,
    theirs: Option<&[u8]>,
) -> Option<&'r [u8]> {
    let (evaluated, mut cached);
    let attributes = if variables.is_empty() {
        cached = context.sticky.attributes.borrow_mut();
        cached.now(rule)
    } else {
        evaluated = variables.attributes(r, rule);
        &evaluated
    };
    let pool = r.pool()?;
    match theirs {
        _ if !rule.transfer => pool.concat(&[&peer.pair, attributes]),
        Some(theirs) => pool.concat(&[&peer.pair, &rule.delimiter, theirs, attributes]),
        // The client keeps the application's part that it has; it starts with the delimiter.
        None => pool.concat(&[&peer.pair, context.carried.get(), attributes]),
    }
}
