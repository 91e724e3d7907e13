//! Steering since nginx 1.29.6: every balancer takes the peer whose server id is `pc->hint`, if it
//! can be used, and tells in `pc->sid` whom it has taken. For that it compares the server ids of the
//! list one after the other, and round robin then weighs all peers anew. So it is asked only where it
//! must be: when nginx's own `sticky` is followed, and when it keeps accounts of its own
//! (`least_time`).

use std::os::raw::c_void;
use std::ptr;

use crate::ngx::peers::{
    generation_of, is_current, is_usable, Lock, PeerHandle, PeerList, Unusable,
};
use crate::ngx::sys;

use super::{go_to, Bearers, Steer, Try};

/// NGX_HTTP_UPSTREAM_SID_LEN: no server id is longer.
const SID_LEN: usize = 32;

type Free = unsafe extern "C" fn(*mut sys::ngx_peer_connection_t, *mut c_void, sys::ngx_uint_t);

/// What gives a peer back under every balancer that keeps its accounts in the peers alone.
const ROUND_ROBIN_FREE: Free = sys::ngx_http_upstream_free_round_robin_peer;

impl Steer for Try<'_> {
    fn steer(&self, peer: PeerHandle) -> Result<(), Unusable> {
        if self.gives_back_as_round_robin() {
            self.take_from_either(peer, is_usable)
        } else {
            self.ask_for(peer)
        }
    }

    // nginx does not count a try on a kept connection (ngx_http_upstream_next()), but its balancers
    // count the failure, and do not go to a peer twice: the count and the bit are taken back.
    fn steer_again(&self, peer: PeerHandle) -> Option<Result<(), Unusable>> {
        if !self.is_given_back {
            return None;
        }
        let forgiven = self.peers().and_then(|peers| self.forgive(peers, peer));
        Some(forgiven.and_then(|()| self.steer(peer)))
    }

    fn follow(&self, peers: PeerList, sid: &[u8], bearers: Bearers) -> Result<(), Unusable> {
        if self.ask(sid) {
            return Ok(());
        }
        let peer = bearers.primary.or(bearers.backup).ok_or(Unusable::Gone)?;
        Err(peers.check(peer).err().unwrap_or(Unusable::Failed))
    }
}

impl Try<'_> {
    fn peers(&self) -> Result<PeerList, Unusable> {
        // SAFETY: round_robin() has seen what data points to.
        let peers = unsafe { (*self.data()).peers };
        ptr::NonNull::new(peers).map(PeerList).ok_or(Unusable::Gone)
    }

    /// A peer that is given back needs no more than round robin knows of it.
    fn gives_back_as_round_robin(&self) -> bool {
        let ours = self.balancer.free.get();
        ours.is_some_and(|free| ptr::fn_addr_eq(free, ROUND_ROBIN_FREE))
    }

    /// Has the balancer itself take the peer.
    #[cold]
    fn ask_for(&self, peer: PeerHandle) -> Result<(), Unusable> {
        let peers = self.peers()?;
        peers.check(peer)?;
        let (sid, length) = sid_of(peers, peer)?;
        if peer.backup {
            return self.ask_backup(peers, peer, &sid[..length]);
        }
        if self.ask(&sid[..length]) {
            return Ok(());
        }
        // Another request has taken the last connection meanwhile.
        Err(peers.check(peer).err().unwrap_or(Unusable::Failed))
    }

    /// Asks the balancer for the peer with that server id; whether it has given it.
    fn ask(&self, sid: &[u8]) -> bool {
        let Some(get) = self.balancer.get.get() else {
            return false;
        };
        // SAFETY: the balancer's own callback with its own data. The hint lives until it is cleared
        // again, as in ngx_http_upstream_sticky_get_peer(); sid points into the peer taken.
        unsafe {
            let pc = self.pc.as_ptr();
            let mut hint = sys::string(sid);
            (*pc).hint = &raw mut hint;
            let code = get(pc, self.balancer.data.get());
            (*pc).hint = ptr::null_mut();
            self.answer.set(Some(code));
            code == sys::OK
                && (*pc)
                    .sid
                    .as_ref()
                    .is_some_and(|got| sys::bytes(*got) == sid)
        }
    }

    /// A backup peer out of turn: the balancer is put at the backup list for this one try, and gets
    /// its list back before the next one.
    fn ask_backup(&self, peers: PeerList, peer: PeerHandle, sid: &[u8]) -> Result<(), Unusable> {
        let list = peers.list_of(peer).ok_or(Unusable::Gone)?;
        // SAFETY: round_robin() has seen what data points to.
        if !unsafe { is_current(self.data(), peers.0.as_ptr()) } {
            return Err(Unusable::Gone);
        }
        // SAFETY: as above; the list is the next one.
        unsafe { go_to(self.balancer, peers.0.as_ptr(), list) };
        self.balancer.primary.set(peers.0.as_ptr());
        if self.ask(sid) {
            return Ok(());
        }
        // Another backup peer is not what the balancer would have chosen.
        self.undo();
        self.answer.set(None);
        // SAFETY: the balancer of this connection.
        unsafe { super::restore_primary(self.balancer, self.pc.as_ptr()) };
        Err(peers.check(peer).err().unwrap_or(Unusable::Failed))
    }

    fn forgive(&self, peers: PeerList, handle: PeerHandle) -> Result<(), Unusable> {
        // SAFETY: the peer is looked at after its list was locked and found unchanged; tried has
        // room for the longer of both lists (ngx_http_upstream_init_round_robin_peer()).
        unsafe {
            let list = peers.list_of(handle).ok_or(Unusable::Gone)?;
            let _list = Lock::read_list(list);
            let known = peers.0.as_ptr();
            if generation_of(known) != handle.generation || !is_current(self.data(), known) {
                return Err(Unusable::Gone);
            }
            let peer = handle.peer.as_ptr();
            let _peer = Lock::peer(list, peer);
            (*peer).fails = (*peer).fails.saturating_sub(1);
            let (word, bit) = self.tried(handle);
            *word &= !bit;
        }
        Ok(())
    }
}

/// A copy of a peer's server id: the peer may leave.
fn sid_of(peers: PeerList, handle: PeerHandle) -> Result<([u8; SID_LEN], usize), Unusable> {
    let mut copy = [0; SID_LEN];
    // SAFETY: as in Try::forgive().
    unsafe {
        let list = peers.list_of(handle).ok_or(Unusable::Gone)?;
        let _list = Lock::read_list(list);
        if generation_of(peers.0.as_ptr()) != handle.generation {
            return Err(Unusable::Gone);
        }
        let sid = sys::bytes(handle.peer.as_ref().sid);
        let place = copy.get_mut(..sid.len()).ok_or(Unusable::Gone)?;
        place.copy_from_slice(sid);
        Ok((copy, sid.len()))
    }
}
