//! A response: ids are learned from it, it gets a cookie, or its links are rewritten.
//!
//! This file knows which of them an upstream wants: it is asked by the header filter, by variables
//! that may be wanted before that (`add_header`), and when a server answers with X-Accel-Redirect.

use sticky_core::directive::CookieRule;

use crate::config::types::Rule;
use crate::ngx::accel_redirect::{OnRedirect, SavedFinalize};
use crate::ngx::request::Request;
use crate::request::context::RequestContext;
use crate::request::status::Status;

pub mod cookie;
pub mod learn;
pub mod rewrite;

/// The header of a response is about to be sent.
pub fn header<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    let Some((name, is_new)) = answer(r, context) else {
        return;
    };
    match &context.sticky.rule {
        Rule::Query(rule, sessions, readers) => {
            if !learn::may_learn(r, r.status()) {
                return;
            }
            if is_new {
                learn::header(r, context, rule, sessions, name);
            }
            if learn::has_scannable_body(r, readers) {
                learn::begin_body(r, context, rule, readers, name);
            }
        }
        Rule::Cookie(rule) => {
            if is_new {
                observe_cookie(r, context, rule);
            }
            cookie::set(r, context, rule, name);
        }
        Rule::Rewrite(rule) => {
            if is_new {
                observe_rewrite(r, context);
            }
            rewrite::header(r, context, rule, name);
        }
        Rule::Native(_) => {
            if is_new {
                observe_native(context);
            }
            // Its cookie was set with the choice of the server.
        }
    }
}

/// Reads what the header tells, once: who answered, and the session ids in it. For `$sticky_status`,
/// which may be wanted before the header filter (`add_header`).
pub fn observe<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    let Some((name, true)) = answer(r, context) else {
        return;
    };
    match &context.sticky.rule {
        Rule::Query(rule, sessions, _) if learn::may_learn(r, r.status()) => {
            learn::header(r, context, rule, sessions, name);
        }
        Rule::Query(..) => {}
        Rule::Cookie(rule) => observe_cookie(r, context, rule),
        Rule::Rewrite(_) => observe_rewrite(r, context),
        Rule::Native(_) => observe_native(context),
    }
}

/// Learns from an answer with X-Accel-Redirect, or sets its cookie.
pub struct AccelRedirect;

impl OnRedirect for AccelRedirect {
    type Context<'r> = RequestContext<'r>;

    fn finalize<'a>(context: &'a RequestContext<'_>) -> &'a SavedFinalize {
        &context.finalize
    }

    fn redirected<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
        let (Some((name, true)), Some(exchange)) = (answer(r, context), r.upstream()) else {
            return;
        };
        match &context.sticky.rule {
            Rule::Query(rule, sessions, _) if learn::may_learn(r, exchange.answer()) => {
                learn::redirected(r, context, rule, sessions, name, exchange.headers());
            }
            Rule::Cookie(rule) => cookie::set(r, context, rule, name),
            _ => {}
        }
    }
}

/// The name of the peer that has answered, and whether that is news. `None`: the response is not a
/// peer's, but nginx's own or from its cache.
#[inline]
fn answer<'r>(r: Request<'r>, context: &'r RequestContext<'r>) -> Option<(&'r [u8], bool)> {
    if r.is_cached() {
        return None;
    }
    let name = r.upstream()?.answering_peer()?;
    if let Some(name) = context.answered.get() {
        return Some((name, false));
    }
    // A peer that may leave takes its name with it when the request is done.
    let name = if context.peers.may_change() {
        r.pool()?.copy(name)?
    } else {
        name
    };
    context.answered.set(Some(name));
    Some((name, true))
}

#[inline]
fn observe_cookie(r: Request<'_>, context: &RequestContext<'_>, rule: &CookieRule) {
    if context.status.get() == Status::None && cookie::is_shown(r, rule) {
        context.status.set(Status::New);
    }
}

fn observe_rewrite(r: Request<'_>, context: &RequestContext<'_>) {
    if context.status.get() == Status::None && r.is_main() && rewrite::has_links(r) {
        context.status.set(Status::New);
    }
}

/// Later versions tell by `Chooser::header_came`.
fn observe_native(context: &RequestContext<'_>) {
    #[cfg(not(nginx_since = "1.29.6"))]
    if let Some(nginx_sticky) = context.nginx_sticky.filter(|at| at.learns_from_header()) {
        nginx_sticky.learn(context);
    }
    #[cfg(nginx_since = "1.29.6")]
    let _ = context;
}
