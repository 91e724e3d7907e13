//! Which peer a request goes to.
//!
//! When the balancer has been initialised for a request, [`steer`] looks for the request's session.
//! If it has one, each attempt goes to the session's peer, if that can be used, else to that of
//! another session of the request, else to the balancer's choice. A request without a session is
//! left to the balancer alone, unless it begins one (`learn=request`, see `enter.rs`).

use std::cell::Cell;

use sticky_core::directive::{NoFallback, OnFailure, QueryRule, RewriteRule};

use crate::config::error::STEERED_BALANCERS;
use crate::config::nginx_forms::NginxForm;
use crate::config::peer_index::IndexView;
use crate::config::types::{LocationConf, Rule, Sticky, UpstreamConf};
use crate::ngx::accel_redirect::{self, OnRedirect, SavedFinalize};
use crate::ngx::balancer::{interpose, Attempt, Balancer, Choice, Chooser, RoundRobin};
use crate::ngx::log::Level;
use crate::ngx::open::Place;
use crate::ngx::peers::{PeerHandle, PeerKey, PeerList};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;

use super::context::{Entry, HolderState, NginxSticky, RequestContext};
use super::lookup::{self, RequestSession};
use super::session_id;
use super::status::{Status, Tries};
use super::usable::{self, Bound, Unavailable};

/// A request whose attempts are steered, `by` a rule.
struct Steered<'r, By> {
    context: RequestContext<'r>,
    balancer: Balancer,
    by: By,
}

/// To the peer that holds its session.
struct Holder;

/// To the peer that holds its session, unless that has its share of all requests.
struct Bounded;

/// To the peer that holds its session, which no answer has kept so far, or where it begins
/// (`learn=request`).
struct Entering;

impl<'r, By: 'r> Steered<'r, By> {
    fn chosen(&self, choice: Choice) -> Choice {
        if choice == Choice::Taken {
            self.context.tries.hit(self.context.request);
        }
        choice
    }

    /// The same where what is taken may be another peer.
    fn chosen_within_bound(&self, choice: Choice) -> Choice {
        match self.context.holder_state.get() {
            HolderState::Steered => self.chosen(choice),
            _ => choice,
        }
    }

    /// Sets the context of a request, and puts its attempts under our control.
    #[inline(always)]
    fn begin(
        r: Request<'r>,
        exchange: RoundRobin<'r>,
        context: impl FnOnce() -> RequestContext<'r>,
        by: By,
    ) -> Option<&'r RequestContext<'r>>
    where
        Self: Chooser,
    {
        let steered = r.pool()?.vacant()?.fill(Steered {
            context: context(),
            balancer: Balancer::of(exchange),
            by,
        });
        r.set_context(&steered.context);
        interpose(exchange, steered);
        Some(&steered.context)
    }
}

impl Chooser for Steered<'_, Holder> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        self.chosen(self.context.choose_holder(attempt))
    }

    #[inline(always)]
    fn place(&self) -> Option<&Place<'_>> {
        Some(&self.context.open)
    }
}

impl Chooser for Steered<'_, Bounded> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        self.chosen_within_bound(self.context.choose_bounded(attempt))
    }

    #[inline(always)]
    fn place(&self) -> Option<&Place<'_>> {
        Some(&self.context.open)
    }
}

impl Chooser for Steered<'_, Entering> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        self.chosen_within_bound(self.context.choose_entering(attempt))
    }

    #[inline(always)]
    fn place(&self) -> Option<&Place<'_>> {
        Some(&self.context.open)
    }
}

impl<'r> Chooser for Steered<'r, &'r NginxSticky<'r>> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        self.chosen(self.by.choose(&self.context, attempt))
    }

    fn awaits_peer(&self) -> bool {
        true
    }

    fn taken(&self, peer: PeerKey) -> Option<()> {
        self.by.taken(&self.context, peer)
    }

    fn awaits_header(&self) -> bool {
        cfg!(nginx_since = "1.29.6") && self.by.learns_from_header()
    }

    fn header_came(&self) {
        if self.by.learns_from_header() {
            self.by.learn(&self.context);
        }
    }

    fn served(&self) {
        if !self.by.learns_from_header() {
            self.by.learn(&self.context);
        }
    }
}

impl RequestContext<'_> {
    #[inline(always)]
    fn choose_holder(&self, attempt: &Attempt<'_>) -> Choice {
        let taken = match (self.holder_state.get(), self.target()) {
            (HolderState::Untried, Some(peer)) => Some(attempt.take(peer, usable::test)),
            (HolderState::Steered, Some(peer)) if attempt.follows_closed_connection() => {
                Some(usable::take_again(attempt, peer))
            }
            _ => None,
        };
        let is_taken = match taken {
            Some(Ok(())) => {
                self.holder_state.set(HolderState::Steered);
                true
            }
            Some(Err(why)) => self.without_holder(attempt, Some(why)),
            None => self.without_holder(attempt, None),
        };
        if is_taken {
            return Choice::Taken;
        }
        if self.holder_state.get() == HolderState::Foreign {
            self.status.set(Status::Foreign);
            return Choice::Balance;
        }
        match self.refusal() {
            Some(NoFallback::BadGateway) => Choice::Refuse,
            Some(NoFallback::Unavailable) => Choice::RefuseWith(503),
            None => Choice::Balance,
        }
    }

    /// Under `balance_factor`.
    #[cold]
    #[inline(never)]
    pub(super) fn choose_bounded(&self, attempt: &Attempt<'_>) -> Choice {
        if self.holder_state.get() == HolderState::Untried {
            if let Some(peer) = self.target() {
                // Otherwise the same once more, which says what becomes of the session.
                if self.take_bounded(attempt, peer).is_ok() {
                    return Choice::Taken;
                }
            }
        }
        self.choose_holder(attempt)
    }

    /// Takes the session's peer, or under `balance_factor` another one: then the session stays.
    pub(super) fn take_bounded(
        &self,
        attempt: &Attempt<'_>,
        peer: PeerHandle,
    ) -> Result<(), Unavailable> {
        let taken = match self.balance_factor() {
            Some(factor) => attempt.take_or_another(peer, &Bound(factor))?,
            None => {
                usable::take_other(attempt, peer)?;
                peer.key()
            }
        };
        self.holder_state.set(if taken == peer.key() {
            HolderState::Steered
        } else {
            self.status.set(Status::Full);
            HolderState::Kept
        });
        Ok(())
    }

    /// `balance_factor`, where a request may go to another server.
    pub(super) fn balance_factor(&self) -> Option<u32> {
        match &self.sticky.rule {
            Rule::Query(rule, ..) => rule.balance_factor.filter(|_| self.must_stay().is_none()),
            Rule::Cookie(..) | Rule::Rewrite(_) | Rule::NginxForm(_) => None,
        }
    }

    /// Where the session's server is, if it is known.
    #[inline(always)]
    pub(super) fn target(&self) -> Option<PeerHandle> {
        match self.found.get() {
            Some(peer) => Some(peer.handle),
            None => {
                let index = self.peer_index();
                // A number under which a session was just found is not given to another server
                // before several sweeps, so it means now what it meant then.
                if let IndexView::Now(index) = &index {
                    self.epoch.set(index.epoch());
                }
                let peer = index.by_number_noting(self.holder.get()?, &self.epoch)?;
                Some(peer.handle)
            }
        }
    }

    /// The server of the session was not taken, or not again. Another session of the request
    /// decides at the first attempt, if there is one whose server can be taken: true. Else what
    /// becomes of the session is noted.
    #[cold]
    fn without_holder(&self, attempt: &Attempt<'_>, why: Option<Unavailable>) -> bool {
        let holder_state = self.holder_state.get();
        let mut why = why;
        if holder_state == HolderState::Foreign {
            return false;
        }
        if holder_state == HolderState::Untried {
            let is_foreign = why.is_none() && self.is_holder_foreign();
            let other = lookup::another(self, is_foreign);
            let is_other = other.is_some();
            if is_foreign && !is_other {
                self.holder_state.set(HolderState::Foreign);
                return false;
            }
            if let Some(other) = other {
                self.request_key.set(other.request_key);
                self.carried.set(other.carried);
                self.holder.set(other.holder);
                self.found.set(other.found);
            }
            self.touch();
            if is_other {
                match self.target().map(|peer| self.take_bounded(attempt, peer)) {
                    Some(Ok(())) => return true,
                    Some(Err(other)) => why = Some(other),
                    None => why = None,
                }
            }
        }
        let was_full = holder_state == HolderState::Kept && self.status.get() == Status::Full;
        let is_full = why == Some(Unavailable::Full) || was_full;
        self.status
            .set(if is_full { Status::Full } else { Status::Gone });
        self.holder_state.set(match (why, holder_state) {
            (Some(Unavailable::Full), _) | (None, HolderState::Kept) => HolderState::Kept,
            (None, HolderState::Untried) if self.is_ahead() => HolderState::Kept,
            _ if self.is_kept_on_failure() => HolderState::Kept,
            _ => HolderState::Lost,
        });
        false
    }

    /// Whether the session's server is one of another upstream of the share.
    fn is_holder_foreign(&self) -> bool {
        let holder = self.holder.get();
        holder.is_some_and(|holder| {
            self.peer_index().by_number(holder).is_none() && self.is_foreign(holder)
        })
    }

    /// Whether the session stays at its server although that could not be used (`on_failure=keep`).
    fn is_kept_on_failure(&self) -> bool {
        self.sticky.rule.on_failure() == OnFailure::Keep
            && self
                .holder
                .get()
                .is_some_and(|holder| !self.is_lost(holder, || self.is_ahead()))
    }

    /// The session that decides is in use, although its server may not be.
    #[cold]
    fn touch(&self) {
        if let (Rule::Query(rule, sessions, _), Some(key)) =
            (&self.sticky.rule, self.request_key.get())
        {
            sessions.touch(key, &rule.limits);
        }
    }

    /// See [`crate::zone::sessions::Sessions::is_ahead`].
    #[cold]
    pub(super) fn is_ahead(&self) -> bool {
        self.request_key
            .get()
            .is_some_and(|key| self.has_ahead(key))
    }

    /// Whether the request must not go to another server (`no_fallback`), and what it gets.
    #[cold]
    fn refusal(&self) -> Option<NoFallback> {
        // It counts once an answer has kept the session.
        (self.entry.get() == Entry::None)
            .then(|| self.must_stay())
            .flatten()
    }

    /// `no_fallback` of the directive, of the location or by another name.
    fn must_stay(&self) -> Option<NoFallback> {
        let RequestContext {
            request, sticky, ..
        } = self;
        let of_location = request
            .loc_conf::<LocationConf>()
            .is_some_and(|location| location.no_fallback.get() == Some(true));
        let of_upstream = || {
            let conf = sticky.us.srv_conf::<UpstreamConf<'_>>();
            conf.is_some_and(UpstreamConf::is_strict)
        };
        let of_rule = sticky.rule.no_fallback();
        of_rule.or_else(|| (of_location || of_upstream()).then_some(NoFallback::BadGateway))
    }
}

/// Steers a request of the upstream `us`, if that is sticky. Its balancer has been initialised for
/// the request. `A` is called when the answer is an X-Accel-Redirect.
pub fn steer<A: for<'r> OnRedirect<Context<'r> = RequestContext<'r>>>(
    r: Request<'_>,
    us: Upstream<'_>,
) {
    if let Some(conf) = us.srv_conf::<UpstreamConf<'_>>() {
        if let Some(sticky) = conf.active() {
            decide::<A>(r, us, conf, sticky);
        }
    }
}

#[inline(always)]
fn decide<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    us: Upstream<'r>,
    conf: &'r UpstreamConf<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<()> {
    let exchange = r.upstream()?;
    let Some(exchange) = RoundRobin::of(exchange, us) else {
        log_unknown_balancer(r, sticky);
        return None;
    };
    let peers = exchange.peers();
    // Each way by itself: one for all would be the sum of them.
    match &sticky.rule {
        Rule::Query(rule, sessions, _) => {
            let session = lookup::by_id(r, rule, sessions, &|holder| {
                usable::is_usable(&sticky.peer_index(peers), peers, holder)
            });
            let context = if rule.is_special {
                begin_special(r, exchange, sticky, rule, &session)?
            } else if session.holder.is_some() {
                let context = || context(r, sticky, peers, &session);
                Steered::begin(r, exchange, context, Holder)?
            } else {
                without_session(r, sticky, rule, peers, &session)?
            };
            // A client that gets another response may have an id from this one.
            if rule.awaits_end {
                accel_redirect::watch::<A>(r, context);
            }
        }
        Rule::Cookie(rule, _) => {
            let session = lookup::by_cookie(r, rule, &sticky.peer_index(peers));
            let context = || context(r, sticky, peers, &session);
            if session.holder.is_some() {
                Steered::begin(r, exchange, context, Holder)?;
            } else {
                let context = begin_unsteered(r, context)?;
                // A client that has sent the cookie needs no other.
                if !rule.hide_cookie {
                    accel_redirect::watch::<A>(r, context);
                }
            }
        }
        Rule::Rewrite(rule) => begin_rewrite(r, exchange, sticky, rule)?,
        Rule::NginxForm(form) => begin_nginx_form(r, exchange, conf, sticky, form)?,
    }
    Some(())
}

/// A request of `mode=query` without a session, which nothing but the balancer steers.
#[inline(always)]
fn without_session<'r>(
    r: Request<'r>,
    sticky: &'r Sticky<'r>,
    rule: &QueryRule,
    peers: PeerList,
    session: &RequestSession<'r>,
) -> Option<&'r RequestContext<'r>> {
    session_id::note_too_long(r, sticky, &rule.names);
    begin_unsteered(r, || context(r, sticky, peers, session))
}

#[inline(always)]
fn begin_unsteered<'r>(
    r: Request<'r>,
    context: impl FnOnce() -> RequestContext<'r>,
) -> Option<&'r RequestContext<'r>> {
    let context = r.pool()?.vacant()?.fill(context());
    r.set_context(context);
    Some(context)
}

/// A request of an upstream with `learn=request` or `balance_factor`.
#[inline(never)]
fn begin_special<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &QueryRule,
    session: &RequestSession<'r>,
) -> Option<&'r RequestContext<'r>> {
    let peers = exchange.peers();
    let is_entered = rule.learn.request && session.is_entered;
    // No subrequest does, such as those of auth_request, mirror and the update of a cache.
    let enters = rule.learn.request
        && r.is_main()
        && session.request_key.is_some()
        && (is_entered || session.holder.is_none());
    let context = || {
        let context = context(r, sticky, peers, session);
        if is_entered {
            context.entry.set(Entry::Found);
        }
        context
    };
    if enters {
        Steered::begin(r, exchange, context, Entering)
    } else if session.holder.is_none() {
        without_session(r, sticky, rule, peers, session)
    } else if rule.balance_factor.is_some() {
        Steered::begin(r, exchange, context, Bounded)
    } else {
        Steered::begin(r, exchange, context, Holder)
    }
}

#[inline(never)]
fn begin_rewrite<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &RewriteRule,
) -> Option<()> {
    let peers = exchange.peers();
    let session = lookup::by_value(r, rule, &sticky.peer_index(peers));
    let context = || context(r, sticky, peers, &session);
    if session.holder.is_some() {
        Steered::begin(r, exchange, context, Holder)?;
    } else {
        begin_unsteered(r, context)?;
    }
    Some(())
}

#[inline(never)]
fn begin_nginx_form<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    conf: &'r UpstreamConf<'r>,
    sticky: &'r Sticky<'r>,
    form: &'r NginxForm<'r>,
) -> Option<()> {
    let secret = conf.secret.get().copied();
    let begun = NginxSticky::begin(r, form, secret, conf.is_strict())?;
    let status = if begun.has_id() {
        Status::Miss
    } else {
        Status::None
    };
    let begun = r.pool()?.place(begun)?;
    let session = RequestSession::without_session(status);
    let context = || RequestContext {
        #[cfg(not(nginx_since = "1.29.6"))]
        nginx_sticky: Some(begun),
        ..context(r, sticky, exchange.peers(), &session)
    };
    Steered::begin(r, exchange, context, begun)?;
    Some(())
}

/// The context of a request whose server is chosen now.
#[inline(always)]
fn context<'r>(
    r: Request<'r>,
    sticky: &'r Sticky<'r>,
    peers: PeerList,
    session: &RequestSession<'r>,
) -> RequestContext<'r> {
    RequestContext {
        request: r,
        sticky,
        peers,
        request_key: Cell::new(session.request_key),
        carried: Cell::new(session.carried),
        holder: Cell::new(session.holder),
        epoch: Cell::default(),
        found: Cell::new(session.found),
        answered: Cell::new(None),
        learned: Cell::new(None),
        page: Cell::new(None),
        #[cfg(not(nginx_since = "1.29.6"))]
        nginx_sticky: None,
        tries: Tries::begin(r, session.status != Status::None),
        status: Cell::new(session.status),
        holder_state: Cell::new(HolderState::Untried),
        entry: Cell::new(Entry::None),
        finalize: SavedFinalize::default(),
        open: Place::of(r),
    }
}

/// Logged once in each worker.
#[cold]
fn log_unknown_balancer(r: Request<'_>, sticky: &Sticky<'_>) {
    if !sticky.logged_unknown_balancer.replace(true) {
        let name = sticky.upstream.escape_ascii();
        r.log().write(
            Level::Error,
            format_args!(
                "sticky: requests are not steered, the balancer is not built on round robin of \
                 nginx, use {STEERED_BALANCERS}, upstream \"{name}\""
            ),
        );
    }
}
