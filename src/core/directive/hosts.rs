//! `hosts=`: the hosts of the site beside the request's own.

use super::error::DirectiveError;
use super::parameters::{list, push_once, Parameters};

/// `hosts=` may be repeated, and each may list several, because no host name has a comma.
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
