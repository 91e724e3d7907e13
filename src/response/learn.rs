//! Session ids in a response: learned from its headers and its body before these are passed on. The
//! bytes are not changed. This file reads the headers.

use std::borrow::Cow;

use sticky_core::directive::QueryRule;
use sticky_core::events::{Forget, Skip, Source, Status};
use sticky_core::http::cookie;
use sticky_core::scan::session_end::is_cookie_deleted;
use sticky_core::scan::{response_headers, FoundIn, IdClass};
use sticky_core::table::Claim;
use sticky_core::url::{ExtractedId, Site, MAX_SEARCHED};

use crate::config::types::{MainConf, Rule};
use crate::ngx::clock;
use crate::ngx::exchange::Exchange;
use crate::ngx::header::Header;
use crate::ngx::request::Request;
use crate::request::context::{Entry, HolderState, LearnedIds, RequestContext};
use crate::request::session_id;
use crate::zone::sessions::Sessions;

use ids::{learn_first, learn_id, learned_ids};

pub mod body;
mod ids;

const SET_COOKIE: &[u8] = b"set-cookie";

/// The peer called `name` has answered a request whose session a request has entered: keeps it, unless
/// the status says that there is none.
#[cold]
#[inline(never)]
pub fn answered(context: &RequestContext<'_>, sessions: &Sessions<'_>, name: &[u8], status: usize) {
    if !matches!(status, 101 | 200..400) || !context.request.is_main() {
        return;
    }
    if let (Some(key), Some(peer)) = (context.request_key.get(), context.answering(name)) {
        sessions.learn(key, &peer, Claim::Answer, &sessions.limits(), &mut |_| {
            false
        });
        context.entry.set(Entry::None);
    }
}

/// The last try of such a request is over. A session that it has entered itself ends, unless an answer
/// has kept it that the client does not get (`error_page`, `proxy_cache_revalidate`), or one to
/// another request.
#[cold]
#[inline(never)]
pub fn ended(r: Request<'_>, context: &RequestContext<'_>) {
    let (Rule::Query(_, sessions, _), Some(exchange)) = (&context.sticky.rule, r.upstream()) else {
        return;
    };
    if let Some(name) = exchange.answering_peer() {
        answered(context, sessions, name, exchange.latest_status());
    }
    if let (Entry::Own, Some(key)) = (context.entry.get(), context.request_key.get()) {
        if sessions.forget_entered(key, &sessions.limits()) {
            context.noted.forget(Forget::Unanswered);
        }
        context.entry.set(Entry::None);
    }
}

/// Whether the header of a response, which comes for the first time, certainly has nothing to be learned,
/// moved or noted.
#[inline(always)]
pub fn has_nothing(
    r: Request<'_>,
    context: &RequestContext<'_>,
    rule: &QueryRule,
    exchange: Exchange<'_>,
) -> bool {
    if context.holder_state.get() == HolderState::Lost {
        return false;
    }
    // Early Hints may have had ids.
    if cfg!(nginx_since = "1.29.0") && context.learned.get().is_some() {
        return false;
    }
    if context.sticky.watches_first.get() || !r.is_main() || r.is_background() {
        return false;
    }
    let hides_none = || {
        context.status.get() == Status::Hit || context.sticky.hiding.hides_none_as_known(exchange)
    };
    !r.has_response_header(|length| rule.header_lengths.have(length))
        && (!rule.reads_header || hides_none())
}

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
    forget_hints(context, name);
    reassign_lost(context, sessions, name);
    if rule.awaits_end
        && context.holder_state.get() == HolderState::Steered
        && rule.may_end_sessions()
    {
        end_session(r, context, rule, sessions, name, r.response_headers());
    }
    if rule.reads_header && r.is_main() {
        read_header(r, context, rule, name);
        // One that has a live session needs no other id.
        if context.status.get() != Status::Hit {
            if let Some(exchange) = r.upstream() {
                let names = || response_headers::names(&rule.learn);
                if context.sticky.hiding.hides_any(exchange, names) {
                    note_hidden(context, rule, exchange);
                }
            }
        }
        if rule.awaits_end {
            read_variables(r, context, rule, name);
        }
    }
}

/// Learns the ids in the Early Hints of the peer called `name`.
#[cfg(nginx_since = "1.29.0")]
pub fn early_hints<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    name: &[u8],
) {
    forget_hints(context, name);
    if rule.reads_header && r.is_main() {
        read_header(r, context, rule, name);
    }
}

/// Early Hints of another peer, which then failed, count no more when the peer called `name`
/// answers.
#[inline(always)]
fn forget_hints(context: &RequestContext<'_>, name: &[u8]) {
    #[cold]
    #[inline(never)]
    fn forget(context: &RequestContext<'_>, ids: &LearnedIds<'_>, name: &[u8]) {
        if Some(ids.peer) != context.answering(name) {
            context.learned.set(None);
        }
    }
    if let Some(ids) = context.learned.get() {
        forget(context, ids, name);
    }
}

#[inline(always)]
fn reassign_lost(context: &RequestContext<'_>, sessions: &Sessions<'_>, name: &[u8]) {
    if context.holder_state.get() == HolderState::Lost {
        reassign(context, sessions, name);
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
    exchange: Exchange<'r>,
) {
    forget_hints(context, name);
    reassign_lost(context, sessions, name);
    if context.holder_state.get() == HolderState::Steered && rule.may_end_sessions() {
        end_session(r, context, rule, sessions, name, exchange.headers());
    }
    let is_read =
        |header: &Header<'_>| r.is_main() && header.name().eq_ignore_ascii_case(SET_COOKIE);
    for header in searched(context, exchange.headers().filter(is_read)) {
        read_one_header(r, context, rule, name, header);
    }
    if r.is_main() {
        read_variables(r, context, rule, name);
    }
}

/// The server of the request's session could not be used, and another has answered: moves the session
/// there.
#[cold]
fn reassign(context: &RequestContext<'_>, sessions: &Sessions<'_>, name: &[u8]) {
    if let (Some(key), Some(holder), Some(peer), true) = (
        context.request_key.get(),
        context.holder.get(),
        context.answering(name),
        context.is_holder_current(),
    ) {
        let why = context.why_lost(holder);
        // One that an operator has moved to no server is counted already.
        let is_counted = sessions.is_at_nobody(holder);
        if sessions.reassign(key, holder, &peer, &sessions.limits()) {
            context.arrived(peer.number);
            if !is_counted {
                context.noted.move_session(why);
            }
        }
    }
}

/// The application ends the session of the request: its server has answered, and takes the cookie
/// with the id away, or the variable of `forget=` says so. A response to an earlier request of the
/// session, which may come later, does not begin it again: an id that its own server repeats is not
/// learned.
#[inline(never)]
fn end_session<'r>(
    r: Request<'r>,
    context: &RequestContext<'r>,
    rule: &QueryRule,
    sessions: &Sessions<'_>,
    name: &[u8],
    headers: impl Iterator<Item = Header<'r>>,
) {
    let (Some(key), Some(holder), true) =
        (context.request_key.get(), context.holder.get(), r.is_main())
    else {
        return;
    };
    let is_deleted = || {
        if !rule.is_from_cookie || r.cookies().next().is_none() {
            return false;
        }
        // By its length first: mostly it tells.
        let is_set = |header: &Header<'_>| {
            header.name().len() == SET_COOKIE.len()
                && header.name().eq_ignore_ascii_case(SET_COOKIE)
        };
        let mut set = headers.filter(is_set).map(Header::value).peekable();
        if set.peek().is_none() {
            return false;
        }
        let (id, now) = (context.carried.get(), clock::unix_seconds);
        let (path, set) = (r.unparsed_path(), set.collect::<Vec<_>>());
        is_cookie_deleted(&rule.names, id, path, r.cookies(), &set, now)
    };
    let is_told = || {
        let value = rule.forget.and_then(|number| current_value(r, number));
        value.is_some_and(|value| !matches!(value, b"" | b"0"))
    };
    if !is_told() && !is_deleted() {
        return;
    }
    let answering = context.answering(name);
    if answering.is_some_and(|peer| peer.number == holder) && context.is_holder_current() {
        let age = sessions.age(key, &sessions.limits());
        if sessions.end(key, holder, &sessions.limits()) {
            context.noted.forget(Forget::Ended);
            age.into_iter().for_each(|age| context.noted.end_at(age));
        }
    }
}

/// Learns the ids in the response's header.
#[inline(always)]
fn read_header<'r>(r: Request<'r>, context: &'r RequestContext<'r>, rule: &QueryRule, peer: &[u8]) {
    let is_read = |header: &Header<'_>| rule.header_lengths.have(header.name().len());
    for header in searched(context, r.response_headers().filter(is_read)) {
        read_one_header(r, context, rule, peer, header);
    }
}

/// As many headers as are searched: up to [`MAX_SEARCHED`] bytes and the one that exceeds them. A server
/// may send as many as `proxy_buffer_size` has room for.
#[inline(always)]
fn searched<'h, 'a, 'c, H: Iterator<Item = Header<'h>>>(
    context: &'a RequestContext<'c>,
    headers: H,
) -> impl Iterator<Item = Header<'h>> + use<'h, 'a, 'c, H> {
    let mut left = MAX_SEARCHED;
    headers.take_while(move |header| {
        if left == 0 {
            context.noted.skip(Skip::GivenUp);
            return false;
        }
        left = left.saturating_sub(header.name().len() + header.value().len());
        true
    })
}

/// Notes an id in a header that the client does not get.
#[cold]
#[inline(never)]
fn note_hidden(context: &RequestContext<'_>, rule: &QueryRule, exchange: Exchange<'_>) {
    let has_id = |name: &[u8], value: &[u8]| {
        let mut has_any = false;
        response_headers::urls_in_header(name, value, |link| {
            let id = rule
                .response_names
                .in_link(link, &site(context.request, rule));
            has_any |= rule.learn.location && matches!(id, ExtractedId::Id(_));
        });
        let now = clock::unix_seconds;
        let header = (name, value);
        response_headers::ids_in_header(&rule.learn, &rule.response_names, header, now, |_, _| {
            has_any = true;
        });
        has_any
    };
    let is_hidden = |header: Header<'_>| {
        let name = header.name().to_ascii_lowercase();
        exchange.hides(&name) && has_id(&name, header.value())
    };
    let is_read = |header: &Header<'_>| rule.header_lengths.have(header.name().len());
    if searched(context, exchange.headers().filter(is_read)).any(is_hidden) {
        context.noted.skip(Skip::Hidden);
    }
    // That header is nothing else.
    rule.response_names.take_met();
}

#[inline(always)]
fn read_one_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
    header: Header<'r>,
) {
    // Most that are read are this one.
    let is_location = response_headers::is_location(header.name());
    if is_location && rule.learn.location && rule.learn.headers.is_empty() {
        read_location(r, context, rule, peer, header.value());
    } else if let Some(id) = id_set(rule, header) {
        learn_in_any_header(r, context, peer, id, Source::Cookie);
    } else {
        read_other_header(r, context, rule, peer, header);
    }
    note_met(context, rule);
}

/// The id in a cookie that is plainly set, where nothing else is learned from such a header.
#[inline(always)]
fn id_set<'r>(rule: &QueryRule, header: Header<'r>) -> Option<&'r [u8]> {
    let ([own], true) = (&*rule.learn.cookies, rule.learn.headers.is_empty()) else {
        return None;
    };
    if !response_headers::is_set_cookie(header.name()) {
        return None;
    }
    let value = cookie::plain_value_set(header.value(), own)?;
    rule.response_names.id_in(value)
}

#[inline(never)]
fn read_location<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
    link: &[u8],
) {
    // Nearly all links are relative; then the site does not matter.
    match rule.response_names.in_plain_link(link) {
        Some(ExtractedId::Id(Cow::Borrowed(id))) => {
            learn_in_header(r, context, peer, id, Source::Location);
        }
        carried => learn_in_link(r, context, rule, peer, link, carried),
    }
}

/// The same with what was found in a link at once.
#[inline(never)]
fn learn_in_link<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
    link: &[u8],
    carried: Option<ExtractedId<'_>>,
) {
    let carried = carried.unwrap_or_else(|| rule.response_names.in_link(link, &site(r, rule)));
    if let ExtractedId::Id(id) = carried {
        learn_in_any_header(r, context, peer, &id, Source::Location);
    }
}

#[inline(never)]
fn read_other_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
    header: Header<'r>,
) {
    let (name, value) = (header.name(), header.value());
    if rule.learn.location {
        response_headers::urls_in_header(name, value, |link| {
            read_location(r, context, rule, peer, link);
        });
    }
    let (now, names) = (clock::unix_seconds, &rule.response_names);
    response_headers::ids_in_header(&rule.learn, names, (name, value), now, |id, source| {
        learn_in_any_header(r, context, peer, id, source);
    });
}

#[inline(never)]
fn learn_in_any_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    peer: &[u8],
    id: &[u8],
    source: Source,
) {
    learn_in_header(r, context, peer, id, source);
}

#[inline(always)]
fn learn_in_header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    peer: &[u8],
    id: &[u8],
    source: Source,
) {
    if learn_first(r, context, peer, id, in_header(source)) {
        return;
    }
    if let Some(ids) = learned_ids(r, context, peer) {
        learn_id(context, ids, id, in_header(source));
    }
}

fn in_header(source: Source) -> FoundIn {
    FoundIn {
        class: IdClass::Form,
        source,
    }
}

/// Notes what was met in the response that counts as no id.
#[inline(always)]
fn note_met(context: &RequestContext<'_>, rule: &QueryRule) {
    if rule.response_names.have_met_any() {
        take_met(context, rule);
    }
}

#[cold]
#[inline(never)]
fn take_met(context: &RequestContext<'_>, rule: &QueryRule) {
    if let Some(met) = session_id::take_met(context.request, context.sticky, &rule.response_names) {
        if met.too_long {
            context.noted.skip(Skip::Size);
        }
        if met.foreign {
            context.noted.skip(Skip::Host);
        }
    }
}

/// Learns the ids in variables, as they are now that the header has come.
#[inline(never)]
fn read_variables<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &QueryRule,
    peer: &[u8],
) {
    for number in &rule.learn.variables {
        let value = current_value(r, *number).and_then(|value| rule.response_names.id_in(value));
        if let (Some(id), Some(ids)) = (value, learned_ids(r, context, peer)) {
            learn_id(context, ids, id, in_header(Source::Variable));
        }
    }
    note_met(context, rule);
}

/// The value of a variable of the directive. `None`: no memory is left.
#[cold]
fn current_value(r: Request<'_>, number: usize) -> Option<&[u8]> {
    let main = r.main_conf::<MainConf<'_>>()?;
    main.variable(number)?.evaluate_anew(r)
}

/// Whether ids are learned from a response with that status: not from a failure of the server (5xx),
/// nor from the response to a background request, which no client gets.
pub fn may_learn(r: Request<'_>, status: usize) -> bool {
    status < 500 && !r.is_background()
}

fn site(r: Request<'_>, rule: &QueryRule) -> Site {
    let site = Site::new(r.host(), &rule.hosts);
    match rule.response_names.have_segments() {
        true => site.at(r.unparsed_path()),
        false => site,
    }
}
