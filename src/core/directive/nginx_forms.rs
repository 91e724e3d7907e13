//! nginx's own forms of the directive: `sticky cookie|route|learn` (since 1.29.6, before that in
//! NGINX Plus). They are accepted and refused as by `ngx_http_upstream_sticky()`, with the same
//! messages, to which a hint may be added; `norefresh` is from Angie, and `max_sessions=` our own.

use super::elsewhere;
use super::error::NginxError;
use super::max_sessions::limit;
use super::nginx_units;
use crate::counters::SessionLimit;
use crate::table::{Limits, Tick, LAST_TICK};

/// The rule of one of nginx's own forms.
#[derive(Clone, Debug)]
pub enum NginxRule {
    /// `sticky cookie`: the module sets a cookie that names the server.
    Cookie(NginxCookieRule),
    /// `sticky route`: the variables that may name the server, without their `$`.
    Route(Vec<Vec<u8>>),
    /// `sticky learn`: variables of responses and requests hold the session ids.
    Learn(NginxLearnRule),
}

/// `sticky cookie NAME …`.
#[derive(Clone, Debug)]
pub struct NginxCookieRule {
    /// Name of the cookie, never empty.
    pub name: Vec<u8>,
    /// The attribute domain, which may hold variables. Never empty.
    pub domain: Option<Vec<u8>>,
    /// The attribute path. Never empty.
    pub path: Option<Vec<u8>>,
    /// How long the browser keeps the cookie.
    pub expires: Option<Expires>,
    /// The attribute httponly.
    pub httponly: bool,
    /// The attribute secure.
    pub secure: bool,
    /// The attribute samesite, which may hold variables; without one, a valid value.
    pub samesite: Option<Vec<u8>>,
}

/// `expires=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Until the end of 2037, the last year that old browsers can represent.
    Max,
    /// This many seconds from now.
    After(u64),
}

/// `sticky learn …`.
#[derive(Clone, Debug)]
pub struct NginxLearnRule {
    /// The variables with the id of a new session, without their `$`. Never empty.
    pub create: Vec<Vec<u8>>,
    /// The variables with the session id of a request, without their `$`. Never empty.
    pub lookup: Vec<Vec<u8>>,
    /// Name of the zone. Never empty.
    pub zone: Vec<u8>,
    /// Size of the zone in bytes.
    pub size: usize,
    /// Idle limit of a session; with `norefresh`, its absolute limit, too.
    pub limits: Limits,
    /// Sessions are learned from the header, before the body of the response is read.
    pub after_header: bool,
    /// Requests do not prolong a session.
    pub norefresh: bool,
    /// How many sessions each server may have that does not say so itself.
    pub max_sessions: Option<SessionLimit>,
}

/// The three forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NginxForm {
    /// `sticky cookie`.
    Cookie,
    /// `sticky route`.
    Route,
    /// `sticky learn`.
    Learn,
}

impl NginxForm {
    /// The form that a first word names.
    pub(super) fn named(word: &[u8]) -> Option<NginxForm> {
        match word {
            b"cookie" => Some(NginxForm::Cookie),
            b"route" => Some(NginxForm::Route),
            b"learn" => Some(NginxForm::Learn),
            _ => None,
        }
    }
}

/// nginx refuses a smaller zone: 8 pages of 4 KB.
const MIN_ZONE_SIZE: usize = 32 << 10;

/// Idle limit of `sticky learn` without `timeout=`: 10 minutes.
const DEFAULT_TIMEOUT: u64 = 600_000;

/// The words behind the form without our own `dry_run`, and whether that is among them. The name of a
/// cookie may be the same word.
pub(super) fn without_dry_run<'a>(
    form: NginxForm,
    words: &[&'a [u8]],
) -> Result<(Vec<&'a [u8]>, bool), NginxError> {
    let first = usize::from(form == NginxForm::Cookie);
    let is_ours = |(at, word): (usize, &&[u8])| at >= first && *word == b"dry_run";
    let found = words.iter().enumerate().filter(|it| is_ours(*it)).count();
    if found > 1 {
        return Err(NginxError::Text("parameter \"dry_run\" is duplicate"));
    }
    let others = words.iter().enumerate().filter(|it| !is_ours(*it));
    Ok((others.map(|(_, word)| *word).collect(), found == 1))
}

/// Reads the words behind `sticky cookie`, `sticky route` or `sticky learn`.
pub(super) fn rule(form: NginxForm, words: &[&[u8]]) -> Result<NginxRule, NginxError> {
    let Some((&first, rest)) = words.split_first() else {
        return Err(NginxError::Arguments);
    };
    match form {
        NginxForm::Cookie => cookie(first, rest).map(NginxRule::Cookie),
        NginxForm::Route => {
            let names = words.iter().map(|word| {
                let name = word.strip_prefix(b"$");
                name.map(<[u8]>::to_vec)
                    .ok_or_else(|| match elsewhere::is_directive(word) {
                        true => NginxError::Directive(word.to_vec()),
                        false => NginxError::Variable(word.to_vec()),
                    })
            });
            names.collect::<Result<_, _>>().map(NginxRule::Route)
        }
        NginxForm::Learn => learn(words).map(NginxRule::Learn),
    }
}

fn cookie(name: &[u8], words: &[&[u8]]) -> Result<NginxCookieRule, NginxError> {
    use NginxError::Text;

    if name.is_empty() {
        return Err(Text("empty cookie name"));
    }
    let mut rule = NginxCookieRule {
        name: name.to_vec(),
        domain: None,
        path: None,
        expires: None,
        httponly: false,
        secure: false,
        samesite: None,
    };
    for &word in words {
        if let Some(value) = word.strip_prefix(b"domain=") {
            if rule.domain.is_some() {
                return Err(Text("parameter \"domain\" is duplicate"));
            }
            if value.is_empty() {
                return Err(Text("no value for \"domain\""));
            }
            rule.domain = Some(value.to_vec());
        } else if let Some(value) = word.strip_prefix(b"path=") {
            if rule.path.is_some() {
                return Err(Text("parameter \"path\" is duplicate"));
            }
            if value.is_empty() {
                return Err(Text("no value for \"path\""));
            }
            rule.path = Some(value.to_vec());
        } else if let Some(value) = word.strip_prefix(b"expires=") {
            if rule.expires.is_some() {
                return Err(Text("parameter \"expires\" is duplicate"));
            }
            rule.expires =
                Some(match value {
                    b"max" => Expires::Max,
                    b"off" => return Err(Text(
                        "invalid \"expires\" parameter value, without \"expires\" the cookie is \
                         kept until the browser is closed",
                    )),
                    _ => nginx_units::parse_time(value)
                        .map(Expires::After)
                        .ok_or(Text("invalid \"expires\" parameter value"))?,
                });
        } else if word == b"httponly" {
            if std::mem::replace(&mut rule.httponly, true) {
                return Err(Text("parameter \"httponly\" is duplicate"));
            }
        } else if word == b"secure" {
            if std::mem::replace(&mut rule.secure, true) {
                return Err(Text("parameter \"secure\" is duplicate"));
            }
        } else if let Some(value) = word.strip_prefix(b"samesite=") {
            if rule.samesite.is_some() {
                return Err(Text("parameter \"samesite\" is duplicate"));
            }
            if !value.contains(&b'$') && !is_samesite(value) {
                return Err(Text("invalid \"samesite\" parameter value"));
            }
            rule.samesite = Some(value.to_vec());
        } else {
            return Err(unknown(word));
        }
    }
    Ok(rule)
}

fn learn(words: &[&[u8]]) -> Result<NginxLearnRule, NginxError> {
    use NginxError::Text;

    let (mut create, mut lookup) = (Vec::new(), Vec::new());
    let mut zone: Option<(&[u8], usize)> = None;
    let mut timeout = None;
    let mut max_sessions = None;
    let (mut after_header, mut norefresh) = (false, false);
    for &word in words {
        if let Some(value) = word.strip_prefix(b"zone=") {
            if zone.is_some() {
                return Err(Text("duplicate zone"));
            }
            let mut parts = value.splitn(2, |&byte| byte == b':');
            let name = parts.next().unwrap_or_default();
            let size = parts.next().ok_or(Text("zone size is not specified"))?;
            if name.is_empty() {
                return Err(Text("zone name is not specified"));
            }
            let size = nginx_units::parse_size(size).ok_or(Text("invalid zone size"))?;
            if size < MIN_ZONE_SIZE {
                return Err(Text("zone is too small"));
            }
            zone = Some((name, size));
        } else if let Some(value) = word.strip_prefix(b"timeout=") {
            if timeout.is_some() {
                return Err(Text("duplicate timeout"));
            }
            timeout = match nginx_units::parse_milliseconds(value) {
                None | Some(0) => return Err(Text("invalid timeout")),
                given => given,
            };
        } else if let Some(value) = word.strip_prefix(b"create=") {
            let name = value.strip_prefix(b"$");
            create.push(
                name.ok_or(Text("missing variable in the \"create\" parameter"))?
                    .to_vec(),
            );
        } else if let Some(value) = word.strip_prefix(b"lookup=") {
            let name = value.strip_prefix(b"$");
            lookup.push(
                name.ok_or(Text("missing variable in the \"lookup\" parameter"))?
                    .to_vec(),
            );
        } else if let Some(value) = word.strip_prefix(b"max_sessions=") {
            if max_sessions.is_some() {
                return Err(Text("duplicate max_sessions"));
            }
            max_sessions = Some(limit(value).ok_or(Text("invalid max_sessions"))?);
        } else if word == b"header" {
            after_header = true;
        } else if word == b"norefresh" {
            norefresh = true;
        } else {
            return Err(unknown(word));
        }
    }
    if lookup.is_empty() {
        return Err(Text("\"lookup\" parameter is not specified"));
    }
    if create.is_empty() {
        return Err(Text("\"create\" parameter is not specified"));
    }
    let (zone, size) = zone.ok_or(Text("\"zone\" parameter is not specified"))?;
    // The table counts whole seconds.
    let seconds = timeout.unwrap_or(DEFAULT_TIMEOUT).div_ceil(1000);
    let expires = Tick::try_from(seconds).map_or(LAST_TICK, |seconds| seconds.min(LAST_TICK));
    Ok(NginxLearnRule {
        create,
        lookup,
        zone: zone.to_vec(),
        size,
        limits: Limits {
            expires,
            lifetime: norefresh.then_some(expires),
        },
        after_header,
        norefresh,
        max_sessions,
    })
}

fn unknown(word: &[u8]) -> NginxError {
    match elsewhere::hint(word) {
        "" => NginxError::Unknown(word.to_vec()),
        hint => NginxError::Elsewhere {
            word: word.to_vec(),
            hint,
        },
    }
}

/// Whether nginx accepts a value of the attribute samesite (`ngx_http_upstream_sticky_samesite()`).
pub fn is_samesite(value: &[u8]) -> bool {
    [&b"strict"[..], b"lax", b"none"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value))
}
