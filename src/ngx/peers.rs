//! The peers of an upstream as nginx's round robin keeps them, which is what all balancers that
//! come with nginx build on. Shows them and their state; which of them may be used is decided
//! elsewhere.

use std::ptr::{self, NonNull};

use super::sys;
use super::upstream::Upstream;

#[cfg_attr(nginx_since = "1.29.6", path = "peers/sid.rs")]
#[cfg_attr(not(nginx_since = "1.29.6"), path = "peers/origin.rs")]
mod identity;

pub(super) type Peer = sys::ngx_http_upstream_rr_peer_t;
pub(super) type Peers = sys::ngx_http_upstream_rr_peers_t;
pub(super) type PeerData = sys::ngx_http_upstream_rr_peer_data_t;

/// One peer, as a walk over an upstream's peers sees it.
pub struct PeerInfo<'a> {
    /// Printable address, `10.0.0.1:8080`.
    pub name: &'a [u8],
    /// What the configuration calls it, see [`Upstream::labels`].
    pub label: &'a [u8],
    /// What sessions may call it.
    pub identity: Identity<'a>,
    /// Where it is.
    pub handle: PeerHandle,
}

/// What else than its name tells a peer from the others.
#[derive(Clone, Copy, Debug)]
// Each kind of nginx has one of them.
#[allow(dead_code)]
pub enum Identity<'a> {
    /// nginx's own server id: `route=`, or the MD5 of its name.
    Sid(&'a [u8]),
    /// Position of its `server` directive in the block; `None` where that is not known.
    Server(Option<usize>),
}

/// The place of a peer of one upstream. It holds as long as the set of peers does not change, which
/// is checked.
#[derive(Clone, Copy)]
pub struct PeerHandle {
    pub(super) peer: NonNull<Peer>,
    /// Its place in `tried`.
    pub(super) tried: TriedBit,
    pub(super) backup: bool,
    pub(super) generation: usize,
}

/// The place of a peer in the words of `tried`, by its position in its list.
#[derive(Clone, Copy)]
pub(super) struct TriedBit {
    pub(super) word: usize,
    pub(super) bit: usize,
}

impl TriedBit {
    pub(super) fn at(position: usize) -> Self {
        let bits = usize::BITS as usize;
        Self {
            word: position / bits,
            bit: 1 << (position % bits),
        }
    }
}

impl PeerHandle {
    /// The key of the peer.
    pub fn key(self) -> PeerKey {
        PeerKey::from_address(self.peer.as_ptr() as usize)
    }

    /// The peer is a backup server.
    pub fn is_backup(self) -> bool {
        self.backup
    }
}

/// Names a peer while the set of peers does not change.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PeerKey(usize);

impl PeerKey {
    pub(super) fn from_address(peer: usize) -> Self {
        Self(peer)
    }

    /// A number that no other peer of the upstream has.
    pub fn number(self) -> usize {
        self.0
    }
}

/// What nginx's balancers look at before they take a peer (`ngx_http_upstream_get_peer()`).
#[derive(Clone, Copy, Debug)]
pub struct PeerState {
    /// `down` of its `server` directive; 0 when it is not set.
    pub down: usize,
    /// It has failed `max_fails` times, and `fail_timeout` is not over.
    pub has_failed: bool,
    /// It has `max_conns` connections.
    pub is_full: bool,
}

impl PeerState {
    /// # Safety
    /// `peer` is a live peer, locked by [`Lock::peer`].
    #[inline]
    pub(super) unsafe fn of(peer: *const Peer) -> Self {
        // SAFETY: fields of a live peer, which no other process changes meanwhile.
        unsafe {
            Self {
                down: (*peer).down,
                has_failed: (*peer).max_fails != 0
                    && (*peer).fails >= (*peer).max_fails
                    && sys::ngx_time() - (*peer).checked <= (*peer).fail_timeout,
                is_full: (*peer).max_conns != 0 && (*peer).conns >= (*peer).max_conns,
            }
        }
    }
}

/// Whether a peer can be used, where one look tells: false also for one that has failed `max_fails`
/// times, whenever that was. `allowed` are the bits of `down` that do not matter.
///
/// # Safety
/// As [`PeerState::of`].
#[inline(always)]
pub(super) unsafe fn is_usable_at_once(peer: *const Peer, allowed: usize) -> bool {
    // SAFETY: as there. What is mostly so is asked first.
    unsafe {
        (*peer).down & !allowed == 0
            && ((*peer).fails < (*peer).max_fails || (*peer).max_fails == 0)
            && ((*peer).max_conns == 0 || (*peer).conns < (*peer).max_conns)
    }
}

/// How much a peer has to do.
#[derive(Clone, Copy, Debug)]
pub struct PeerLoad {
    /// Its active connections, each of which is a request.
    pub active: usize,
    /// `weight` of its `server` directive.
    pub weight: usize,
}

impl PeerLoad {
    /// # Safety
    /// As [`PeerState::of`], or its list is locked by [`Lock::write_list`].
    pub(super) unsafe fn of(peer: *const Peer) -> Self {
        // SAFETY: fields of a live peer, which no other process changes meanwhile. Neither is
        // negative.
        unsafe {
            Self {
                active: (*peer).conns,
                weight: (*peer).weight as usize,
            }
        }
    }
}

/// nginx's lock on a list of peers or on a peer. A list that is not in a shared zone needs none.
pub(super) struct Lock(*mut sys::ngx_atomic_t);

impl Lock {
    /// Whether a list is not in a shared zone.
    ///
    /// # Safety
    /// `peers` is a live list.
    #[inline(always)]
    pub(super) unsafe fn needs_none(peers: *const Peers) -> bool {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: a field of a live list, set before workers start.
        return unsafe { (*peers).shpool.is_null() };
        #[cfg(not(ngx_feature = "http_upstream_zone"))]
        {
            let _ = peers;
            true
        }
    }

    /// As ngx_http_upstream_rr_peers_rlock().
    ///
    /// # Safety
    /// `peers` is a live list.
    pub(super) unsafe fn read_list(peers: *mut Peers) -> Self {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: ngx_http_upstream_zone_copy_peers() has put a list with a shpool into shared
        // memory, with a lock that all processes take as here.
        unsafe {
            if !(*peers).shpool.is_null() {
                let lock = &raw mut (*peers).rwlock;
                sys::ngx_rwlock_rlock(lock);
                return Self(lock);
            }
        }
        let _ = peers;
        Self(ptr::null_mut())
    }

    /// As ngx_http_upstream_rr_peers_wlock(): no other process takes or gives back any peer of the
    /// list meanwhile.
    ///
    /// # Safety
    /// `peers` is a live list.
    pub(super) unsafe fn write_list(peers: *mut Peers) -> Self {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: as in read_list().
        unsafe {
            if !(*peers).shpool.is_null() {
                let lock = &raw mut (*peers).rwlock;
                sys::ngx_rwlock_wlock(lock);
                return Self(lock);
            }
        }
        let _ = peers;
        Self(ptr::null_mut())
    }

    /// As ngx_http_upstream_rr_peer_lock().
    ///
    /// # Safety
    /// `peer` is in the list `peers`, which is locked for reading.
    pub(super) unsafe fn peer(peers: *mut Peers, peer: *mut Peer) -> Self {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: so are the peers of such a list (ngx_http_upstream_zone_copy_peer()).
        unsafe {
            if !(*peers).shpool.is_null() {
                let lock = &raw mut (*peer).lock;
                sys::ngx_rwlock_wlock(lock);
                return Self(lock);
            }
        }
        let _ = (peers, peer);
        Self(ptr::null_mut())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ngx_rwlock_unlock() wants a lock that this process holds: ours, taken once.
            unsafe { sys::ngx_rwlock_unlock(self.0) }
        }
    }
}

/// # Safety
/// `peer` is in a list that is locked for reading.
unsafe fn label_of(peer: &Peer) -> &[u8] {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    // SAFETY: a peer whose name is resolved at run time has a host, and the name of its directive
    // (ngx_http_upstream_zone_set_peer(), ngx_http_upstream_zone_copy_peer()).
    if !peer.host.is_null() {
        return unsafe { sys::bytes(peer.server) };
    }
    // SAFETY: a string that stays as long as the peer (ngx_http_upstream_init_round_robin(),
    // ngx_http_upstream_zone_copy_peer()).
    unsafe { sys::bytes(peer.name) }
}

/// Changes when peers come or go; always 0 where they cannot (before nginx 1.27.3, or no
/// `resolve`).
///
/// # Safety
/// `peers` is a live list.
pub(super) unsafe fn generation_of(peers: *const Peers) -> usize {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    // SAFETY: ngx_http_upstream_zone_copy_peers() sets config to a counter in the upstream's zone;
    // it is NULL where it has not.
    unsafe {
        let config = (*peers).config;
        if !config.is_null() {
            return config.read_volatile();
        }
    }
    let _ = peers;
    0
}

/// Whether the set of peers is still the one that a request was initialised for: its `tried` has a
/// bit for each, and its balancer will choose among them
/// (ngx_http_upstream_get_round_robin_peer()).
///
/// # Safety
/// `peers` is the live primary list that `data` was initialised for.
pub(super) unsafe fn is_current(data: *const PeerData, peers: *const Peers) -> bool {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    // SAFETY: as in generation_of(); ngx_http_upstream_init_round_robin_peer() sets data->config.
    unsafe {
        (*peers).config.is_null() || (*data).config == generation_of(peers)
    }
    #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
    {
        let _ = (data, peers);
        true
    }
}

/// The peers of an upstream whose balancer builds on round robin: its primary list, and the list of
/// backup peers next to it.
#[derive(Clone, Copy)]
pub struct PeerList(NonNull<Peers>);

impl PeerList {
    /// # Safety
    /// `primary` is the list that ngx_http_upstream_init_round_robin() or
    /// ngx_http_upstream_zone_copy_peers() has made for an upstream that is still served.
    pub(super) unsafe fn from_ptr(primary: NonNull<Peers>) -> Self {
        Self(primary)
    }

    /// Those of an upstream with a zone of nginx's own (`zone NAME SIZE`). `None`: it has none. Not
    /// before the zones of the configuration are made.
    pub fn of_zone(us: Upstream<'_>) -> Option<Self> {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: fields of a live configuration. ngx_http_upstream_init_zone() takes the data of
        // such an upstream for round robin's, and has put its copy in the zone there.
        unsafe {
            let us = us.as_ptr();
            if !(*us).shm_zone.is_null() {
                return NonNull::new((*us).peer.data.cast()).map(Self);
            }
        }
        let _ = us;
        None
    }

    /// The primary list.
    pub(super) fn primary(self) -> *mut Peers {
        self.0.as_ptr()
    }

    /// The list of backup peers; NULL when there are none.
    pub(super) fn backup(self) -> *mut Peers {
        // SAFETY: next is set before workers start (ngx_http_upstream_init_round_robin(),
        // ngx_http_upstream_zone_copy_peers()), and a list lives as long as its cycle.
        unsafe { (*self.primary()).next }
    }

    /// The list that a peer is in. `None`: it was read from another upstream's peers.
    pub(super) fn list_of(self, handle: PeerHandle) -> Option<*mut Peers> {
        if !handle.backup {
            return Some(self.primary());
        }
        let backup = self.backup();
        (!backup.is_null()).then_some(backup)
    }

    /// Whether a handle is that of a peer that exists now.
    #[inline]
    pub(super) fn is_of(self, handle: &PeerHandle) -> bool {
        // Else they never change.
        let may_change = cfg!(all(
            nginx_since = "1.27.3",
            ngx_feature = "http_upstream_zone"
        ));
        !may_change || self.generation() == handle.generation
    }

    /// Changes when peers come or go.
    pub fn generation(self) -> usize {
        // SAFETY: a list lives as long as its cycle.
        unsafe { generation_of(self.primary()) }
    }

    /// Peers may come and go while requests are served.
    pub fn may_change(self) -> bool {
        #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
        // SAFETY: a field of a live list, set before workers start.
        return unsafe { !(*self.primary()).config.is_null() };
        #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
        false
    }

    /// Shows every peer, the primary ones first, each list in the order of the configuration.
    pub fn walk(self, us: Upstream<'_>, mut show: impl FnMut(PeerInfo<'_>)) {
        let generation = self.generation();
        for (list, is_backup) in [(self.primary(), false), (self.backup(), true)] {
            if list.is_null() {
                continue;
            }
            // SAFETY: us has these peers; it is a block of the configuration, for others are not
            // hooked.
            let mut origins = unsafe { identity::Origins::new(self, us, is_backup) };
            // SAFETY: a list lives as long as its cycle.
            let _lock = unsafe { Lock::read_list(list) };
            // SAFETY: the peers of a list are linked by next and stay while it is locked
            // (ngx_http_upstream_zone_remove_peer_locked()).
            unsafe {
                let mut peer = (*list).peer;
                let mut index = 0;
                while let Some(at) = NonNull::new(peer) {
                    let handle = PeerHandle {
                        peer: at,
                        tried: TriedBit::at(index),
                        backup: is_backup,
                        generation,
                    };
                    show(PeerInfo {
                        name: sys::bytes((*peer).name),
                        label: label_of(at.as_ref()),
                        identity: origins.of(at.as_ref()),
                        handle,
                    });
                    peer = (*peer).next;
                    index += 1;
                }
            }
        }
    }

    /// The state of a peer; `None` when it has left.
    pub fn state(self, handle: PeerHandle) -> Option<PeerState> {
        let list = self.list_of(handle)?;
        // SAFETY: a list lives as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        if self.generation() != handle.generation {
            return None;
        }
        let peer = handle.peer.as_ptr();
        // SAFETY: the peer is in its list, which is locked and has not changed since walk() saw it.
        unsafe {
            let _peer = Lock::peer(list, peer);
            Some(PeerState::of(peer))
        }
    }
}
