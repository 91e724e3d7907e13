//! Begins to steer a request.
//!
//! When the balancer has been initialised for a request, [`steer`] looks for the request's session.
//! If it has one, its attempts go by `choose.rs`. A request without a session is left to the
//! balancer alone, unless it begins one (`learn=request`, see `enter.rs`).

use sticky_core::directive::{CookieRule, RewriteRule};
use sticky_core::events::Status;

use crate::config::error::STEERED_BALANCERS;
use crate::config::nginx_forms::NginxForm;
use crate::config::types::{Rule, Sticky, UpstreamConf};
use crate::ngx::accel_redirect::{self, OnRedirect};
use crate::ngx::balancer::RoundRobin;
use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;

use super::begin::{begin_unsteered, context};
use super::choose::{Holder, Steered};
use super::context::{NginxSticky, RequestContext};
use super::discover;
use super::dry_run;
use super::lookup::{self, RequestSession};
use super::query;

/// Steers a request of the upstream `us`, if that is sticky. Its balancer has been initialised for
/// the request. `A` is called when the answer is an X-Accel-Redirect.
#[inline(always)]
pub fn steer<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    us: Upstream<'r>,
    conf: &'r UpstreamConf<'r>,
) {
    if let Some(sticky) = conf.active() {
        decide::<A>(r, us, conf, sticky);
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
    // Each way by itself: one for all would be the sum of them.
    if let Rule::Query(rule, sessions, _) = &sticky.rule {
        let context = query::begin(r, exchange, sticky, rule, sessions)?;
        // A client that gets another response may have an id from this one.
        if rule.awaits_end {
            accel_redirect::watch::<A>(r, context);
        }
        return Some(());
    }
    decide_otherwise::<A>(r, exchange, conf, sticky)
}

#[inline(never)]
fn decide_otherwise<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    conf: &'r UpstreamConf<'r>,
    sticky: &'r Sticky<'r>,
) -> Option<()> {
    if let Rule::Cookie(rule, _) = &sticky.rule {
        return begin_cookie::<A>(r, exchange, sticky, rule);
    }
    match &sticky.rule {
        Rule::Query(..) | Rule::Cookie(..) => Some(()),
        Rule::Discover(discovery) => discover::begin(r, exchange, sticky, discovery).map(drop),
        Rule::Rewrite(rule) => begin_rewrite(r, exchange, sticky, rule),
        Rule::NginxForm(form) => begin_nginx_form(r, exchange, conf, sticky, form),
    }
}

#[inline(always)]
fn begin_cookie<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &CookieRule,
) -> Option<()> {
    let index = sticky.fixed_index();
    let session = index.and_then(|index| lookup::by_only_cookie(r, rule, index));
    match session {
        Some(session) => begin_by_cookie::<A>(r, exchange, sticky, rule, session),
        None => begin_by_any_cookie::<A>(r, exchange, sticky, rule),
    }
}

#[inline(never)]
fn begin_by_any_cookie<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &CookieRule,
) -> Option<()> {
    let known = sticky.peer_index(exchange.peers());
    let session = lookup::by_cookie(r, rule, &known);
    begin_by_cookie::<A>(r, exchange, sticky, rule, session)
}

#[inline(always)]
fn begin_by_cookie<'r, A: OnRedirect<Context<'r> = RequestContext<'r>> + 'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    rule: &CookieRule,
    session: RequestSession<'r>,
) -> Option<()> {
    let peers = exchange.peers();
    let has_holder = session.holder.is_some();
    let context = || context(r, sticky, peers, session);
    if has_holder && sticky.is_dry_run {
        dry_run::begin(r, exchange, context)?;
    } else if has_holder {
        Steered::begin(r, exchange, context, Holder)?;
    } else {
        let context = begin_unsteered(r, exchange, sticky, context)?;
        // A client that has sent the cookie needs no other.
        if !rule.hide_cookie {
            accel_redirect::watch::<A>(r, context);
        }
    }
    Some(())
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
    let has_holder = session.holder.is_some();
    let context = || context(r, sticky, peers, session);
    if has_holder && sticky.is_dry_run {
        dry_run::begin(r, exchange, context)?;
    } else if has_holder {
        Steered::begin(r, exchange, context, Holder)?;
    } else {
        begin_unsteered(r, exchange, sticky, context)?;
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
    let request_key = begun.key;
    let begun = r.pool()?.place(begun)?;
    let session = RequestSession {
        request_key,
        ..RequestSession::without_session(status)
    };
    let context = || RequestContext {
        #[cfg(not(nginx_since = "1.29.6"))]
        nginx_sticky: Some(begun),
        ..context(r, sticky, exchange.peers(), session)
    };
    Steered::begin(r, exchange, context, begun)?;
    Some(())
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
