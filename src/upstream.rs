//! Which peer a request goes to.
//!
//! The balancer has been initialised for the request; then it is decided whether the request has a
//! session ([`Steering::decide`]), and for each try whether the session's peer is taken or the
//! balancer asked (`Affinity::choose`). A request without a session takes the path that it took
//! before.

use std::cell::Cell;

use sticky_core::cookie;
use sticky_core::directive::{CookieRule, RewriteRule};
use sticky_core::key::Key;
use sticky_core::table::LookUp;
use sticky_core::word::PeerId;

use crate::carried;
use crate::conf::{Rule, Sticky, UpstreamConf};
use crate::directory::Directory;
use crate::filter::Lesson;
use crate::module;
use crate::native::Follower;
use crate::ngx::balancer::{interpose, Balancer, Choice, Chooser, Steer, Try};
use crate::ngx::hook::{Hook, Policy};
use crate::ngx::log::Level;
use crate::ngx::peers::{round_robin, PeerHandle, PeerKey, PeerList, Unusable};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;
use crate::rewrite::Page;
use crate::status::{Status, Tries};

/// What is remembered of a request while it is served.
pub struct Affinity<'r> {
    /// The request.
    pub request: Request<'r>,
    us: Upstream<'r>,
    /// The upstream that serves it.
    pub sticky: &'r Sticky<'r>,
    /// The upstream's peers.
    pub peers: PeerList,
    /// What became of its session.
    pub status: Cell<Status>,
    /// The key of the id that it carries.
    pub carried: Option<Key>,
    /// That id, decoded; empty when there is none.
    pub carried_id: &'r [u8],
    /// The peer that held its session when it came.
    pub holder: Option<PeerId>,
    /// What has come of that peer.
    pub holding: Cell<Holding>,
    /// What stands behind the server's part of its cookie, with `transfer`.
    pub transferred: &'r [u8],
    /// `sticky_hide_cookie` is set for its location.
    pub hide_cookie: bool,
    /// Name of the peer that answered.
    pub answered: Cell<Option<&'r [u8]>>,
    /// What its response teaches.
    pub lesson: Cell<Option<&'r Lesson>>,
    /// Its page that is being rewritten.
    pub page: Cell<Option<&'r Page>>,
    /// What goes by the rules of nginx's own directive, if the upstream does.
    pub follower: Option<&'r Follower<'r>>,
    tries: Tries,
    target: Option<PeerHandle>,
    no_fallback: bool,
    balancer: Balancer,
}

impl Chooser for Affinity<'_> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn choose(&self, attempt: &Try<'_>) -> Choice {
        let choice = match self.follower {
            Some(follower) => follower.choose(self, attempt),
            None => self.choose_holder(attempt),
        };
        if choice == Choice::Steered {
            self.tries.hit(self.request);
        }
        choice
    }

    fn taken(&self, peer: PeerKey) -> Option<()> {
        self.follower
            .map_or(Some(()), |follower| follower.taken(self, peer))
    }

    fn awaits_header(&self) -> bool {
        cfg!(nginx_since = "1.29.6") && self.follower.is_some_and(Follower::learns_from_header)
    }

    fn header_came(&self) {
        if let Some(follower) = self.follower.filter(|at| at.learns_from_header()) {
            follower.learn(self);
        }
    }

    fn served(&self) {
        if let Some(follower) = self.follower.filter(|at| !at.learns_from_header()) {
            follower.learn(self);
        }
    }
}

impl Affinity<'_> {
    /// Knows the peers as they are now.
    pub fn refresh(&self) {
        let directory = &self.sticky.directory;
        directory
            .borrow_mut()
            .refresh(self.peers, self.us, &self.sticky.rule);
    }

    /// For each try, whether the request had an id and went where it belongs: `NEW`, `HIT` or
    /// `MISS`, divided as in `$upstream_addr`.
    pub fn tries(&self) -> String {
        self.tries.listed(self.request)
    }

    fn choose_holder(&self, attempt: &Try<'_>) -> Choice {
        let steered = match (self.holding.get(), self.target) {
            (Holding::Untried, Some(target)) => Some(attempt.steer(target)),
            (Holding::Steered, Some(target)) => attempt.steer_again(target),
            _ => None,
        };
        self.holding.set(match (steered, self.holding.get()) {
            (Some(Ok(())), _) => {
                self.holding.set(Holding::Steered);
                return Choice::Steered;
            }
            (Some(Err(Unusable::Full)), _) | (None, Holding::Full) => Holding::Full,
            _ => Holding::Lost,
        });
        self.status.set(Status::Gone);
        if self.no_fallback {
            Choice::Refuse
        } else {
            Choice::Balance
        }
    }
}

/// What has come of the peer that holds a request's session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holding {
    /// Nothing yet, or the request has no session.
    Untried,
    /// The request went to it.
    Steered,
    /// It has left, or cannot be used: the session goes to the peer that answers.
    Lost,
    /// It is merely busy, and keeps the session: the next request may reach it again.
    Full,
}

/// The policy of sticky upstreams.
pub struct Steering;

impl Policy for Steering {
    fn hook<'c>(us: Upstream<'c>) -> Option<&'c Hook> {
        module::upstream_conf(us).map(|conf| &conf.hook)
    }

    fn is_wanted(us: Upstream<'_>) -> bool {
        module::upstream_conf(us).is_some_and(|conf| conf.engaged().is_some())
    }

    fn decide(r: Request<'_>, us: Upstream<'_>) {
        if let Some(conf) = module::upstream_conf(us) {
            if let Some(sticky) = conf.engaged() {
                decide(r, us, conf, sticky);
            }
        }
    }
}

/// What a request says of its session.
struct Finding<'r> {
    status: Status,
    carried: Option<Key>,
    carried_id: &'r [u8],
    holder: Option<PeerId>,
    target: Option<PeerHandle>,
    transferred: &'r [u8],
}

impl Finding<'_> {
    fn without_session(status: Status) -> Self {
        Self {
            status,
            carried: None,
            carried_id: &[],
            holder: None,
            target: None,
            transferred: &[],
        }
    }
}

fn decide<'r>(
    r: Request<'r>,
    us: Upstream<'r>,
    conf: &'r UpstreamConf<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<()> {
    let Some(peers) = round_robin(r, us) else {
        if !sticky.said_unknown_balancer.replace(true) {
            let name = sticky.upstream.escape_ascii();
            r.log().write(
                Level::Error,
                format_args!(
                    "sticky: requests are not steered, unknown balancer, upstream \"{name}\""
                ),
            );
        }
        return None;
    };
    sticky
        .directory
        .borrow_mut()
        .refresh(peers, us, &sticky.rule);
    let is_strict = conf.strict.get() == Some(true);
    let mut follower = None;
    let finding = {
        let directory = sticky.directory.borrow();
        match &sticky.rule {
            Rule::Cookie(rule) => find_by_cookie(r, rule, &directory),
            Rule::Rewrite(rule) => find_by_value(r, rule, &directory),
            Rule::Query(rule, _) => match carried::id(r, rule) {
                None => Finding::without_session(Status::None),
                Some(id) => find_by_id(sticky, id, &directory),
            },
            Rule::Native(native) => {
                let begun = Follower::begin(r, native, conf.secret.get().copied(), is_strict)?;
                let status = if begun.has_id() {
                    Status::Miss
                } else {
                    Status::None
                };
                follower = Some(r.pool()?.place(begun)?);
                Finding::without_session(status)
            }
        }
    };
    let location = module::location_conf(r);
    let set = |flag: fn(&crate::conf::LocationConf) -> &Cell<Option<bool>>| {
        location.is_some_and(|location| flag(location).get() == Some(true))
    };
    let affinity = r.pool()?.place(Affinity {
        request: r,
        us,
        sticky,
        peers,
        status: Cell::new(finding.status),
        carried: finding.carried,
        carried_id: finding.carried_id,
        holder: finding.holder,
        holding: Cell::new(Holding::Untried),
        transferred: finding.transferred,
        hide_cookie: set(|location| &location.hide_cookie),
        answered: Cell::new(None),
        lesson: Cell::new(None),
        page: Cell::new(None),
        follower,
        tries: Tries::begin(r, finding.status != Status::None),
        target: finding.target,
        no_fallback: sticky.rule.no_fallback()
            || is_strict
            || set(|location| &location.no_fallback),
        balancer: Balancer::new(),
    })?;
    r.set_context(affinity);
    if affinity.holder.is_some() || affinity.follower.is_some() {
        interpose(r, affinity);
    }
    Some(())
}

fn find_by_cookie<'r>(r: Request<'r>, rule: &CookieRule, directory: &Directory) -> Finding<'r> {
    let Some(cookie) = cookie::find(r.cookies(), &rule.name) else {
        return Finding::without_session(Status::None);
    };
    let known = rule
        .routes(cookie)
        .find_map(|route| Some((route, directory.by_value(route)?)));
    let Some((route, peer)) = known else {
        // The server's part ends at the first delimiter, whatever it says.
        let end = rule.routes(cookie).next().map_or(cookie.len(), <[u8]>::len);
        let transferred = cookie.get(end..).unwrap_or_default();
        return Finding {
            transferred,
            ..Finding::without_session(Status::Miss)
        };
    };
    Finding {
        holder: Some(peer.id),
        target: Some(peer.handle),
        transferred: cookie.get(route.len()..).unwrap_or_default(),
        ..Finding::without_session(Status::Hit)
    }
}

/// By the parameter that a link or a form of one of our pages has put into the request.
fn find_by_value<'r>(r: Request<'r>, rule: &RewriteRule, directory: &Directory) -> Finding<'r> {
    let Some(value) = carried::value(r, &rule.names) else {
        return Finding::without_session(Status::None);
    };
    match directory.by_value(value) {
        Some(peer) => Finding {
            holder: Some(peer.id),
            target: Some(peer.handle),
            ..Finding::without_session(Status::Hit)
        },
        None => Finding::without_session(Status::Miss),
    }
}

fn find_by_id<'r>(sticky: &Sticky<'_>, id: &'r [u8], directory: &Directory) -> Finding<'r> {
    let Rule::Query(rule, sessions) = &sticky.rule else {
        return Finding::without_session(Status::None);
    };
    let unknown = Finding::without_session(Status::Miss);
    let Some(key) = sessions.key(id) else {
        return unknown;
    };
    let unknown = Finding {
        carried: Some(key),
        carried_id: id,
        ..unknown
    };
    match sessions.recall(key, &rule.limits) {
        LookUp::Unknown => unknown,
        LookUp::Expired => Finding {
            status: Status::Expired,
            ..unknown
        },
        LookUp::Found(session) => Finding {
            status: Status::Hit,
            holder: Some(session.peer),
            target: directory.by_id(session.peer).map(|peer| peer.handle),
            ..unknown
        },
    }
}
