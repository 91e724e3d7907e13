//! `mode=query`: the session id of the application, where it comes and goes, and how long it lives.

use std::sync::Arc;

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::places::{from, learn, NAME_ELSEWHERE};
use super::{Place, QueryRule, ZoneChoice};
use crate::directive::nginx_units;
use crate::scan::learn_set::{LearnSet, Member};
use crate::table::{Limits, Tick};
use crate::url::{LinkPart, Names, MAX_NAMES};

/// How long a session may live without a request when the directive does not say.
const DEFAULT_EXPIRES: Tick = 3_600;

/// The longest time that a session may be given, 366 days: a whole year, whatever its length.
const LONGEST: Tick = 366 * 86_400;

/// nginx refuses a smaller zone: 8 pages of 4 KB (`ngx_http_limit_req_zone()`).
const SMALLEST_ZONE: usize = 32 << 10;

pub fn rule(given: &Parameters) -> Result<QueryRule, DirectiveError> {
    let from = from(given)?;
    let names = names(given, &from)?;
    let learn = learn(given, &names)?;
    let is_header = |place: &Place| matches!(place, Place::Header(_));
    if given.has("name")
        && from.iter().all(is_header)
        && !learn.reads_links()
        && !names.iter().any(|name| {
            let member = Member::Anywhere(name.clone());
            learn.cookies.contains(name) || learn.members.contains(&member)
        })
    {
        return Err(DirectiveError::Without {
            parameter: "name",
            needed: "from=query",
            why: "nothing of that name is looked for",
        });
    }
    let rule = QueryRule {
        names: Arc::new(
            Names::new(names)
                .in_parts(parts(&from))
                .cut_at(delimiter(given)?),
        ),
        from,
        learn,
        limits: limits(given)?,
        zone: zone(given)?,
        state: given.value("state").map(<[u8]>::to_vec),
        hosts: hosts(given)?,
        no_fallback: given.has("no_fallback"),
    };
    if !rule.hosts.is_empty() && !rule.learn.reads_links() {
        let is_off = rule.learn == LearnSet::default();
        return Err(DirectiveError::Together {
            one: "hosts",
            other: if is_off { "learn=off" } else { "learn" },
            why: "no links are read",
        });
    }
    if rule.state.is_some() && rule.zone == ZoneChoice::Off {
        return Err(DirectiveError::Together {
            one: "state",
            other: "zone=off",
            why: "there is no zone to be kept",
        });
    }
    Ok(rule)
}

/// A letter in parentheses stands in paths only, and in all other places a name must be without.
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
    if names.is_empty() {
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

/// Where links are searched: what is learned is what is looked up. Where requests carry the id in
/// no URL at all, links have it in their queries.
fn parts(from: &[Place]) -> Vec<LinkPart> {
    let parts = from.iter().filter_map(|place| match place {
        Place::Query => Some(LinkPart::Query),
        Place::Path => Some(LinkPart::Path),
        Place::Form | Place::Cookie | Place::Header(_) => None,
    });
    let mut parts: Vec<LinkPart> = parts.collect();
    if parts.is_empty() {
        parts.push(LinkPart::Query);
    }
    parts
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

/// A lifetime below the default idle limit lowers that; one below an idle limit that was asked for
/// is refused, because the latter would never be reached.
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
        Some(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Some(seconds)),
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
        None => None,
        Some(None) => {
            return Err(DirectiveError::ZoneSize {
                value: value.to_vec(),
            })
        }
        Some(Some(size)) if size < SMALLEST_ZONE => {
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

/// `hosts=` may be repeated, and each may list several: no host name holds a comma.
pub(super) fn hosts(given: &Parameters) -> Result<Vec<Box<[u8]>>, DirectiveError> {
    let mut hosts: Vec<Box<[u8]>> = Vec::new();
    for host in given.values("hosts").flat_map(list) {
        if !is_host(host) {
            let expected = "\"a.example\", \".example.com\" or \"*.example.com\", \
                            divided by commas, without scheme and port";
            return Err(DirectiveError::value("hosts", host, expected));
        }
        push_once("hosts", &mut hosts, host.to_ascii_lowercase().into(), host)?;
    }
    Ok(hosts)
}

/// A host name, an IPv4 address or an IPv6 address in brackets; names also as `.NAME` and `*.NAME`.
fn is_host(host: &[u8]) -> bool {
    if let Some(address) = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
    {
        let address = std::str::from_utf8(address);
        return address.is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let name = host
        .strip_prefix(b"*.")
        .or_else(|| host.strip_prefix(b"."))
        .unwrap_or(host);
    name.split(|&byte| byte == b'.').all(|label| {
        !label.is_empty()
            && label
                .iter()
                .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}

pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',')
}

/// `value` is how the item is written.
pub(super) fn push_once<T: PartialEq>(
    parameter: &'static str,
    known: &mut Vec<T>,
    item: T,
    value: &[u8],
) -> Result<(), DirectiveError> {
    if known.contains(&item) {
        return Err(DirectiveError::repeated(parameter, value));
    }
    known.push(item);
    Ok(())
}
