//! What sessions call a peer: nginx's own server id, since 1.29.6.

use crate::ngx::sys;
use crate::ngx::upstream::Upstream;

use super::{Identity, Peer, PeerList};

/// Nothing: a peer knows its server id.
pub struct Origins;

impl Origins {
    /// # Safety
    /// As in peers/origin.rs.
    pub unsafe fn new(_: PeerList, _: Upstream<'_>, _: bool) -> Self {
        Self
    }

    /// The peer's identity.
    ///
    /// # Safety
    /// `peer` is in a list that is locked for reading.
    pub unsafe fn of<'a>(&mut self, peer: &'a Peer) -> Identity<'a> {
        // SAFETY: a string that ngx_http_upstream_create_sid() or
        // ngx_http_upstream_zone_copy_peer() has made; it stays as long as the peer.
        Identity::Sid(unsafe { sys::bytes(peer.sid) })
    }
}
