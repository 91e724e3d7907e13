//! Which peer an attempt of a request goes to: that of its session, if it can be used, else that of
//! another session of the request, else the balancer's choice.

use sticky_core::directive::{NoFallback, OnFailure};
use sticky_core::events::Status;
use sticky_core::table::PeerId;

use crate::config::directives::DRAINING;
use crate::config::peer_index::IndexView;
use crate::config::types::{LocationConf, Rule, UpstreamConf};
use crate::ngx::balancer::{
    interpose, Attempt, Balancer, Choice, Chooser, FirstAttempt, RoundRobin,
};
use crate::ngx::open::Place;
use crate::ngx::peers::{PeerHandle, PeerKey};
use crate::ngx::request::Request;

use super::context::{Entry, HolderState, NginxSticky, RequestContext};
use super::lookup;
use super::traced::interpose_traced;
use super::usable::{self, Bound, Unavailable};

/// A request whose attempts are steered, `by` a rule.
pub(super) struct Steered<'r, By> {
    context: RequestContext<'r>,
    balancer: Balancer,
    by: By,
}

/// To the peer that holds its session.
pub(super) struct Holder;

/// To the peer that holds its session, unless that has its share of all requests.
pub(super) struct Bounded;

/// To the peer that holds its session, which no answer has kept so far, or where it begins
/// (`learn=request`).
pub(super) struct Entering;

/// To whichever peer the balancer chooses among those that get new sessions.
pub(super) struct Balanced;

impl<'r, By: 'r> Steered<'r, By> {
    pub(super) fn context(&self) -> &RequestContext<'r> {
        &self.context
    }

    pub(super) fn interposed(&self) -> &Balancer {
        &self.balancer
    }

    fn chosen(&self, choice: Choice) -> Choice {
        if choice == Choice::Taken {
            self.context.tries.hit(self.context.request);
        }
        choice
    }

    /// Sets the context of a request, and puts its attempts under our control.
    #[inline(always)]
    pub(super) fn begin(
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
        if r.is_debugged() {
            interpose_traced(exchange, &steered.context, steered);
        } else {
            interpose(exchange, steered);
        }
        Some(&steered.context)
    }
}

/// How a request gets the server of its session.
pub(super) trait Way {
    fn choose(context: &RequestContext<'_>, attempt: &Attempt<'_>) -> Choice;

    /// See [`Chooser::take_at_once`].
    #[inline(always)]
    fn take_at_once(_context: &RequestContext<'_>, _attempt: &FirstAttempt<'_>) -> bool {
        false
    }

    /// Whether what is taken may be another peer.
    const MAY_PASS_BY: bool;
}

impl Way for Holder {
    const MAY_PASS_BY: bool = false;

    #[inline(always)]
    fn take_at_once(context: &RequestContext<'_>, attempt: &FirstAttempt<'_>) -> bool {
        context.take_holder_at_once(attempt)
    }

    #[inline(always)]
    fn choose(context: &RequestContext<'_>, attempt: &Attempt<'_>) -> Choice {
        let choice = context.choose_holder(attempt);
        // Only then the balancer is asked.
        if choice == Choice::Balance {
            context.avoid_some(attempt);
        }
        choice
    }
}

impl Way for Bounded {
    const MAY_PASS_BY: bool = true;

    fn choose(context: &RequestContext<'_>, attempt: &Attempt<'_>) -> Choice {
        context.avoid_some(attempt);
        context.choose_bounded(attempt)
    }
}

impl Way for Entering {
    const MAY_PASS_BY: bool = true;

    fn choose(context: &RequestContext<'_>, attempt: &Attempt<'_>) -> Choice {
        context.avoid_some(attempt);
        context.choose_entering(attempt)
    }
}

impl<'r> Chooser for Steered<'r, Balanced> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        self.context.avoid_some(attempt);
        Choice::Balance
    }
}

impl<'r, W: Way + 'r> Chooser for Steered<'r, W> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.context.request
    }

    #[inline(always)]
    fn take_at_once(&self, attempt: &FirstAttempt<'_>) -> bool {
        W::take_at_once(&self.context, attempt)
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        let choice = W::choose(&self.context, attempt);
        if W::MAY_PASS_BY && self.context.holder_state.get() != HolderState::Steered {
            return choice;
        }
        self.chosen(choice)
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
        self.context.avoid_some(attempt);
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
    /// Keeps the balancer from servers that get no new sessions.
    #[inline(always)]
    fn avoid_some(&self, attempt: &Attempt<'_>) {
        if self.sticky.may_avoid() {
            self.avoid(attempt);
        }
    }

    #[cold]
    #[inline(never)]
    fn avoid(&self, attempt: &Attempt<'_>) {
        if self.sticky.is_dry_run {
            return;
        }
        let index = self.peer_index();
        let (mut drained, mut full) = (Vec::new(), Vec::new());
        let mut has_room = false;
        for peer in index.peers() {
            if self.sticky.drain(peer).is_some() {
                drained.push(peer.handle);
            } else if self.sticky.is_full(peer) {
                full.push(peer.handle);
            } else {
                has_room = true;
            }
        }
        // Where all have as many sessions as they may, it is as if there were no limits.
        if !has_room {
            full.clear();
        }
        attempt.avoid(drained, full);
    }

    /// Whether also the sessions of the holder go elsewhere.
    #[cold]
    pub(super) fn is_holder_drained(&self) -> bool {
        match (self.found.get(), self.holder.get()) {
            (Some(peer), _) => self.sticky.is_drained(peer),
            (None, Some(holder)) => {
                let index = self.peer_index();
                let peer = index.by_number(holder);
                peer.is_some_and(|peer| self.sticky.is_drained(peer))
            }
            (None, None) => false,
        }
    }

    /// Takes the session's own peer.
    #[inline(always)]
    fn take_holder(&self, attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
        if self.sticky.may_have_drains() && self.is_holder_drained() {
            return Err(Unavailable::Drained);
        }
        attempt.take(peer, usable::test)
    }

    /// The same as [`Self::choose_holder`] where the session's peer can be used, as it nearly always
    /// can. False: nothing has changed.
    #[inline(always)]
    fn take_holder_at_once(&self, attempt: &FirstAttempt<'_>) -> bool {
        let peer = match (self.found.get(), self.holder.get()) {
            (None, Some(holder)) => match self.sticky.fixed_index() {
                Some(index) => index.by_number_as_built(holder),
                None => None,
            },
            (found, _) => found,
        };
        let Some(peer) = peer else { return false };
        if self.sticky.may_have_drains() || !attempt.take(&peer.handle, DRAINING) {
            return false;
        }
        self.found.set(Some(peer));
        self.holder_state.set(HolderState::Steered);
        self.tries.hit_first();
        true
    }

    #[inline(always)]
    fn choose_holder(&self, attempt: &Attempt<'_>) -> Choice {
        let taken = match (self.holder_state.get(), self.target()) {
            (HolderState::Untried, Some(peer)) => Some(self.take_holder(attempt, peer)),
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
            Some(Err(why)) => {
                self.without_holder(Some(why), &|peer| self.take_bounded(attempt, peer))
            }
            None => self.without_holder(None, &|peer| self.take_bounded(attempt, peer)),
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
        if self.sticky.may_have_drains() && self.is_holder_drained() {
            return Err(Unavailable::Drained);
        }
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
            Rule::Cookie(..) | Rule::Rewrite(_) | Rule::Discover(_) | Rule::NginxForm(_) => None,
        }
    }

    /// Where the session's server is, if it is known.
    #[inline(always)]
    pub(super) fn target(&self) -> Option<PeerHandle> {
        match self.found.get() {
            Some(peer) => Some(peer.handle),
            None => {
                let holder = self.holder.get()?;
                // A number under which a session was just found is not given to another server
                // before several sweeps, so it means now what it meant then.
                match self.peer_index() {
                    IndexView::Fixed(index) => {
                        let peer = index.by_number_noting(holder, &self.epoch)?;
                        self.found.set(Some(peer));
                        Some(peer.handle)
                    }
                    IndexView::Now(index) => {
                        self.epoch.set(index.epoch());
                        Some(index.by_number_noting(holder, &self.epoch)?.handle)
                    }
                }
            }
        }
    }

    /// The server of the session was not taken, or not again. Another session of the request
    /// decides at the first attempt, if there is one whose server can be taken: true. Else what
    /// becomes of the session is noted.
    #[cold]
    pub(super) fn without_holder(
        &self,
        why: Option<Unavailable>,
        take: &dyn Fn(PeerHandle) -> Result<(), Unavailable>,
    ) -> bool {
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
                match self.target().map(take) {
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
        self.holder
            .get()
            .is_some_and(|holder| self.is_elsewhere(holder))
    }

    /// The same of any holder.
    pub(super) fn is_elsewhere(&self, holder: PeerId) -> bool {
        self.peer_index().by_number(holder).is_none() && self.is_foreign(holder)
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
        if let (Rule::Query(_, sessions, _), Some(key)) =
            (&self.sticky.rule, self.request_key.get())
        {
            sessions.touch(key, &sessions.limits());
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
    pub(super) fn refusal(&self) -> Option<NoFallback> {
        // It counts once an answer has kept the session, and not against an operator's wish.
        (self.entry.get() == Entry::None && !self.is_holder_drained())
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
