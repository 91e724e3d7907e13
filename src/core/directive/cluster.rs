//! The words of `sticky_cluster`.
//!
//! Its URL may have a password, and a word in the wrong place may be one: whatever of a word may be a
//! user or a password is not shown.

use percent_encoding::percent_decode;
use thiserror::Error;

use super::error::Shown;
use super::nginx_units;

/// What the names of all keys in the store begin with unless the directive says otherwise.
pub const DEFAULT_PREFIX: &str = "sticky:";

/// Bytes of such a prefix.
pub const LONGEST_PREFIX: usize = 64;

/// For how many milliseconds a new nginx waits for the sessions of the others unless the directive says
/// otherwise.
pub const DEFAULT_WAIT: u64 = 5_000;

/// The most that it may say: nginx serves nobody meanwhile.
pub const LONGEST_WAIT: u64 = 60_000;

/// Sentinels that are asked.
pub const MOST_SENTINELS: usize = 16;

const STORE_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL is to look like.
const URLS: &str = "\"redis://HOST\", \"rediss://HOST\", \"unix:/PATH\" or \
                    \"redis+sentinel://HOST,HOST/SERVICE\"";

/// The parameters, with what stands for their values in messages.
const PARAMETERS: [(&str, &str); 8] = [
    ("key_file", "FILE"),
    ("old_key_file", "FILE"),
    ("password_file", "FILE"),
    ("ca_file", "FILE"),
    ("cert_file", "FILE"),
    ("cert_key_file", "FILE"),
    ("prefix", "TEXT"),
    ("wait", "TIME"),
];

/// What the directive says. Files are as they are named there.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterRule {
    /// Where the store is.
    pub store: Store,
    /// The file of the key that all nodes have.
    pub key_file: Vec<u8>,
    /// That of the key which they had before, or will have.
    pub old_key_file: Option<Vec<u8>>,
    /// That of the password for the store.
    pub password_file: Option<Vec<u8>>,
    /// Who may have signed the store's certificate; with TLS only.
    pub ca_file: Option<Vec<u8>>,
    /// The certificate of this nginx and its key; with TLS only.
    pub cert_files: Option<(Vec<u8>, Vec<u8>)>,
    /// What the names of all keys in the store begin with: 1 to [`LONGEST_PREFIX`] visible characters.
    pub prefix: String,
    /// How long a new nginx waits for the sessions of the others, in milliseconds.
    pub wait: u64,
}

/// Where a store is, and who one is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    /// Its address, or those of the sentinels; never empty.
    pub servers: Vec<StoreAddress>,
    /// The service that the sentinels are asked for. `None`: there are none.
    pub service: Option<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The number of the database.
    pub database: u32,
    /// The user; the default one unless given.
    pub user: Option<String>,
    /// The password in the URL.
    pub password: Option<String>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A name or an address, and the port.
    Tcp(String, u16),
    /// The path of its socket.
    Unix(Vec<u8>),
}

/// Why a `sticky_cluster` directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// It is no URL of a store.
    #[error(
        "invalid URL \"{}\" in \"sticky_cluster\" directive, expected {URLS}",
        Shown(.0)
    )]
    Url(Vec<u8>),
    /// The number of the database is none.
    #[error(
        "invalid database in \"{}\" in \"sticky_cluster\" directive, expected a number, as in \
         \"redis://HOST/0\"",
        Shown(.0)
    )]
    Database(Vec<u8>),
    /// Sentinels are asked for a service.
    #[error(
        "no service in \"{}\" in \"sticky_cluster\" directive, expected its name at the sentinels, as \
         in \"redis+sentinel://HOST,HOST/mymaster\"",
        Shown(.0)
    )]
    Service(Vec<u8>),
    /// The parameter does not exist.
    #[error(
        "invalid parameter \"{}\" in \"sticky_cluster\" directive, expected {}",
        Shown(.0),
        all_parameters()
    )]
    Unknown(Vec<u8>),
    /// Its value would be in everybody's sight.
    #[error(
        "parameter \"{given}\" in \"sticky_cluster\" directive is a secret that does not stand in the \
         configuration, expected \"{expected}=FILE\""
    )]
    Secret {
        /// The parameter.
        given: &'static str,
        /// The one with a file.
        expected: &'static str,
    },
    /// The value is empty.
    #[error(
        "no value for \"{parameter}\" in \"sticky_cluster\" directive, expected \
         \"{parameter}={expected}\""
    )]
    NoValue {
        /// The parameter.
        parameter: &'static str,
        /// What stands for its value.
        expected: &'static str,
    },
    /// A parameter that is given more than once.
    #[error("\"sticky_cluster\" directive parameter \"{0}\" is duplicate")]
    Duplicate(&'static str),
    /// A value that the parameter does not take.
    #[error(
        "invalid value \"{}\" of parameter \"{parameter}\" in \"sticky_cluster\" directive, expected \
         {expected}",
        Shown(value)
    )]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// The value.
        value: Vec<u8>,
        /// The values that it takes.
        expected: String,
    },
    /// There is no key.
    #[error(
        "no \"key_file\" in \"sticky_cluster\" directive, expected \"key_file=FILE\" with the key that \
         all nodes have"
    )]
    NoKeyFile,
    /// A parameter without effect unless another one is given, or a part of the URL.
    #[error("\"{parameter}\" without {needed} in \"sticky_cluster\" directive has no effect")]
    Without {
        /// The parameter.
        parameter: &'static str,
        /// What is missing.
        needed: &'static str,
    },
    /// Two passwords.
    #[error(
        "\"password_file\" together with a password in the URL in \"sticky_cluster\" directive, \
         expected one of them"
    )]
    TwoPasswords,
    /// A user without a password.
    #[error(
        "a user without a password in the URL in \"sticky_cluster\" directive, expected \
         \"password_file=FILE\""
    )]
    NoPassword,
}

fn all_parameters() -> String {
    let all = PARAMETERS.map(|(name, value)| format!("\"{name}={value}\""));
    all.join(", ")
}

/// Parses the words behind `sticky_cluster`.
///
/// # Errors
///
/// The first word that is wrong, then a contradiction between them.
pub fn parse(words: &[&[u8]]) -> Result<ClusterRule, ClusterError> {
    let url = words.first().copied().unwrap_or_default();
    let store = store(url)?;
    let mut given: [Option<&[u8]>; PARAMETERS.len()] = [None; PARAMETERS.len()];
    for word in words.get(1..).unwrap_or_default() {
        let mut parts = word.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        for (secret, expected) in [("password", "password_file"), ("key", "key_file")] {
            if name == secret.as_bytes() {
                return Err(ClusterError::Secret {
                    given: secret,
                    expected,
                });
            }
        }
        let mut places = PARAMETERS.iter().zip(&mut given);
        let known = places.find(|((known, _), _)| known.as_bytes() == name);
        let Some((&(parameter, expected), place)) = known else {
            return Err(ClusterError::Unknown(masked(word)));
        };
        let value = value.unwrap_or_default();
        if value.is_empty() {
            return Err(ClusterError::NoValue {
                parameter,
                expected,
            });
        }
        if place.replace(value).is_some() {
            return Err(ClusterError::Duplicate(parameter));
        }
    }
    let [key, old_key, password, ca, cert, cert_key, prefix, wait] = given;
    let key_file = key.ok_or(ClusterError::NoKeyFile)?.to_vec();
    let cert_files = match (cert, cert_key) {
        (Some(cert), Some(key)) => Some((cert.to_vec(), key.to_vec())),
        (Some(_), None) => return Err(without("cert_file", "\"cert_key_file\"")),
        (None, Some(_)) => return Err(without("cert_key_file", "\"cert_file\"")),
        (None, None) => None,
    };
    if !store.tls {
        let (needed, has) = ("\"rediss://\"", [(ca, "ca_file"), (cert, "cert_file")]);
        if let Some((_, parameter)) = has.iter().find(|(given, _)| given.is_some()) {
            return Err(without(parameter, needed));
        }
    }
    match (&store.user, &store.password, password) {
        (_, Some(_), Some(_)) => return Err(ClusterError::TwoPasswords),
        (Some(_), None, None) => return Err(ClusterError::NoPassword),
        _ => {}
    }
    Ok(ClusterRule {
        store,
        key_file,
        old_key_file: old_key.map(<[u8]>::to_vec),
        password_file: password.map(<[u8]>::to_vec),
        ca_file: ca.map(<[u8]>::to_vec),
        cert_files,
        prefix: prefix.map_or_else(|| Ok(DEFAULT_PREFIX.to_owned()), valid_prefix)?,
        wait: wait.map_or(Ok(DEFAULT_WAIT), valid_wait)?,
    })
}

/// What of the URL, the first word, may be shown: without user and password.
pub fn shown_url(words: &[&[u8]]) -> Vec<u8> {
    masked(words.first().copied().unwrap_or_default())
}

fn without(parameter: &'static str, needed: &'static str) -> ClusterError {
    ClusterError::Without { parameter, needed }
}

/// A word without what may be a user or a password: what stands before an `@`, but for a scheme, and
/// what follows a question mark.
fn masked(word: &[u8]) -> Vec<u8> {
    const MASK: &[u8] = b"***";

    let word = match word.iter().position(|byte| *byte == b'?') {
        Some(at) => &[word.get(..=at).unwrap_or_default(), MASK].concat(),
        None => word,
    };
    let Some(at) = word.iter().rposition(|byte| *byte == b'@') else {
        return word.to_vec();
    };
    let scheme = word.windows(3).position(|part| part == b"://");
    let scheme = scheme.filter(|scheme| scheme + 3 <= at);
    let scheme = scheme.and_then(|end| word.get(..end + 3));
    let rest = word.get(at..).unwrap_or_default();
    [scheme.unwrap_or_default(), MASK, rest].concat()
}

fn store(url: &[u8]) -> Result<Store, ClusterError> {
    let refused = || ClusterError::Url(masked(url));
    if let Some(path) = url.strip_prefix(b"unix:") {
        // unix:/PATH, as elsewhere in nginx, and unix:///PATH.
        let path = match path.strip_prefix(b"//") {
            Some(path) => path,
            None => path,
        };
        return unix(path, url);
    }
    let text = std::str::from_utf8(url).map_err(|_| refused())?;
    let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
    let (tls, has_sentinels) = match scheme {
        "redis" | "valkey" => (false, false),
        "rediss" | "valkeys" => (true, false),
        "redis+sentinel" => (false, true),
        "rediss+sentinel" => (true, true),
        "redis+unix" => return unix(rest.as_bytes(), url),
        _ => return Err(refused()),
    };
    if rest.contains(['?', '#']) {
        return Err(refused());
    }
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    let (user, password) = login
        .map_or(Ok((None, None)), user_info)
        .map_err(|()| refused())?;
    let (hosts, path) = match rest.split_once('/') {
        Some((hosts, path)) => (hosts, path),
        None => (rest, ""),
    };
    let port = if has_sentinels {
        SENTINEL_PORT
    } else {
        STORE_PORT
    };
    let servers: Option<Vec<StoreAddress>> = match has_sentinels {
        true => hosts.split(',').map(|host| tcp(host, port)).collect(),
        false => tcp(hosts, port).map(|server| vec![server]),
    };
    let servers = servers.filter(|servers| servers.len() <= MOST_SENTINELS);
    let servers = servers.ok_or_else(refused)?;
    let (service, database) = match has_sentinels {
        true => match path.split_once('/') {
            Some((service, database)) => (Some(service), database),
            None => (Some(path), ""),
        },
        false => (None, path),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if service.is_some_and(|name| name.is_empty() || !name.bytes().all(is_name)) {
        return Err(ClusterError::Service(masked(url)));
    }
    Ok(Store {
        servers,
        service: service.map(str::to_owned),
        tls,
        database: number_of(database).ok_or_else(|| ClusterError::Database(masked(url)))?,
        user,
        password,
    })
}

fn unix(path: &[u8], url: &[u8]) -> Result<Store, ClusterError> {
    let at = path.iter().position(|byte| *byte == b'?');
    let (path, query) = match at.and_then(|at| path.split_at_checked(at)) {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    if !path.starts_with(b"/") || path.contains(&0) {
        return Err(ClusterError::Url(masked(url)));
    }
    let database = match query {
        None => Some(0),
        Some(query) => {
            let query = query.strip_prefix(b"?db=");
            query
                .and_then(|number| std::str::from_utf8(number).ok())
                .filter(|number| !number.is_empty())
                .and_then(number_of)
        }
    };
    Ok(Store {
        servers: vec![StoreAddress::Unix(path.to_vec())],
        service: None,
        tls: false,
        database: database.ok_or_else(|| ClusterError::Database(masked(url)))?,
        user: None,
        password: None,
    })
}

/// The user and the password before the host.
fn user_info(login: &str) -> Result<(Option<String>, Option<String>), ()> {
    let decoded = |part: &str| {
        let part = percent_decode(part.as_bytes())
            .decode_utf8()
            .map_err(drop)?;
        Ok((!part.is_empty()).then(|| part.into_owned()))
    };
    match login.split_once(':') {
        Some((user, password)) => Ok((decoded(user)?, decoded(password)?)),
        None => Ok((decoded(login)?, None)),
    }
}

/// Nothing is 0.
fn number_of(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    // Not "+1".
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn tcp(text: &str, default_port: u16) -> Option<StoreAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
            (is_address.then_some(host)?, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (host.bytes().all(is_host).then_some(host)?, port)
        }
    };
    if host.is_empty() {
        return None;
    }
    let port = match port {
        "" => default_port,
        port => {
            let port = u16::try_from(number_of(
                port.strip_prefix(':').filter(|it| !it.is_empty())?,
            )?);
            port.ok().filter(|port| *port != 0)?
        }
    };
    Some(StoreAddress::Tcp(host.to_owned(), port))
}

fn valid_prefix(value: &[u8]) -> Result<String, ClusterError> {
    // What means more in the patterns of an ACL.
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"*?[]^\\\"'{}".contains(byte);
    let text = std::str::from_utf8(value).ok();
    let valid = text.filter(|text| text.len() <= LONGEST_PREFIX && value.iter().all(is_plain));
    valid.map(str::to_owned).ok_or_else(|| ClusterError::Value {
        parameter: "prefix",
        value: value.to_vec(),
        expected: format!(
            "visible characters but those of patterns and quotes, {LONGEST_PREFIX} at most"
        ),
    })
}

fn valid_wait(value: &[u8]) -> Result<u64, ClusterError> {
    let wait = nginx_units::parse_milliseconds(value);
    wait.filter(|wait| *wait <= LONGEST_WAIT)
        .ok_or_else(|| ClusterError::Value {
            parameter: "wait",
            value: value.to_vec(),
            expected: format!("a time up to {} s, as in \"wait=5s\"", LONGEST_WAIT / 1000),
        })
}

impl std::fmt::Debug for ClusterRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterRule")
            .field("servers", &self.store.servers)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
