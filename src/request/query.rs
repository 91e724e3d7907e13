//! Begins to steer a request of `mode=query`: finds its session by its id.
//!
//! Nearly all requests have no id, or one in their query whose session is live or unknown. What else
//! there may be is done in functions of its own, so that these need few registers and no memory.

use sticky_core::directive::QueryRule;
use sticky_core::events::Status;
use sticky_core::table::{Asked, FirstLook, Held, Key, Look, PeerId};
use sticky_core::url::PlainQuery;

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
    let whole = sessions.whole().filter(|_| rule.is_usual);
    let Some(whole) = whole else {
        return begin_otherwise(r, exchange, sticky);
    };
    match rule.names.in_query_at_once(r.args()) {
        PlainQuery::Id(id) => {
            let key = whole.key(id);
            match whole.ask(key) {
                FirstLook::Live(held) => to_holder(r, exchange, sticky, key, id, held),
                FirstLook::Unknown if session_id::is_rest_empty(r, rule) => {
                    left_to_balancer(r, exchange, sticky, Status::Miss, Some(key), id)
                }
                FirstLook::Unknown => begin_by_any(r, exchange, sticky),
                FirstLook::Untold(look) => begin_after(r, exchange, sticky, (key, id, 1), &look),
            }
        }
        PlainQuery::None if r.is_as_sent() && session_id::is_rest_empty(r, rule) => {
            left_to_balancer(r, exchange, sticky, Status::None, None, &[])
        }
        PlainQuery::None => begin_otherwise(r, exchange, sticky),
        PlainQuery::Untold => begin_by_pairs(r, exchange, sticky),
    }
}

/// The same where the query may have several pairs.
#[inline(never)]
fn begin_by_pairs<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, sessions, _) = &sticky.rule else {
        return None;
    };
    match rule.names.first_in_pairs_at_once(r.args()) {
        // The others may have one, too.
        Some(id) => by_id(r, exchange, sticky, rule, sessions, id, 0),
        None => begin_otherwise(r, exchange, sticky),
    }
}

/// The same where there is more to think about.
#[inline(never)]
fn begin_otherwise<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, ..) = &sticky.rule else {
        return None;
    };
    if let Some(id) = session_id::in_only_cookie(r, rule) {
        return begin_by_id(r, exchange, sticky, id, 1);
    }
    match session_id::first(r, rule) {
        First::Id(id, at) => begin_by_id(r, exchange, sticky, id, at),
        First::None => without_session(r, exchange, sticky, rule, Status::None, None, &[]),
        First::InBody => begin_by_any(r, exchange, sticky),
    }
}

/// The same with the first id of a request, behind which the places from the one of the index `at` on may
/// have further ones.
#[inline(never)]
fn begin_by_id<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    id: &'r [u8],
    at: usize,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, sessions, _) = &sticky.rule else {
        return None;
    };
    by_id(r, exchange, sticky, rule, sessions, id, at)
}

#[inline(always)]
fn by_id<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    id: &'r [u8],
    at: usize,
) -> Option<&'r RequestContext<'r>> {
    let Some(whole) = sessions.whole().filter(|_| !rule.is_special) else {
        return begin_by_sessions(r, exchange, sticky, id, at);
    };
    let key = whole.key(id);
    match whole.ask(key) {
        FirstLook::Live(held) => to_holder(r, exchange, sticky, key, id, held),
        FirstLook::Unknown => begin_asked(r, exchange, sticky, (key, id, at), Asked::Unknown),
        FirstLook::Untold(look) => begin_after(r, exchange, sticky, (key, id, at), &look),
    }
}

/// The same where there is more than one key or table, or the session is not all that counts.
#[inline(never)]
fn begin_by_sessions<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    id: &'r [u8],
    at: usize,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, sessions, _) = &sticky.rule else {
        return None;
    };
    match sessions.key(id) {
        Some(key) => {
            let asked = sessions.ask(key, &sessions.limits());
            begin_asked(r, exchange, sticky, (key, id, at), asked)
        }
        None => without_session(r, exchange, sticky, rule, Status::Miss, None, &[]),
    }
}

/// The same where one look at the table did not tell.
#[inline(never)]
fn begin_after<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    (key, id, at): (Key, &'r [u8], usize),
    look: &Look,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, sessions, _) = &sticky.rule else {
        return None;
    };
    let (whole, limits) = (sessions.whole()?, sessions.limits());
    if !rule.is_special {
        // The first request of a session, and now and then one more.
        if let Some(due) = whole.due_at_once(look, key, &limits) {
            let held = due.held();
            match usable::is_usable_at_once(sticky, exchange.peers(), held.peer()) {
                Some(true) if whole.touch_at_once(&due) => {}
                Some(false) => {}
                _ => touch(exchange, sticky, key, held.peer()),
            }
            return to_holder(r, exchange, sticky, key, id, held);
        }
    }
    let asked = whole.ask_after(*look, key, &limits);
    begin_asked(r, exchange, sticky, (key, id, at), asked)
}

/// The same with what the table has for the first id.
#[inline(never)]
fn begin_asked<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    (key, id, at): (Key, &'r [u8], usize),
    asked: Asked,
) -> Option<&'r RequestContext<'r>> {
    let Rule::Query(rule, ..) = &sticky.rule else {
        return None;
    };
    let status = match asked {
        Asked::Live(held) if rule.is_special => {
            return begin_special(r, exchange, sticky, key, id, Some(held));
        }
        Asked::Live(held) => return to_holder(r, exchange, sticky, key, id, held),
        Asked::Due(held) => return begin_touching(r, exchange, sticky, key, id, held),
        _ if !session_id::are_empty_from(r, rule, at) => {
            return begin_by_any(r, exchange, sticky);
        }
        Asked::Expired => Status::Expired,
        Asked::Unknown => Status::Miss,
    };
    if rule.is_special {
        let context = begin_special(r, exchange, sticky, key, id, None)?;
        context.status.set(status);
        return Some(context);
    }
    without_session(r, exchange, sticky, rule, status, Some(key), id)
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
    left_to_balancer(r, exchange, sticky, status, request_key, carried)
}

/// The same where nothing was met that looks like an id and is none.
#[inline(always)]
fn left_to_balancer<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    status: Status,
    request_key: Option<Key>,
    carried: &'r [u8],
) -> Option<&'r RequestContext<'r>> {
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
#[inline(never)]
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
    session_id::take_met(r, sticky, &rule.names);
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
