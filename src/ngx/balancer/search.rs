//! Steering before nginx 1.29.6: the peer is looked for, tested and taken as nginx's balancers do
//! it, under their locks.

use std::ptr::{self, NonNull};

use crate::ngx::peers::{
    generation_of, is_current, is_usable, Lock, Peer, PeerData, PeerHandle, PeerList, Peers,
    Unusable,
};
use crate::ngx::sys;

use super::{go_to, Bearers, Steer, Try};

impl Steer for Try<'_> {
    fn steer(&self, peer: PeerHandle) -> Result<(), Unusable> {
        self.take_from_either(peer, is_usable)
    }

    // nginx does not count a try on a kept connection (ngx_http_upstream_next()), but its balancers
    // count the failure.
    fn steer_again(&self, peer: PeerHandle) -> Option<Result<(), Unusable>> {
        self.is_given_back.then(|| {
            self.take_from_either(peer, |peer| match is_usable(peer) {
                Err(Unusable::Failed) if peer.down == 0 => Ok(()),
                usable => usable,
            })
        })
    }

    // ngx_http_upstream_get_rr_peer_by_sid() of later versions, which looks in the list that the
    // balancer is at.
    fn follow(&self, peers: PeerList, _: &[u8], bearers: Bearers) -> Result<(), Unusable> {
        // SAFETY: round_robin() has seen what data points to.
        let at_primary = unsafe {
            if !is_current(self.data(), peers.0.as_ptr()) {
                // There is no bit in tried for a peer that came since.
                return Err(Unusable::Gone);
            }
            (*self.data()).peers == peers.0.as_ptr()
        };
        if !at_primary {
            return self.take_untried(peers, bearers.backup.ok_or(Unusable::Gone)?);
        }
        let primary = match bearers.primary {
            Some(peer) => self.take_untried(peers, peer),
            None => Err(Unusable::Gone),
        };
        let (Err(why), Some(backup)) = (primary, bearers.backup) else {
            return primary;
        };
        if self.has_primary(peers) {
            return Err(why);
        }
        // The balancer would go on to the backup peers now.
        peers.check(backup)?;
        let list = peers.list_of(backup).ok_or(Unusable::Gone)?;
        // SAFETY: round_robin() has seen what data points to; the list is the next one.
        unsafe { go_to(self.balancer, peers.0.as_ptr(), list) };
        self.take_untried(peers, backup)
    }
}

impl Try<'_> {
    fn data(&self) -> *mut PeerData {
        self.balancer.data.get().cast()
    }

    /// Takes a peer of the list that the balancer is at, or a backup peer out of turn: then the
    /// balancer gets its list back before the next try.
    fn take_from_either(
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

    /// Takes a peer of the list that the balancer is at, unless it has been tried.
    fn take_untried(&self, peers: PeerList, handle: PeerHandle) -> Result<(), Unusable> {
        // SAFETY: tried has a bit for each peer of the list that the balancer is at, and the handle is
        // of the generation that tried was made for.
        unsafe {
            if !is_current(self.data(), peers.0.as_ptr())
                || generation_of(peers.0.as_ptr()) != handle.generation
            {
                return Err(Unusable::Gone);
            }
            let (word, bit) = self.tried(handle);
            if *word & bit != 0 {
                return Err(Unusable::Failed);
            }
            let list = peers.list_of(handle).ok_or(Unusable::Gone)?;
            self.take(peers, list, handle, is_usable)?;
            *word |= bit;
        }
        Ok(())
    }

    /// The word and the bit that tell whether a peer has been tried.
    ///
    /// # Safety
    /// `handle` is in the list that the balancer is at, and nothing was taken from that list since.
    unsafe fn tried(&self, handle: PeerHandle) -> (*mut usize, usize) {
        let bits = usize::BITS as usize;
        // SAFETY: ngx_http_upstream_init_round_robin_peer() has made room for the longer list.
        let word = unsafe { (*self.data()).tried.add(handle.index / bits) };
        (word, 1 << (handle.index % bits))
    }

    /// A primary peer could still be tried.
    fn has_primary(&self, peers: PeerList) -> bool {
        // SAFETY: as in PeerList::walk(), and tried as above.
        unsafe {
            let list = peers.0.as_ptr();
            let _list = Lock::read_list(list);
            if !is_current(self.data(), list) {
                return true;
            }
            let bits = usize::BITS as usize;
            let (mut peer, mut index) = ((*list).peer, 0);
            while !peer.is_null() {
                let tried = *(*self.data()).tried.add(index / bits) >> (index % bits) & 1 != 0;
                if !tried && (*peer).down == 0 {
                    let _peer = Lock::peer(list, peer);
                    if is_usable(&*peer).is_ok() {
                        return true;
                    }
                }
                peer = (*peer).next;
                index += 1;
            }
            false
        }
    }

    /// Takes a peer, as ngx_http_upstream_get_hash_peer() does, if it can be used.
    ///
    /// # Safety
    /// `list` is the one of `peers` that has `handle`.
    unsafe fn take(
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
        }
        Ok(())
    }
}
