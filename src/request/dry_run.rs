//! `dry_run`: what would have become of a request with a session, which nothing but the balancer
//! steers.
//!
//! The session stays where it is, as it would if the request had gone there, unless its server
//! cannot be used. What a server answers that the session is not at, changes nothing for it.

use sticky_core::events::{Skip, Source, Status};
use sticky_core::table::{Claim, Learned, LookUp, Stage};

use crate::config::types::Rule;
use crate::ngx::balancer::{Attempt, Balancer, Choice, Chooser, RoundRobin};
use crate::ngx::open::Place;
use crate::ngx::peers::{PeerHandle, PeerKey};
use crate::ngx::request::Request;

use super::choose::Steered;
use super::context::{Entry, HolderState, RequestContext};
use super::usable::{self, Unavailable};

/// To whichever server the balancer chooses.
pub(super) struct DryRun;

/// Begins a request that has a session, or may enter one.
#[cold]
#[inline(never)]
pub(super) fn begin<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    context: impl FnOnce() -> RequestContext<'r>,
) -> Option<&'r RequestContext<'r>> {
    Steered::begin(r, exchange, context, DryRun)
}

impl<'r> Chooser for Steered<'r, DryRun> {
    fn balancer(&self) -> &Balancer {
        self.interposed()
    }

    fn request(&self) -> Request<'_> {
        self.context().request
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        let context = self.context();
        match context.holder_state.get() {
            HolderState::Untried if context.holder.get().is_some() => context.judge(),
            // It has come there by chance.
            HolderState::Steered if attempt.follows_closed_connection() => {
                context.holder_state.set(HolderState::Kept);
            }
            HolderState::Steered => context.holder_has_failed(),
            _ => {}
        }
        Choice::Balance
    }

    fn awaits_peer(&self) -> bool {
        true
    }

    fn taken(&self, peer: PeerKey) -> Option<()> {
        let context = self.context();
        if context.target().is_some_and(|own| own.key() == peer) {
            context.tries.hit(context.request);
            if context.holder_state.get() == HolderState::Kept {
                // By chance: the answer is that of the session's server.
                context.holder_state.set(HolderState::Steered);
            }
        }
        context.enter_at(peer);
        Some(())
    }

    fn place(&self) -> Option<&Place<'_>> {
        Some(&self.context().open)
    }
}

impl RequestContext<'_> {
    /// Says what would become of a request with a session.
    fn judge(&self) {
        let test = |peer: PeerHandle| match self.sticky.may_have_drains() {
            true if self.is_holder_drained() => Err(Unavailable::Drained),
            _ => usable::check(self.peers, peer),
        };
        let tested = self.target().map(test);
        if tested == Some(Ok(())) || self.without_holder(tested.and_then(Result::err), &test) {
            self.status.set(Status::Hit);
            self.holder_state.set(HolderState::Kept);
        } else if self.holder_state.get() == HolderState::Foreign {
            self.status.set(Status::Foreign);
        } else if self.refusal().is_some() {
            // No other server would have answered.
            self.holder_state.set(HolderState::Kept);
        }
    }

    /// The attempt at the session's server has failed, to which it has come by chance.
    fn holder_has_failed(&self) {
        self.without_holder(None, &|_| Err(Unavailable::Failed));
        if self.refusal().is_some() {
            self.holder_state.set(HolderState::Kept);
        }
    }

    /// With `learn=request`, enters the session of a request that has none, or whose own has lost
    /// its server before any answer has kept it.
    fn enter_at(&self, peer: PeerKey) {
        let (Rule::Query(rule, sessions, _), Some(key)) =
            (&self.sticky.rule, self.request_key.get())
        else {
            return;
        };
        if !rule.learn.request || !self.request.is_main() {
            return;
        }
        let from = match (self.holder.get(), self.holder_state.get(), self.entry.get()) {
            (None, _, Entry::None) => None,
            (holder, HolderState::Lost, _) | (holder, _, Entry::Own) => holder,
            _ => return,
        };
        let index = self.peer_index();
        let Some(registration) = index
            .by_key(peer)
            .and_then(|peer| self.registration(&index, peer))
        else {
            return;
        };
        // An answer to another request has kept it.
        let is_kept =
            |known| matches!(known, LookUp::Found(session) if session.stage != Stage::Entered);
        if is_kept(sessions.look_up(key, &sessions.limits())) {
            return;
        }
        let claim = Claim::Request { from };
        match sessions.learn(key, &registration, claim, &sessions.limits(), &mut |_| {
            false
        }) {
            Learned::New { .. } => {
                self.arrived(registration.number);
                self.entry.set(Entry::Own);
                self.holder.set(Some(registration.number));
                self.note_learned(key, Source::Request);
            }
            Learned::Moved { from } => {
                self.arrived(registration.number);
                self.holder.set(Some(registration.number));
                self.noted.move_session(self.why_lost(from));
            }
            Learned::Refused => self.noted.skip(Skip::Refused),
            Learned::Same | Learned::Kept { .. } => {}
        }
    }
}
