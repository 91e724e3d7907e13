//! The peers of an upstream as nginx's round robin keeps them. All balancers that come with nginx
//! are built on `ngx_http_upstream_rr_peer_data_t`.

use std::ptr::{self, NonNull};

use super::request::Request;
use super::sys;
use super::upstream::Upstream;

#[cfg_attr(nginx_since = "1.29.6", path = "peers/sid.rs")]
#[cfg_attr(not(nginx_since = "1.29.6"), path = "peers/origin.rs")]
mod identity;

pub(super) type Peer = sys::ngx_http_upstream_rr_peer_t;
pub(super) type Peers = sys::ngx_http_upstream_rr_peers_t;
pub(super) type PeerData = sys::ngx_http_upstream_rr_peer_data_t;

/// In `down` of a server that gets only the requests of its own sessions: the value of
/// NGX_HTTP_UPSTREAM_DRAINING (since nginx 1.29.6). Balancers before that take it for `down`.
pub const DRAINING: usize = 8;

/// One peer, as a walk over an upstream's peers sees it.
pub struct PeerInfo<'a> {
    /// Printable address, `10.0.0.1:8080`.
    pub name: &'a [u8],
    /// What sessions may call it.
    pub identity: Identity<'a>,
    /// Where it is.
    pub handle: PeerHandle,
}

/// What tells a peer from others but for its name.
#[derive(Clone, Copy, Debug)]
// Each kind of nginx has one of them.
#[allow(dead_code)]
pub enum Identity<'a> {
    /// nginx's own server id: `route=`, or the MD5 of its name.
    Sid(&'a [u8]),
    /// Position of its `server` directive in the block; `None` where that is not known.
    Server(Option<usize>),
}

/// Where a peer is. Good for as long as the set of peers does not change, which is checked.
#[derive(Clone, Copy)]
pub struct PeerHandle {
    pub(super) peer: NonNull<Peer>,
    /// Position in its list, which is its bit in `tried`.
    pub(super) index: usize,
    pub(super) backup: bool,
    pub(super) generation: usize,
}

/// Names a peer while the set of peers does not change.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PeerKey(pub(super) usize);

impl PeerKey {
    /// A number that no other peer of the upstream has.
    pub fn number(self) -> usize {
        self.0
    }
}

impl PeerHandle {
    /// The key of the peer.
    pub fn key(self) -> PeerKey {
        PeerKey(self.peer.as_ptr() as usize)
    }

    /// The peer is a backup server.
    pub fn is_backup(self) -> bool {
        self.backup
    }
}

/// Why a peer cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unusable {
    /// It has left the upstream.
    Gone,
    /// `down`, or failed `max_fails` times within `fail_timeout`.
    Failed,
    /// It has `max_conns` connections.
    Full,
}

/// nginx's lock on a list of peers or on a peer; a list that is not in a shared zone needs none.
pub(super) struct Lock(*mut sys::ngx_atomic_t);

impl Lock {
    /// # Safety
    /// `peers` is a live list.
    pub(super) unsafe fn read_list(peers: *mut Peers) -> Self {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: ngx_http_upstream_rr_peers_rlock().
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

    /// # Safety
    /// `peer` is in the list `peers`, which is locked for reading.
    pub(super) unsafe fn peer(peers: *mut Peers, peer: *mut Peer) -> Self {
        #[cfg(ngx_feature = "http_upstream_zone")]
        // SAFETY: ngx_http_upstream_rr_peer_lock().
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
            // SAFETY: locked by this process, once.
            unsafe { sys::ngx_rwlock_unlock(self.0) }
        }
    }
}

/// Changes when peers come or go; always 0 where they cannot (before nginx 1.27.3, or no `resolve`).
///
/// # Safety
/// `peers` is a live list.
pub(super) unsafe fn generation_of(peers: *const Peers) -> usize {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    // SAFETY: NULL or a counter in the upstream's zone (ngx_http_upstream_zone_copy_peers()).
    unsafe {
        let config = (*peers).config;
        if !config.is_null() {
            return config.read_volatile();
        }
    }
    let _ = peers;
    0
}

/// The set of peers is the one that a request was initialised for: its `tried` has a bit for each,
/// and its balancer will choose among them (ngx_http_upstream_get_round_robin_peer()).
///
/// # Safety
/// `peers` is the live primary list that `data` was initialised for.
pub(super) unsafe fn is_current(data: *const PeerData, peers: *const Peers) -> bool {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    // SAFETY: as in generation_of().
    unsafe {
        (*peers).config.is_null() || (*data).config == generation_of(peers)
    }
    #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
    {
        let _ = (data, peers);
        true
    }
}

/// The peers of an upstream whose balancer builds on round robin.
#[derive(Clone, Copy)]
pub struct PeerList(pub(super) NonNull<Peers>);

impl PeerList {
    /// Changes when peers come or go.
    pub fn generation(self) -> usize {
        // SAFETY: the lists of an upstream live as long as its cycle.
        unsafe { generation_of(self.0.as_ptr()) }
    }

    /// Peers may come and go while requests are served.
    pub fn may_change(self) -> bool {
        #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
        // SAFETY: a field of a live list.
        return unsafe { !(*self.0.as_ptr()).config.is_null() };
        #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
        false
    }

    /// Shows every peer, the primary ones first, each list in the order of the configuration.
    pub fn walk(self, us: Upstream<'_>, mut show: impl FnMut(PeerInfo<'_>)) {
        // SAFETY: lists and peers as ngx_http_upstream_init_round_robin() or
        // ngx_http_upstream_zone_copy_peers() made them, read under the lock.
        unsafe {
            let generation = self.generation();
            let backup = (*self.0.as_ptr()).next;
            for (list, is_backup) in [(self.0.as_ptr(), false), (backup, true)] {
                if list.is_null() {
                    continue;
                }
                let mut origins = identity::Origins::new(self, us, is_backup);
                let _lock = Lock::read_list(list);
                let mut peer = (*list).peer;
                let mut index = 0;
                while let Some(at) = NonNull::new(peer) {
                    let handle = PeerHandle {
                        peer: at,
                        index,
                        backup: is_backup,
                        generation,
                    };
                    show(PeerInfo {
                        name: sys::bytes((*peer).name),
                        identity: origins.of(at.as_ref()),
                        handle,
                    });
                    peer = (*peer).next;
                    index += 1;
                }
            }
        }
    }

    /// Whether the peer could take a request now.
    pub fn check(self, handle: PeerHandle) -> Result<(), Unusable> {
        // SAFETY: the list that holds the peer, locked before the peer is looked at.
        unsafe {
            let list = self.list_of(handle).ok_or(Unusable::Gone)?;
            let _list = Lock::read_list(list);
            if generation_of(self.0.as_ptr()) != handle.generation {
                return Err(Unusable::Gone);
            }
            let peer = handle.peer.as_ptr();
            let _peer = Lock::peer(list, peer);
            is_usable(&*peer)
        }
    }

    pub(super) fn list_of(self, handle: PeerHandle) -> Option<*mut Peers> {
        if !handle.backup {
            return Some(self.0.as_ptr());
        }
        // SAFETY: a field of a live list, set before the workers start.
        let next = unsafe { (*self.0.as_ptr()).next };
        (!next.is_null()).then_some(next)
    }
}

/// The test that every balancer of nginx makes (`ngx_http_upstream_get_peer()`).
pub(super) fn is_usable(peer: &Peer) -> Result<(), Unusable> {
    if peer.down & !DRAINING != 0 {
        return Err(Unusable::Failed);
    }
    if peer.max_fails != 0
        && peer.fails >= peer.max_fails
        && sys::ngx_time() - peer.checked <= peer.fail_timeout
    {
        return Err(Unusable::Failed);
    }
    if peer.max_conns != 0 && peer.conns >= peer.max_conns {
        return Err(Unusable::Full);
    }
    Ok(())
}

/// The upstream's peers, when its balancer, which has just initialised this request, builds on
/// round robin. `None` for anything else, such as keepalive wrapped around it or a balancer of
/// somebody else's.
pub fn round_robin(r: Request<'_>, us: Upstream<'_>) -> Option<PeerList> {
    let pc = r.upstream()?.peer();
    // SAFETY: peer.init has set peer.data to a structure in the request's pool, which begins with
    // ngx_http_upstream_rr_peer_data_t where its second word is the upstream's list of peers
    // (ngx_http_upstream_init_round_robin_peer()); two words are there in any structure.
    unsafe {
        let data = pc.as_ref().data.cast::<PeerData>();
        let peers = NonNull::new((*us.as_ptr()).peer.data.cast::<Peers>())?;
        (!data.is_null() && (*data).peers == peers.as_ptr()).then_some(PeerList(peers))
    }
}
