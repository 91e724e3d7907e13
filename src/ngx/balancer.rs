//! The place in the choice of a peer where a module may choose instead: the callbacks of a
//! request's balancer are saved, and called around our own.
//!
//! A session's peer is taken by its place in the list. What more there is to [`Steer`] depends on
//! the kind of nginx: where it knows `pc->hint`, the balancers themselves can be asked for a peer.

use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};

use super::guard::guard;
use super::peers::{is_current, Lock, PeerData, PeerHandle, PeerKey, PeerList, Peers, Unusable};
use super::sys;
use super::upstream::Exchange;

#[cfg_attr(nginx_since = "1.29.6", path = "balancer/hint.rs")]
#[cfg_attr(not(nginx_since = "1.29.6"), path = "balancer/search.rs")]
mod steer;
mod take;

/// NGX_HTTP_UPSTREAM_NOTIFY_HEADER; no nginx before 1.29.6 says it.
const NOTIFY_HEADER: usize = 1;

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
    fn choose(&self, attempt: &Try<'_>) -> Choice;
    /// [`taken`](Self::taken) is to be called.
    fn awaits_peer(&self) -> bool {
        false
    }
    /// A peer has been taken, by whomever; `None`: no memory is left.
    fn taken(&self, _peer: PeerKey) -> Option<()> {
        Some(())
    }
    /// The header of a response has come, where nginx tells (since 1.29.6).
    fn header_came(&self) {}
    /// [`header_came`](Self::header_came) is to be called.
    fn awaits_header(&self) -> bool {
        false
    }
    /// The peer is given back after a try that has not failed.
    fn served(&self) {}
}

/// How a try is given a peer.
pub trait Steer {
    /// Takes a session's peer, if it can be used, a backup peer too. The balancer must have been
    /// seen by [`round_robin`](super::peers::round_robin).
    fn steer(&self, peer: PeerHandle) -> Result<(), Unusable>;

    /// The same peer once more, although it counts as failed, when the try before has failed on a
    /// kept connection that the server has closed: servers do that at any time. `None`: it has
    /// failed otherwise.
    fn steer_again(&self, peer: PeerHandle) -> Option<Result<(), Unusable>>;

    /// Takes a peer with the server id `sid` as nginx's own `sticky` does: one that has not been
    /// tried yet, a backup peer only when no primary peer is left. `bearers` are the first primary
    /// and the first backup peer with that id.
    fn follow(&self, peers: PeerList, sid: &[u8], bearers: Bearers) -> Result<(), Unusable>;
}

/// The first primary and the first backup peer that bear a server id.
#[derive(Clone, Copy, Default)]
pub struct Bearers {
    /// Of the primary list.
    pub primary: Option<PeerHandle>,
    /// Of the backup list.
    pub backup: Option<PeerHandle>,
}

impl Bearers {
    /// There is one.
    pub fn is_some(self) -> bool {
        self.primary.is_some() || self.backup.is_some()
    }
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
    /// How many tries were left when the latest one was begun.
    tries: Cell<usize>,
}

impl Balancer {
    /// That of a request, as peer.init has set it.
    #[inline]
    pub fn of(exchange: Exchange<'_>) -> Self {
        // SAFETY: fields of a live structure.
        let pc = unsafe { exchange.peer().as_ref() };
        Self {
            data: Cell::new(pc.data),
            get: Cell::new(pc.get),
            free: Cell::new(pc.free),
            notify: Cell::new(pc.notify),
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            set_session: Cell::new(pc.set_session),
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            save_session: Cell::new(pc.save_session),
            primary: Cell::new(ptr::null_mut()),
            tries: Cell::new(0),
        }
    }
}

/// Puts `chooser`, who keeps the [`Balancer::of`] the exchange, before it.
#[inline]
pub fn interpose<'r, T: Chooser>(exchange: Exchange<'r>, chooser: &'r T) {
    // SAFETY: the callbacks that peer.init has set are called with the data that it has set.
    unsafe {
        let pc = exchange.peer().as_ptr();
        (*pc).data = ptr::from_ref(chooser).cast_mut().cast();
        (*pc).get = Some(get::<T>);
        (*pc).free = Some(free::<T>);
        if (*pc).notify.is_some() || chooser.awaits_header() {
            (*pc).notify = Some(notify::<T>);
        }
        #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
        {
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
    /// What the balancer has answered, where it was asked already.
    answer: Cell<Option<sys::ngx_int_t>>,
    /// The try before has failed on a kept connection that the server had closed.
    is_given_back: bool,
}

impl Try<'_> {
    /// What the balancer answers.
    fn balance(&self) -> sys::ngx_int_t {
        if let Some(answer) = self.answer.get() {
            return answer;
        }
        match self.balancer.get.get() {
            // SAFETY: the balancer's own callback with its own data.
            Some(get) => unsafe { get(self.pc.as_ptr(), self.balancer.data.get()) },
            None => sys::ERROR,
        }
    }

    /// Gives back a peer that the balancer has taken and that is not wanted.
    fn undo(&self) {
        if self.answer.take() != Some(sys::OK) {
            return;
        }
        // SAFETY: the balancer's own callback with its own data, after its get() has returned NGX_OK;
        // a state of 0 is neither a failure nor a next try. As ngx_http_upstream_next() does after
        // it: without an address nobody gives the peer back once more.
        unsafe {
            let pc = self.pc.as_ptr();
            if let Some(free) = self.balancer.free.get() {
                free(pc, self.balancer.data.get(), 0);
            }
            (*pc).sockaddr = ptr::null_mut();
        }
    }
}

/// Puts the balancer at another list of its upstream, none of whose peers has been tried, as
/// ngx_http_upstream_get_round_robin_peer() does when it goes on to the backup peers.
///
/// # Safety
/// The balancer's data were initialised for `primary`, and `list` is that or the one next to it.
#[cold]
unsafe fn go_to(balancer: &Balancer, primary: *mut Peers, list: *mut Peers) {
    // SAFETY: tried has room for the longer of both lists as they were for the request
    // (ngx_http_upstream_init_round_robin_peer()); locked, they stay so. If they are not the same
    // any more, the balancer will not look at tried.
    unsafe {
        let data = balancer.data.get().cast::<PeerData>();
        let _list = Lock::read_list(list);
        (*data).peers = list;
        if is_current(data, primary) {
            let words = (*list).number.div_ceil(usize::BITS as usize);
            for word in 0..words {
                *(*data).tried.add(word) = 0;
            }
        }
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
    // SAFETY: the promise of this function.
    unsafe {
        go_to(balancer, primary, primary);
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
    // SAFETY: the balancer of this connection. It has taken a try off when it failed;
    // ngx_http_upstream_next() gives it back for a kept connection that was closed, and for
    // nothing else.
    let is_given_back = unsafe {
        let is_given_back = pc.as_ref().cached() != 0 && pc.as_ref().tries == balancer.tries.get();
        restore_primary(balancer, pc.as_ptr());
        balancer.tries.set(pc.as_ref().tries);
        is_given_back
    };
    let attempt = Try {
        pc,
        balancer,
        answer: Cell::new(None),
        is_given_back,
    };
    let code = match guard(Choice::Balance, || chooser.choose(&attempt)) {
        Choice::Steered => sys::OK,
        Choice::Balance => attempt.balance(),
        Choice::Refuse => {
            attempt.undo();
            // As the label `failed` of ngx_http_upstream_get_round_robin_peer(): $upstream_addr
            // then names the upstream, not the peer of the try before.
            // SAFETY: round_robin() has seen what data points to.
            unsafe {
                let data = balancer.data.get().cast::<PeerData>();
                (*pc.as_ptr()).name = (*(*data).peers).name;
            }
            sys::BUSY
        }
    };
    if (code != sys::OK && code != sys::DONE) || !chooser.awaits_peer() {
        return code;
    }
    // SAFETY: the balancer has set current to the peer that it has taken.
    let peer = unsafe { (*balancer.data.get().cast::<PeerData>()).current as usize };
    match guard(Some(()), || chooser.taken(PeerKey(peer))) {
        Some(()) => code,
        None => sys::ERROR,
    }
}

unsafe extern "C" fn free<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
    state: sys::ngx_uint_t,
) {
    // SAFETY: as in get().
    unsafe {
        let chooser = &*data.cast::<T>();
        if state & (sys::NGX_PEER_FAILED | sys::NGX_PEER_NEXT) as usize == 0 {
            guard((), || chooser.served());
        }
        let balancer = chooser.balancer();
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
        let chooser = &*data.cast::<T>();
        if kind == NOTIFY_HEADER {
            guard((), || chooser.header_came());
        }
        let balancer = chooser.balancer();
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
