//! `mode=cookie`: the cookie that a response sets, and what stands in it for the application.

use sticky_core::cookie;
use sticky_core::directive::CookieRule;

use crate::directory::{Directory, Known, Peer};
use crate::module;
use crate::ngx::clock;
use crate::ngx::request::Request;
use crate::upstream::Affinity;

/// The attributes of an upstream's cookies. They are the same in all of them but for the time, and
/// that for a second.
#[derive(Default)]
pub struct Attributes {
    text: Vec<u8>,
    expires: Option<i64>,
    is_written: bool,
}

impl Attributes {
    /// What follows the value in a cookie that is set now.
    fn now(&mut self, rule: &CookieRule) -> &[u8] {
        let expires = rule.expires.map(|seconds| {
            clock::unix_seconds().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))
        });
        if !self.is_written || self.expires != expires {
            self.text.clear();
            rule.attributes(expires).write(&mut self.text);
            self.expires = expires;
            self.is_written = true;
        }
        &self.text
    }
}

/// The client gets our cookie: of its own request, not of a subrequest.
pub fn is_shown(r: Request<'_>, rule: &CookieRule) -> bool {
    r.is_main()
        && !rule.hide_cookie
        && module::location_conf(r).is_none_or(|location| location.hide_cookie.get() != Some(true))
}

/// Replaces the server's cookies of that name by ours, as nginx-sticky-module-ng does. `name` is that
/// of the peer which gives the response.
pub fn set<'r>(r: Request<'r>, affinity: &Affinity<'r>, rule: &CookieRule, name: &[u8]) {
    let known = affinity.directory();
    // What stays as it is outlives the request, and need not be copied.
    let (peer, line) = match &known {
        Known::Fixed(directory) => {
            let peer = affinity.peer_to_show(directory, name);
            (peer, peer.map(|peer| &*peer.set_cookie))
        }
        Known::Now(directory) => (affinity.peer_to_show(directory, name), None),
    };
    let Some(peer) = peer else { return };
    let mut theirs = None;
    for header in r.response_headers() {
        if !header.name().eq_ignore_ascii_case(b"set-cookie") {
            continue;
        }
        if let Some(value) = cookie::value_set(header.value(), &rule.name) {
            theirs = Some(value);
            header.hide();
        }
    }
    if !is_shown(r, rule) {
        return;
    }
    let line = line
        .filter(|line| !line.is_empty())
        .or_else(|| new_line(r, affinity, rule, &known, peer, theirs));
    if let Some(line) = line {
        // Out of memory: the response goes without the cookie, the next one brings it.
        let _ = r.push_response_header(b"Set-Cookie", line);
    }
}

#[inline(never)]
fn new_line<'r>(
    r: Request<'r>,
    affinity: &Affinity<'r>,
    rule: &CookieRule,
    directory: &Directory,
    peer: &Peer,
    theirs: Option<&[u8]>,
) -> Option<&'r [u8]> {
    let mut attributes = affinity.sticky.attributes.borrow_mut();
    let attributes = attributes.now(rule);
    let pool = r.pool()?;
    match theirs {
        _ if !rule.transfer => pool.concat(&[&peer.pair, attributes]),
        Some(theirs) => pool.concat(&[&peer.pair, &rule.delimiter, theirs, attributes]),
        // The client keeps what the application gave it before; it starts with the delimiter.
        None => {
            let transferred = transferred(r, rule, directory);
            pool.concat(&[&peer.pair, transferred, attributes])
        }
    }
}

/// What the application has put behind the server's part of the request's cookie, with the
/// delimiter before it; empty without `transfer`, and for a request without the cookie.
fn transferred<'r>(r: Request<'r>, rule: &CookieRule, directory: &Directory) -> &'r [u8] {
    let Some(cookie) = cookie::find(r.cookies(), &rule.name) else {
        return &[];
    };
    let known = rule
        .routes(cookie)
        .find(|route| directory.by_value(route).is_some());
    // The server's part ends at the first delimiter where no server is known by it.
    let route = known.or_else(|| rule.routes(cookie).next());
    let end = route.map_or(cookie.len(), <[u8]>::len);
    cookie.get(end..).unwrap_or_default()
}
