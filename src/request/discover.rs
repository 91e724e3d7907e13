//! `mode=discover`: what a request brings that looks like an id. It goes where the balancer says.

use std::cell::{Cell, RefCell};

use sticky_core::discover::look::{self, Beginning, OF_REQUEST};
use sticky_core::discover::sample::{Exchange, SamplesHeader};
use sticky_core::discover::{Kind, Sighting, MAX_NAME};
use sticky_core::events::Status;
use sticky_core::scan::inflate::InflatingLearner;
use sticky_core::scan::Learner;

use crate::config::types::{Discovery, Sticky};
use crate::ngx::balancer::RoundRobin;
use crate::ngx::request::Request;
use crate::zone::counters;
use crate::zone::samples::Watch;

use super::begin::{begin_unsteered, context};
use super::context::RequestContext;
use super::lookup::RequestSession;

/// What was seen of a request that is looked at.
pub struct Watched<'r> {
    /// Where it is noted.
    pub watch: Watch<'r>,
    /// Digest of the client.
    pub client: u64,
    /// What the request has brought, until it is noted.
    pub brought: RefCell<Vec<Sighting>>,
    /// Who has answered, once the header of the response has come.
    pub who: Cell<Option<Exchange>>,
    /// How often what has come of a stream was looked at.
    pub looks: Cell<u8>,
    /// The body of the response, if it is read.
    pub body: RefCell<Option<Body>>,
}

/// The body of a response, as far as it is kept.
pub enum Body {
    /// It is not compressed.
    Plain(Beginning),
    /// It is.
    Compressed(Box<InflatingLearner<Beginning>>),
}

impl Body {
    /// Keeps another piece, if there is room. Returns whether there is more.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        match self {
            Body::Plain(beginning) => beginning.feed(piece, &mut |_, _| true),
            Body::Compressed(learner) => learner.feed(piece, &mut |_, _| true),
        }
        !self.beginning().is_full()
    }

    /// What is kept.
    pub fn beginning(&self) -> &Beginning {
        match self {
            Body::Plain(beginning) => beginning,
            Body::Compressed(learner) => learner.learner(),
        }
    }
}

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

/// Notes what is seen, `most` at most.
pub fn noting<'n>(
    header: &'n SamplesHeader,
    most: usize,
    all: &'n mut Vec<Sighting>,
) -> impl FnMut(Kind, &[u8], &[u8]) + 'n {
    move |kind, name, value| {
        if all.len() < most && name.len() <= MAX_NAME {
            all.push(Sighting {
                kind,
                name: name.into(),
                value: header.hash(value),
            });
        }
    }
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
    for header in r.request_headers() {
        look::request_header(header.name(), header.value(), &mut visit);
    }
    drop(visit);
    all
}
