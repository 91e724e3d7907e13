//! The session of a request, in each mode, and the server that holds it.
//!
//! Of several ids the first one decides that has a live session whose server can be used, else
//! the first one with a live session, else the first (`core/candidates.rs`). Whether a server can be
//! used is asked when it is to be taken, which tells it anyway; so the functions `by_…` choose as if
//! all could, and [`another`] chooses anew when that one cannot.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::ControlFlow;

use sticky_core::candidates::{Candidates, Standing};
use sticky_core::directive::{CookieRule, QueryRule, RewriteRule};
use sticky_core::events::Status;
use sticky_core::http::cookie;
use sticky_core::table::{Asked, Held, Key, PeerId};

use crate::config::peer_index::{IndexView, Peer, PeerIndex};
use crate::config::types::Rule;
use crate::ngx::request::Request;
use crate::zone::sessions::Sessions;

use super::context::RequestContext;
use super::session_id;
use super::usable;

/// The session that a request asks for.
pub struct RequestSession<'r> {
    /// Value of `$sticky_status` so far.
    pub status: Status,
    /// The key of the request's session id.
    pub request_key: Option<Key>,
    /// That id, decoded; in `mode=cookie` what the application has in the cookie that names the
    /// peer (`transfer`), with the delimiter in front. Empty: nothing.
    pub carried: &'r [u8],
    /// The peer that holds its session.
    pub holder: Option<PeerId>,
    /// That peer, where it is known already and stays as it is.
    pub found: Option<&'r Peer>,
    /// How it is held, where it is in the session table.
    pub held: Option<Held>,
}

impl<'r> RequestSession<'r> {
    /// The request has no session, or an unknown one.
    #[inline(always)]
    pub fn without_session(status: Status) -> Self {
        Self {
            status,
            request_key: None,
            carried: &[],
            holder: None,
            found: None,
            held: None,
        }
    }

    /// What the table has for an id.
    #[inline(always)]
    fn of_key(key: Key, id: &'r [u8], asked: Asked) -> Self {
        let (status, held) = match asked {
            Asked::Unknown => (Status::Miss, None),
            Asked::Expired => (Status::Expired, None),
            Asked::Live(held) | Asked::Due(held) => (Status::Hit, Some(held)),
        };
        Self {
            status,
            request_key: Some(key),
            carried: id,
            holder: held.map(Held::peer),
            found: None,
            held,
        }
    }

    /// The session of a request that names its peer, which `named` finds in the index.
    #[inline(always)]
    fn of_peer(
        known: &IndexView<'r>,
        named: impl for<'d> Fn(&'d PeerIndex) -> Option<&'d Peer>,
    ) -> Self {
        let (holder, found) = match known {
            IndexView::Fixed(index) => {
                let found = named(index);
                (found.map(|peer| peer.id), found)
            }
            IndexView::Now(index) => (named(index).map(|peer| peer.id), None),
        };
        match holder {
            Some(_) => Self {
                holder,
                found,
                ..Self::without_session(Status::Hit)
            },
            None => Self::without_session(Status::Miss),
        }
    }
}

/// Whether a request has no cookie, or only the one of `mode=cookie` that names a server of a fixed
/// index. `None`: there is more to look at.
#[inline(always)]
pub fn by_only_cookie<'r>(
    r: Request<'r>,
    rule: &CookieRule,
    index: &'r PeerIndex<'r>,
) -> Option<RequestSession<'r>> {
    let mut headers = r.cookies();
    let Some(header) = headers.next() else {
        return Some(RequestSession::without_session(Status::None));
    };
    // One of `transfer` may have the application's part behind the value.
    if rule.transfer || headers.next().is_some() {
        return None;
    }
    let found = index.by_value(cookie::value_alone(header, &rule.name)?)?;
    Some(RequestSession {
        holder: Some(found.id),
        found: Some(found),
        ..RequestSession::without_session(Status::Hit)
    })
}

/// Finds it by the cookie of `mode=cookie`.
pub fn by_cookie<'r>(
    r: Request<'r>,
    rule: &CookieRule,
    known: &IndexView<'r>,
) -> RequestSession<'r> {
    let Some(cookie) = cookie::find(r.cookies(), &rule.name) else {
        return RequestSession::without_session(Status::None);
    };
    let session = of_cookie(cookie, rule, known);
    if session.holder.is_none() {
        return by_any_cookie(r, rule, known, |_| true)
            .unwrap_or_else(|| RequestSession::without_session(Status::Miss));
    }
    session
}

#[inline(always)]
fn of_cookie<'r>(cookie: &'r [u8], rule: &CookieRule, known: &IndexView<'r>) -> RequestSession<'r> {
    if !rule.transfer {
        return RequestSession::of_peer(known, |index| index.by_value(cookie));
    }
    let end = Cell::new(None);
    let session = RequestSession::of_peer(known, |index| {
        let (peer, length) = by_route(cookie, rule, index)?;
        end.set(Some(length));
        Some(peer)
    });
    // Without a known server, the application's part begins at the first delimiter.
    let first = || rule.routes(cookie).next().map(<[u8]>::len);
    let end = end.get().or_else(first).unwrap_or(cookie.len());
    RequestSession {
        carried: cookie.get(end..).unwrap_or_default(),
        ..session
    }
}

#[cold]
fn by_any_cookie<'r>(
    r: Request<'r>,
    rule: &CookieRule,
    known: &IndexView<'r>,
    is_usable: impl Fn(PeerId) -> bool,
) -> Option<RequestSession<'r>> {
    let mut candidates = Candidates::none();
    // How far it has gone does not matter.
    let _ = cookie::values_of(r.cookies(), &rule.name).try_for_each(|cookie| {
        candidates.offer(cookie, || {
            judged(of_cookie(cookie, rule, known), &is_usable)
        })
    });
    candidates.decided()
}

/// What is known of a candidate, with its session.
fn judged(
    session: RequestSession<'_>,
    is_usable: impl Fn(PeerId) -> bool,
) -> (Standing, RequestSession<'_>) {
    let standing = match session.holder {
        None => Standing::Unknown,
        Some(holder) if is_usable(holder) => Standing::Usable,
        Some(_) => Standing::Unusable,
    };
    (standing, session)
}

/// Finds the peer whose value is followed by the application's part in the cookie, and the length
/// of that value.
#[inline(never)]
fn by_route<'d>(
    cookie: &[u8],
    rule: &CookieRule,
    index: &'d PeerIndex<'_>,
) -> Option<(&'d Peer, usize)> {
    let mut routes = rule.routes(cookie);
    routes.find_map(|route| Some((index.by_value(route)?, route.len())))
}

/// Finds it by the parameter that `mode=rewrite` has put into a link or a form.
pub fn by_value<'r>(
    r: Request<'r>,
    rule: &RewriteRule,
    known: &IndexView<'r>,
) -> RequestSession<'r> {
    by_any_value(r, rule, known, |_| true)
        .unwrap_or_else(|| RequestSession::without_session(Status::None))
}

fn by_any_value<'r>(
    r: Request<'r>,
    rule: &RewriteRule,
    known: &IndexView<'r>,
    is_usable: impl Fn(PeerId) -> bool,
) -> Option<RequestSession<'r>> {
    let mut candidates = Candidates::none();
    let _ = session_id::visit_server_values(r, &rule.names, &mut |value: Cow<'r, [u8]>| {
        let session = RequestSession::of_peer(known, |index| index.by_value(&value));
        candidates.offer(value, || judged(session, &is_usable))
    });
    candidates.decided()
}

/// Finds it in the session table, by all ids of the request, as if its server could be used. It is
/// not in use by that.
pub fn by_any_id<'r>(
    r: Request<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
) -> RequestSession<'r> {
    by_best_id(r, rule, sessions, &|_| Standing::Usable)
}

fn by_best_id<'r>(
    r: Request<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    standing_of: &dyn Fn(PeerId) -> Standing,
) -> RequestSession<'r> {
    let mut candidates = Candidates::none();
    let _ = session_id::visit(r, rule, &mut |id| {
        let Some(key) = sessions.key(&id) else {
            return ControlFlow::Break(());
        };
        candidates.offer(key, || {
            let session = RequestSession::of_key(key, &[], sessions.ask(key, &sessions.limits()));
            let standing = session.holder.map_or(Standing::Unknown, standing_of);
            (standing, (session, id))
        })
    });
    let Some((session, id)) = candidates.decided() else {
        return RequestSession::without_session(Status::None);
    };
    match session_id::kept(r, id) {
        Some(carried) => RequestSession { carried, ..session },
        None => RequestSession::without_session(Status::None),
    }
}

/// The server of the session that was chosen cannot be used: another session of the request whose
/// server can be. If it `is_foreign`, it counts as none, and any other session decides.
#[cold]
pub fn another<'r>(context: &RequestContext<'r>, is_foreign: bool) -> Option<RequestSession<'r>> {
    let index = context.peer_index();
    let (r, sticky) = (context.request, context.sticky);
    let is_usable = |holder| usable::is_usable(sticky, &index, context.peers, holder);
    let session = match &sticky.rule {
        Rule::Query(rule, sessions, _) => {
            let standing_of = |holder| match index.by_number(holder) {
                Some(_) if is_usable(holder) => Standing::Usable,
                None if context.is_foreign(holder) => Standing::Unknown,
                _ => Standing::Unusable,
            };
            let session = by_best_id(r, rule, sessions, &standing_of);
            let standing = session.holder.map_or(Standing::Unknown, standing_of);
            let decides = match standing {
                Standing::Usable => true,
                Standing::Unusable => is_foreign,
                Standing::Unknown => false,
            };
            return decides.then_some(session);
        }
        Rule::Cookie(rule, _) => by_any_cookie(r, rule, &index, is_usable)?,
        Rule::Rewrite(rule) => by_any_value(r, rule, &index, is_usable)?,
        Rule::Discover(_) | Rule::NginxForm(_) => return None,
    };
    let is_usable = |holder| usable::is_usable(sticky, &index, context.peers, holder);
    session.holder.is_some_and(is_usable).then_some(session)
}
