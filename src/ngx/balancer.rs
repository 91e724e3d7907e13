//! The choice of a peer: the callbacks of a request's balancer are saved and called around our own,
//! so that a [`Chooser`] can choose instead.
//!
//! A peer is taken by its place in the list. What else an [`Attempt`] can do depends on the kind of
//! nginx: since 1.29.6 the balancers themselves can be asked for a peer, by `pc->hint`.

use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};

use super::exchange::Exchange;
use super::guard::guard;
use super::open::{self, Place};
use super::peers::{is_current, Lock, PeerData, PeerHandle, PeerKey, PeerList, Peers};
use super::request::Request;
use super::sys;
use super::upstream::Upstream;

mod at_once;
mod avoid;
#[cfg(nginx_since = "1.29.6")]
mod hint;
#[cfg(not(nginx_since = "1.29.6"))]
mod search;
mod take;

pub use at_once::FirstAttempt;
#[cfg(not(nginx_since = "1.29.6"))]
pub use search::List;
pub use take::LoadRules;

/// NGX_HTTP_UPSTREAM_NOTIFY_HEADER; no nginx before 1.29.6 calls notify with it.
const NOTIFY_HEADER: usize = 1;

type Free = unsafe extern "C" fn(*mut sys::ngx_peer_connection_t, *mut c_void, sys::ngx_uint_t);

/// Gives a peer back under every balancer that keeps its accounts in the peers alone.
const ROUND_ROBIN_FREE: Free = sys::ngx_http_upstream_free_round_robin_peer;

/// What a chooser wants for one attempt of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// The peer that the chooser has taken by the [`Attempt`].
    Taken,
    /// The peer that the balancer chooses.
    Balance,
    /// No peer: the client gets 502.
    Refuse,
    /// No peer: the client gets this status, of 500 or more.
    RefuseWith(i16),
}

/// Overrides the balancer's choice for each attempt.
pub trait Chooser {
    /// Where the balancer's own callbacks are kept.
    fn balancer(&self) -> &Balancer;
    /// The request.
    fn request(&self) -> Request<'_>;
    /// Called before all else for the first attempt of a request: takes the peer that it goes to, if
    /// nothing is to be thought about. False: nothing has changed, and [`choose`](Self::choose) is
    /// called. After true, [`taken`](Self::taken) is not.
    #[inline]
    fn take_at_once(&self, _attempt: &FirstAttempt<'_>) -> bool {
        false
    }
    /// Called for each attempt.
    fn choose(&self, attempt: &Attempt<'_>) -> Choice;
    /// Whether [`taken`](Self::taken) is to be called.
    fn awaits_peer(&self) -> bool {
        false
    }
    /// A peer has been taken, by the chooser or the balancer. `None`: out of memory.
    fn taken(&self, _peer: PeerKey) -> Option<()> {
        Some(())
    }
    /// The header of a response has come, where nginx tells (since 1.29.6).
    fn header_came(&self) {}
    /// Whether [`header_came`](Self::header_came) is to be called.
    fn awaits_header(&self) -> bool {
        false
    }
    /// The peer is given back after an attempt that has not failed.
    fn served(&self) {}
    /// For requests that are to be [looked at](super::open::each) while they are open: a part of the
    /// chooser, the same each time.
    #[inline]
    fn place(&self) -> Option<&Place<'_>> {
        None
    }
}

/// A request's exchange whose balancer builds on round robin.
#[derive(Clone, Copy)]
pub struct RoundRobin<'r> {
    exchange: Exchange<'r>,
    peers: PeerList,
}

impl<'r> RoundRobin<'r> {
    /// Of an exchange that the balancer of `us` has just been initialised for. `None`: it is
    /// another balancer, or something wrapped around one, such as keepalive.
    #[inline]
    pub fn of(exchange: Exchange<'r>, us: Upstream<'_>) -> Option<Self> {
        // SAFETY: a live structure that nobody changes meanwhile.
        let pc = unsafe { exchange.peer().as_ref() };
        if !passes_round_robin_data(pc) {
            return None;
        }
        let data = NonNull::new(pc.data.cast::<PeerData>())?.as_ptr();
        // SAFETY: passes_round_robin_data() says what data points to; peer.init has set its list
        // (ngx_http_upstream_init_round_robin_peer()).
        let peers = unsafe { (*data).peers };
        // SAFETY: a field of a live configuration.
        let of_upstream = unsafe { (*us.as_ptr()).peer.data };
        if !ptr::eq(peers, of_upstream.cast()) {
            return None;
        }
        // SAFETY: round robin takes its data's list for one that it has made, and the upstream has
        // the same list.
        let peers = unsafe { PeerList::from_ptr(NonNull::new(peers)?) };
        Some(Self { exchange, peers })
    }

    /// The upstream's peers.
    pub fn peers(self) -> PeerList {
        self.peers
    }
}

/// Whether nginx will call a function of round robin with the balancer's data. These functions take
/// it for ngx_http_upstream_rr_peer_data_t, so that it is one or begins with one.
///
/// Every balancer of nginx calls ngx_http_upstream_init_round_robin_peer(), and leaves some
/// callback that this has set: `free`, or, as least_time has its own, those for TLS sessions. A
/// module that wraps a balancer has data of its own, and must replace every callback that would
/// read it, as ngx_http_upstream_init_keepalive_peer() does.
#[inline]
fn passes_round_robin_data(pc: &sys::ngx_peer_connection_t) -> bool {
    pc.free
        .is_some_and(|free| ptr::fn_addr_eq(free, ROUND_ROBIN_FREE))
        || passes_to_session_callback(pc)
}

#[cfg(ngx_feature = "http_ssl")]
#[cold]
fn passes_to_session_callback(pc: &sys::ngx_peer_connection_t) -> bool {
    type SetSession =
        unsafe extern "C" fn(*mut sys::ngx_peer_connection_t, *mut c_void) -> sys::ngx_int_t;
    const ROUND_ROBIN: SetSession = sys::ngx_http_upstream_set_round_robin_peer_session;
    pc.set_session
        .is_some_and(|set| ptr::fn_addr_eq(set, ROUND_ROBIN))
}

#[cfg(not(ngx_feature = "http_ssl"))]
fn passes_to_session_callback(_: &sys::ngx_peer_connection_t) -> bool {
    false
}

/// The callbacks and the data of a request's balancer, which builds on round robin.
pub struct Balancer {
    data: Cell<*mut c_void>,
    get: Cell<sys::ngx_event_get_peer_pt>,
    free: Cell<sys::ngx_event_free_peer_pt>,
    notify: Cell<sys::ngx_event_notify_peer_pt>,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    set_session: Cell<sys::ngx_event_set_peer_session_pt>,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    save_session: Cell<sys::ngx_event_save_peer_session_pt>,
    peers: PeerList,
    /// How many attempts were left when the latest one was begun; 0 before the first.
    tries: Cell<u32>,
    /// The latest attempt went to a backup peer although the balancer was at its primary list.
    is_out_of_turn: Cell<bool>,
}

impl Balancer {
    /// The callbacks as peer.init has set them.
    #[inline]
    pub fn of(RoundRobin { exchange, peers }: RoundRobin<'_>) -> Self {
        // SAFETY: a live structure that nobody changes meanwhile.
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
            peers,
            tries: Cell::new(0),
            is_out_of_turn: Cell::new(false),
        }
    }

    /// What round robin keeps for the request.
    fn data(&self) -> *mut PeerData {
        self.data.get().cast()
    }

    /// Whether the set of peers is still the one that the request was initialised for.
    fn is_current(&self) -> bool {
        // SAFETY: RoundRobin::of() has seen that data was initialised for this list.
        unsafe { is_current(self.data(), self.peers.primary()) }
    }

    /// Whether the balancer keeps its accounts in the peers alone, as round robin does.
    #[inline]
    fn gives_back_as_round_robin(&self) -> bool {
        #[cfg(nginx_since = "1.29.6")]
        return self
            .free
            .get()
            .is_some_and(|free| ptr::fn_addr_eq(free, ROUND_ROBIN_FREE));
        // Every balancer does.
        #[cfg(not(nginx_since = "1.29.6"))]
        true
    }

    /// The word of `tried` that has a peer's bit, and the bit. The word is there if the peers are
    /// those that the request was initialised for.
    #[inline]
    fn tried(&self, peer: &PeerHandle) -> (*mut usize, usize) {
        // SAFETY: RoundRobin::of() has seen what data points to.
        let tried = unsafe { (*self.data()).tried };
        (tried.wrapping_add(peer.tried.word), peer.tried.bit)
    }

    /// Puts the balancer at another list of its upstream, none of whose peers has been tried, as
    /// ngx_http_upstream_get_round_robin_peer() does when it goes on to the backup peers.
    ///
    /// # Safety
    /// `list` is the primary or the backup list of `peers`.
    #[cold]
    unsafe fn go_to(&self, list: *mut Peers) {
        // SAFETY: the lists of an upstream live as long as its cycle.
        let _list = unsafe { Lock::read_list(list) };
        let data = self.data();
        // SAFETY: data is what RoundRobin::of() has seen, and this request's alone.
        unsafe { (*data).peers = list };
        if !self.is_current() {
            // The balancer will not look at tried.
            return;
        }
        // SAFETY: tried has room for the longer of both lists as they were for the request
        // (ngx_http_upstream_init_round_robin_peer()), and so they are; locked, they stay so.
        unsafe {
            let words = (*list).number.div_ceil(usize::BITS as usize);
            (*data).tried.write_bytes(0, words);
        }
    }

    /// Gives the balancer its primary list back after an attempt at a backup peer out of turn;
    /// whether there was one.
    fn restore_primary(&self) -> bool {
        if !self.is_out_of_turn.replace(false) {
            return false;
        }
        // SAFETY: the primary list.
        unsafe { self.go_to(self.peers.primary()) };
        true
    }
}

/// Puts `chooser`, which keeps the [`Balancer::of`] the exchange, before it.
#[inline]
pub fn interpose<'r, T: Chooser>(exchange: RoundRobin<'r>, chooser: &'r T) {
    // SAFETY: a live structure that nobody else uses meanwhile.
    let pc = unsafe { exchange.exchange.peer().as_mut() };
    pc.data = ptr::from_ref(chooser).cast_mut().cast();
    pc.get = Some(get::<T>);
    pc.free = Some(free::<T>);
    if pc.notify.is_some() || chooser.awaits_header() {
        pc.notify = Some(notify::<T>);
    }
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    {
        if pc.set_session.is_some() {
            pc.set_session = Some(set_session::<T>);
        }
        if pc.save_session.is_some() {
            pc.save_session = Some(save_session::<T>);
        }
    }
}

/// One attempt to find a peer for a request.
pub struct Attempt<'a> {
    pc: NonNull<sys::ngx_peer_connection_t>,
    balancer: &'a Balancer,
    /// What the balancer has answered, where it was asked already.
    answer: Cell<Option<sys::ngx_int_t>>,
    follows_closed_connection: bool,
    /// Whom the balancer is not to choose.
    avoided: Cell<Option<avoid::Avoided>>,
}

/// Why a peer was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// It has left the upstream, or the set of peers has changed since the request came.
    Left,
    /// The balancer does not choose it: it has been tried, or others were quicker.
    Refused,
}

impl Attempt<'_> {
    /// Whether the attempt before has failed on a kept connection that the server had closed:
    /// servers do that at any time.
    pub fn follows_closed_connection(&self) -> bool {
        self.follows_closed_connection
    }

    /// What the balancer answers.
    fn balance(&self) -> sys::ngx_int_t {
        if let Some(answer) = self.answer.get() {
            return answer;
        }
        let ask = || match self.balancer.get.get() {
            // SAFETY: the balancer's own callback with its own data.
            Some(get) => unsafe { get(self.pc.as_ptr(), self.balancer.data.get()) },
            None => sys::ERROR,
        };
        match self.avoided.take() {
            None => ask(),
            Some(avoided) => {
                let code = self.balance_avoiding(&avoided, &ask);
                self.avoided.set(Some(avoided));
                code
            }
        }
    }

    /// The peer that the balancer chooses: the one for [`Choice::Balance`], unless it is given back.
    /// `None`: there is none.
    pub fn ask(&self) -> Option<PeerKey> {
        let code = self.balance();
        self.answer.set(Some(code));
        if code != sys::OK {
            return None;
        }
        // SAFETY: RoundRobin::of() has seen what data points to. Every balancer sets current to the
        // peer that it has taken (ngx_http_upstream_get_round_robin_peer()).
        let peer = unsafe { (*self.balancer.data()).current as usize };
        Some(PeerKey::from_address(peer))
    }

    /// Gives the peer that the balancer has chosen back, which was not asked and may be chosen again.
    pub fn give_back(&self, peer: PeerHandle) {
        self.undo();
        let is_same = self.balancer.peers.generation() == peer.generation;
        if is_same && self.balancer.is_current() {
            let (word, bit) = self.tried(peer);
            // SAFETY: the peers are those that tried was made for.
            unsafe { *word &= !bit };
        }
    }

    /// Gives back a peer that the balancer has taken and that is not wanted.
    fn undo(&self) {
        if self.answer.take() != Some(sys::OK) {
            return;
        }
        let pc = self.pc.as_ptr();
        // SAFETY: a field of a live structure.
        let tries = unsafe { (*pc).tries };
        if let Some(free) = self.balancer.free.get() {
            // SAFETY: the balancer's own callback with its own data, after its get() has returned
            // NGX_OK. A state of 0 is neither a failure nor a next attempt.
            unsafe { free(pc, self.balancer.data.get(), 0) }
        }
        // SAFETY: fields of a live structure. free() takes a try off, but nothing was tried. As
        // ngx_http_upstream_next() does after free(): without an address nobody gives the peer back
        // once more.
        unsafe {
            (*pc).tries = tries;
            (*pc).sockaddr = ptr::null_mut();
        }
    }
}

unsafe extern "C" fn get<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) -> sys::ngx_int_t {
    // SAFETY: ngx_event_connect_peer() passes the connection and its data, which interpose() has
    // set.
    let (chooser, pc) = unsafe { (&*data.cast::<T>(), NonNull::new_unchecked(pc)) };
    let balancer = chooser.balancer();
    if balancer.tries.get() == 0 {
        let attempt = FirstAttempt { pc, balancer };
        if guard(false, || chooser.take_at_once(&attempt)) {
            // SAFETY: a field of a live structure.
            balancer.tries.set(unsafe { pc.as_ref() }.tries as u32);
            enter(chooser);
            return sys::OK;
        }
    }
    get_chosen(chooser, pc)
}

/// A peer was taken for the request of a chooser.
#[inline(always)]
fn enter<T: Chooser>(chooser: &T) {
    if let Some(place) = chooser.place() {
        // SAFETY: the chooser is in the request's memory (interpose()). A peer that was taken is given
        // back before that is freed: ngx_http_upstream_cleanup() calls
        // ngx_http_upstream_finalize_request(), which calls free().
        unsafe { open::enter(place) }
    }
}

/// Any attempt.
#[inline(never)]
fn get_chosen<T: Chooser>(
    chooser: &T,
    mut pc: NonNull<sys::ngx_peer_connection_t>,
) -> sys::ngx_int_t {
    let balancer = chooser.balancer();
    // SAFETY: RoundRobin::of() took the connection from an exchange, and nginx calls get() for no
    // other one.
    let exchange = unsafe { Exchange::of_peer(pc) };
    let follows_closed_connection = {
        // SAFETY: a live structure that nobody else uses meanwhile.
        let pc = unsafe { pc.as_mut() };
        // The balancer has taken a try off when it failed; ngx_http_upstream_next() gives it back
        // for a kept connection that was closed, and for nothing else.
        let is_given_back = pc.cached() != 0 && pc.tries as u32 == balancer.tries.get();
        if balancer.restore_primary() && !is_given_back {
            // The balancer will ask that backup peer again, not knowing that it has been asked: one
            // try more than there are peers, but not more than proxy_next_upstream_tries.
            let limit = exchange.max_tries();
            if limit == 0 || (balancer.tries.get() as usize) < limit {
                pc.tries += 1;
            }
        }
        balancer.tries.set(pc.tries as u32);
        is_given_back
    };
    let attempt = Attempt {
        pc,
        balancer,
        answer: Cell::new(None),
        follows_closed_connection,
        avoided: Cell::new(None),
    };
    let code = match guard(Choice::Balance, || chooser.choose(&attempt)) {
        Choice::Taken => sys::OK,
        Choice::Balance => attempt.balance(),
        refused @ (Choice::Refuse | Choice::RefuseWith(_)) => {
            attempt.undo();
            if let Choice::RefuseWith(status) = refused {
                let (r, status) = (chooser.request(), sys::ngx_int_t::from(status));
                // SAFETY: the chooser is that of the exchange's request.
                if unsafe { exchange.finalize(r.as_ptr(), status) } {
                    r.end_with(status);
                }
            }
            // As the label `failed` of ngx_http_upstream_get_round_robin_peer(): $upstream_addr
            // then names the upstream, not the peer of the attempt before.
            // SAFETY: RoundRobin::of() has seen what data points to; every list has a name
            // (ngx_http_upstream_init_round_robin()).
            unsafe { (*pc.as_ptr()).name = (*(*balancer.data()).peers).name }
            sys::BUSY
        }
    };
    if code != sys::OK && code != sys::DONE {
        return code;
    }
    enter(chooser);
    if !chooser.awaits_peer() {
        return code;
    }
    // SAFETY: RoundRobin::of() has seen what data points to. Every balancer sets current to the
    // peer that it has taken (ngx_http_upstream_get_round_robin_peer()), and so does
    // Attempt::take().
    let peer = unsafe { (*balancer.data()).current as usize };
    match guard(Some(()), || chooser.taken(PeerKey::from_address(peer))) {
        Some(()) => code,
        None => sys::ERROR,
    }
}

unsafe extern "C" fn free<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
    state: sys::ngx_uint_t,
) {
    // SAFETY: ngx_http_upstream_next() and _finalize_request() pass the connection's data, which
    // interpose() has set.
    let chooser = unsafe { &*data.cast::<T>() };
    if let Some(place) = chooser.place() {
        open::leave(place);
    }
    if state & (sys::NGX_PEER_FAILED | sys::NGX_PEER_NEXT) as usize == 0 {
        guard((), || chooser.served());
    }
    let balancer = chooser.balancer();
    if let Some(free) = balancer.free.get() {
        // SAFETY: the balancer's own callback with its own data, and nginx's arguments.
        unsafe { free(pc, balancer.data.get(), state) }
    }
}

unsafe extern "C" fn notify<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
    kind: sys::ngx_uint_t,
) {
    // SAFETY: ngx_http_upstream_connect() and _process_header() pass the connection's data, which
    // interpose() has set.
    let chooser = unsafe { &*data.cast::<T>() };
    if kind == NOTIFY_HEADER {
        guard((), || chooser.header_came());
    }
    let balancer = chooser.balancer();
    if let Some(notify) = balancer.notify.get() {
        // SAFETY: the balancer's own callback with its own data, and nginx's arguments.
        unsafe { notify(pc, balancer.data.get(), kind) }
    }
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
unsafe extern "C" fn set_session<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) -> sys::ngx_int_t {
    // SAFETY: ngx_http_upstream_ssl_init_connection() passes the connection's data, which
    // interpose() has set.
    let balancer = unsafe { (*data.cast::<T>()).balancer() };
    match balancer.set_session.get() {
        // SAFETY: the balancer's own callback with its own data, and nginx's arguments.
        Some(set_session) => unsafe { set_session(pc, balancer.data.get()) },
        None => sys::OK,
    }
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
unsafe extern "C" fn save_session<T: Chooser>(
    pc: *mut sys::ngx_peer_connection_t,
    data: *mut c_void,
) {
    // SAFETY: ngx_http_upstream_ssl_save_session() passes the connection's data, which interpose()
    // has set.
    let balancer = unsafe { (*data.cast::<T>()).balancer() };
    if let Some(save_session) = balancer.save_session.get() {
        // SAFETY: the balancer's own callback with its own data, and nginx's arguments.
        unsafe { save_session(pc, balancer.data.get()) }
    }
}
