//! Peers that the balancer is not to choose as long as there is another one: while it chooses, they
//! count as tried, which every balancer of nginx respects.

use std::ptr;

use crate::ngx::peers::{Peer, PeerHandle, Peers};
use crate::ngx::sys;

use super::Attempt;

/// Peers that are not to be chosen.
pub(super) struct Avoided {
    peers: Box<[PeerHandle]>,
    /// So many of them, the first ones, also where there are no others than the rest.
    needed: usize,
}

impl Avoided {
    /// The peers to be avoided, and then those if there is no other one.
    fn steps(&self) -> impl Iterator<Item = &[PeerHandle]> {
        let needed = self.peers.get(..self.needed).unwrap_or_default();
        let fewer = Some(needed).filter(|it| !it.is_empty() && it.len() < self.peers.len());
        [&*self.peers].into_iter().chain(fewer)
    }
}

/// What the balancer knows of a request's attempts.
struct Tried {
    /// The list that it is at.
    list: *mut Peers,
    /// A bit for each peer of that list.
    words: Vec<usize>,
}

impl Attempt<'_> {
    /// Lets the balancer choose none of these peers in this attempt, unless there is no other one:
    /// then those that are `rather` to be avoided before the others.
    #[cold]
    pub fn avoid(&self, peers: Vec<PeerHandle>, rather: Vec<PeerHandle>) {
        if !peers.is_empty() || !rather.is_empty() {
            let needed = peers.len();
            let peers = [peers, rather].concat().into();
            self.avoided.set(Some(Avoided { peers, needed }));
        }
    }

    /// Whether the peer is one of those.
    pub(super) fn is_avoided(&self, peer: *const Peer) -> bool {
        let avoided = self.avoided.take();
        let is_avoided = avoided.as_ref().is_some_and(|avoided| {
            let mut places = avoided.peers.iter().map(|peer| peer.peer.as_ptr());
            places.any(|place| ptr::eq(place, peer))
        });
        self.avoided.set(avoided);
        is_avoided
    }

    /// What the balancer answers to `ask`, if it does not choose the peers to be avoided; what it
    /// answers otherwise, if there is no other one.
    #[cold]
    pub(super) fn balance_avoiding(
        &self,
        avoided: &Avoided,
        ask: &dyn Fn() -> sys::ngx_int_t,
    ) -> sys::ngx_int_t {
        let generation = self.balancer.peers.generation();
        let is_known = |peer: &PeerHandle| peer.generation == generation;
        if !self.balancer.is_current() || !avoided.peers.iter().all(is_known) {
            return ask();
        }
        for peers in avoided.steps() {
            if let Some(code) = self.try_avoiding(peers, ask) {
                return code;
            }
        }
        let code = ask();
        let is_none_left = !matches!(code, sys::OK | sys::DONE);
        if is_none_left && self.go_back_to(&avoided.peers) {
            return ask();
        }
        code
    }

    /// Puts the balancer back at its primary list, if it has gone on to the backup peers, for those
    /// peers alone that were passed over there.
    fn go_back_to(&self, avoided: &[PeerHandle]) -> bool {
        let primary = self.balancer.peers.primary();
        let data = self.data();
        // SAFETY: RoundRobin::of() has seen what data points to.
        let is_at_primary = ptr::eq(unsafe { (*data).peers }, primary);
        if is_at_primary || avoided.iter().all(|peer| peer.backup) {
            return false;
        }
        // SAFETY: as in tried_so_far(), for the primary list.
        unsafe {
            (*data).peers = primary;
            let words = (*primary).number.div_ceil(usize::BITS as usize);
            (0..words).for_each(|at| *(*data).tried.add(at) = usize::MAX);
        }
        for peer in avoided.iter().filter(|peer| !peer.backup) {
            let (word, bit) = self.tried(*peer);
            // SAFETY: the peers are those that tried was made for.
            unsafe { *word &= !bit };
        }
        true
    }

    /// `None`: there is no other one.
    fn try_avoiding(
        &self,
        peers: &[PeerHandle],
        ask: &dyn Fn() -> sys::ngx_int_t,
    ) -> Option<sys::ngx_int_t> {
        let before = self.tried_so_far();
        let mut after = self.mark(peers);
        let mut code = ask();
        // It has gone on to the backup peers meanwhile, and chosen one of those.
        if code == sys::OK && peers.iter().any(|peer| self.has_chosen(peer)) {
            self.answer.set(Some(code));
            self.undo();
            after = self.mark(peers);
            code = ask();
        }
        if matches!(code, sys::OK | sys::DONE) {
            self.unmark(peers, &after);
            return Some(code);
        }
        let data = self.data();
        // SAFETY: RoundRobin::of() has seen what data points to; it was at that list, and tried has
        // as many words as were read from it.
        unsafe {
            (*data).peers = before.list;
            ptr::copy_nonoverlapping(before.words.as_ptr(), (*data).tried, before.words.len());
        }
        None
    }

    fn tried_so_far(&self) -> Tried {
        // SAFETY: RoundRobin::of() has seen what data points to. tried has room for the longer of
        // both lists (ngx_http_upstream_init_round_robin_peer()), and they are those of the request.
        unsafe {
            let list = (*self.data()).peers;
            let count = (*list).number.div_ceil(usize::BITS as usize);
            let words = (0..count).map(|at| *(*self.data()).tried.add(at));
            Tried {
                list,
                words: words.collect(),
            }
        }
    }

    /// Marks those of the peers that are in the balancer's list; what was tried before that.
    fn mark(&self, peers: &[PeerHandle]) -> Tried {
        let before = self.tried_so_far();
        for peer in peers.iter().filter(|peer| self.is_at_list_of(peer)) {
            let (word, bit) = self.tried(*peer);
            // SAFETY: the peers are those that tried was made for.
            unsafe { *word |= bit };
        }
        before
    }

    /// Takes the marks back of peers that were not tried before.
    fn unmark(&self, peers: &[PeerHandle], before: &Tried) {
        // SAFETY: RoundRobin::of() has seen what data points to.
        let is_same = ptr::eq(unsafe { (*self.data()).peers }, before.list);
        for peer in peers.iter().filter(|peer| self.is_at_list_of(peer)) {
            let (word, bit) = self.tried(*peer);
            let old = before.words.get(peer.tried.word);
            let was_tried = is_same && old.is_some_and(|old| old & bit != 0);
            if !was_tried && !self.has_chosen(peer) {
                // SAFETY: the peers are those that tried was made for.
                unsafe { *word &= !bit };
            }
        }
    }

    fn is_at_list_of(&self, peer: &PeerHandle) -> bool {
        let list = self.balancer.peers.list_of(*peer);
        // SAFETY: RoundRobin::of() has seen what data points to.
        list.is_some_and(|list| ptr::eq(list, unsafe { (*self.data()).peers }))
    }

    fn has_chosen(&self, peer: &PeerHandle) -> bool {
        // SAFETY: RoundRobin::of() has seen what data points to. Every balancer sets current to the
        // peer that it has taken (ngx_http_upstream_get_round_robin_peer()).
        ptr::eq(unsafe { (*self.data()).current }, peer.peer.as_ptr())
    }
}
