//! Whether a request may go to a peer: as nginx's balancers test it
//! (`ngx_http_upstream_get_peer()`), and once more after a kept connection was found closed.

/// What counts of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Availability {
    /// It gets no requests at all.
    pub is_down: bool,
    /// It has failed `max_fails` times, and `fail_timeout` is not over.
    pub has_failed: bool,
    /// It has `max_conns` connections.
    pub is_full: bool,
}

/// Why a peer cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unavailable {
    /// It has left the upstream.
    Left,
    /// It is `down`, or has failed too often, or is not to be tried again.
    Failed,
    /// It has `max_conns` connections.
    Full,
    /// It is being replaced: an operator has given its sessions a time to end, which is over.
    Drained,
}

impl Availability {
    /// Whether the peer can be used.
    #[inline]
    pub fn test(self) -> Result<(), Unavailable> {
        if self.has_failed {
            return Err(Unavailable::Failed);
        }
        self.test_again()
    }

    /// The same for a peer that a request has just been at, over a kept connection that the peer
    /// had closed. Servers do that at any time, but balancers count it as a failure.
    #[inline]
    pub fn test_again(self) -> Result<(), Unavailable> {
        if self.is_down {
            return Err(Unavailable::Failed);
        }
        if self.is_full {
            return Err(Unavailable::Full);
        }
        Ok(())
    }
}
