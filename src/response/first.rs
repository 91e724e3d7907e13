//! The first responses of an upstream whose directive finds no ids: the error log says once what
//! they had instead.

use std::fmt::Write;

use sticky_core::counters::{FirstKind, FirstResponse, FirstSeen, FIRST_RESPONSES};
use sticky_core::directive::{Place, QueryRule};
use sticky_core::events::Status;
use sticky_core::http::media_type::{is_json, is_page};

use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::request::context::RequestContext;
use crate::zone::counters::UpstreamCounters;

/// The header of one of them has come, and was read.
#[cold]
#[inline(never)]
pub(super) fn response(r: Request<'_>, context: &RequestContext<'_>, rule: &QueryRule) {
    let sticky = context.sticky;
    let Some(first) = sticky.counters.get().and_then(UpstreamCounters::first) else {
        sticky.watches_first.set(false);
        return;
    };
    if context.status.get() != Status::None {
        sticky.end_watch();
        return;
    }
    let media_type = r.response_type();
    let mut seen = FirstResponse {
        kind: match media_type {
            it if is_page(it) => FirstKind::Html,
            it if is_json(it) => FirstKind::Json,
            _ => FirstKind::Other,
        },
        is_redirect: false,
        cookies: Vec::new(),
    };
    for header in r.response_headers() {
        let name = header.name();
        if name.eq_ignore_ascii_case(b"set-cookie") {
            let mut parts = header.value().splitn(2, |byte| *byte == b'=');
            let (cookie, value) = (parts.next().unwrap_or_default(), parts.next());
            // An empty one is taken away.
            if value.is_some_and(|value| !matches!(value, [] | [b';', ..])) {
                seen.cookies.push(cookie.trim_ascii());
            }
        } else if name.eq_ignore_ascii_case(b"location") {
            seen.is_redirect = true;
        }
    }
    if let Some(all) = first.note(&seen) {
        say(r, context, rule, &all);
    }
    sticky.watches_first.set(!first.is_over());
}

fn say(r: Request<'_>, context: &RequestContext<'_>, rule: &QueryRule, seen: &FirstSeen) {
    r.log().write(
        Level::Error,
        format_args!(
            "sticky: the first {FIRST_RESPONSES} responses gave no session id and their requests had \
             none: {}; see mode=discover, upstream \"{}\"",
            in_words(seen, &sought(rule)),
            context.sticky.upstream.escape_ascii()
        ),
    );
}

/// What they had, and what they had not.
fn in_words(seen: &FirstSeen, sought: &str) -> String {
    let mut words = Vec::new();
    for (what, count) in [
        ("HTML", seen.html),
        ("JSON", seen.json),
        ("Location", seen.redirects),
    ] {
        if count > 0 {
            words.push(format!("{what} {count}"));
        }
    }
    words.push(sought.to_owned());
    let mut line = words.join(", ");
    for (name, count) in &seen.cookies {
        // A String takes it all.
        let _ = write!(line, "; Set-Cookie {name} {count} times");
    }
    line
}

/// What the directive looks for, in the words of its parameters.
fn sought(rule: &QueryRule) -> String {
    let names = rule
        .names
        .one_by_one()
        .map(|(name, _)| name.escape_ascii().to_string());
    let names: Vec<_> = names.collect();
    let is_named =
        |place: &Place| place.has_names() || matches!(place, Place::Json(_) | Place::Xml(_));
    if !names.is_empty() && rule.from.iter().any(is_named) {
        return format!("no parameter \"{}\"", names.join("\" or \""));
    }
    let places = rule
        .from
        .iter()
        .map(|place| place.label().escape_ascii().to_string());
    format!("nothing for from={}", places.collect::<Vec<_>>().join(","))
}
