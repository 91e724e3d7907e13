//! `mode=discover`: what a response hands out that looks like an id.

use sticky_core::discover::look::{self, OF_RESPONSE};
use sticky_core::discover::sample::{Answer, Exchange};
use sticky_core::scan::inflate::{Coding, InflatingLearner};

use crate::ngx::chain::Chain;
use crate::ngx::request::Request;
use crate::request::context::RequestContext;
use crate::request::watched::{noting, Body, Watched};
use crate::zone::counters;

use super::learn;

/// So often a stream is looked at: ids come with its first events.
const LOOKS: u8 = 16;

/// The header of a response of the peer called `name` has come.
pub(super) fn header<'r>(r: Request<'r>, context: &'r RequestContext<'r>, name: &[u8]) {
    let Some(watched) = context.watched.get() else {
        return;
    };
    if watched.who.get().is_some() || !learn::may_learn(r, r.status()) {
        return;
    }
    let (watch, media_type) = (watched.watch, r.response_type());
    let who = Exchange {
        client: watched.client,
        server: watch.header.hash(name) | 1,
        now: counters::now(),
    };
    watched.who.set(Some(who));
    let mut handed_out = Vec::new();
    {
        let mut visit = noting(watch.header, OF_RESPONSE, &mut handed_out);
        for header in r.response_headers() {
            look::response_header(header.name(), header.value(), &mut visit);
        }
    }
    let brought = watched.brought.take();
    let answer = Answer::of(r.status(), media_type);
    watch.sample.note(who, answer, &brought, &handed_out);
    if !look::reads(media_type) || !learn::body::is_there(r) {
        return;
    }
    let body = match r.content_coding() {
        None => Some(Body::Plain(look::Beginning::default())),
        Some(coding) => Coding::named(coding).map(|coding| {
            let learner = InflatingLearner::new(coding, look::Beginning::default());
            Body::Compressed(Box::new(learner))
        }),
    };
    if body.is_some() {
        watched.body.replace(body);
        context.awaits_body.set(true);
        r.need_body_in_memory();
    }
}

/// The next pieces of the body have come: they are looked at together, when all have, or no more
/// are kept.
pub fn body(r: Request<'_>, watched: &Watched<'_>, chain: Chain<'_>) {
    let Some(mut body) = watched.body.take() else {
        return;
    };
    let is_stream = look::is_events(r.response_type());
    for buffer in chain.buffers() {
        let has_room = buffer.bytes().is_none_or(|bytes| body.feed(bytes));
        if buffer.ends_response() || !has_room {
            note(r, watched, &body);
            return;
        }
    }
    // A stream may never end. What comes later is looked at with it, and counts once more.
    if is_stream {
        note(r, watched, &body);
        watched.looks.set(watched.looks.get() + 1);
        if watched.looks.get() == LOOKS {
            return;
        }
    }
    watched.body.replace(Some(body));
}

fn note(r: Request<'_>, watched: &Watched<'_>, body: &Body) {
    let Some(who) = watched.who.get() else {
        return;
    };
    let mut handed_out = Vec::new();
    {
        let mut visit = noting(watched.watch.header, OF_RESPONSE, &mut handed_out);
        look::body(r.response_type(), body.beginning().bytes(), &mut visit);
    }
    watched.watch.sample.note_body(who, &handed_out);
}
