//! Session ids in a response: learned from its headers and its body before these are passed on. The
//! bytes are not changed.

use sticky_core::directive::QueryRule;
use sticky_core::peer_id;
use sticky_core::scan::inflate::Coding;
use sticky_core::scan::readers::Readers;
use sticky_core::scan::source::Body;
use sticky_core::scan::{response_headers, Learner};
use sticky_core::table::{Claim, Learned, PeerId};
use sticky_core::url::{ExtractedId, Site};

use crate::config::types::Rule;
use crate::ngx::chain::Chain;
use crate::ngx::clock;
use crate::ngx::header::Header;
use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::request::context::{HolderState, LearnedIds, RequestContext};
use crate::request::status::Status;
use crate::zone::sessions::Sessions;

/// Learns the ids in the header of a response, which the peer called `name` gives. A session whose
/// server was lost moves to that peer.
#[inline(always)]
pub fn header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    name: &[u8],
) {
    reassign_lost(context, rule, sessions, name);
    if rule.learn.reads_header() && r.is_main() {
        read_header(r, context, rule, name);
    }
}

#[inline(always)]
fn reassign_lost(
    context: &RequestContext<'_>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    name: &[u8],
) {
    if context.holder_state.get() == HolderState::Lost {
        reassign(context, rule, sessions, name);
    }
}

/// Learns the ids in the cookies of an answer with X-Accel-Redirect: they are all that the client gets
/// of its header.
pub fn redirected<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    name: &[u8],
    headers: impl Iterator<Item = Header<'r>>,
) {
    reassign_lost(context, rule, sessions, name);
    for header in headers.filter(|_| r.is_main()) {
        if header.name().eq_ignore_ascii_case(b"set-cookie") {
            read_one_header(r, context, rule, name, header);
        }
    }
}

/// The server of the request's session could not be used, and another has answered: moves the session
/// there.
#[cold]
fn reassign(context: &RequestContext<'_>, rule: &QueryRule, sessions: &Sessions<'_>, name: &[u8]) {
    if let (Some(key), Some(holder)) = (context.request_key, context.holder) {
        sessions.reassign(key, holder, answering_id(context, name), &rule.limits);
    }
}

/// Learns the ids in the response's header.
#[inline(always)]
fn read_header<'r>(r: Request<'r>, context: &'r RequestContext<'r>, rule: &QueryRule, peer: &[u8]) {
    for header in r.response_headers() {
        if response_headers::may_hold_id(&rule.learn, header.name()) {
            read_one_header(r, context, rule, peer, header);
        }
    }
}

#[inline(never)]
fn read_one_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
    header: Header<'r>,
) {
    let (name, value) = (header.name(), header.value());
    let learn = |id: &[u8]| {
        if let Some(ids) = learned_ids(r, context, peer) {
            learn_id(context, ids, id);
        }
    };
    if rule.learn.location {
        response_headers::urls_in_header(name, value, |link| {
            // Nearly all links are relative; then the site does not matter.
            let carried = rule.names.in_plain_link(link);
            let carried = carried.unwrap_or_else(|| rule.names.in_link(link, &site(r, rule)));
            if let ExtractedId::Id(id) = carried {
                learn(&id);
            }
        });
    }
    let now = clock::unix_seconds;
    response_headers::ids_in_header(&rule.learn, &rule.names, (name, value), now, learn);
}

/// Whether the response's body is being scanned. The scan itself may have ended already.
#[inline]
pub fn scans_body(context: &RequestContext<'_>) -> bool {
    let ids = context.learned.get();
    ids.is_some_and(|ids| ids.scanner.get().is_some())
}

/// Scans a piece of the response's body.
pub fn body(context: &RequestContext<'_>, chain: Chain<'_>) {
    let Some(ids) = context.learned.get() else {
        return;
    };
    let Some(scanner) = ids.scanner.get() else {
        return;
    };
    // Taken out meanwhile, so that a learner that panics is not called again.
    let Some(mut learner) = scanner.take() else {
        return;
    };
    let mut found = |id: &[u8]| learn_id(context, ids, id);
    let mut is_over = false;
    for buffer in chain.buffers() {
        if let Some(bytes) = buffer.bytes() {
            learner.feed(bytes, &mut found);
        }
        if buffer.ends_response() {
            learner.end(&mut found);
            is_over = true;
            break;
        }
    }
    if !is_over && !ids.is_full() {
        scanner.set(Some(learner));
    }
}

/// The ids learned from this response, none at the first call.
fn learned_ids<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    name: &[u8],
) -> Option<&'r LearnedIds<'r>> {
    if context.learned.get().is_none() {
        let ids = LearnedIds::none_of(answering_id(context, name));
        context.learned.set(r.pool()?.place(ids));
    }
    context.learned.get()
}

/// Enters a session that the response hands out into the table, for the peer that gives the response.
fn learn_id(context: &RequestContext<'_>, ids: &LearnedIds<'_>, id: &[u8]) {
    let Rule::Query(rule, sessions, _) = &context.sticky.rule else {
        return;
    };
    // The request's own session at its own server was looked up a moment ago.
    if id == context.request_id && context.holder == Some(ids.peer) {
        return;
    }
    let Some(key) = sessions.key(id) else { return };
    if !ids.record(key) {
        return;
    }
    let claim =
        if context.request_key == Some(key) && context.holder_state.get() != HolderState::Full {
            Claim::RequestCarried {
                holder: context.holder,
            }
        } else {
            Claim::ResponseOnly
        };
    let learned = sessions.learn(key, ids.peer, claim, &rule.limits, &mut |holder| {
        context.is_lost(holder, || context.has_ahead(key))
    });
    if matches!(learned, Learned::New { .. }) && context.status.get() == Status::None {
        context.status.set(Status::New);
    }
}

/// Whether ids are learned from a response with that status: not from a failure of the server (5xx),
/// nor from the response to a background request, which no client gets.
pub fn may_learn(r: Request<'_>, status: usize) -> bool {
    status < 500 && !r.is_background()
}

fn answering_id(context: &RequestContext<'_>, name: &[u8]) -> PeerId {
    let index = context.peer_index();
    index
        .answering(context.request, name)
        .map_or_else(|| peer_id::peer_id(name), |peer| peer.id)
}

fn site(r: Request<'_>, rule: &QueryRule) -> Site {
    Site::new(r.host(), &rule.hosts)
}

/// Whether the response has a body, of a type that is scanned.
#[inline]
pub fn has_scannable_body(r: Request<'_>, readers: &Readers) -> bool {
    let has_body =
        !r.is_head() && !r.is_header_only() && !matches!(r.status(), 100..200 | 204 | 206 | 304);
    has_body && readers.read(r.response_type())
}

/// Prepares to scan the response's body.
#[inline(never)]
pub fn begin_body<'r>(
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
) -> Option<Box<dyn Learner>> {
    let coding = match r.content_coding() {
        None => None,
        Some(name) => match Coding::named(name) {
            Some(coding) => Some(coding),
            None => {
                log_unreadable(r, context, name);
                return None;
            }
        },
    };
    let is_known = context.holder == Some(answering_id(context, name));
    let known = if is_known { context.request_id } else { &[] };
    let body = Body {
        media_type: r.response_type(),
        coding,
        known,
    };
    readers.learner(&body, &site(r, rule))
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
