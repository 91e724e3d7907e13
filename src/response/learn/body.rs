//! Reading the body of a response for ids.

use sticky_core::directive::QueryRule;
use sticky_core::events::Skip;
use sticky_core::scan::body::BodyLearner;
use sticky_core::scan::inflate::Coding;
use sticky_core::scan::readers::Readers;
use sticky_core::scan::source::{Body, MAX_SHORT};
use sticky_core::scan::{Found, FoundIn, Learner};

use crate::config::types::Rule;
use crate::ngx::chain::{Chain, Code, Next};
use crate::ngx::guard::guard;
use crate::ngx::log::Level;
use crate::ngx::pace;
use crate::ngx::request::Request;
use crate::request::context::{LearnedIds, RequestContext, Waiting};
use crate::request::count;

use super::ids::{learn_id, learned_ids};
use super::note_met;

/// Reads the next buffers of a response's body. False: not all of them, [`go_on`] is to be called
/// instead of passing them on.
pub fn read(context: &RequestContext<'_>, chain: Chain<'_>) -> bool {
    let Some(ids) = context.learned.get() else {
        return true;
    };
    if ids.waiting.get().is_some_and(Waiting::is_any) {
        return false;
    }
    let mut stopped = None;
    read_with(context, ids, |learner, found| {
        for (count, buffer) in chain.buffers().enumerate() {
            if let Some(bytes) = buffer.bytes() {
                if let Some(read) = learner.feed_while(bytes, pace::may_read, found) {
                    stopped = Some((count, read));
                    return false;
                }
            }
            if buffer.ends_response() {
                return true;
            }
        }
        false
    });
    let Some((buffers, bytes)) = stopped else {
        return true;
    };
    let pool = context.request.pool();
    let waiting = ids.waiting.get();
    let waiting = waiting.or_else(|| pool?.keep(Waiting::default()));
    if let Some(waiting) = waiting {
        waiting.held.borrow_mut().was_read(buffers, bytes);
    }
    ids.waiting.set(waiting);
    if waiting.is_none() {
        // Without memory for it, the rest is passed on without being read.
        ids.scanner.set(None);
    }
    waiting.is_none()
}

/// Reads what waits, as far as there is time for it, and passes on what was read. `None`: it cannot.
pub fn go_on(context: &RequestContext<'_>, chain: Chain<'_>, next: Next<'_>) -> Option<Code> {
    let r = context.request;
    let ids = context.learned.get()?;
    let waiting = ids.waiting.get()?;
    let mut held = waiting.held.borrow_mut();
    let was_held = !held.is_empty();
    held.add(chain, r.pool()?)?;
    // What waits is passed on in any case.
    guard((), || {
        read_with(context, ids, |learner, found| {
            while let Some((bytes, ends_response)) = held.unread() {
                if let Some(read) = learner.feed_while(bytes, pace::may_read, found) {
                    held.advance(read);
                    break;
                }
                held.go_behind();
                if ends_response {
                    return true;
                }
            }
            false
        });
    });
    if ids.with_learner(|_| ()).is_none() {
        held.read_all();
    }
    // Other modules may use the same bit. They set it again when they are called.
    if was_held {
        r.set_body_is_held(false);
    }
    let mut code = Code::default();
    if held.has_read() || r.is_pending() {
        code = held.send(r.pool()?, next)?;
    }
    if !held.is_empty() {
        r.set_body_is_held(true);
        waiting.place.wait(r);
        if context.trace.get().is_some() {
            r.log().debug(format_args!(
                "sticky: the rest of the body is read in a later turn of the event loop"
            ));
        }
        if code.is_ok() {
            code = Code::AGAIN;
        }
    }
    Some(code)
}

/// Has a function read with the learner of a response, as long as there is one. It tells whether it has
/// come to the end.
#[inline(always)]
fn read_with<'r>(
    context: &RequestContext<'r>,
    ids: &LearnedIds<'r>,
    read: impl FnOnce(&mut BodyLearner, &mut Found<'_>) -> bool,
) {
    let Some(scanner) = ids.scanner.get() else {
        return;
    };
    // Taken out meanwhile, so that a learner that panics is not called again.
    let Some(mut learner) = scanner.take() else {
        return;
    };
    let Rule::Query(rule, ..) = &context.sticky.rule else {
        return;
    };
    let mut found = |id: &[u8], found_in: FoundIn| learn_id(context, ids, id, found_in);
    let is_over = read(&mut learner, &mut found);
    if is_over {
        learner.end(&mut found);
    }
    // Also when all places are taken: ids of live sessions and the request's own need none.
    // The line of the response is written when there is no learner any more.
    if (is_over || context.trace.get().is_some()) && learner.has_given_up() {
        context.noted.skip(Skip::GivenUp);
    }
    match is_over {
        true => count::body(context, ids, &learner),
        false => scanner.set(Some(learner)),
    }
    note_met(context, rule);
}

/// Whether the response has a body, of a type that is scanned. If it has one of another type, that
/// is noted.
#[inline]
pub fn is_read(r: Request<'_>, context: &RequestContext<'_>, readers: &Readers) -> bool {
    if !is_there(r) {
        return false;
    }
    let is_read = reads_type(r, readers);
    if !is_read && r.response_length() != Some(0) {
        context.noted.skip(readers.skipped_type());
    }
    is_read
}

/// Whether the response has a body that may be scanned.
#[inline]
pub fn is_there(r: Request<'_>) -> bool {
    let status = r.status();
    let may_have = status == 200 || !matches!(status, 100..200 | 204 | 206 | 304);
    may_have && !r.is_head() && !r.is_header_only()
}

/// Whether a body of its type is scanned.
#[inline]
pub fn reads_type(r: Request<'_>, readers: &Readers) -> bool {
    let is_short = || {
        let length = r.response_length();
        length.is_some_and(|length| length <= MAX_SHORT)
    };
    let media_type = r.response_type();
    readers.read(media_type) || readers.read_short(media_type) && is_short()
}

/// Prepares to scan the response's body.
#[inline(never)]
pub fn begin<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    readers: &Readers,
    name: &[u8],
) {
    if let Some(learner) = body_learner(r, context, rule, readers, name) {
        let scanner = r.pool().and_then(|pool| pool.keep(Some(learner).into()));
        if let (Some(ids), Some(_)) = (learned_ids(r, context, name), scanner) {
            ids.scanner.set(scanner);
            context.noted.read_body();
            context.awaits_body.set(true);
            r.need_body_in_memory();
        }
    }
}

/// What scans the body of this response. `None`: its type or its coding is not read.
fn body_learner(
    r: Request<'_>,
    context: &RequestContext<'_>,
    rule: &QueryRule,
    readers: &Readers,
    name: &[u8],
) -> Option<BodyLearner> {
    let coding = match r.content_coding() {
        None => None,
        Some(name) => match Coding::named(name) {
            Some(coding) => Some(coding),
            None => {
                context.noted.skip(Skip::Coding);
                log_unreadable(r, context, name);
                return None;
            }
        },
    };
    let is_holder = |holder| {
        context
            .answering(name)
            .is_some_and(|peer| peer.number == holder)
    };
    let known = match context.holder.get() {
        Some(holder) if is_holder(holder) => context.carried.get(),
        _ => &[],
    };
    let body = Body {
        media_type: r.response_type(),
        coding,
        known,
    };
    let site = readers.site(r.host(), &rule.hosts);
    let site = match rule.response_names.have_segments() {
        true => site.at(r.unparsed_path()),
        false => site,
    };
    readers.learner(&body, &site)
}

/// Logged once for each upstream and worker.
fn log_unreadable(r: Request<'_>, context: &RequestContext<'_>, coding: &[u8]) {
    if !context.sticky.logged_encoding.replace(true) {
        r.log().write(
            Level::Error,
            format_args!(
                "sticky: no session ids are learned from responses with Content-Encoding \"{}\", \
                 only from gzip, deflate, br and zstd, upstream \"{}\"",
                coding.escape_ascii(),
                context.sticky.upstream.escape_ascii()
            ),
        );
    }
}
