//! Counts a request when it is logged, once, and the body of its response when it was read.

use sticky_core::counters::HitCounter;
use sticky_core::events::Status;
use sticky_core::scan::body::BodyLearner;

use super::context::{LearnedIds, RequestContext};

/// What is still to be counted of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// What has happened to sessions.
    Happened,
    /// That, and the hit of its server.
    Hit,
    /// All.
    All,
}

/// A request of a sticky upstream has ended: counts what nearly all requests have, which cannot
/// panic.
#[inline(always)]
pub fn ended(context: &RequestContext<'_>) -> Rest {
    let Some(own) = context.sticky.own_counters.get() else {
        return Rest::All;
    };
    let status = context.status.get();
    own.request(status);
    match (status, context.found.get()) {
        (Status::Hit, _) if context.answered.get().is_none() => {}
        (Status::Hit, Some(peer)) => own.hit(peer.hits),
        (Status::Hit, None) => return Rest::Hit,
        // Maybe an operator wanted it so.
        (Status::Gone, _) => return Rest::Happened,
        _ => {}
    }
    match own.few(&context.noted) {
        true => Rest::Nothing,
        false => Rest::Happened,
    }
}

/// The body of the response was read to its end: counts it, or has it counted with the rest. That of a
/// subrequest counts only where nginx logs it.
#[inline(always)]
pub fn body(context: &RequestContext<'_>, ids: &LearnedIds<'_>, learner: &BodyLearner) {
    match (context.sticky.own_counters.get(), learner.read_by_one()) {
        (Some(own), Some((reader, end, bytes))) if context.request.is_main() => {
            own.body_of_one(reader, end, bytes);
            context.noted.count_body();
        }
        _ => ids.end(learner.read()),
    }
}

/// Counts the rest.
pub fn rest(context: &RequestContext<'_>, rest: Rest) {
    let sticky = context.sticky;
    let own = || sticky.counters.get()?.own();
    let Some(own) = sticky.own_counters.get().copied().or_else(own) else {
        return;
    };
    // It is empty, or has the same already.
    let _ = sticky.own_counters.set(own);
    if rest == Rest::All {
        own.request(context.status.get());
    }
    if rest == Rest::Hit || rest == Rest::All {
        if let Some(server) = hit(context) {
            own.hit(server);
        }
    }
    let happened = context.happened();
    if !happened.is_nothing() {
        own.happened(happened);
    }
    if context.status.get() == Status::Gone && context.is_planned() {
        own.planned();
    }
    if happened.has_read_body() {
        own.body(context.read_body());
    }
}

/// The session's server, if it has answered: also of those that come and go, and under nginx's own forms
/// of the directive.
fn hit(context: &RequestContext<'_>) -> Option<HitCounter> {
    let name = context.answered.get()?;
    if context.status.get() != Status::Hit {
        return None;
    }
    let index = context.peer_index();
    let server = index.answering(context.request, name)?;
    Some(server.hits)
}
