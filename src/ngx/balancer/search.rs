//! Before nginx 1.29.6: every peer is taken here. The walk from primary to backup peers, which
//! nginx's own `sticky` of later versions leaves to the balancers, is offered in single steps.

use crate::ngx::peers::{Lock, PeerHandle, PeerState};

use super::{Attempt, NotTaken};

/// A list of an upstream's peers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// Servers that are no backup.
    Primary,
    /// Backup servers.
    Backup,
}

impl Attempt<'_> {
    /// Takes a peer, a backup peer too, if `test` lets it.
    #[inline(always)]
    pub fn take<E: From<NotTaken>>(
        &self,
        peer: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take_by_place(peer, test)
    }

    /// The list that the balancer is at. `None` when peers have come or gone since the request
    /// came: no balancer chooses among them.
    pub fn list(&self) -> Option<List> {
        if !self.balancer.is_current() {
            return None;
        }
        // SAFETY: RoundRobin::of() has seen what data points to.
        let list = unsafe { (*self.data()).peers };
        Some(if list == self.balancer.peers.primary() {
            List::Primary
        } else {
            List::Backup
        })
    }

    /// Takes a peer of the list that the balancer is at, unless it has been tried, if `test` lets
    /// it.
    pub fn take_untried<E: From<NotTaken>>(
        &self,
        peer: PeerHandle,
        test: impl Fn(PeerState) -> Result<(), E>,
    ) -> Result<(), E> {
        let peers = self.balancer.peers;
        if !self.balancer.is_current() || peers.generation() != peer.generation {
            return Err(NotTaken::Left.into());
        }
        let (word, bit) = self.tried(peer);
        // SAFETY: the peers are those that tried was made for.
        if unsafe { *word } & bit != 0 {
            return Err(NotTaken::Refused.into());
        }
        let list = peers.list_of(peer).ok_or(NotTaken::Left)?;
        self.enter(list, peer, test)?;
        // SAFETY: as above.
        unsafe { *word |= bit };
        Ok(())
    }

    /// Whether there is a primary peer that has not been tried and that `test` holds for. The
    /// balancer is at its primary list. True when peers have come or gone since the request came.
    pub fn has_untried(&self, test: impl Fn(PeerState) -> bool) -> bool {
        let list = self.balancer.peers.primary();
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if !self.balancer.is_current() {
            return true;
        }
        let bits = usize::BITS as usize;
        // SAFETY: the peers of a list are linked by next and stay while it is locked; tried has a
        // bit for each (ngx_http_upstream_init_round_robin_peer()), for the list is the request's.
        unsafe {
            let (mut peer, mut index) = ((*list).peer, 0);
            while !peer.is_null() {
                let tried = *(*self.data()).tried.add(index / bits) >> (index % bits) & 1 != 0;
                if !tried {
                    let _peer = Lock::peer(list, peer);
                    if test(PeerState::of(peer)) {
                        return true;
                    }
                }
                peer = (*peer).next;
                index += 1;
            }
        }
        false
    }

    /// Goes on to the backup peers, none of which has been tried, as the balancer does when no
    /// primary peer is left.
    pub fn go_to_backup(&self) -> Result<(), NotTaken> {
        let backup = self.balancer.peers.backup();
        if backup.is_null() {
            return Err(NotTaken::Left);
        }
        // SAFETY: the backup list.
        unsafe { self.balancer.go_to(backup) };
        Ok(())
    }
}
