//! Begins to steer a request of `mode=query`: finds its session by its id.
//!
//! Nearly all requests have no id, or one in their query whose session is live. What else there may be
//! is done in functions of its own, so that these need few registers and no memory.

use sticky_core::directive::QueryRule;
use sticky_core::events::Status;
use sticky_core::table::{Asked, Held, Key, PeerId};

use crate::config::types::Sticky;
use crate::ngx::balancer::RoundRobin;
use crate::ngx::request::Request;
use crate::zone::sessions::Sessions;

use super::choose::{Bounded, Entering, Holder, Steered};
use super::context::{Entry, RequestContext};
use super::lookup::{self, RequestSession};
use super::session_id::{self, First};
use super::steer::{begin_unsteered, context};
use super::usable;

/// The request of an upstream, and what that says.
#[derive(Clone, Copy)]
pub(super) struct Asking<'r, 'q> {
    pub(super) r: Request<'r>,
    pub(super) exchange: RoundRobin<'r>,
    pub(super) sticky: &'r Sticky<'r>,
    pub(super) rule: &'q QueryRule,
    pub(super) sessions: &'q Sessions<'r>,
}

impl<'r> Asking<'r, '_> {
    /// Begins. `None`: no memory is left.
    #[inline(always)]
    pub(super) fn begin(self) -> Option<&'r RequestContext<'r>> {
        let (r, rule) = (self.r, self.rule);
        let (status, key, id) = match session_id::first(r, rule) {
            First::Id(id, at) => {
                let key = self.sessions.key(id);
                let asked = key.map(|key| self.sessions.ask(key, &rule.limits));
                match (asked, key) {
                    (Some(Asked::Live(held)), Some(key)) => return self.to_holder(key, id, held),
                    (Some(Asked::Due(held)), Some(key)) => {
                        self.touch(key, held.peer());
                        return self.to_holder(key, id, held);
                    }
                    (Some(_), _) if !session_id::are_empty_from(r, rule, at) => {
                        return self.begin_by_any();
                    }
                    (Some(Asked::Expired), _) => (Status::Expired, key, id),
                    (Some(Asked::Unknown), _) => (Status::Miss, key, id),
                    _ => (Status::Miss, None, &[][..]),
                }
            }
            First::None => (Status::None, None, &[][..]),
            First::InBody => return self.begin_by_any(),
        };
        if rule.is_special && key.is_some() {
            return self.begin_special(status, key, id, None);
        }
        self.without_session(status, key, id)
    }

    /// It goes to the server of its session.
    #[inline(always)]
    fn to_holder(self, key: Key, id: &'r [u8], held: Held) -> Option<&'r RequestContext<'r>> {
        if self.rule.is_special {
            return self.begin_special(Status::Hit, Some(key), id, Some(held));
        }
        let context = || {
            let session = RequestSession {
                request_key: Some(key),
                carried: id,
                holder: Some(held.peer()),
                ..RequestSession::without_session(Status::Hit)
            };
            context(self.r, self.sticky, self.exchange.peers(), session)
        };
        Steered::begin(self.r, self.exchange, context, Holder)
    }

    /// It has no session, and nothing but the balancer steers it.
    #[inline(always)]
    fn without_session(
        self,
        status: Status,
        request_key: Option<Key>,
        carried: &'r [u8],
    ) -> Option<&'r RequestContext<'r>> {
        session_id::take_met(self.r, self.sticky, &self.rule.names);
        let context = || {
            let session = RequestSession {
                request_key,
                carried,
                ..RequestSession::without_session(status)
            };
            context(self.r, self.sticky, self.exchange.peers(), session)
        };
        begin_unsteered(self.r, self.exchange, self.sticky, context)
    }

    /// The session is in use from now on, unless its server cannot be used: then
    /// [another](lookup::another) may be chosen.
    #[inline(never)]
    fn touch(self, key: Key, holder: PeerId) {
        let peers = self.exchange.peers();
        let index = self.sticky.peer_index(peers);
        if usable::is_usable(self.sticky, &index, peers, holder) {
            self.sessions.touch(key, &self.rule.limits);
        }
    }

    /// It may have several ids, or one in its body.
    #[cold]
    #[inline(never)]
    fn begin_by_any(self) -> Option<&'r RequestContext<'r>> {
        let session = lookup::by_any_id(self.r, self.rule, self.sessions);
        if let (Some(key), Some(holder)) = (session.request_key, session.holder) {
            // It does nothing where that is not due.
            self.touch(key, holder);
        }
        let RequestSession {
            status,
            request_key,
            carried,
            held,
            ..
        } = session;
        match (held, request_key) {
            (Some(held), Some(key)) if !self.rule.is_special => self.to_holder(key, carried, held),
            (held, _) if self.rule.is_special => {
                self.begin_special(status, request_key, carried, held)
            }
            _ => self.without_session(status, request_key, carried),
        }
    }

    /// A request of an upstream with `learn=request` or `balance_factor`.
    #[inline(never)]
    fn begin_special(
        self,
        status: Status,
        request_key: Option<Key>,
        carried: &'r [u8],
        held: Option<Held>,
    ) -> Option<&'r RequestContext<'r>> {
        let (r, rule) = (self.r, self.rule);
        let is_entered = rule.learn.request && held.is_some_and(Held::is_entered);
        // No subrequest does, such as those of auth_request, mirror and the update of a cache.
        let enters = rule.learn.request
            && r.is_main()
            && request_key.is_some()
            && (is_entered || held.is_none());
        if !enters && held.is_none() {
            return self.without_session(status, request_key, carried);
        }
        let context = || {
            let session = RequestSession {
                request_key,
                carried,
                holder: held.map(Held::peer),
                ..RequestSession::without_session(status)
            };
            let context = context(r, self.sticky, self.exchange.peers(), session);
            if is_entered {
                context.entry.set(Entry::Found);
            }
            context
        };
        if enters {
            Steered::begin(r, self.exchange, context, Entering)
        } else if rule.balance_factor.is_some() {
            Steered::begin(r, self.exchange, context, Bounded)
        } else {
            Steered::begin(r, self.exchange, context, Holder)
        }
    }
}
