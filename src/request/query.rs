//! Begins to steer a request of `mode=query`: finds its session by its id.
//!
//! Nearly all requests have no id, or one in their query whose session is live. What else there may be
//! is done in functions of its own, so that these need few registers and no memory.

use sticky_core::directive::QueryRule;
use sticky_core::events::Status;
use sticky_core::table::{Asked, Held, Key, PeerId};

use crate::config::types::{Rule, Sticky};
use crate::ngx::balancer::RoundRobin;
use crate::ngx::request::Request;
use crate::zone::sessions::Sessions;

use super::begin::{begin_unsteered, context};
use super::choose::{Bounded, Entering, Holder, Steered};
use super::context::{Entry, RequestContext};
use super::dry_run;
use super::lookup::{self, RequestSession};
use super::session_id::{self, First};
use super::usable;

/// Begins, for a request with that rule. `None`: no memory is left.
#[inline(always)]
pub(super) fn begin<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
) -> Option<&'r RequestContext<'r>> {
    let (status, key, id) = match session_id::first(r, rule) {
        First::Id(id, at) => {
            let key = sessions.key(id);
            let asked = key.map(|key| sessions.ask(key, &sessions.limits()));
            match (asked, key) {
                (Some(Asked::Live(held)), Some(key)) => {
                    if rule.is_special {
                        return begin_special(r, exchange, sticky, key, id, Some(held));
                    }
                    return to_holder(r, exchange, sticky, key, id, held);
                }
                (Some(Asked::Due(held)), Some(key)) => {
                    return begin_touching(r, exchange, sticky, key, id, held);
                }
                (Some(_), _) if !session_id::are_empty_from(r, rule, at) => {
                    return begin_by_any(r, exchange, sticky);
                }
                (Some(Asked::Expired), _) => (Status::Expired, key, id),
                (Some(_), _) => (Status::Miss, key, id),
                _ => (Status::Miss, None, &[][..]),
            }
        }
        First::None => (Status::None, None, &[][..]),
        First::InBody => return begin_by_any(r, exchange, sticky),
    };
    match key {
        Some(key) if rule.is_special => {
            let context = begin_special(r, exchange, sticky, key, id, None)?;
            context.status.set(status);
            Some(context)
        }
        _ => without_session(r, exchange, sticky, rule, status, key, id),
    }
}

/// The request goes to the server of its session.
#[inline(always)]
fn to_holder<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    key: Key,
    id: &'r [u8],
    held: Held,
) -> Option<&'r RequestContext<'r>> {
    let context = || {
        let session = RequestSession {
            request_key: Some(key),
            carried: id,
            holder: Some(held.peer()),
            ..RequestSession::without_session(Status::Hit)
        };
        context(r, sticky, exchange.peers(), session)
    };
    Steered::begin(r, exchange, context, Holder)
}

/// The request has no session, and nothing but the balancer steers it.
#[inline(always)]
fn without_session<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &QueryRule,
    status: Status,
    request_key: Option<Key>,
    carried: &'r [u8],
) -> Option<&'r RequestContext<'r>> {
    session_id::take_met(r, sticky, &rule.names);
    let context = || {
        let session = RequestSession {
            request_key,
            carried,
            ..RequestSession::without_session(status)
        };
        context(r, sticky, exchange.peers(), session)
    };
    begin_unsteered(r, exchange, sticky, context)
}

/// The session is to be touched.
#[inline(never)]
fn begin_touching<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    key: Key,
    id: &'r [u8],
    held: Held,
) -> Option<&'r RequestContext<'r>> {
    touch(exchange, sticky, key, held.peer());
    match &sticky.rule {
        Rule::Query(rule, ..) if rule.is_special => {
            begin_special(r, exchange, sticky, key, id, Some(held))
        }
        _ => to_holder(r, exchange, sticky, key, id, held),
    }
}

/// The session is in use from now on, unless its server cannot be used: then
/// [another](lookup::another) may be chosen.
fn touch(exchange: RoundRobin<'_>, sticky: &Sticky<'_>, key: Key, holder: PeerId) {
    let peers = exchange.peers();
    let index = sticky.peer_index(peers);
    if let Rule::Query(_, sessions, _) = &sticky.rule {
        if usable::is_usable(sticky, &index, peers, holder) {
            sessions.touch(key, &sessions.limits());
        }
    }
}

/// The request may have several ids, or one in its body.
#[cold]
#[inline(never)]
fn begin_by_any<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, sessions, _) = &sticky.rule else {
        return None;
    };
    let session = lookup::by_any_id(r, rule, sessions);
    let RequestSession {
        status,
        request_key,
        carried,
        held,
        ..
    } = session;
    match (request_key, held) {
        // It touches nothing where that is not due.
        (Some(key), Some(held)) => begin_touching(r, exchange, sticky, key, carried, held),
        (Some(key), None) if rule.is_special => {
            let context = begin_special(r, exchange, sticky, key, carried, None)?;
            context.status.set(status);
            Some(context)
        }
        _ => without_session(r, exchange, sticky, rule, status, request_key, carried),
    }
}

/// A request with an id, of an upstream with `learn=request`, `balance_factor` or `dry_run`.
#[inline(never)]
fn begin_special<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    key: Key,
    id: &'r [u8],
    held: Option<Held>,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, ..) = &sticky.rule else {
        return None;
    };
    let is_entered = rule.learn.request && held.is_some_and(Held::is_entered);
    // No subrequest does, such as those of auth_request, mirror and the update of a cache.
    let enters = rule.learn.request && r.is_main() && (is_entered || held.is_none());
    let status = match held {
        Some(_) => Status::Hit,
        None => Status::Miss,
    };
    if !enters && held.is_none() {
        return without_session(r, exchange, sticky, rule, status, Some(key), id);
    }
    let context = || {
        let session = RequestSession {
            request_key: Some(key),
            carried: id,
            holder: held.map(Held::peer),
            ..RequestSession::without_session(status)
        };
        let context = context(r, sticky, exchange.peers(), session);
        if is_entered && !sticky.is_dry_run {
            context.entry.set(Entry::Found);
        }
        context
    };
    if sticky.is_dry_run {
        dry_run::begin(r, exchange, context)
    } else if enters {
        Steered::begin(r, exchange, context, Entering)
    } else if rule.balance_factor.is_some() {
        Steered::begin(r, exchange, context, Bounded)
    } else {
        Steered::begin(r, exchange, context, Holder)
    }
}
