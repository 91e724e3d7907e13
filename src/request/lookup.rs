//! What a request says of its session, in each of the modes: who holds it, if anybody does.

use sticky_core::directive::{CookieRule, QueryRule, RewriteRule};
use sticky_core::http::cookie;
use sticky_core::table::key::Key;
use sticky_core::table::word::PeerId;
use sticky_core::table::LookUp;

use crate::config::peer_index::{IndexView, Peer, PeerIndex};
use crate::ngx::request::Request;
use crate::zone::sessions::Sessions;

use super::session_id;
use super::status::Status;

/// What a request says of its session.
pub struct RequestSession<'r> {
    /// What `$sticky_status` says so far.
    pub status: Status,
    /// The key of the id that it carries.
    pub request_key: Option<Key>,
    /// That id, decoded; empty when there is none.
    pub request_id: &'r [u8],
    /// The peer that holds its session.
    pub holder: Option<PeerId>,
    /// That peer, where it is known already and stays as it is.
    pub found: Option<&'r Peer>,
}

impl<'r> RequestSession<'r> {
    /// The request has no session, or one that nobody knows.
    pub fn without_session(status: Status) -> Self {
        Self {
            status,
            request_key: None,
            request_id: &[],
            holder: None,
            found: None,
        }
    }

    /// The peer that a request names, as `named` has it from the upstream's peers.
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

/// By the cookie that a response has set.
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

/// By what the application's part follows in the cookie.
#[inline(never)]
fn by_route<'d>(cookie: &[u8], rule: &CookieRule, index: &'d PeerIndex) -> Option<&'d Peer> {
    let mut routes = rule.routes(cookie);
    routes.find_map(|route| index.by_value(route))
}

/// By the parameter that a link or a form of one of our pages has put into the request.
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

/// By the id that it carries, in the session table.
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
