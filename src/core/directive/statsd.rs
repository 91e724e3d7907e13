//! The words of `sticky_statsd`.

use thiserror::Error;

use super::error::Shown;

/// Bytes of a prefix: a name and its value always fit a packet, see
/// [`LARGEST_PACKET`](crate::statsd::LARGEST_PACKET).
pub const LONGEST_PREFIX: usize = 128;

/// What names begin with unless the directive says otherwise.
pub const DEFAULT_PREFIX: &str = "nginx_sticky";

/// The port of statsd.
pub const DEFAULT_PORT: u16 = 8125;

/// What the directive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdRule {
    /// Where the server is.
    pub address: Address,
    /// What all names begin with.
    pub prefix: String,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name or an address, and the port.
    Udp(String, u16),
    /// The path of a socket of datagrams.
    Unix(Vec<u8>),
}

/// Why a `sticky_statsd` directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatsdError {
    /// It is no address.
    #[error(
        "invalid address \"{}\" in \"sticky_statsd\" directive, expected \"HOST:PORT\", \
         \"[ADDRESS]:PORT\" or \"unix:/PATH\"",
        Shown(.0)
    )]
    Address(Vec<u8>),
    /// The prefix would spoil names.
    #[error(
        "invalid value \"{}\" of parameter \"prefix\" in \"sticky_statsd\" directive, expected \
         letters, digits, \"_\", \"-\" and single dots between them, {LONGEST_PREFIX} at most",
        Shown(.0)
    )]
    Prefix(Vec<u8>),
    /// The parameter does not exist.
    #[error(
        "invalid parameter \"{}\" in \"sticky_statsd\" directive, expected \"prefix=NAME\"",
        Shown(.0)
    )]
    Unknown(Vec<u8>),
    /// It is given twice.
    #[error("\"sticky_statsd\" directive parameter \"prefix\" is duplicate")]
    Duplicate,
}

/// Parses the words behind `sticky_statsd`.
///
/// # Errors
///
/// The first word that is wrong.
pub fn parse(words: &[&[u8]]) -> Result<StatsdRule, StatsdError> {
    let first = words.first().copied().unwrap_or_default();
    let parameters = words.get(1..).unwrap_or_default();
    let address = address(first).ok_or_else(|| StatsdError::Address(first.to_vec()))?;
    let mut prefix = None;
    for word in parameters {
        let Some(value) = word.strip_prefix(b"prefix=") else {
            return Err(StatsdError::Unknown(word.to_vec()));
        };
        let value = valid_prefix(value).ok_or_else(|| StatsdError::Prefix(value.to_vec()))?;
        if prefix.replace(value).is_some() {
            return Err(StatsdError::Duplicate);
        }
    }
    Ok(StatsdRule {
        address,
        prefix: prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
    })
}

fn address(word: &[u8]) -> Option<Address> {
    if let Some(path) = word.strip_prefix(b"unix:") {
        return path.starts_with(b"/").then(|| Address::Unix(path.to_vec()));
    }
    let text = std::str::from_utf8(word).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
            (is_address.then_some(host)?, port)
        }
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let port = match port {
        "" => DEFAULT_PORT,
        // Not "+1".
        port => {
            let digits = port.strip_prefix(':')?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port: u16 = is_number.then(|| digits.parse().ok()).flatten()?;
            (port != 0).then_some(port)?
        }
    };
    Some(Address::Udp(host.to_owned(), port))
}

fn valid_prefix(value: &[u8]) -> Option<String> {
    let is_part = |part: &str| {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        !part.is_empty() && part.bytes().all(is_safe)
    };
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= LONGEST_PREFIX && text.split('.').all(is_part)).then(|| text.to_owned())
}
