//! nginx's own forms of the directive: `sticky cookie|route|learn` (since 1.29.6, before that in
//! NGINX Plus). What is taken and what is refused, and in which words, is
//! `ngx_http_upstream_sticky()` and what it calls; `norefresh` is Angie's.

use std::fmt;

use crate::directive::nginx_units;
use crate::http::cookie;
use crate::table::{Limits, Tick, LAST_TICK};

/// The rule of one of nginx's own forms.
#[derive(Clone, Debug)]
pub enum NativeRule {
    /// `sticky cookie`: the module sets a cookie that names the server.
    Cookie(NativeCookie),
    /// `sticky route`: names of the variables that may name the server, without their `$`.
    Route(Vec<Vec<u8>>),
    /// `sticky learn`: variables of requests and responses name sessions.
    Learn(NativeLearn),
}

/// `sticky cookie NAME …`.
#[derive(Clone, Debug)]
pub struct NativeCookie {
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
    /// The attribute samesite, which may hold variables; without one, a value that there is.
    pub samesite: Option<Vec<u8>>,
}

impl NativeCookie {
    /// The value of Set-Cookie, in nginx's order and spelling
    /// (`ngx_http_upstream_sticky_cookie_insert()`). `domain` and `samesite` are the values of the
    /// attributes for this response, empty for none; `now` is in seconds since 1970 UTC.
    pub fn set_cookie(&self, value: &[u8], domain: &[u8], samesite: &[u8], now: i64) -> Vec<u8> {
        let mut line = Vec::with_capacity(128);
        line.extend_from_slice(&self.name);
        line.push(b'=');
        line.extend_from_slice(value);
        match self.expires {
            None => {}
            Some(Expires::Max) => {
                line.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000")
            }
            Some(Expires::After(seconds)) => {
                let at = now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
                line.extend_from_slice(b"; expires=");
                cookie::write_short_date(at, &mut line);
                line.extend_from_slice(format!("; max-age={seconds}").as_bytes());
            }
        }
        if !domain.is_empty() {
            line.extend_from_slice(b"; domain=");
            line.extend_from_slice(domain);
        }
        if self.httponly {
            line.extend_from_slice(b"; httponly");
        }
        if self.secure {
            line.extend_from_slice(b"; secure");
        }
        if !samesite.is_empty() {
            line.extend_from_slice(b"; samesite=");
            // What a variable has made of it may be anything.
            line.extend_from_slice(if is_samesite(samesite) {
                samesite
            } else {
                b"strict"
            });
        }
        if let Some(path) = &self.path {
            line.extend_from_slice(b"; path=");
            line.extend_from_slice(path);
        }
        line
    }
}

/// `expires=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// As long as browsers can count: the end of 2037.
    Max,
    /// So many seconds from now.
    After(u64),
}

/// `sticky learn …`.
#[derive(Clone, Debug)]
pub struct NativeLearn {
    /// Variables that name a session to be made, without their `$`. Never empty.
    pub create: Vec<Vec<u8>>,
    /// Variables that name the session of a request. Never empty.
    pub lookup: Vec<Vec<u8>>,
    /// Name of the zone. Never empty.
    pub zone: Vec<u8>,
    /// Size of the zone in bytes.
    pub size: usize,
    /// Idle limit of a session; with `norefresh`, its absolute limit too.
    pub limits: Limits,
    /// Sessions are learned from the header, before the response has been read.
    pub after_header: bool,
    /// Use does not prolong a session.
    pub norefresh: bool,
}

/// Why a directive is refused. Displays as nginx's own module writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NativeError {
    /// Only the kind stands there.
    Arguments,
    /// What nginx returns from the handler of the directive.
    Text(&'static str),
    /// A word that is no parameter.
    Unknown(Vec<u8>),
    /// A word that is no variable.
    Variable(Vec<u8>),
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NativeError::Arguments => {
                f.write_str("invalid number of arguments in \"sticky\" directive")
            }
            NativeError::Text(text) => write!(f, "\"sticky\" directive {text}"),
            NativeError::Unknown(word) => {
                write!(f, "unknown parameter \"{}\"", super::error::Shown(word))
            }
            NativeError::Variable(word) => {
                write!(f, "invalid variable name \"{}\"", super::error::Shown(word))
            }
        }
    }
}

/// One of the three forms that nginx itself has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `sticky cookie`.
    Cookie,
    /// `sticky route`.
    Route,
    /// `sticky learn`.
    Learn,
}

impl Form {
    /// The form that a first word names.
    pub fn named(word: &[u8]) -> Option<Form> {
        match word {
            b"cookie" => Some(Form::Cookie),
            b"route" => Some(Form::Route),
            b"learn" => Some(Form::Learn),
            _ => None,
        }
    }
}

/// nginx wants a zone of 8 pages of 4 KB at least.
const SMALLEST_ZONE: usize = 32 << 10;

/// Idle limit of `sticky learn` without `timeout=`: 10 minutes.
const DEFAULT_TIMEOUT: u64 = 600_000;

/// Reads the words behind `sticky cookie`, `sticky route` or `sticky learn`.
pub fn rule(form: Form, words: &[&[u8]]) -> Result<NativeRule, NativeError> {
    let Some((&first, rest)) = words.split_first() else {
        return Err(NativeError::Arguments);
    };
    match form {
        Form::Cookie => cookie(first, rest).map(NativeRule::Cookie),
        Form::Route => {
            let names = words.iter().map(|word| {
                let name = word.strip_prefix(b"$");
                name.map(<[u8]>::to_vec)
                    .ok_or_else(|| NativeError::Variable(word.to_vec()))
            });
            names.collect::<Result<_, _>>().map(NativeRule::Route)
        }
        Form::Learn => learn(words).map(NativeRule::Learn),
    }
}

fn cookie(name: &[u8], words: &[&[u8]]) -> Result<NativeCookie, NativeError> {
    use NativeError::Text;

    if name.is_empty() {
        return Err(Text("empty cookie name"));
    }
    let mut rule = NativeCookie {
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
            rule.expires = Some(match value {
                b"max" => Expires::Max,
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
            return Err(NativeError::Unknown(word.to_vec()));
        }
    }
    Ok(rule)
}

fn learn(words: &[&[u8]]) -> Result<NativeLearn, NativeError> {
    use NativeError::Text;

    let (mut create, mut lookup) = (Vec::new(), Vec::new());
    let mut zone: Option<(&[u8], usize)> = None;
    let mut timeout = None;
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
            if size < SMALLEST_ZONE {
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
        } else if word == b"header" {
            after_header = true;
        } else if word == b"norefresh" {
            norefresh = true;
        } else {
            return Err(NativeError::Unknown(word.to_vec()));
        }
    }
    if lookup.is_empty() {
        return Err(Text("\"lookup\" parameter is not specified"));
    }
    if create.is_empty() {
        return Err(Text("\"create\" parameter is not specified"));
    }
    let (zone, size) = zone.ok_or(Text("\"zone\" parameter is not specified"))?;
    // The table counts whole seconds and lives for years.
    let seconds = timeout.unwrap_or(DEFAULT_TIMEOUT).div_ceil(1000);
    let expires = Tick::try_from(seconds).map_or(LAST_TICK, |seconds| seconds.min(LAST_TICK));
    Ok(NativeLearn {
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
    })
}

/// Whether nginx takes a value of the attribute samesite (`ngx_http_upstream_sticky_samesite()`).
pub fn is_samesite(value: &[u8]) -> bool {
    [&b"strict"[..], b"lax", b"none"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value))
}

/// What `server` says of a session's server: `route=` and `drain` (`ngx_http_upstream_server()`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerWords {
    /// What its sessions call it.
    pub route: Option<Vec<u8>>,
    /// It gets requests of its own sessions only.
    pub drain: bool,
}

/// Bytes of the longest route.
pub const LONGEST_ROUTE: usize = 32;

/// Takes the words that nginx knows since 1.29.6 out of those behind `server ADDRESS`: what they
/// say, and whether each word is one of them.
///
/// # Errors
///
/// What nginx writes, without file and line.
pub fn server_words(words: &[&[u8]]) -> Result<(ServerWords, Vec<bool>), &'static str> {
    let mut found = ServerWords::default();
    let mut ours = Vec::with_capacity(words.len());
    for &word in words {
        if let Some(route) = word.strip_prefix(b"route=") {
            if route.is_empty() {
                return Err("route is empty");
            }
            if route.len() > LONGEST_ROUTE {
                return Err("route is longer than 32");
            }
            found.route = Some(route.to_vec());
            ours.push(true);
        } else {
            // Of `down` and `drain`, the last one counts.
            match word {
                b"drain" => found.drain = true,
                b"down" => found.drain = false,
                _ => {}
            }
            ours.push(word == b"drain");
        }
    }
    Ok((found, ours))
}
