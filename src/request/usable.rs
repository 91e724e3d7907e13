//! Which peers a session's request may go to: as nginx's balancers test them, but also a server
//! that is being drained, and once more one that has closed a kept connection.

use crate::config::directives::DRAINING;
use crate::ngx::balancer::{Attempt, NotTaken};
use crate::ngx::peers::{PeerHandle, PeerList, PeerState};

/// Why a peer cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unavailable {
    /// It has left the upstream.
    Left,
    /// It is `down`, or has failed too often, or is not to be tried again.
    Failed,
    /// It has `max_conns` connections.
    Full,
}

impl From<NotTaken> for Unavailable {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Left => Self::Left,
            NotTaken::Refused => Self::Failed,
        }
    }
}

/// Whether a peer can be used: the test that every balancer of nginx makes
/// (`ngx_http_upstream_get_peer()`), but a server that is being drained keeps its sessions.
#[inline]
pub fn test(peer: PeerState) -> Result<(), Unavailable> {
    if peer.down & !DRAINING != 0 || peer.has_failed {
        return Err(Unavailable::Failed);
    }
    if peer.is_full {
        return Err(Unavailable::Full);
    }
    Ok(())
}

/// The same for a peer as it is now.
pub fn check(peers: PeerList, peer: PeerHandle) -> Result<(), Unavailable> {
    test(peers.state(peer).ok_or(Unavailable::Left)?)
}

/// Takes the peer of the attempt before, which has failed on a kept connection, once more. nginx
/// does not count such an attempt (ngx_http_upstream_next()), but its balancers count the failure.
#[cfg(not(nginx_since = "1.29.6"))]
pub fn take_again(attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
    attempt.take(peer, |state| match test(state) {
        Err(Unavailable::Failed) if state.down == 0 => Ok(()),
        usable => usable,
    })
}

/// Takes the peer of the attempt before, which has failed on a kept connection, once more. nginx
/// does not count such an attempt (ngx_http_upstream_next()), but its balancers count the failure,
/// and go to no peer twice.
#[cfg(nginx_since = "1.29.6")]
pub fn take_again(attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
    attempt.forgive(peer)?;
    attempt.take(peer, test)
}
