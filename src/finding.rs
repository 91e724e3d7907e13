//! What a request says of its session, in each of the modes: who holds it, if anybody does.

use sticky_core::cookie;
use sticky_core::directive::{CookieRule, QueryRule, RewriteRule};
use sticky_core::key::Key;
use sticky_core::table::LookUp;
use sticky_core::word::PeerId;

use crate::carried;
use crate::directory::{Directory, Known, Peer};
use crate::ngx::request::Request;
use crate::status::Status;
use crate::zone::Sessions;

/// What a request says of its session.
pub struct Finding<'r> {
    /// What `$sticky_status` says so far.
    pub status: Status,
    /// The key of the id that it carries.
    pub carried: Option<Key>,
    /// That id, decoded; empty when there is none.
    pub carried_id: &'r [u8],
    /// The peer that holds its session.
    pub holder: Option<PeerId>,
    /// That peer, where it is known already and stays as it is.
    pub found: Option<&'r Peer>,
}

impl<'r> Finding<'r> {
    /// The request has no session, or one that nobody knows.
    pub fn without_session(status: Status) -> Self {
        Self {
            status,
            carried: None,
            carried_id: &[],
            holder: None,
            found: None,
        }
    }

    /// The peer that a request names, as `named` has it from the upstream's peers.
    #[inline]
    fn of_peer(
        known: &Known<'r>,
        named: impl for<'d> Fn(&'d Directory) -> Option<&'d Peer>,
    ) -> Self {
        let (holder, found) = match known {
            Known::Fixed(directory) => {
                let found = named(directory);
                (found.map(|peer| peer.id), found)
            }
            Known::Now(directory) => (named(directory).map(|peer| peer.id), None),
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
pub fn by_cookie<'r>(r: Request<'r>, rule: &CookieRule, known: &Known<'r>) -> Finding<'r> {
    let Some(cookie) = cookie::find(r.cookies(), &rule.name) else {
        return Finding::without_session(Status::None);
    };
    if rule.transfer {
        Finding::of_peer(known, |directory| by_route(cookie, rule, directory))
    } else {
        Finding::of_peer(known, |directory| directory.by_value(cookie))
    }
}

/// By what the application's part follows in the cookie.
#[inline(never)]
fn by_route<'d>(cookie: &[u8], rule: &CookieRule, directory: &'d Directory) -> Option<&'d Peer> {
    let mut routes = rule.routes(cookie);
    routes.find_map(|route| directory.by_value(route))
}

/// By the parameter that a link or a form of one of our pages has put into the request.
pub fn by_value<'r>(r: Request<'r>, rule: &RewriteRule, known: &Known<'r>) -> Finding<'r> {
    let Some(value) = carried::value(r, &rule.names) else {
        return Finding::without_session(Status::None);
    };
    Finding::of_peer(known, |directory| directory.by_value(value))
}

/// By the id that it carries, in the session table.
pub fn by_id<'r>(rule: &QueryRule, sessions: &Sessions<'_>, id: &'r [u8]) -> Finding<'r> {
    let Some(key) = sessions.key(id) else {
        return Finding::without_session(Status::Miss);
    };
    let (status, holder) = match sessions.recall(key, &rule.limits) {
        LookUp::Unknown => (Status::Miss, None),
        LookUp::Expired => (Status::Expired, None),
        LookUp::Found(session) => (Status::Hit, Some(session.peer)),
    };
    Finding {
        status,
        carried: Some(key),
        carried_id: id,
        holder,
        found: None,
    }
}
