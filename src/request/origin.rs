//! Where the session id of a request stands, and whether its session is live: the values of
//! `$sticky_from` and `$sticky_known`. They are worked out when somebody asks for them, also before
//! the server is chosen.

use std::ops::ControlFlow;

use sticky_core::directive::{Place, QueryRule};
use sticky_core::events::Status;
use sticky_core::http::cookie;
use sticky_core::url::{Names, MAX_ID};

use crate::config::types::{MainConf, Rule, Sticky, UpstreamConf};
use crate::ngx::request::Request;

use super::context::RequestContext;
use super::lookup;
use super::session_id;

/// What a request without an id has for a place.
const NONE: &[u8] = b"none";

/// The same where it has one that is too long.
const LONG: &[u8] = b"long";

/// Where the id of a request stands that decides: `query:sid`, `segment:/session/`; `none`, or `long`
/// if all that it has are too long. `None`: no sticky upstream serves the request.
pub fn place(r: Request<'_>) -> Option<Vec<u8>> {
    if let Some(context) = r.context::<RequestContext<'_>>() {
        return match &context.sticky.rule {
            Rule::Query(rule, ..) => Some(place_of(r, rule, context.carried.get())),
            _ => place_of_server(r, context.sticky),
        };
    }
    let sticky = awaited(r)?;
    match &sticky.rule {
        Rule::Query(rule, sessions, _) => {
            let session = lookup::by_any_id(r, rule, sessions);
            Some(place_of(r, rule, session.carried))
        }
        _ => place_of_server(r, sticky),
    }
}

/// Whether that id has a live session, or names a server. `None`: no sticky upstream serves the
/// request, or it is not known before the server is chosen.
pub fn is_known(r: Request<'_>) -> Option<bool> {
    if let Some(context) = r.context::<RequestContext<'_>>() {
        return match context.sticky.rule {
            Rule::Discover(_) | Rule::NginxForm(_) => None,
            // A request that has entered its session itself has found none.
            _ => Some(context.holder.get().is_some() && context.status.get() != Status::Miss),
        };
    }
    match &awaited(r)?.rule {
        Rule::Query(rule, sessions, _) => {
            Some(lookup::by_any_id(r, rule, sessions).holder.is_some())
        }
        Rule::Cookie(..) | Rule::Rewrite(_) | Rule::Discover(_) | Rule::NginxForm(_) => None,
    }
}

/// What the upstream says to which the request goes next.
pub fn awaited<'r>(r: Request<'r>) -> Option<&'r Sticky<'r>> {
    let us = r.upstream()?.awaited()?;
    us.srv_conf::<UpstreamConf<'_>>()?.active()
}

/// Where an id of a request stands; an empty one means none.
fn place_of(r: Request<'_>, rule: &QueryRule, id: &[u8]) -> Vec<u8> {
    let is_wanted = |found: &[u8]| match id {
        [] => found.len() > MAX_ID,
        id => found == id,
    };
    // Without a limit, as a long one is looked for, too.
    let all = rule.names.as_ref().clone().of_any_length();
    let found = rule.from.iter().find_map(|place| {
        if let Place::Variable(number) = place {
            let main = r.main_conf::<MainConf<'_>>()?;
            let source = main.variable(*number)?.source();
            return has(r, &all, place, is_wanted).then(|| source.to_vec());
        }
        if matches!(place, Place::Json(_) | Place::Xml(_)) {
            return session_id::place_in_body(r, &all, place, is_wanted);
        }
        if !place.has_names() {
            return has(r, &all, place, is_wanted).then(|| place.label());
        }
        all.one_by_one().find_map(|(name, alone)| {
            let is_found = has(r, &alone, place, is_wanted);
            is_found.then(|| [&*place.label(), b":", name].concat())
        })
    });
    match (found, id) {
        (Some(_), []) => LONG.to_vec(),
        (Some(place), _) => place,
        (None, []) => NONE.to_vec(),
        // nginx has the body no more.
        (None, _) => session_id::body_place(r, rule).unwrap_or_else(|| NONE.to_vec()),
    }
}

fn has(r: Request<'_>, names: &Names, place: &Place, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let visited = session_id::in_place(r, names, place, &mut |found| match is_wanted(&found) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    visited.is_break()
}

/// The same for what names a server: the cookie of `mode=cookie`, or the parameter of
/// `mode=rewrite`.
fn place_of_server(r: Request<'_>, sticky: &Sticky<'_>) -> Option<Vec<u8>> {
    match &sticky.rule {
        Rule::Cookie(rule, _) => Some(match cookie::find(r.cookies(), &rule.name) {
            Some(_) => [b"cookie:", &*rule.name].concat(),
            None => NONE.to_vec(),
        }),
        Rule::Rewrite(rule) => {
            let mut places = [Place::Query, Place::Form].into_iter();
            let found = places.find(|place| has(r, &rule.names, place, |_| true));
            let (name, _) = rule.names.one_by_one().next()?;
            Some(match found {
                Some(place) => [&*place.label(), b":", name].concat(),
                None => NONE.to_vec(),
            })
        }
        Rule::Query(..) | Rule::Discover(_) | Rule::NginxForm(_) => None,
    }
}
