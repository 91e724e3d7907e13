//! The response: ids are learned from it, it gets a cookie, or its links are rewritten.
//!
//! This file chooses which, by the mode of the upstream. It is called by the header filter, by
//! variables, which `add_header` may evaluate earlier, and for answers with X-Accel-Redirect.

use sticky_core::directive::{CookieRule, RewriteRule};
use sticky_core::events::{Skip, Status};

use crate::config::types::Rule;
use crate::ngx::accel_redirect::{OnRedirect, SavedFinalize};
use crate::ngx::request::Request;
use crate::request::context::{Entry, RequestContext};
use crate::request::origin;
use crate::zone::sessions::Sessions;

pub mod cookie;
pub mod discover;
mod drain;
mod first;
pub mod learn;
pub mod rewrite;
mod trace;

/// The short way of nearly all responses: of one that has nothing for the module, notes that it has come.
/// False: nothing has changed, and [`header`] is to be called.
#[inline(always)]
pub fn header_at_once<'r>(r: Request<'r>, context: &'r RequestContext<'r>) -> bool {
    let Rule::Query(rule, _, readers) = &context.sticky.rule else {
        return false;
    };
    if rule.asks_each_answer {
        return false;
    }
    let Some(exchange) = r.upstream() else {
        return false;
    };
    // 200: neither a failure of the server nor one that has no body, but for HEAD.
    if r.status() != 200
        || r.is_header_only()
        || r.is_cached()
        || context.answered.get().is_some()
        || context.trace.get().is_some()
        || context.peers.may_change()
        || drain::may_be_announced(r)
        || !learn::has_nothing(r, context, rule, exchange)
    {
        return false;
    }
    let (Some(name), Some(false)) = (
        exchange.answering_peer(),
        readers.read_at_once(r.response_type()),
    ) else {
        return false;
    };
    context.answered.set(name);
    if r.response_length() != Some(0) && !r.is_head() {
        context.noted.skip(readers.skipped_type());
    }
    true
}

/// The same in `mode=cookie`, of one that gets a cookie which is always the same.
#[inline(always)]
fn cookie_at_once<'r>(r: Request<'r>, context: &'r RequestContext<'r>, rule: &CookieRule) -> bool {
    if rule.transfer
        || rule.expires.is_some()
        || r.is_cached()
        || context.answered.get().is_some()
        || context.trace.get().is_some()
        || context.peers.may_change()
        || drain::may_be_announced(r)
    {
        return false;
    }
    let name = r.upstream().and_then(|exchange| exchange.answering_peer());
    let Some((name, line)) = name.zip(name.and_then(|name| cookie::line(r, context, rule, name)))
    else {
        return false;
    };
    context.answered.set(name);
    if context.status.get() == Status::None {
        context.status.set(Status::New);
    }
    cookie::add(r, line);
    true
}

/// Called before the header of a response is sent.
pub fn header<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    if let Rule::Cookie(rule, _) = &context.sticky.rule {
        if cookie_at_once(r, context, rule) {
            return;
        }
    }
    read_header(r, context);
    if let Some(trace) = context.trace.get() {
        trace::header(r, context, trace);
    }
}

// Apart, for it needs much memory on the stack.
#[inline(never)]
fn read_header<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    let Some((name, is_new)) = answer(r, context) else {
        return;
    };
    if is_new {
        drain::announced(r, context, name);
    }
    if let Rule::Query(rule, sessions, readers) = &context.sticky.rule {
        if is_new && rule.awaits_end {
            answered(r, context, sessions, name);
        }
        if !may_learn(r, context) {
            return;
        }
        if is_new {
            learn::header(r, context, rule, sessions, name);
            if context.sticky.watches_first.get() {
                first::response(r, context, rule);
            }
        }
        if learn::body::is_read(r, context, readers) {
            learn::body::begin(r, context, rule, readers, name);
        }
        return;
    }
    match &context.sticky.rule {
        Rule::Query(..) => {}
        Rule::Cookie(rule, variables) => {
            if is_new {
                observe_cookie(r, context, rule);
            }
            cookie::set(r, context, rule, variables, name);
        }
        Rule::Rewrite(rule) => {
            if is_new {
                observe_rewrite(r, context);
            }
            rewrite_header(r, context, rule, name);
        }
        Rule::Discover(_) => discover::header(r, context, name),
        Rule::NginxForm(_) => {
            if is_new {
                observe_nginx_form(context);
            }
            // Its cookie was set when the server was chosen.
        }
    }
}

/// Apart, for a page needs much memory on the stack.
#[inline(never)]
fn rewrite_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &RewriteRule,
    name: &'r [u8],
) {
    rewrite::header(r, context, rule, name);
}

/// Reads the header once: which peer has answered, and the session ids in it. `$sticky_status` needs
/// that before the header filter has been called (`add_header`).
pub fn observe<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    let Some((name, true)) = answer(r, context) else {
        return;
    };
    drain::announced(r, context, name);
    match &context.sticky.rule {
        Rule::Query(rule, sessions, _) => {
            answered(r, context, sessions, name);
            if may_learn(r, context) {
                learn::header(r, context, rule, sessions, name);
                if context.sticky.watches_first.get() {
                    first::response(r, context, rule);
                }
            }
        }
        Rule::Cookie(rule, _) => observe_cookie(r, context, rule),
        Rule::Rewrite(_) => observe_rewrite(r, context),
        // The header filter does that, which knows how the body is compressed.
        Rule::Discover(_) => {}
        Rule::NginxForm(_) => observe_nginx_form(context),
    }
}

/// Why ids of the response were not learned, or why it was not read, as far as it has come: the
/// value of `$sticky_skipped`. `None`: no sticky upstream serves the request.
pub fn skipped<'r>(r: Request<'r>) -> Option<String> {
    let Some(context) = r.context::<RequestContext<'_>>() else {
        // From the cache, without asking for a server.
        let is_sticky = r.is_cached() && origin::awaited(r).is_some();
        return is_sticky.then(|| Skip::Cache.name().to_owned());
    };
    observe(r, context);
    Some(context.happened().skipped().to_string())
}

/// Whether ids are learned from the response. If not, because the server has failed, that is noted.
#[inline]
fn may_learn(r: Request<'_>, context: &RequestContext<'_>) -> bool {
    let may_learn = learn::may_learn(r, r.status());
    if !may_learn && !r.is_background() {
        context.noted.skip(Skip::Status);
    }
    may_learn
}

/// Called before the Early Hints of a server (103) are sent to the client. The response itself may
/// come from another server.
#[cfg(nginx_since = "1.29.0")]
pub fn early_hints<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
    if let Rule::Query(rule, ..) = &context.sticky.rule {
        let name = r.upstream().and_then(|exchange| exchange.answering_peer());
        if let Some(name) = name.filter(|_| learn::may_learn(r, EARLY_HINTS)) {
            learn::early_hints(r, context, rule, name);
        }
    }
}

/// The status of a response that another one follows.
#[cfg(nginx_since = "1.29.0")]
const EARLY_HINTS: usize = 103;

/// Handles answers with X-Accel-Redirect.
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
        drain::announced(r, context, name);
        if let Some(trace) = context.trace.get() {
            trace::redirected(context, trace, name, exchange);
        }
        match &context.sticky.rule {
            Rule::Query(rule, sessions, _) if learn::may_learn(r, exchange.answer()) => {
                answered(r, context, sessions, name);
                learn::redirected(r, context, rule, sessions, name, exchange);
            }
            Rule::Cookie(rule, variables) => cookie::set(r, context, rule, variables, name),
            _ => {}
        }
    }

    fn awaits_end(context: &RequestContext<'_>) -> bool {
        context.entry.get() != Entry::None
    }

    fn ended<'r>(r: Request<'r>, context: &'r RequestContext<'r>) {
        if context.entry.get() != Entry::None {
            learn::ended(r, context);
        }
    }
}

/// A session that a request has entered stays if this is the answer of its server to a request.
#[inline(always)]
fn answered<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    sessions: &Sessions<'_>,
    name: &[u8],
) {
    if context.entry.get() != Entry::None {
        let status = r.upstream().map_or(0, |exchange| exchange.answer());
        learn::answered(context, sessions, name, status);
    }
}

/// The name of the peer that has answered, and whether this is the first call. `None`: the response is
/// nginx's own, or from its cache.
#[inline]
fn answer<'r>(r: Request<'r>, context: &'r RequestContext<'r>) -> Option<(&'r [u8], bool)> {
    if r.is_cached() {
        context.noted.skip(Skip::Cache);
        return None;
    }
    let exchange = r.upstream()?;
    let name = exchange.answering_peer()?;
    if let Some(name) = context.answered.get() {
        return Some((name, false));
    }
    // The directive early_hints may evaluate variables.
    #[cfg(nginx_since = "1.29.0")]
    if exchange.answer() == EARLY_HINTS {
        return None;
    }
    // The name of a peer that may be removed does not outlive the exchange.
    let name = if context.peers.may_change() {
        r.pool()?.copy(name)?
    } else {
        name
    };
    context.answered.set(name);
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

/// Newer versions call `Chooser::header_came` instead.
fn observe_nginx_form(context: &RequestContext<'_>) {
    #[cfg(not(nginx_since = "1.29.6"))]
    if let Some(nginx_sticky) = context.nginx_sticky.filter(|at| at.learns_from_header()) {
        nginx_sticky.learn(context);
    }
    #[cfg(nginx_since = "1.29.6")]
    let _ = context;
}
