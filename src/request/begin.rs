//! What each way to steer a request begins with: its context.

use std::cell::Cell;

use sticky_core::events::Status;
use sticky_core::happened::Happened;

use crate::config::types::Sticky;
use crate::ngx::accel_redirect::SavedFinalize;
use crate::ngx::balancer::RoundRobin;
use crate::ngx::open::Place;
use crate::ngx::peers::PeerList;
use crate::ngx::request::Request;

use super::choose::{Balanced, Steered};
use super::context::{Answered, Entry, HolderState, RequestContext};
use super::lookup::RequestSession;
use super::status::Tries;
use super::traced::Unsteered;

/// The context of a request whose server is chosen now.
#[inline(always)]
pub(super) fn context<'r>(
    r: Request<'r>,
    sticky: &'r Sticky<'r>,
    peers: PeerList,
    session: RequestSession<'r>,
) -> RequestContext<'r> {
    RequestContext {
        request: r,
        sticky,
        peers,
        request_key: Cell::new(session.request_key),
        carried: Cell::new(session.carried),
        holder: Cell::new(session.holder),
        epoch: Cell::default(),
        found: Cell::new(session.found),
        answered: Answered::default(),
        learned: Cell::new(None),
        page: Cell::new(None),
        watched: Cell::new(None),
        #[cfg(not(nginx_since = "1.29.6"))]
        nginx_sticky: None,
        tries: Tries::begin(r, session.status != Status::None),
        status: Cell::new(session.status),
        holder_state: Cell::new(HolderState::Untried),
        entry: Cell::new(Entry::None),
        awaits_body: Cell::new(false),
        noted: Happened::default(),
        finalize: SavedFinalize::default(),
        open: Place::of(r),
        trace: Cell::new(None),
    }
}

/// Nothing but the balancer steers the request, unless some servers are to be avoided.
#[inline(always)]
pub(super) fn begin_unsteered<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &Sticky<'_>,
    context: impl FnOnce() -> RequestContext<'r>,
) -> Option<&'r RequestContext<'r>> {
    if sticky.may_avoid() && !sticky.is_dry_run {
        return Steered::begin(r, exchange, context, Balanced);
    }
    let context = r.pool()?.vacant()?.fill(context());
    r.set_context(context);
    if r.is_debugged() {
        Unsteered::trace(context, exchange);
    }
    Some(context)
}
