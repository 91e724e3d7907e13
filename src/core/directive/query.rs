//! `mode=query`: where requests and responses have the session id of the application, and how long
//! its sessions live.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::error::{DirectiveError, NAME_ELSEWHERE};
use super::from::from;
use super::hosts::hosts;
use super::learn::learn;
use super::max_sessions::max_sessions;
use super::nginx_units;
use super::no_fallback::no_fallback;
use super::on_failure::on_failure;
use super::parameters::{push_once, Parameters};
use super::share::share;
use super::types::types;
use super::values::number_of;
use super::{CheapPlaces, Place, QueryRule, ZoneChoice};
use crate::scan::json::Member;
use crate::scan::learn_set::LearnSet;
use crate::scan::response_headers::NameLengths;
use crate::scan::source::JSON;
use crate::table::{Limits, Tick};
use crate::url::{LinkPart, Names, SegmentPrefix, MAX_NAMES};

/// How long a session lives without a request if the directive does not say, in seconds.
const DEFAULT_EXPIRES: Tick = 3_600;

/// The longest life of a session, 366 days in seconds: a whole year, also a leap year.
const MAX_EXPIRES: Tick = 366 * 86_400;

/// nginx refuses a smaller zone: 8 pages of 4 KB (`ngx_http_limit_req_zone()`).
const MIN_ZONE_SIZE: usize = 32 << 10;

pub fn rule(given: &Parameters) -> Result<QueryRule, DirectiveError> {
    let mut variables = Vec::new();
    let from = from(given, &mut variables)?;
    let names = names(given, &from)?;
    let has_segments = from.iter().any(|place| matches!(place, Place::Segment(_)));
    let mut learn = learn(given, &names, has_segments, &mut variables)?;
    types(given, &mut learn)?;
    let forget = match given.value("forget") {
        None => None,
        Some(text) => Some(number_of(text, &mut variables).ok_or_else(|| {
            let expected = "a variable, as in \"forget=$signed_out\"";
            DirectiveError::value("forget", text, expected)
        })?),
    };
    if given.has("name")
        && !from.iter().any(|place| place.has_a_name(&names))
        && !learn.reads_links()
        && !names.iter().any(|name| {
            let member = Member::ByName(name.clone());
            learn.cookies.contains(name)
                || learn.members.contains(&member)
                || learn.elements.contains(name)
                || learn.literals.contains(name)
        })
    {
        return Err(DirectiveError::Without {
            parameter: "name",
            needed: "from=query",
            why: "nothing of that name is looked for",
        });
    }
    let (is_from_cookie, balance_factor) = (from.contains(&Place::Cookie), balance_factor(given)?);
    let names = Names::new(names)
        .with_segments(segments(&from))
        .in_parts(parts(&from))
        .cut_at(delimiter(given)?);
    let is_special = learn.request || balance_factor.is_some() || given.has("dry_run");
    let begins_with_query = from.first() == Some(&Place::Query);
    let rule = QueryRule {
        response_names: Arc::new(names.clone()),
        names: Arc::new(names),
        is_special,
        is_usual: begins_with_query && !is_special,
        awaits_end: learn.request
            || !learn.cookies.is_empty()
            || !learn.variables.is_empty()
            || is_from_cookie
            || forget.is_some(),
        reads_header: learn.reads_header(),
        asks_each_answer: learn.request || !learn.variables.is_empty() || forget.is_some(),
        header_lengths: match is_from_cookie {
            true => NameLengths::of(&learn).with(b"set-cookie"),
            false => NameLengths::of(&learn),
        },
        is_from_cookie,
        cheap: CheapPlaces::of(&from),
        begins_with_query,
        rest_is_in_body: from.iter().skip(1).all(Place::is_in_body),
        from,
        learn,
        variables,
        forget,
        limits: limits(given)?,
        zone: zone(given)?,
        state: given.value("state").map(<[u8]>::to_vec),
        share: share(given)?,
        hosts: hosts(given)?,
        on_failure: on_failure(given)?,
        no_fallback: no_fallback(given)?,
        balance_factor,
        max_sessions: max_sessions(given)?,
        is_apart: is_apart(given)?,
        is_dry_run: given.has("dry_run"),
    };
    if rule.balance_factor.is_some() && rule.no_fallback.is_some() {
        return Err(DirectiveError::Together {
            one: "balance_factor",
            other: "no_fallback",
            why: "the one lets requests go to another server, the other does not",
        });
    }
    // In JSON, paths with a prefix are searched for, and so are URLs.
    let reads_links = rule.learn.reads_links()
        || (rule.names.have_segments() && rule.learn.bodies.contains(&&JSON));
    if !rule.hosts.is_empty() && !reads_links {
        let is_off = rule.learn == LearnSet::default();
        return Err(DirectiveError::Together {
            one: "hosts",
            other: if is_off { "learn=off" } else { "learn" },
            why: "no links are read",
        });
    }
    if rule.share.is_some() && rule.zone == ZoneChoice::Off {
        return Err(DirectiveError::Together {
            one: "share",
            other: "zone=off",
            why: "there is no zone to have the sessions in",
        });
    }
    if rule.state.is_some() && rule.zone == ZoneChoice::Off {
        return Err(DirectiveError::Together {
            one: "state",
            other: "zone=off",
            why: "there is no zone to be kept",
        });
    }
    if rule.max_sessions.is_some() && rule.zone == ZoneChoice::Off {
        return Err(DirectiveError::Together {
            one: "max_sessions",
            other: "zone=off",
            why: "no worker knows how many sessions the others have",
        });
    }
    Ok(rule)
}

/// A letter in parentheses occurs in paths only, so all other places need a name without them.
fn names(given: &Parameters, from: &[Place]) -> Result<Vec<Box<[u8]>>, DirectiveError> {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    for name in given.values("name") {
        if Names::is_letter(name) {
            if !from.contains(&Place::Path) {
                let expected = "\"from=path\" beside a letter in parentheses";
                return Err(DirectiveError::value("name", name, expected));
            }
        } else if !Names::is_valid_name(name) {
            let expected = "1 to 64 of the characters A-Z a-z 0-9 - _ . ~ ! $ * @ :, \
                            or a letter in parentheses";
            return Err(DirectiveError::value("name", name, expected));
        }
        if names.len() == MAX_NAMES {
            return Err(DirectiveError::value("name", name, "no more than 8 names"));
        }
        push_once("name", &mut names, name.into(), name)?;
    }
    // Not where only segments are asked for: nothing else is then searched for a name.
    let is_segment = |place: &Place| matches!(place, Place::Segment(_));
    let is_header = |place: &Place| matches!(place, Place::Header(_));
    let has_none = from.iter().any(is_segment)
        && from
            .iter()
            .all(|place| is_segment(place) || is_header(place));
    if names.is_empty() && !has_none {
        names.push(b"sid".as_slice().into());
    }
    if names.iter().all(|name| Names::is_letter(name)) {
        for (place, word) in [
            (Place::Query, &b"query"[..]),
            (Place::Form, b"form"),
            (Place::Cookie, b"cookie"),
        ] {
            if from.contains(&place) {
                return Err(DirectiveError::value("from", word, NAME_ELSEWHERE));
            }
        }
    }
    Ok(names)
}

/// The parts of links that are searched: those of requests, so that what is learned is what is
/// looked up. If `from=` has no part of the URL, links are searched in their queries.
fn parts(from: &[Place]) -> Vec<LinkPart> {
    let mut segments = 0..;
    let parts = from.iter().filter_map(|place| match place {
        Place::Query => Some(LinkPart::Query),
        Place::Path => Some(LinkPart::Path),
        Place::Segment(_) => segments.next().map(LinkPart::Segment),
        _ => None,
    });
    let mut parts: Vec<LinkPart> = parts.collect();
    if parts.is_empty() {
        parts.push(LinkPart::Query);
    }
    parts
}

fn segments(from: &[Place]) -> Vec<SegmentPrefix> {
    let segments = from.iter().filter_map(|place| match place {
        Place::Segment(prefix) => Some(prefix.clone()),
        _ => None,
    });
    segments.collect()
}

fn delimiter(given: &Parameters) -> Result<Option<u8>, DirectiveError> {
    match given.value("id_delimiter") {
        None => Ok(None),
        Some([byte]) if byte.is_ascii_punctuation() => Ok(Some(*byte)),
        Some(value) => {
            let expected = "one character, as in \"id_delimiter=.\", that is no letter or digit";
            Err(DirectiveError::value("id_delimiter", value, expected))
        }
    }
}

/// Per cent of a server's share of the active requests.
const BALANCE_FACTORS: RangeInclusive<u32> = 101..=10_000;

fn balance_factor(given: &Parameters) -> Result<Option<u32>, DirectiveError> {
    let Some(value) = given.value("balance_factor") else {
        return Ok(None);
    };
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match number.filter(|factor| BALANCE_FACTORS.contains(factor)) {
        Some(factor) => Ok(Some(factor)),
        None => {
            let expected =
                "per cent of a server's share, 101 to 10000, as in \"balance_factor=125\"";
            Err(DirectiveError::value("balance_factor", value, expected))
        }
    }
}

/// A lifetime below the default idle limit lowers that limit. Below an idle limit that is
/// configured it is refused, because that limit would never be reached.
fn limits(given: &Parameters) -> Result<Limits, DirectiveError> {
    let expires = seconds(given, "expires")?;
    let lifetime = seconds(given, "lifetime")?;
    if let (Some(expires), Some(lifetime)) = (expires, lifetime) {
        if lifetime < expires {
            let value = given.value("lifetime").unwrap_or_default();
            let expected = "a time that is not below \"expires\"";
            return Err(DirectiveError::value("lifetime", value, expected));
        }
    }
    let default = DEFAULT_EXPIRES.min(lifetime.unwrap_or(DEFAULT_EXPIRES));
    Ok(Limits {
        expires: expires.unwrap_or(default),
        lifetime,
    })
}

fn seconds(given: &Parameters, parameter: &'static str) -> Result<Option<Tick>, DirectiveError> {
    let Some(value) = given.value(parameter) else {
        return Ok(None);
    };
    match nginx_units::parse_time(value).and_then(|seconds| Tick::try_from(seconds).ok()) {
        Some(seconds) if (1..=MAX_EXPIRES).contains(&seconds) => Ok(Some(seconds)),
        None if value == b"off" && parameter == "lifetime" => {
            let expected = "a time, or no \"lifetime\" to have no limit but \"expires\"";
            Err(DirectiveError::value(parameter, value, expected))
        }
        None if value == b"off" => {
            let expected = "a time of 1 second to 366 days, for every session ends";
            Err(DirectiveError::value(parameter, value, expected))
        }
        _ => {
            let expected = "a time of 1 second to 366 days, as in \"1h30m\"";
            Err(DirectiveError::value(parameter, value, expected))
        }
    }
}

fn zone(given: &Parameters) -> Result<ZoneChoice, DirectiveError> {
    let Some(value) = given.value("zone") else {
        return Ok(ZoneChoice::Own);
    };
    if value == b"off" {
        return Ok(ZoneChoice::Off);
    }
    let mut parts = value.splitn(2, |&byte| byte == b':');
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name == b"off" || name.iter().any(|&b| b.is_ascii_control() || b == b' ')
    {
        let expected = "\"zone=off\", or \"zone=NAME\" or \"zone=NAME:SIZE\" as in \"shop:1m\"";
        return Err(DirectiveError::value("zone", value, expected));
    }
    let size = match parts.next().map(nginx_units::parse_size) {
        None if nginx_units::parse_size(name).is_some() => {
            return Err(DirectiveError::ZoneName {
                value: value.to_vec(),
            })
        }
        None => None,
        Some(None) => {
            return Err(DirectiveError::ZoneSize {
                value: value.to_vec(),
            })
        }
        Some(Some(size)) if size < MIN_ZONE_SIZE => {
            return Err(DirectiveError::ZoneTooSmall {
                value: value.to_vec(),
            });
        }
        Some(size) => size,
    };
    Ok(ZoneChoice::Named {
        name: name.to_vec(),
        size,
    })
}

/// `cluster=off`.
fn is_apart(given: &Parameters) -> Result<bool, DirectiveError> {
    match given.value("cluster") {
        None => Ok(false),
        Some(b"off") => Ok(true),
        Some(value) => {
            let expected = "\"off\", or no such parameter";
            Err(DirectiveError::value("cluster", value, expected))
        }
    }
}
