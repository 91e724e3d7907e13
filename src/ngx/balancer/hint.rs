//! Since nginx 1.29.6: every balancer takes the peer whose server id is `pc->hint`, if it can be
//! used, and tells in `pc->sid` which one it has taken. For that it compares the server ids of the
//! list one after the other, and round robin then weighs all peers anew. So it is asked only where
//! it must be: for a server id as nginx's own `sticky` asks, and when it keeps accounts of its own
//! (`least_time`).

use std::ptr;

use crate::ngx::peers::{Lock, PeerHandle, PeerState};
use crate::ngx::sys;

use super::{Attempt, NotTaken};

/// NGX_HTTP_UPSTREAM_SID_LEN: no server id is longer.
const SID_LEN: usize = 32;

impl Attempt<'_> {
    /// Takes a peer, a backup peer too, if `test` lets it.
    #[inline]
    pub fn take<E: From<NotTaken>>(
        &self,
        peer: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        // A peer that is given back then needs no more than round robin knows of it.
        if self.balancer.gives_back_as_round_robin() {
            self.take_by_place(peer, test)
        } else {
            self.ask_for(peer, test)
        }
    }

    /// Has the balancer take a peer with a server id; whether it has. As in nginx's own `sticky`,
    /// the peer has not been tried yet, and is a backup peer only when no primary peer is left. The
    /// peer that the balancer has chosen otherwise is the one for [`super::Choice::Balance`].
    pub fn take_by_sid(&self, sid: &[u8]) -> bool {
        let Some(get) = self.balancer.get.get() else {
            return false;
        };
        let pc = self.pc.as_ptr();
        let mut hint = sys::string(sid);
        // SAFETY: a field of a live structure. The hint lives until it is cleared again, as in
        // ngx_http_upstream_sticky_get_peer().
        unsafe { (*pc).hint = &raw mut hint };
        // SAFETY: the balancer's own callback with its own data.
        let code = unsafe { get(pc, self.balancer.data.get()) };
        self.answer.set(Some(code));
        // SAFETY: a field of a live structure.
        unsafe { (*pc).hint = ptr::null_mut() };
        if code != sys::OK {
            return false;
        }
        // SAFETY: sid is NULL or in the peer taken (ngx_http_upstream_get_round_robin_peer()).
        unsafe {
            let got = (*pc).sid.as_ref();
            got.is_some_and(|got| sys::bytes(*got) == sid)
        }
    }

    /// Takes back that nginx has counted the latest attempt as failed and the peer as tried.
    pub fn forgive(&self, handle: PeerHandle) -> Result<(), NotTaken> {
        let peers = self.balancer.peers;
        let list = peers.list_of(handle).ok_or(NotTaken::Left)?;
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if peers.generation() != handle.generation || !self.balancer.is_current() {
            return Err(NotTaken::Left);
        }
        let peer = handle.peer.as_ptr();
        // SAFETY: the peer is in its list, which is locked and has not changed since it was shown.
        unsafe {
            let _peer = Lock::peer(list, peer);
            (*peer).fails = (*peer).fails.saturating_sub(1);
        }
        let (word, bit) = self.tried(handle);
        // SAFETY: tried has room for the longer of both lists
        // (ngx_http_upstream_init_round_robin_peer()), and they are those of the request.
        unsafe { *word &= !bit };
        Ok(())
    }

    /// Has the balancer itself take the peer.
    #[cold]
    fn ask_for<E: From<NotTaken>>(
        &self,
        peer: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        let passes = || match self.balancer.peers.state(peer) {
            Some(state) => test(state),
            None => Err(NotTaken::Left.into()),
        };
        passes()?;
        let (sid, length) = self.sid_of(peer)?;
        let is_taken = if peer.backup {
            self.ask_for_backup(peer, &sid[..length])?
        } else {
            self.take_by_sid(&sid[..length])
        };
        if is_taken {
            return Ok(());
        }
        // Another request may have taken the last connection meanwhile.
        passes()?;
        Err(NotTaken::Refused.into())
    }

    /// A backup peer out of turn: the balancer is put at the backup list for this one attempt, and
    /// gets its list back before the next one.
    fn ask_for_backup(&self, peer: PeerHandle, sid: &[u8]) -> Result<bool, NotTaken> {
        let balancer = self.balancer;
        let list = balancer.peers.list_of(peer).ok_or(NotTaken::Left)?;
        if !balancer.is_current() {
            return Err(NotTaken::Left);
        }
        // SAFETY: the backup list.
        unsafe { balancer.go_to(list) };
        balancer.is_out_of_turn.set(true);
        if self.take_by_sid(sid) {
            return Ok(true);
        }
        // Another backup peer is not what the balancer would have chosen.
        self.undo();
        self.answer.set(None);
        balancer.restore_primary();
        Ok(false)
    }

    /// A copy of a peer's server id: the peer may leave.
    fn sid_of(&self, handle: PeerHandle) -> Result<([u8; SID_LEN], usize), NotTaken> {
        let mut copy = [0; SID_LEN];
        let peers = self.balancer.peers;
        let list = peers.list_of(handle).ok_or(NotTaken::Left)?;
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if peers.generation() != handle.generation {
            return Err(NotTaken::Left);
        }
        // SAFETY: the peer is in its list, which is locked and has not changed since it was shown;
        // its server id was set before that (ngx_http_upstream_init_round_robin_sid()).
        let sid = unsafe { sys::bytes((*handle.peer.as_ptr()).sid) };
        let place = copy.get_mut(..sid.len()).ok_or(NotTaken::Left)?;
        place.copy_from_slice(sid);
        Ok((copy, sid.len()))
    }
}
