//! Which hosts belong to the site. An id in a link to any other host is not one of its sessions.

use std::sync::Arc;

use super::link::{self, Target};
use super::name::unescaped;

/// The hosts of a site: the request's own, and those of `hosts=`.
///
/// ```
/// use sticky_core::url::Site;
///
/// let site = Site::new(b"shop.example:8443", &[b"*.cdn.example"[..].into()]);
/// assert!(site.has_host(b"SHOP.example"));
/// assert!(site.has_host(b"img.cdn.example"));
/// assert!(!site.has_host(b"cdn.example"));
/// ```
#[derive(Debug, Clone)]
pub struct Site {
    host: Arc<[u8]>,
    others: Arc<[Box<[u8]>]>,
    relative_is_own: bool,
    /// The path of the page, or of its base, where that matters.
    path: Box<[u8]>,
}

impl Site {
    /// `host` is that of the request (Host or `:authority`), with or without a port. `hosts` are
    /// patterns as in nginx's `server_name`: `a.example`, `.example.com` (the name and all below
    /// it), `*.example.com` (only what is below it). Ports do not count: all ports lead to the same
    /// servers behind the balancer.
    pub fn new(host: &[u8], hosts: &[Box<[u8]>]) -> Self {
        let host = host_of(host.trim_ascii()).unwrap_or_default();
        let others = hosts.iter().map(|host| without_dot(host).into()).collect();
        Self {
            host: without_dot(host).into(),
            others,
            relative_is_own: true,
            path: Box::default(),
        }
    }

    /// Whether it is that of a request to this host, as [`new`](Self::new) takes it: a quick look, which
    /// does not know all ways to write a host.
    pub(crate) fn is_of(&self, host: &[u8]) -> bool {
        *self.host == *host
    }

    /// Whether it is a clone of that one: a quick look.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.host, &other.host)
            && Arc::ptr_eq(&self.others, &other.others)
            && self.path.is_empty()
            && other.path.is_empty()
            && self.relative_is_own
            && other.relative_is_own
    }

    /// The same for a page at this path, as the client has sent it: relative links lead from there.
    pub fn at(mut self, path: &[u8]) -> Self {
        self.path = path.into();
        self
    }

    /// Whether relative links lead to it.
    #[inline]
    pub(super) fn has_relative(&self) -> bool {
        self.relative_is_own
    }

    /// That path.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Takes the page's `<base href>`, trimmed or not. From then on, relative links lead where it
    /// leads. One without a host, with a port that is not valid, or of `data:` or `javascript:`
    /// does not count (HTML Standard, 4.2.3, "set the frozen base URL"). One that may not count,
    /// depending on the scheme of the page or on the browser, leads elsewhere.
    pub fn rebase(&mut self, href: &[u8]) {
        let href = link::without_breaks(link::trimmed(href));
        let (target, parts) = link::split(&href);
        let counts = match &target {
            Target::Relative => true,
            Target::Authority(authority) => !host_in(authority).is_empty(),
            Target::Elsewhere => !link::is_inline(&href),
        };
        if !counts {
            return;
        }
        self.relative_is_own = self.is_own_target(&target);
        if !parts.path.is_empty() {
            self.path = link::resolved(parts.path, &self.path).into();
        } else if target != Target::Relative {
            self.path = Box::default();
        }
    }

    /// Whether a host name, without a port, belongs to the site. ASCII case and a dot at the end do
    /// not count. Names are compared as text: `[::1]` is not `[0:0::1]`, and no IDNA mapping is
    /// done.
    pub fn has_host(&self, host: &[u8]) -> bool {
        let host = without_dot(host);
        !host.is_empty()
            && (host.eq_ignore_ascii_case(&self.host)
                || self.others.iter().any(|pattern| matches(pattern, host)))
    }

    /// Whether a reference leads to the site.
    pub(crate) fn owns(&self, link: &[u8]) -> bool {
        let link = link::without_breaks(link::trimmed(link));
        self.is_own_target(&link::split(&link).0)
    }

    /// The parts of a reference without line breaks, if it leads to the site.
    #[inline]
    pub(super) fn own<'a>(&self, link: &'a [u8]) -> Option<link::PathAndQuery<'a>> {
        match link::split_plain(link) {
            Some(parts) if self.relative_is_own => Some(parts),
            _ => self.own_of_any_kind(link),
        }
    }

    #[inline(never)]
    fn own_of_any_kind<'a>(&self, link: &'a [u8]) -> Option<link::PathAndQuery<'a>> {
        let (target, parts) = link::split(link);
        self.is_own_target(&target).then_some(parts)
    }

    fn is_own_target(&self, target: &Target<'_>) -> bool {
        match target {
            Target::Relative => self.relative_is_own,
            Target::Elsewhere => false,
            Target::Authority(authority) => self.has_host(&unescaped(host_in(authority))),
        }
    }
}

/// The host of an authority; empty if it is not valid.
fn host_in(authority: &[u8]) -> &[u8] {
    let from = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    authority.get(from..).and_then(host_of).unwrap_or_default()
}

/// The host of `host:port`. `None`: the port is not valid, and no browser follows the link.
fn host_of(authority: &[u8]) -> Option<&[u8]> {
    let end = match authority.first() {
        Some(b'[') => memchr::memchr(b']', authority)? + 1,
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = match port.split_first() {
        None => true,
        Some((b':', [])) => true,
        Some((b':', digits)) => {
            digits.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(digits).is_ok_and(|port| port.parse::<u16>().is_ok())
        }
        Some(_) => false,
    };
    is_port.then_some(host)
}

fn without_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}

fn matches(pattern: &[u8], host: &[u8]) -> bool {
    let (below, also_itself) = match pattern {
        [b'*', below @ ..] if below.starts_with(b".") => (below, false),
        [b'.', ..] => (pattern, true),
        _ => return pattern.eq_ignore_ascii_case(host),
    };
    let ends_with = |tail: &[u8]| {
        let at = host.len().checked_sub(tail.len());
        at.and_then(|at| host.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(tail))
    };
    (host.len() > below.len() && ends_with(below))
        || (also_itself
            && below
                .get(1..)
                .is_some_and(|name| name.eq_ignore_ascii_case(host)))
}
