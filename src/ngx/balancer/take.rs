//! Taking a peer by where it stands, tested and entered as nginx's balancers do it, under their
//! locks. Nothing is looked for: a session of one server of a hundred costs no walk over them.
//!
//! Only for balancers that keep their accounts in the peers, as round robin does.

use std::ptr::{self, NonNull};

use crate::ngx::peers::{
    generation_of, is_current, Lock, Peer, PeerData, PeerHandle, PeerList, Peers, Unusable,
};
use crate::ngx::sys;

use super::Try;

impl Try<'_> {
    pub(super) fn data(&self) -> *mut PeerData {
        self.balancer.data.get().cast()
    }

    /// Takes a peer of the list that the balancer is at, or a backup peer out of turn: then the
    /// balancer gets its list back before the next try.
    pub(super) fn take_from_either(
        &self,
        handle: PeerHandle,
        test: fn(&Peer) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        // SAFETY: round_robin() has seen what data points to.
        unsafe {
            let primary = (*self.data()).peers;
            let peers = PeerList(NonNull::new(primary).ok_or(Unusable::Gone)?);
            let list = peers.list_of(handle).ok_or(Unusable::Gone)?;
            self.take(peers, list, handle, test)?;
            if handle.backup {
                self.balancer.primary.set(primary);
                (*self.data()).peers = list;
            } else {
                let (word, bit) = self.tried(handle);
                *word |= bit;
            }
        }
        Ok(())
    }

    /// The word and the bit that tell whether a peer has been tried.
    ///
    /// # Safety
    /// `handle` is in the list that the balancer is at, and nothing was taken from that list since.
    pub(super) unsafe fn tried(&self, handle: PeerHandle) -> (*mut usize, usize) {
        let bits = usize::BITS as usize;
        // SAFETY: ngx_http_upstream_init_round_robin_peer() has made room for the longer list.
        let word = unsafe { (*self.data()).tried.add(handle.index / bits) };
        (word, 1 << (handle.index % bits))
    }

    /// Takes a peer, as ngx_http_upstream_get_hash_peer() does, if it can be used.
    ///
    /// # Safety
    /// `list` is the one of `peers` that has `handle`.
    pub(super) unsafe fn take(
        &self,
        peers: PeerList,
        list: *mut Peers,
        handle: PeerHandle,
        test: fn(&Peer) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        // SAFETY: round_robin() has seen what data points to; the peer is looked at after its list
        // was locked and found unchanged.
        unsafe {
            let _list = Lock::read_list(list);
            let known = peers.0.as_ptr();
            if generation_of(known) != handle.generation || !is_current(self.data(), known) {
                return Err(Unusable::Gone);
            }
            let peer = handle.peer.as_ptr();
            let _peer = Lock::peer(list, peer);
            test(&*peer)?;

            let now = sys::ngx_time();
            if now - (*peer).checked > (*peer).fail_timeout {
                (*peer).checked = now;
            }
            (*peer).conns += 1;
            #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
            {
                (*peer).refs += 1;
            }
            (*self.data()).current = peer;

            let pc = self.pc.as_ptr();
            (*pc).set_cached(0);
            (*pc).connection = ptr::null_mut();
            (*pc).sockaddr = (*peer).sockaddr;
            (*pc).socklen = (*peer).socklen;
            (*pc).name = &raw mut (*peer).name;
            #[cfg(nginx_since = "1.29.6")]
            {
                (*pc).sid = &raw mut (*peer).sid;
            }
        }
        Ok(())
    }
}
