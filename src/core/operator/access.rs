//! Who may do something by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a request has come from, of which the client itself says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A unix socket.
    Unix,
    /// An address.
    Address(IpAddr),
    /// Nobody knows.
    Unknown,
}

impl Origin {
    /// The origin by its text, as nginx's `$realip_remote_addr` or `$remote_addr` has it.
    pub fn of(text: &[u8]) -> Self {
        if text == b"unix:" {
            return Origin::Unix;
        }
        let text = std::str::from_utf8(text).ok();
        let address = text.and_then(|text| text.parse().ok());
        address.map_or(Origin::Unknown, Origin::Address)
    }

    fn is_here(self) -> bool {
        match self {
            Origin::Unix => true,
            Origin::Address(address) => address.to_canonical().is_loopback(),
            Origin::Unknown => false,
        }
    }
}

/// A request that wants to do something.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// Where the connection comes from.
    pub origin: Origin,
    /// It has a header of a proxy: Forwarded, X-Forwarded-For or Via.
    pub is_forwarded: bool,
    /// The header Host, without its port.
    pub host: &'a [u8],
}

/// Why a request may do nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The line has no `rw`.
    #[error("\"sticky_status\" has no \"rw\" here")]
    ReadOnly,
    /// The variable of `rw=` is empty or 0.
    #[error("the variable of \"rw=\" says no")]
    Variable,
    /// With a bare `rw` one must be on this machine.
    #[error("with \"rw\" alone only clients on this machine may do something, use \"rw=$variable\" for others")]
    NotHere,
    /// A proxy stands in between.
    #[error("the request has come through a proxy, use \"rw=$variable\"")]
    Forwarded,
    /// Another host's name: a browser may have been led here by it.
    #[error("with \"rw\" alone Host must be \"localhost\" or an address")]
    Host,
    /// Nothing shows that the sender has seen the page.
    #[error("no header \"X-Sticky: 1\", and no token of the page")]
    Token,
}

/// Whether a visitor may do something, with a bare `rw`.
pub fn check_here(visitor: &Visitor<'_>) -> Result<(), Refusal> {
    if !visitor.origin.is_here() {
        Err(Refusal::NotHere)
    } else if visitor.is_forwarded {
        Err(Refusal::Forwarded)
    } else if !is_host_of_machine(visitor.host) {
        Err(Refusal::Host)
    } else {
        Ok(())
    }
}

/// Whether a variable says yes: it is neither empty nor "0".
pub fn says_yes(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0")
}

/// Whether Host is `localhost` or an address: no name that somebody's server of names may point at
/// this machine.
fn is_host_of_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match in_brackets {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok(),
    }
}
