//! The short way of nearly all requests: the first attempt of one, at a primary peer that can be
//! used. What it does is what [`Attempt::take`](super::Attempt::take) does; where there is anything
//! to think about, it does nothing, and the attempt is made as any other.

use std::ptr::NonNull;

use crate::ngx::peers::{BothLocks, PeerHandle, PeerState};
use crate::ngx::sys;

use super::{take, Balancer};

/// The first attempt to find a peer for a request.
pub struct FirstAttempt<'a> {
    pub(super) pc: NonNull<sys::ngx_peer_connection_t>,
    pub(super) balancer: &'a Balancer,
}

impl FirstAttempt<'_> {
    /// Takes a peer, if it is a primary one, has not left and `can_be_used`. False: nothing has
    /// changed.
    #[inline(always)]
    pub fn take(&self, handle: &PeerHandle, can_be_used: impl Fn(PeerState) -> bool) -> bool {
        let balancer = self.balancer;
        let (list, peer) = (balancer.peers.primary(), handle.peer.as_ptr());
        if handle.backup || !balancer.gives_back_as_round_robin() {
            return false;
        }
        let is_there = || balancer.peers.is_of(handle) && balancer.is_current();
        // SAFETY: the lists of an upstream live as long as its cycle; a peer is in its list, which is
        // locked, if that has not changed since it was shown.
        let Some(_locks) = (unsafe { BothLocks::of(list, peer, is_there) }) else {
            return false;
        };
        // SAFETY: as above, and the peer is locked.
        if !can_be_used(unsafe { PeerState::of(peer) }) {
            return false;
        }
        // SAFETY: as above.
        unsafe { take::go(self.pc, balancer, peer) };
        let (word, bit) = balancer.tried(handle);
        // SAFETY: the peers are those that tried was made for.
        unsafe { *word |= bit };
        true
    }
}
