//! Which peer a request goes to.
//!
//! The balancer has been initialised for the request; then it is decided whether the request has a
//! session ([`Steering::decide`]), and for each try whether the session's peer is taken or the
//! balancer asked (`Affinity::choose`). A request without a session takes the path that it took
//! before.

use std::cell::Cell;

use sticky_core::key::Key;
use sticky_core::word::PeerId;

use crate::carried;
use crate::conf::{Rule, Sticky, UpstreamConf};
use crate::directory::{Directory, Known, Peer};
use crate::filter::{self, Lesson};
use crate::finding::{self, Finding};
use crate::module;
use crate::native::Follower;
use crate::ngx::balancer::{interpose, Balancer, Choice, Chooser, Steer, Try};
use crate::ngx::handover::{self, Finalize, Witness};
use crate::ngx::hook::{Hook, Policy};
use crate::ngx::log::Level;
use crate::ngx::peers::{round_robin, PeerKey, PeerList, Unusable};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;
use crate::rewrite::Page;
use crate::status::{Status, Tries};

/// What is remembered of a request while it is served. Every request of a sticky upstream has one:
/// the larger it is, the more often nginx needs another block of memory for a request.
pub struct Affinity<'r> {
    /// The request.
    pub request: Request<'r>,
    /// The upstream that serves it.
    pub sticky: &'r Sticky<'r>,
    /// The upstream's peers.
    pub peers: PeerList,
    /// The key of the id that it carries.
    pub carried: Option<Key>,
    /// That id, decoded; empty when there is none.
    pub carried_id: &'r [u8],
    /// The peer that held its session when it came.
    pub holder: Option<PeerId>,
    /// That peer, where it is known already and stays as it is.
    found: Option<&'r Peer>,
    /// Name of the peer that answered.
    pub answered: Cell<Option<&'r [u8]>>,
    /// What its response teaches.
    pub lesson: Cell<Option<&'r Lesson<'r>>>,
    /// Its page that is being rewritten.
    pub page: Cell<Option<&'r Page>>,
    /// What goes by the rules of nginx's own directive, if the upstream does.
    #[cfg(not(nginx_since = "1.29.6"))]
    pub follower: Option<&'r Follower<'r>>,
    tries: Tries,
    /// What became of its session.
    pub status: Cell<Status>,
    /// What has come of that peer.
    pub holding: Cell<Holding>,
    finalize: Finalize,
}

impl<'r> Affinity<'r> {
    /// The upstream's peers as they are now.
    #[inline]
    pub fn directory(&self) -> Known<'r> {
        self.sticky.directory(self.peers)
    }

    /// The peer that the client is told to come back to: the one that answered and is called `name`,
    /// or the one that is merely full.
    pub fn peer_to_show<'d>(&self, directory: &'d Directory, name: &[u8]) -> Option<&'d Peer>
    where
        'r: 'd,
    {
        match (self.holding.get(), self.holder) {
            (Holding::Steered, Some(_)) if self.found.is_some() => self.found,
            (Holding::Full, Some(holder)) => directory.by_id(holder),
            _ => directory.answering(self.request, name),
        }
    }

    /// For each try, whether the request had an id and went where it belongs: `NEW`, `HIT` or
    /// `MISS`, divided as in `$upstream_addr`.
    pub fn tries(&self) -> String {
        self.tries.listed(self.request)
    }
}

/// A request whose tries are steered, `by` what it carries.
struct Steered<'r, By> {
    affinity: Affinity<'r>,
    balancer: Balancer,
    by: By,
}

/// By the holder of its session.
struct Holder;

impl<'r, By: 'r> Steered<'r, By> {
    fn chosen(&self, choice: Choice) -> Choice {
        if choice == Choice::Steered {
            self.affinity.tries.hit(self.affinity.request);
        }
        choice
    }

    /// Remembers the affinity of a request, and steers its tries.
    fn begin(
        r: Request<'r>,
        affinity: impl FnOnce() -> Affinity<'r>,
        by: By,
    ) -> Option<&'r Affinity<'r>>
    where
        Self: Chooser,
    {
        let exchange = r.upstream()?;
        let steered = r.pool()?.place_with(|| Steered {
            affinity: affinity(),
            balancer: Balancer::of(exchange),
            by,
        })?;
        r.set_context(&steered.affinity);
        interpose(exchange, steered);
        Some(&steered.affinity)
    }
}

impl Chooser for Steered<'_, Holder> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn choose(&self, attempt: &Try<'_>) -> Choice {
        self.chosen(self.affinity.choose_holder(attempt))
    }
}

impl<'r> Chooser for Steered<'r, &'r Follower<'r>> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn choose(&self, attempt: &Try<'_>) -> Choice {
        self.chosen(self.by.choose(&self.affinity, attempt))
    }

    fn awaits_peer(&self) -> bool {
        true
    }

    fn taken(&self, peer: PeerKey) -> Option<()> {
        self.by.taken(&self.affinity, peer)
    }

    fn awaits_header(&self) -> bool {
        cfg!(nginx_since = "1.29.6") && self.by.learns_from_header()
    }

    fn header_came(&self) {
        if self.by.learns_from_header() {
            self.by.learn(&self.affinity);
        }
    }

    fn served(&self) {
        if !self.by.learns_from_header() {
            self.by.learn(&self.affinity);
        }
    }
}

impl Affinity<'_> {
    fn choose_holder(&self, attempt: &Try<'_>) -> Choice {
        let holding = self.holding.get();
        let target = self.found.map(|peer| peer.handle).or_else(|| {
            let peer = self.directory().by_id(self.holder?)?.handle;
            Some(peer)
        });
        let steered = match (holding, target) {
            (Holding::Untried, Some(peer)) => Some(attempt.steer(peer)),
            (Holding::Steered, Some(peer)) => attempt.steer_again(peer),
            _ => None,
        };
        self.holding.set(match (steered, holding) {
            (Some(Ok(())), _) => {
                self.holding.set(Holding::Steered);
                return Choice::Steered;
            }
            (Some(Err(Unusable::Full)), _) | (None, Holding::Full) => Holding::Full,
            (None, Holding::Untried) if self.is_ahead() => Holding::Full,
            _ => Holding::Lost,
        });
        self.status.set(Status::Gone);
        if self.is_refused() {
            Choice::Refuse
        } else {
            Choice::Balance
        }
    }

    /// See [`crate::zone::Sessions::is_ahead`].
    #[cold]
    fn is_ahead(&self) -> bool {
        self.carried.is_some_and(|key| self.has_ahead(key))
    }

    /// The session of `key` [is ahead](crate::zone::Sessions::is_ahead). Where servers come and go (`resolve`), one
    /// that is not known has left.
    #[cold]
    pub fn has_ahead(&self, key: Key) -> bool {
        match &self.sticky.rule {
            Rule::Query(rule, sessions, _) if !self.peers.may_change() => {
                sessions.is_ahead(key, &rule.limits)
            }
            _ => false,
        }
    }

    /// The request may go nowhere else.
    #[cold]
    fn is_refused(&self) -> bool {
        let Affinity {
            request, sticky, ..
        } = self;
        let of_location = module::location_conf(*request)
            .is_some_and(|location| location.no_fallback.get() == Some(true));
        of_location
            || sticky.rule.no_fallback()
            || module::upstream_conf(sticky.us).is_some_and(UpstreamConf::is_strict)
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
    /// It is merely busy, or known to a newer configuration only, and keeps the session: the next
    /// request may reach it again.
    Full,
}

/// The policy of sticky upstreams.
pub struct Steering;

impl Witness for Steering {
    type Context<'r> = Affinity<'r>;

    fn finalize<'a>(affinity: &'a Affinity<'_>) -> &'a Finalize {
        &affinity.finalize
    }

    fn handed_over<'r>(r: Request<'r>, affinity: &'r Affinity<'r>) {
        filter::handed_over(r, affinity);
    }
}

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

fn decide<'r>(
    r: Request<'r>,
    us: Upstream<'r>,
    conf: &'r UpstreamConf<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<()> {
    let Some(peers) = round_robin(r, us) else {
        say_unknown_balancer(r, sticky);
        return None;
    };
    let mut follower = None;
    let finding = match &sticky.rule {
        Rule::Cookie(rule) => finding::by_cookie(r, rule, &sticky.directory(peers)),
        Rule::Rewrite(rule) => finding::by_value(r, rule, &sticky.directory(peers)),
        Rule::Query(rule, sessions, _) => match carried::id(r, rule) {
            None => Finding::without_session(Status::None),
            Some(id) => finding::by_id(rule, sessions, id),
        },
        Rule::Native(native) => {
            let secret = conf.secret.get().copied();
            let begun = Follower::begin(r, native, secret, conf.is_strict())?;
            let status = if begun.has_id() {
                Status::Miss
            } else {
                Status::None
            };
            follower = Some(r.pool()?.place(begun)?);
            Finding::without_session(status)
        }
    };
    let affinity = || Affinity {
        request: r,
        sticky,
        peers,
        carried: finding.carried,
        carried_id: finding.carried_id,
        holder: finding.holder,
        found: finding.found,
        answered: Cell::new(None),
        lesson: Cell::new(None),
        page: Cell::new(None),
        #[cfg(not(nginx_since = "1.29.6"))]
        follower,
        tries: Tries::begin(r, finding.status != Status::None),
        status: Cell::new(finding.status),
        holding: Cell::new(Holding::Untried),
        finalize: Finalize::default(),
    };
    let affinity = match follower {
        Some(follower) => Steered::begin(r, affinity, follower)?,
        None if finding.holder.is_some() => Steered::begin(r, affinity, Holder)?,
        None => {
            let affinity = r.pool()?.place_with(affinity)?;
            r.set_context(affinity);
            affinity
        }
    };
    let awaits_cookie = match &sticky.rule {
        // Who brings it has it.
        Rule::Cookie(rule) => !rule.hide_cookie && finding.holder.is_none(),
        Rule::Query(rule, ..) => !rule.learn.cookies.is_empty(),
        Rule::Rewrite(_) | Rule::Native(_) => false,
    };
    if awaits_cookie {
        handover::watch::<Steering>(r, affinity);
    }
    Some(())
}

/// Once in each worker.
#[cold]
fn say_unknown_balancer(r: Request<'_>, sticky: &Sticky<'_>) {
    if !sticky.said_unknown_balancer.replace(true) {
        let name = sticky.upstream.escape_ascii();
        r.log().write(
            Level::Error,
            format_args!("sticky: requests are not steered, unknown balancer, upstream \"{name}\""),
        );
    }
}
