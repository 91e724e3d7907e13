//! The peers of an upstream as nginx's round robin keeps them, and the place in the choice of a
//! peer where a module may choose instead. All balancers that come with nginx are built on
//! `ngx_http_upstream_rr_peer_data_t`.

use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};

use super::guard::guard;
use super::request::Request;
use super::sys;
use super::upstream::Upstream;

type Peer = sys::ngx_http_upstream_rr_peer_t;
type Peers = sys::ngx_http_upstream_rr_peers_t;
type PeerData = sys::ngx_http_upstream_rr_peer_data_t;

/// One peer, as a walk over an upstream's peers sees it.
pub struct PeerInfo<'a> {
    /// Printable address, `10.0.0.1:8080`.
    pub name: &'a [u8],
    /// Where it is.
    pub handle: PeerHandle,
}

/// Where a peer is. Good for as long as the set of peers does not change, which is checked.
#[derive(Clone, Copy)]
pub struct PeerHandle {
    peer: NonNull<Peer>,
    /// Position in its list, which is its bit in `tried`.
    index: usize,
    backup: bool,
    generation: usize,
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
struct Lock(*mut sys::ngx_atomic_t);

impl Lock {
    /// # Safety
    /// `peers` is a live list.
    unsafe fn read_list(peers: *mut Peers) -> Self {
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
    unsafe fn peer(peers: *mut Peers, peer: *mut Peer) -> Self {
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
unsafe fn generation_of(peers: *const Peers) -> usize {
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

/// The peers of an upstream whose balancer builds on round robin.
#[derive(Clone, Copy)]
pub struct PeerList(NonNull<Peers>);

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
    pub fn walk(self, mut show: impl FnMut(PeerInfo<'_>)) {
        // SAFETY: lists and peers as ngx_http_upstream_init_round_robin() or
        // ngx_http_upstream_zone_copy_peers() made them, read under the lock.
        unsafe {
            let generation = self.generation();
            let backup = (*self.0.as_ptr()).next;
            for (list, is_backup) in [(self.0.as_ptr(), false), (backup, true)] {
                if list.is_null() {
                    continue;
                }
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

    fn list_of(self, handle: PeerHandle) -> Option<*mut Peers> {
        if !handle.backup {
            return Some(self.0.as_ptr());
        }
        // SAFETY: a field of a live list, set before the workers start.
        let next = unsafe { (*self.0.as_ptr()).next };
        (!next.is_null()).then_some(next)
    }
}

/// The test that every balancer of nginx makes (`ngx_http_upstream_get_peer()`).
fn is_usable(peer: &Peer) -> Result<(), Unusable> {
    if peer.down != 0 {
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

/// What a chooser wants for one try of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// The peer has been set, by [`Try::steer`].
    Steered,
    /// The balancer chooses.
    Balance,
    /// No peer: the client gets 502.
    Refuse,
}

/// Somebody who may choose the peer of each try instead of the balancer.
pub trait Chooser {
    /// Where the balancer's own callbacks are kept.
    fn balancer(&self) -> &Balancer;
    /// Called for each try.
    fn choose(&self, attempt: Try<'_>) -> Choice;
}

/// The callbacks and the data of the balancer that was there before.
pub struct Balancer {
    data: Cell<*mut c_void>,
    get: Cell<sys::ngx_event_get_peer_pt>,
    free: Cell<sys::ngx_event_free_peer_pt>,
    notify: Cell<sys::ngx_event_notify_peer_pt>,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    set_session: Cell<sys::ngx_event_set_peer_session_pt>,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    save_session: Cell<sys::ngx_event_save_peer_session_pt>,
    /// The primary list, while a try is steered to a backup peer.
    primary: Cell<*mut Peers>,
    /// How many tries were left when the latest one was steered.
    tries: Cell<usize>,
}

impl Balancer {
    /// Nothing saved yet.
    pub const fn new() -> Self {
        Self {
            data: Cell::new(ptr::null_mut()),
            get: Cell::new(None),
            free: Cell::new(None),
            notify: Cell::new(None),
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            set_session: Cell::new(None),
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            save_session: Cell::new(None),
            primary: Cell::new(ptr::null_mut()),
            tries: Cell::new(0),
        }
    }
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

/// Puts `chooser` before the request's balancer.
pub fn interpose<'r, T: Chooser>(r: Request<'r>, chooser: &'r T) {
    let Some(exchange) = r.upstream() else { return };
    let balancer = chooser.balancer();
    // SAFETY: the callbacks that peer.init has set are called with the data that it has set.
    unsafe {
        let pc = exchange.peer().as_ptr();
        balancer.data.set((*pc).data);
        balancer.get.set((*pc).get);
        balancer.free.set((*pc).free);
        balancer.notify.set((*pc).notify);
        (*pc).data = ptr::from_ref(chooser).cast_mut().cast();
        (*pc).get = Some(get::<T>);
        (*pc).free = Some(free::<T>);
        if (*pc).notify.is_some() {
            (*pc).notify = Some(notify::<T>);
        }
        #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
        {
            balancer.set_session.set((*pc).set_session);
            balancer.save_session.set((*pc).save_session);
            if (*pc).set_session.is_some() {
                (*pc).set_session = Some(set_session::<T>);
            }
            if (*pc).save_session.is_some() {
                (*pc).save_session = Some(save_session::<T>);
            }
        }
    }
}

/// One try to find a peer for a request.
pub struct Try<'a> {
    pc: NonNull<sys::ngx_peer_connection_t>,
    balancer: &'a Balancer,
    is_given_back: bool,
}

impl Try<'_> {
    /// Sets the peer, as the balancer would have, if it can be used. The balancer must have been
    /// seen by [`round_robin`].
    pub fn steer(&self, handle: PeerHandle) -> Result<(), Unusable> {
        self.set(handle, is_usable)
    }

    /// The same peer once more, although it counts as failed, when the steered try before has
    /// failed on a kept connection that the server has closed: servers do that at any time, and
    /// nginx does not count such a try. `None`: it has failed otherwise.
    pub fn steer_again(&self, handle: PeerHandle) -> Option<Result<(), Unusable>> {
        self.is_given_back.then(|| {
            self.set(handle, |peer| match is_usable(peer) {
                Err(Unusable::Failed) if peer.down == 0 => Ok(()),
                usable => usable,
            })
        })
    }

    fn set(
        &self,
        handle: PeerHandle,
        test: fn(&Peer) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        // SAFETY: round_robin() has seen what data points to; the peer is looked at after its list
        // was locked and found unchanged. The steps are those of ngx_http_upstream_get_hash_peer().
        unsafe {
            let data = self.balancer.data.get().cast::<PeerData>();
            let primary = (*data).peers;
            let list = PeerList(NonNull::new(primary).ok_or(Unusable::Gone)?)
                .list_of(handle)
                .ok_or(Unusable::Gone)?;
            let _list = Lock::read_list(list);
            if generation_of(primary) != handle.generation {
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
            if handle.backup {
                self.balancer.primary.set(primary);
                (*data).peers = list;
            } else {
                let bits = usize::BITS as usize;
                *(*data).tried.add(handle.index / bits) |= 1 << (handle.index % bits);
            }
            (*data).current = peer;

            let pc = self.pc.as_ptr();
            self.balancer.tries.set((*pc).tries);
            (*pc).set_cached(0);
            (*pc).connection = ptr::null_mut();
            (*pc).sockaddr = (*peer).sockaddr;
            (*pc).socklen = (*peer).socklen;
            (*pc).name = &raw mut (*peer).name;
        }
        Ok(())
    }
}

/// Gives the balancer its primary list back after a try that was steered to a backup peer.
///
/// # Safety
/// The balancer's data are those that steer() has changed, and `pc` is what they belong to.
unsafe fn restore_primary(balancer: &Balancer, pc: *mut sys::ngx_peer_connection_t) {
    let primary = balancer.primary.replace(ptr::null_mut());
    if primary.is_null() {
        return;
    }
    // SAFETY: tried has room for the longer of both lists
    // (ngx_http_upstream_init_round_robin_peer()) and is cleared at each change of lists, as in
    // ngx_http_upstream_get_round_robin_peer().
    unsafe {
        let data = balancer.data.get().cast::<PeerData>();
        (*data).peers = primary;
        let words = (*primary).number.div_ceil(usize::BITS as usize);
        for word in 0..words {
            *(*data).tried.add(word) = 0;
        }
        // The balancer will ask that backup peer again, not knowing that it has been asked.
        (*pc).tries += 1;
    }
}

unsafe extern "C" fn get<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) -> sys::ngx_int_t {
    // SAFETY: interpose() has set data; nginx passes the connection that it belongs to.
    let (chooser, pc) = unsafe { (&*data.cast::<T>(), NonNull::new_unchecked(pc)) };
    let balancer = chooser.balancer();
    // The balancer has taken a try off; ngx_http_upstream_next() gives it back for a kept
    // connection that was closed, and for nothing else.
    let is_given_back = {
        let pc = unsafe { pc.as_ref() };
        pc.cached() != 0 && pc.tries == balancer.tries.get()
    };
    unsafe { restore_primary(balancer, pc.as_ptr()) };
    let attempt = Try {
        pc,
        balancer,
        is_given_back,
    };
    match guard(Choice::Balance, || chooser.choose(attempt)) {
        Choice::Steered => sys::OK,
        Choice::Refuse => {
            // As the label `failed` of ngx_http_upstream_get_round_robin_peer(): $upstream_addr
            // then names the upstream, not the peer of the try before.
            // SAFETY: round_robin() has seen what data points to.
            unsafe {
                let data = balancer.data.get().cast::<PeerData>();
                (*pc.as_ptr()).name = (*(*data).peers).name;
            }
            sys::BUSY
        }
        Choice::Balance => match balancer.get.get() {
            // SAFETY: the balancer's own callback with its own data.
            Some(get) => unsafe { get(pc.as_ptr(), balancer.data.get()) },
            None => sys::ERROR,
        },
    }
}

unsafe extern "C" fn free<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
    state: sys::ngx_uint_t,
) {
    // SAFETY: as in get().
    unsafe {
        let balancer = (*data.cast::<T>()).balancer();
        if let Some(free) = balancer.free.get() {
            free(pc, balancer.data.get(), state);
        }
    }
}

unsafe extern "C" fn notify<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
    kind: sys::ngx_uint_t,
) {
    // SAFETY: as in get().
    unsafe {
        let balancer = (*data.cast::<T>()).balancer();
        if let Some(notify) = balancer.notify.get() {
            notify(pc, balancer.data.get(), kind);
        }
    }
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
unsafe extern "C" fn set_session<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) -> sys::ngx_int_t {
    // SAFETY: as in get().
    unsafe {
        let balancer = (*data.cast::<T>()).balancer();
        match balancer.set_session.get() {
            Some(set_session) => set_session(pc, balancer.data.get()),
            None => sys::OK,
        }
    }
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
unsafe extern "C" fn save_session<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) {
    // SAFETY: as in get().
    unsafe {
        let balancer = (*data.cast::<T>()).balancer();
        if let Some(save_session) = balancer.save_session.get() {
            save_session(pc, balancer.data.get());
        }
    }
}
