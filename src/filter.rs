//! What a response says of its session: the header filter and the body filter.
//!
//! Ids are learned from the headers and the body as they pass, before they are passed on; the bytes
//! stay as they are. In mode cookie, the header gets a Set-Cookie.

use std::cell::Cell;

use sticky_core::digest;
use sticky_core::directive::{CookieRule, QueryRule};
use sticky_core::key::Key;
use sticky_core::links;
use sticky_core::scan::inflate::Coding;
use sticky_core::scan::readers::{Body, Readers};
use sticky_core::scan::Learner;
use sticky_core::table::{Claim, Learned};
use sticky_core::url::{Carried, Site};
use sticky_core::word::PeerId;

use crate::conf::Rule;
use crate::cookie;
use crate::ngx::chain::Chain;
use crate::ngx::clock;
use crate::ngx::header::Header;
use crate::ngx::log::Level;
use crate::ngx::peers::Unusable;
use crate::ngx::request::Request;
use crate::rewrite;
use crate::status::Status;
use crate::upstream::{Affinity, Holding};
use crate::zone::Sessions;

/// One response teaches so many ids at most.
const IDS_PER_RESPONSE: usize = 8;

/// What a response has taught, and what goes on reading it. Made for the responses that have an id
/// in their header, or a body that may.
pub struct Lesson<'r> {
    /// The peer that gives it.
    peer: PeerId,
    /// Keys of the sessions that were learned.
    keys: [Cell<Option<Key>>; IDS_PER_RESPONSE],
    reader: Cell<Option<&'r Reader>>,
}

/// What reads a response's body, until it has read enough.
type Reader = Cell<Option<Box<dyn Learner>>>;

impl Lesson<'_> {
    /// The response may teach no more.
    fn is_full(&self) -> bool {
        self.keys.iter().all(|key| key.get().is_some())
    }

    /// Takes note of a key; false when it is known, or one too many.
    fn notes(&self, key: Key) -> bool {
        for place in &self.keys {
            match place.get() {
                Some(known) if known == key => return false,
                Some(_) => {}
                None => {
                    place.set(Some(key));
                    return true;
                }
            }
        }
        false
    }
}

/// The header of a response is about to be sent.
pub fn header<'r>(r: Request<'r>, affinity: &'r Affinity<'r>) {
    let Some((name, is_new)) = answer(r, affinity) else {
        return;
    };
    match &affinity.sticky.rule {
        Rule::Query(rule, sessions, readers) => {
            if !teaches(r) {
                return;
            }
            if is_new {
                observe_query(r, affinity, rule, sessions, name);
            }
            if is_body_read(r, readers) {
                begin_body(r, affinity, rule, readers, name);
            }
        }
        Rule::Cookie(rule) => {
            if is_new {
                observe_cookie(r, affinity, rule);
            }
            cookie::set(r, affinity, rule, name);
        }
        Rule::Rewrite(rule) => {
            if is_new {
                observe_rewrite(r, affinity);
            }
            rewrite::header(r, affinity, rule, name);
        }
        Rule::Native(_) => {
            if is_new {
                observe_native(affinity);
            }
            // Its cookie was set with the choice of the server.
        }
    }
}

/// Reads what the header tells, once: who answered, and the session ids in it. For `$sticky_status`,
/// which may be wanted before the header filter (`add_header`).
pub fn observe<'r>(r: Request<'r>, affinity: &'r Affinity<'r>) {
    let Some((name, true)) = answer(r, affinity) else {
        return;
    };
    match &affinity.sticky.rule {
        Rule::Query(rule, sessions, _) if teaches(r) => {
            observe_query(r, affinity, rule, sessions, name);
        }
        Rule::Query(..) => {}
        Rule::Cookie(rule) => observe_cookie(r, affinity, rule),
        Rule::Rewrite(_) => observe_rewrite(r, affinity),
        Rule::Native(_) => observe_native(affinity),
    }
}

/// The server hands the request over to another place of the configuration: of its header, the client
/// gets the cookies.
pub fn handed_over<'r>(r: Request<'r>, affinity: &'r Affinity<'r>) {
    let (Some((name, true)), Some(exchange)) = (answer(r, affinity), r.upstream()) else {
        return;
    };
    match &affinity.sticky.rule {
        Rule::Query(rule, sessions, _) if is_lesson(r, exchange.answer()) => {
            reassign_lost(affinity, rule, sessions, name);
            let all = exchange.headers().filter(|_| r.is_main());
            for header in all.filter(|header| header.name().eq_ignore_ascii_case(b"set-cookie")) {
                read_one_header(r, affinity, rule, name, header);
            }
        }
        Rule::Cookie(rule) => cookie::set(r, affinity, rule, name),
        _ => {}
    }
}

/// The name of the peer that has answered, and whether that is news. `None`: the response is not a
/// peer's, but nginx's own or from its cache.
#[inline]
fn answer<'r>(r: Request<'r>, affinity: &'r Affinity<'r>) -> Option<(&'r [u8], bool)> {
    if r.is_cached() {
        return None;
    }
    let name = r.upstream()?.answering_peer()?;
    if let Some(name) = affinity.answered.get() {
        return Some((name, false));
    }
    // A peer that may leave takes its name with it when the request is done.
    let name = if affinity.peers.may_change() {
        r.pool()?.copy(name)?
    } else {
        name
    };
    affinity.answered.set(Some(name));
    Some((name, true))
}

#[inline(always)]
fn observe_query<'r>(
    r: Request<'r>,
    affinity: &'r Affinity<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    name: &[u8],
) {
    reassign_lost(affinity, rule, sessions, name);
    if rule.learn.reads_header() && r.is_main() {
        read_header(r, affinity, rule, name);
    }
}

#[inline(always)]
fn reassign_lost(affinity: &Affinity<'_>, rule: &QueryRule, sessions: &Sessions<'_>, name: &[u8]) {
    if affinity.holding.get() == Holding::Lost {
        reassign(affinity, rule, sessions, name);
    }
}

#[inline]
fn observe_cookie(r: Request<'_>, affinity: &Affinity<'_>, rule: &CookieRule) {
    if affinity.status.get() == Status::None && cookie::is_shown(r, rule) {
        affinity.status.set(Status::New);
    }
}

fn observe_rewrite(r: Request<'_>, affinity: &Affinity<'_>) {
    if affinity.status.get() == Status::None && r.is_main() && rewrite::has_links(r) {
        affinity.status.set(Status::New);
    }
}

/// Later versions tell by `Chooser::header_came`.
fn observe_native(affinity: &Affinity<'_>) {
    #[cfg(not(nginx_since = "1.29.6"))]
    if let Some(follower) = affinity.follower.filter(|at| at.learns_from_header()) {
        follower.learn(affinity);
    }
    #[cfg(nginx_since = "1.29.6")]
    let _ = affinity;
}

/// The server of the request's session could not be used and another has answered: the session
/// goes on there.
#[cold]
fn reassign(affinity: &Affinity<'_>, rule: &QueryRule, sessions: &Sessions<'_>, name: &[u8]) {
    if let (Some(key), Some(holder)) = (affinity.carried, affinity.holder) {
        sessions.reassign(key, holder, peer_id(affinity, name), &rule.limits);
    }
}

/// Learns the ids in the response's header.
#[inline(always)]
fn read_header<'r>(r: Request<'r>, affinity: &'r Affinity<'r>, rule: &QueryRule, peer: &[u8]) {
    for header in r.response_headers() {
        if links::may_hold_id(&rule.learn, header.name()) {
            read_one_header(r, affinity, rule, peer, header);
        }
    }
}

#[inline(never)]
fn read_one_header<'r>(
    r: Request<'r>,
    affinity: &'r Affinity<'r>,
    rule: &QueryRule,
    peer: &[u8],
    header: Header<'r>,
) {
    let (name, value) = (header.name(), header.value());
    let learn = |id: &[u8]| {
        if let Some(lesson) = lesson(r, affinity, peer) {
            teach(affinity, lesson, id);
        }
    };
    if rule.learn.location {
        links::in_header(name, value, |link| {
            // Nearly all are relative, and then nobody asks for the site.
            let carried = rule.names.in_plain_link(link);
            let carried = carried.unwrap_or_else(|| rule.names.in_link(link, &site(r, rule)));
            if let Carried::Id(id) = carried {
                learn(&id);
            }
        });
    }
    let now = clock::unix_seconds;
    links::ids_in_header(&rule.learn, &rule.names, (name, value), now, learn);
}

/// The response's body is to be read; that may be over meanwhile.
#[inline]
pub fn reads_body(affinity: &Affinity<'_>) -> bool {
    let lesson = affinity.lesson.get();
    lesson.is_some_and(|lesson| lesson.reader.get().is_some())
}

/// A piece of the response's body passes.
pub fn body(affinity: &Affinity<'_>, chain: Chain<'_>) {
    let Some(lesson) = affinity.lesson.get() else {
        return;
    };
    let Some(reader) = lesson.reader.get() else {
        return;
    };
    // Taken away meanwhile, so that one that panics is not asked again.
    let Some(mut learner) = reader.take() else {
        return;
    };
    let mut found = |id: &[u8]| teach(affinity, lesson, id);
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
    if !is_over && !lesson.is_full() {
        reader.set(Some(learner));
    }
}

/// The lesson of this response, begun if it has not.
fn lesson<'r>(r: Request<'r>, affinity: &'r Affinity<'r>, name: &[u8]) -> Option<&'r Lesson<'r>> {
    if affinity.lesson.get().is_none() {
        affinity.lesson.set(r.pool()?.place(Lesson {
            peer: peer_id(affinity, name),
            keys: Default::default(),
            reader: Cell::default(),
        }));
    }
    affinity.lesson.get()
}

/// Puts a session that the response hands out into the table, for the peer that hands it out.
fn teach(affinity: &Affinity<'_>, lesson: &Lesson<'_>, id: &[u8]) {
    let Rule::Query(rule, sessions, _) = &affinity.sticky.rule else {
        return;
    };
    // The session of the request, at its server: it was found there a moment ago.
    if id == affinity.carried_id && affinity.holder == Some(lesson.peer) {
        return;
    }
    let Some(key) = sessions.key(id) else { return };
    if !lesson.notes(key) {
        return;
    }
    let claim = if affinity.carried == Some(key) && affinity.holding.get() != Holding::Full {
        Claim::Carried {
            from: affinity.holder,
        }
    } else {
        Claim::Stranger
    };
    let learned = sessions.learn(key, lesson.peer, claim, &rule.limits, &mut |holder| {
        is_lost(affinity, holder, || affinity.has_ahead(key))
    });
    if matches!(learned, Learned::New { .. }) && affinity.status.get() == Status::None {
        affinity.status.set(Status::New);
    }
}

/// The holder of a session has left the upstream, or cannot be used. One that is merely full keeps
/// its sessions, and one that is not known here, if the session `is_ahead`.
pub fn is_lost(affinity: &Affinity<'_>, holder: PeerId, is_ahead: impl Fn() -> bool) -> bool {
    let directory = affinity.directory();
    match directory.by_id(holder) {
        None => !is_ahead(),
        Some(peer) => {
            let state = affinity.peers.check(peer.handle);
            matches!(state, Err(Unusable::Gone | Unusable::Failed))
        }
    }
}

/// Responses teach, but for those that the server could not give.
fn teaches(r: Request<'_>) -> bool {
    is_lesson(r, r.status())
}

fn is_lesson(r: Request<'_>, status: usize) -> bool {
    status < 500 && !r.is_background()
}

fn peer_id(affinity: &Affinity<'_>, name: &[u8]) -> PeerId {
    let directory = affinity.directory();
    directory
        .answering(affinity.request, name)
        .map_or_else(|| digest::peer_id(name), |peer| peer.id)
}

fn site(r: Request<'_>, rule: &QueryRule) -> Site {
    Site::new(r.host(), &rule.hosts)
}

/// Whether the body of this response is there, and of a type that is read.
#[inline]
fn is_body_read(r: Request<'_>, readers: &Readers) -> bool {
    let has_body =
        !r.is_head() && !r.is_header_only() && !matches!(r.status(), 100..200 | 204 | 206 | 304);
    has_body && readers.read(r.response_type())
}

#[inline(never)]
fn begin_body<'r>(
    r: Request<'r>,
    affinity: &'r Affinity<'r>,
    rule: &QueryRule,
    readers: &Readers,
    name: &[u8],
) {
    if let Some(learner) = body_learner(r, affinity, rule, readers, name) {
        let reader = r.pool().and_then(|pool| pool.keep(Some(learner).into()));
        if let (Some(lesson), Some(_)) = (lesson(r, affinity, name), reader) {
            lesson.reader.set(reader);
            r.need_body_in_memory();
        }
    }
}

/// What reads the body of this response; `None`: nothing does.
fn body_learner(
    r: Request<'_>,
    affinity: &Affinity<'_>,
    rule: &QueryRule,
    readers: &Readers,
    name: &[u8],
) -> Option<Box<dyn Learner>> {
    let coding = match r.content_coding() {
        None => None,
        Some(name) => match Coding::named(name) {
            Some(coding) => Some(coding),
            None => {
                say_unreadable(r, affinity, name);
                return None;
            }
        },
    };
    let is_known = affinity.holder == Some(peer_id(affinity, name));
    let known = if is_known { affinity.carried_id } else { &[] };
    let body = Body {
        media_type: r.response_type(),
        coding,
        known,
    };
    readers.learner(&body, &site(r, rule))
}

/// Once for each upstream and worker.
fn say_unreadable(r: Request<'_>, affinity: &Affinity<'_>, coding: &[u8]) {
    if !affinity.sticky.said_compressed.replace(true) {
        r.log().write(
            Level::Notice,
            format_args!(
                "sticky: no session ids are learned from responses with Content-Encoding \"{}\", \
                 only from gzip, deflate, br and zstd, upstream \"{}\"",
                coding.escape_ascii(),
                affinity.sticky.upstream.escape_ascii()
            ),
        );
    }
}
