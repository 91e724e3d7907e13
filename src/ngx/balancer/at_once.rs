//! The short way of nearly all requests: the first attempt of one, at a primary peer that can be
//! used. What it does is what [`Attempt::take`](super::Attempt::take) does; where there is anything
//! to think about, it does nothing, and the attempt is made as any other.

use std::ptr::NonNull;

use crate::ngx::peers::{is_usable_at_once, Lock, PeerHandle};
use crate::ngx::sys;

use super::{take, Balancer};

/// The first attempt to find a peer for a request.
#[derive(Clone, Copy)]
pub struct FirstAttempt<'a> {
    pub(super) pc: NonNull<sys::ngx_peer_connection_t>,
    pub(super) balancer: &'a Balancer,
}

impl FirstAttempt<'_> {
    /// Takes a peer, if it is a primary one, has not left and can be used: with no bit of `down` but
    /// those of `allowed`, too few failures to look at their time, and fewer connections than
    /// `max_conns`. False: nothing has changed.
    #[inline(always)]
    pub fn take(&self, handle: &PeerHandle, allowed: usize) -> bool {
        let balancer = self.balancer;
        if handle.backup || !balancer.gives_back_as_round_robin() {
            return false;
        }
        // SAFETY: the lists of an upstream live as long as its cycle.
        if unsafe { Lock::needs_none(balancer.peers.primary()) } {
            // SAFETY: the list needs no locks.
            return unsafe { self.take_locked(handle, allowed) };
        }
        self.lock_and_take(handle, allowed)
    }

    #[inline(never)]
    fn lock_and_take(self, handle: &PeerHandle, allowed: usize) -> bool {
        let (list, peer) = (self.balancer.peers.primary(), handle.peer.as_ptr());
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if !self.is_there(handle) {
            return false;
        }
        // SAFETY: the peer is in its list, which is locked and has not changed since it was shown.
        let _peer = unsafe { Lock::peer(list, peer) };
        // SAFETY: both are locked.
        unsafe { self.take_locked(handle, allowed) }
    }

    /// Whether a peer is in the list that it was in, and the request's `tried` is of that list.
    #[inline(always)]
    fn is_there(&self, handle: &PeerHandle) -> bool {
        self.balancer.peers.is_of(handle) && self.balancer.is_current()
    }

    /// # Safety
    /// The primary list and the peer are locked, or need no locks.
    #[inline(always)]
    unsafe fn take_locked(&self, handle: &PeerHandle, allowed: usize) -> bool {
        let peer = handle.peer.as_ptr();
        // SAFETY: the peer is in its list, which has not changed since it was shown; the caller's
        // promise.
        if !self.is_there(handle) || !unsafe { is_usable_at_once(peer, allowed) } {
            return false;
        }
        // SAFETY: as above.
        unsafe { take::go(self.pc, self.balancer, peer) };
        let (word, bit) = self.balancer.tried(handle);
        // SAFETY: the peers are those that tried was made for.
        unsafe { *word |= bit };
        true
    }
}
