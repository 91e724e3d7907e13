//! Counts a request when it is logged, once.

use sticky_core::counters::HitCounter;
use sticky_core::events::Status;

use super::context::RequestContext;

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
    let body = || context.learned.get()?.read_by_one();
    match own.few(&context.noted, body) {
        true => Rest::Nothing,
        false => Rest::Happened,
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
