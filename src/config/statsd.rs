//! `sticky_statsd`: the server to which counters are sent.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::PathBuf;

use sticky_core::directive::statsd::{self, Address, StatsdError};
use thiserror::Error;

use crate::ngx::conf::Conf;

/// Where the server is, by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its address.
    Udp(SocketAddr),
    /// The path of its socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Udp(address) => write!(f, "{address}"),
            Target::Unix(path) => {
                let path = path.as_os_str().as_bytes();
                write!(f, "unix:{}", path.escape_ascii())
            }
        }
    }
}

/// What the directive says.
pub struct Statsd {
    /// Where the server is.
    pub target: Target,
    /// What all names begin with.
    pub prefix: String,
}

/// Why the directive is refused.
#[derive(Debug, Error)]
pub enum StatsdRefusal {
    /// The words are wrong.
    #[error(transparent)]
    Words(StatsdError),
    /// The name has no address, or there can be no socket of that path.
    #[error("\"{}\" in \"sticky_statsd\" directive cannot be used: {why}", .address.escape_ascii())]
    Unusable {
        /// The address, as it was given.
        address: Vec<u8>,
        /// The reason.
        why: io::Error,
    },
}

/// What the directive says that is being read.
pub fn read(cf: Conf<'_>) -> Result<Statsd, StatsdRefusal> {
    let words = cf.words();
    let rule = statsd::parse(&words).map_err(StatsdRefusal::Words)?;
    let target = resolve(rule.address).map_err(|why| {
        let address = words.first().copied().unwrap_or_default().to_vec();
        StatsdRefusal::Unusable { address, why }
    })?;
    let prefix = rule.prefix;
    Ok(Statsd { target, prefix })
}

/// Asks the system for the address of a name, as nginx does for those of its configuration.
fn resolve(address: Address) -> io::Result<Target> {
    match address {
        Address::Udp(host, port) => {
            let mut found = (host.as_str(), port).to_socket_addrs()?;
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            found.next().map(Target::Udp).ok_or_else(none)
        }
        Address::Unix(path) => {
            let path = PathBuf::from(OsStr::from_bytes(&path));
            // Not too long, for one.
            net::SocketAddr::from_pathname(&path)?;
            Ok(Target::Unix(path))
        }
    }
}
