//! `mode=query`: the session id of the application, where it comes and goes, and how long it lives.

use std::sync::Arc;

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::{BodyLearner, LearnSet, Place, QueryRule, ZoneChoice};
use crate::unit;
use crate::url::{Names, MAX_NAMES};
use crate::word::{Limits, Tick};

/// How long a session may live without a request when the directive does not say.
const DEFAULT_EXPIRES: Tick = 3_600;

/// The longest time that a session may be given, 366 days: a whole year, whatever its length.
const LONGEST: Tick = 366 * 86_400;

/// nginx refuses a smaller zone: 8 pages of 4 KB (`ngx_http_limit_req_zone()`).
const SMALLEST_ZONE: usize = 32 << 10;

pub fn rule(given: &Parameters) -> Result<QueryRule, DirectiveError> {
    let rule = QueryRule {
        names: names(given)?,
        from: from(given)?,
        learn: learn(given)?,
        limits: limits(given)?,
        zone: zone(given)?,
        state: given.value("state").map(<[u8]>::to_vec),
        hosts: hosts(given)?,
        no_fallback: given.has("no_fallback"),
    };
    if rule.learn == LearnSet::default() && !rule.hosts.is_empty() {
        return Err(DirectiveError::Together {
            one: "hosts",
            other: "learn=off",
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

fn names(given: &Parameters) -> Result<Arc<Names>, DirectiveError> {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    for name in given.values("name") {
        if !Names::is_valid_name(name) {
            let expected = "1 to 64 of the characters A-Z a-z 0-9 - _ . ~ ! $ * @ :";
            return Err(DirectiveError::value("name", name, expected));
        }
        if names.len() == MAX_NAMES {
            return Err(DirectiveError::value("name", name, "no more than 8 names"));
        }
        push_once("name", &mut names, name, |known| &**known == name)?;
    }
    if names.is_empty() {
        names.push(b"sid".as_slice().into());
    }
    Ok(Arc::new(Names::new(names)))
}

fn from(given: &Parameters) -> Result<Vec<Place>, DirectiveError> {
    const SUPPORTED: &str = "\"query\" and \"form\"";

    let mut places = Vec::new();
    for value in list(given.value("from").unwrap_or(b"query,form")) {
        let place = match value {
            b"query" => Place::Query,
            b"form" => Place::Form,
            b"path" | b"cookie" => return Err(not_supported("from", value, SUPPORTED)),
            _ if value.starts_with(b"header:") => {
                return Err(not_supported("from", value, SUPPORTED));
            }
            _ => {
                let expected = "a list of \"query\" and \"form\", divided by commas";
                return Err(DirectiveError::value("from", value, expected));
            }
        };
        if places.contains(&place) {
            return Err(DirectiveError::DuplicateValue {
                parameter: "from",
                value: value.into(),
            });
        }
        places.push(place);
    }
    Ok(places)
}

fn learn(given: &Parameters) -> Result<LearnSet, DirectiveError> {
    const SUPPORTED: &str = "\"html\", \"forms\", \"location\" and \"off\"";

    let words = given.value("learn").unwrap_or(b"html,location");
    if words == b"off" {
        return Ok(LearnSet::default());
    }
    let mut learn = LearnSet::default();
    for value in list(words) {
        let repeated = match value {
            b"html" => learn.body == Some(BodyLearner::Html),
            b"forms" => learn.body == Some(BodyLearner::Forms),
            b"location" => learn.location,
            b"off" => {
                return Err(DirectiveError::value(
                    "learn",
                    words,
                    "\"off\" to stand alone",
                ));
            }
            b"json" | b"sse" | b"text" => return Err(not_supported("learn", value, SUPPORTED)),
            _ => {
                let expected = "\"off\", or a list of \"html\" or \"forms\", and \"location\", \
                                divided by commas";
                return Err(DirectiveError::value("learn", value, expected));
            }
        };
        if repeated {
            return Err(DirectiveError::DuplicateValue {
                parameter: "learn",
                value: value.into(),
            });
        }
        let body = match value {
            b"html" => BodyLearner::Html,
            b"forms" => BodyLearner::Forms,
            _ => {
                learn.location = true;
                continue;
            }
        };
        if learn.body.replace(body).is_some() {
            return Err(DirectiveError::Together {
                one: "learn=html",
                other: "learn=forms",
                why: "\"html\" reads the forms too, \"forms\" nothing else, expected one of them",
            });
        }
    }
    Ok(learn)
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
    match unit::parse_time(value).and_then(|seconds| Tick::try_from(seconds).ok()) {
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
    let size = match parts.next().map(unit::parse_size) {
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
fn hosts(given: &Parameters) -> Result<Vec<Box<[u8]>>, DirectiveError> {
    let mut hosts: Vec<Box<[u8]>> = Vec::new();
    for host in given.values("hosts").flat_map(list) {
        if !is_host(host) {
            let expected = "\"a.example\", \".example.com\" or \"*.example.com\", \
                            divided by commas, without scheme and port";
            return Err(DirectiveError::value("hosts", host, expected));
        }
        push_once("hosts", &mut hosts, host, |known| {
            known.eq_ignore_ascii_case(host)
        })?;
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

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',')
}

fn push_once(
    parameter: &'static str,
    known: &mut Vec<Box<[u8]>>,
    value: &[u8],
    same: impl Fn(&Box<[u8]>) -> bool,
) -> Result<(), DirectiveError> {
    if known.iter().any(same) {
        return Err(DirectiveError::DuplicateValue {
            parameter,
            value: value.to_vec(),
        });
    }
    known.push(value.into());
    Ok(())
}

fn not_supported(parameter: &'static str, value: &[u8], supported: &'static str) -> DirectiveError {
    DirectiveError::NotSupported {
        parameter,
        value: value.to_vec(),
        supported,
    }
}
