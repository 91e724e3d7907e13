//! The session of a request, in each mode, and the server that holds it.

use sticky_core::directive::{CookieRule, QueryRule, RewriteRule};
use sticky_core::http::cookie;
use sticky_core::table::{Key, LookUp, PeerId};

use crate::config::peer_index::{IndexView, Peer, PeerIndex};
use crate::ngx::request::Request;
use crate::zone::sessions::Sessions;

use super::session_id;
use super::status::Status;

/// The session that a request asks for.
pub struct RequestSession<'r> {
    /// Value of `$sticky_status` so far.
    pub status: Status,
    /// The key of the request's session id.
    pub request_key: Option<Key>,
    /// That id, decoded; empty when there is none.
    pub request_id: &'r [u8],
    /// The peer that holds its session.
    pub holder: Option<PeerId>,
    /// That peer, where it is known already and stays as it is.
    pub found: Option<&'r Peer>,
}

impl<'r> RequestSession<'r> {
    /// The request has no session, or an unknown one.
    pub fn without_session(status: Status) -> Self {
        Self {
            status,
            request_key: None,
            request_id: &[],
            holder: None,
            found: None,
        }
    }

    /// The session of a request that names its peer, which `named` finds in the index.
    #[inline]
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

/// Finds it by the cookie of `mode=cookie`.
pub fn by_cookie<'r>(
    r: Request<'r>,
    rule: &CookieRule,
    known: &IndexView<'r>,
) -> RequestSession<'r> {
    let Some(cookie) = cookie::find(r.cookies(), &rule.name) else {
        return RequestSession::without_session(Status::None);
    };
    if rule.transfer {
        RequestSession::of_peer(known, |index| by_route(cookie, rule, index))
    } else {
        RequestSession::of_peer(known, |index| index.by_value(cookie))
    }
}

/// Finds the peer whose value is followed by the application's part in the cookie.
#[inline(never)]
fn by_route<'d>(cookie: &[u8], rule: &CookieRule, index: &'d PeerIndex) -> Option<&'d Peer> {
    let mut routes = rule.routes(cookie);
    routes.find_map(|route| index.by_value(route))
}

/// Finds it by the parameter that `mode=rewrite` has put into a link or a form.
pub fn by_value<'r>(
    r: Request<'r>,
    rule: &RewriteRule,
    known: &IndexView<'r>,
) -> RequestSession<'r> {
    let Some(value) = session_id::server_value(r, &rule.names) else {
        return RequestSession::without_session(Status::None);
    };
    RequestSession::of_peer(known, |index| index.by_value(value))
}

/// Finds it in the session table, by the id of the request.
pub fn by_id<'r>(rule: &QueryRule, sessions: &Sessions<'_>, id: &'r [u8]) -> RequestSession<'r> {
    let Some(key) = sessions.key(id) else {
        return RequestSession::without_session(Status::Miss);
    };
    let (status, holder) = match sessions.look_up_and_touch(key, &rule.limits) {
        LookUp::Unknown => (Status::Miss, None),
        LookUp::Expired => (Status::Expired, None),
        LookUp::Found(session) => (Status::Hit, Some(session.peer)),
    };
    RequestSession {
        status,
        request_key: Some(key),
        request_id: id,
        holder,
        found: None,
    }
}
