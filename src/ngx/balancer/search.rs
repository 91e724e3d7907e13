//! Steering before nginx 1.29.6: every peer is taken here, also where nginx's own `sticky` of later
//! versions is followed.

use crate::ngx::peers::{
    generation_of, is_current, is_usable, Lock, PeerHandle, PeerList, Unusable,
};

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
}
