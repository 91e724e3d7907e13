//! Taking a peer by its place in the list, tested and entered as nginx's balancers do it, under
//! their locks. Nothing is searched: a session of one server of a hundred costs no walk over them.
//!
//! Only for balancers that keep their accounts in the peers, as round robin does.

use std::ptr::{self, NonNull};

use crate::ngx::peers::{
    Lock, Peer, PeerData, PeerHandle, PeerKey, PeerLoad, PeerState, Peers, TriedBit,
};
use crate::ngx::sys;

use super::{Attempt, Balancer, NotTaken};

/// Which peer is taken, by what the peers of its list have to do.
pub trait LoadRules {
    /// Why none is taken.
    type Error: From<NotTaken>;
    /// Whether the wanted peer can be used.
    fn test(&self, peer: PeerState) -> Result<(), Self::Error>;
    /// Whether another one can be used.
    fn is_usable(&self, peer: PeerState) -> bool;
    /// The place in `others` of the peer that is taken instead, if any. Those others can be used, but
    /// the request may have been at them.
    fn choose(
        &self,
        wanted: PeerLoad,
        others: &[PeerLoad],
        is_tried: &dyn Fn(usize) -> bool,
    ) -> Option<usize>;
}

impl Attempt<'_> {
    pub(super) fn data(&self) -> *mut PeerData {
        self.balancer.data()
    }

    /// Takes a primary peer, or a backup peer out of turn: then the balancer gets its list back
    /// before the next attempt. The balancer is at its primary list.
    #[inline(always)]
    pub(super) fn take_by_place<E: From<NotTaken>>(
        &self,
        peer: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        let list = self.balancer.peers.list_of(peer).ok_or(NotTaken::Left)?;
        self.enter(list, peer, test)?;
        if peer.backup {
            self.balancer.is_out_of_turn.set(true);
            // SAFETY: RoundRobin::of() has seen what data points to.
            unsafe { (*self.data()).peers = list };
        } else {
            let (word, bit) = self.tried(peer);
            // SAFETY: enter() has seen that the peers are those that tried was made for.
            unsafe { *word |= bit };
        }
        Ok(())
    }

    /// See [`Balancer::tried`].
    #[inline]
    pub(super) fn tried(&self, peer: PeerHandle) -> (*mut usize, usize) {
        self.balancer.tried(&peer)
    }

    /// Takes a peer of `list`, the one that holds it, as ngx_http_upstream_get_hash_peer() does, if
    /// `test` lets it.
    // Out of line in no caller: nearly all requests come through one.
    #[inline(always)]
    pub(super) fn enter<E: From<NotTaken>>(
        &self,
        list: *mut Peers,
        handle: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if !self.balancer.peers.is_of(&handle) || !self.balancer.is_current() {
            return Err(NotTaken::Left.into());
        }
        let peer = handle.peer.as_ptr();
        // SAFETY: the peer is in its list, which is locked and has not changed since it was shown.
        let _peer = unsafe { Lock::peer(list, peer) };
        // SAFETY: as above, and the peer is locked.
        test(unsafe { PeerState::of(peer) })?;
        // SAFETY: as above.
        unsafe { go(self.pc, self.balancer, peer) };
        Ok(())
    }

    /// Takes a peer, or another one of its list if the rules say so, which see the whole list as it is
    /// when the peer is taken. That can be given back as one that the balancer has chosen.
    #[cold]
    pub fn take_or_another<R: LoadRules>(
        &self,
        handle: PeerHandle,
        rules: &R,
    ) -> Result<PeerKey, R::Error> {
        let left = || R::Error::from(NotTaken::Left);
        let peers = self.balancer.peers;
        let list = peers.list_of(handle).ok_or_else(left)?;
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::write_list(list) };
        if peers.generation() != handle.generation || !self.balancer.is_current() {
            return Err(left());
        }
        let wanted = handle.peer.as_ptr();
        // SAFETY: the peer is in its list, which is locked and has not changed since it was shown.
        rules.test(unsafe { PeerState::of(wanted) })?;
        let mut others = Vec::new();
        // SAFETY: the peers of a list are linked by next and stay while it is locked.
        unsafe {
            let (mut peer, mut index) = ((*list).peer, 0);
            while let Some(at) = NonNull::new(peer) {
                let is_usable = rules.is_usable(PeerState::of(peer)) && !self.is_avoided(peer);
                if peer != wanted && is_usable {
                    let other = PeerHandle {
                        peer: at,
                        tried: TriedBit::at(index),
                        ..handle
                    };
                    others.push((other, PeerLoad::of(peer)));
                }
                peer = (*peer).next;
                index += 1;
            }
        }
        // SAFETY: as above.
        let own = unsafe { PeerLoad::of(wanted) };
        let loads: Vec<PeerLoad> = others.iter().map(|(_, load)| *load).collect();
        let is_tried = |at: usize| {
            others.get(at).is_none_or(|(other, _)| {
                let (word, bit) = self.tried(*other);
                // SAFETY: tried has room for the longer of both lists, and they are those of the
                // request.
                unsafe { *word & bit != 0 }
            })
        };
        let chosen = rules.choose(own, &loads, &is_tried);
        let taken = chosen
            .and_then(|at| others.get(at))
            .map_or(handle, |one| one.0);
        // SAFETY: a peer of the list, which is locked.
        unsafe { go(self.pc, self.balancer, taken.peer.as_ptr()) };
        if taken.backup {
            self.balancer.is_out_of_turn.set(true);
            // SAFETY: RoundRobin::of() has seen what data points to.
            unsafe { (*self.data()).peers = list };
        } else {
            let (word, bit) = self.tried(taken);
            // SAFETY: the peers are those that tried was made for.
            unsafe { *word |= bit };
        }
        self.answer.set(Some(sys::OK));
        Ok(taken.key())
    }
}

/// Enters that a request goes to a peer.
///
/// # Safety
/// `peer` is in a list of the balancer's upstream, and it or its list is locked for writing; `pc` is
/// the connection that the balancer was asked for.
#[inline(always)]
pub(super) unsafe fn go(
    pc: NonNull<sys::ngx_peer_connection_t>,
    balancer: &Balancer,
    peer: *mut Peer,
) {
    // SAFETY: the caller's promise; data is what RoundRobin::of() has seen, pc what it belongs to.
    unsafe {
        let now = sys::ngx_time();
        if now - (*peer).checked > (*peer).fail_timeout {
            (*peer).checked = now;
        }
        (*peer).conns += 1;
        #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
        {
            (*peer).refs += 1;
        }
        (*balancer.data()).current = peer;

        let pc = pc.as_ptr();
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
}
