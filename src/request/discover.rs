//! `mode=discover`: what a request brings that looks like an id. It goes where the balancer says.

use std::cell::{Cell, RefCell};

use sticky_core::discover::look::{self, OF_REQUEST};
use sticky_core::discover::sample::SamplesHeader;
use sticky_core::discover::Sighting;
use sticky_core::events::Status;

use crate::config::types::{Discovery, Sticky};
use crate::ngx::admission;
use crate::ngx::balancer::RoundRobin;
use crate::ngx::request::Request;
use crate::zone::counters;

use super::begin::{begin_unsteered, context};
use super::context::RequestContext;
use super::lookup::RequestSession;
use super::watched::{noting, Watched};

/// Begins a request. `None`: no memory is left.
#[inline(never)]
pub(super) fn begin<'r>(
    r: Request<'r>,
    exchange: RoundRobin<'r>,
    sticky: &'r Sticky<'r>,
    discovery: &'r Discovery<'r>,
) -> Option<&'r RequestContext<'r>> {
    let peers = exchange.peers();
    let session = RequestSession::without_session(Status::None);
    let context = begin_unsteered(r, exchange, sticky, || context(r, sticky, peers, session))?;
    let watch = *discovery.watch.get()?;
    let client = watch.header.hash(r.client_address());
    if r.is_main() && watch.sample.takes(client, counters::now()) {
        let watched = Watched {
            brought: RefCell::new(brought(r, watch.header)),
            watch,
            client,
            who: Cell::new(None),
            looks: Cell::new(0),
            body: RefCell::new(None),
        };
        context.watched.set(r.pool()?.keep(watched));
    }
    Some(context)
}

fn brought(r: Request<'_>, header: &SamplesHeader) -> Vec<Sighting> {
    let mut all = Vec::new();
    let mut visit = noting(header, OF_REQUEST, &mut all);
    let reads_body = look::reads_request(r.body_type());
    let body = reads_body.then(|| r.body(look::MAX_BODY)).flatten();
    let request = look::Request {
        path: r.unparsed_path(),
        query: r.unparsed_args(),
        body_type: r.body_type(),
        body: body.as_ref().map_or(&[], |body| &body.bytes),
    };
    look::request(&request, &mut visit);
    if let Some(body) = &body {
        admission::was_read(r, body.bytes.len());
    }
    for header in r.request_headers() {
        look::request_header(header.name(), header.value(), &mut visit);
    }
    drop(visit);
    all
}
