//! A request's exchange with an upstream, and the upstream's place in the configuration.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;

use super::header::{headers, Header};
use super::owned::SrvConf;
use super::peers::{Peer, PeerKey};
use super::sys;

/// `ngx_http_upstream_t` of a request.
#[derive(Clone, Copy)]
pub struct Exchange<'r>(NonNull<sys::ngx_http_upstream_t>, PhantomData<&'r ()>);

impl<'r> Exchange<'r> {
    /// # Safety
    /// `u` is NULL or lives for `'r`.
    pub unsafe fn from_ptr(u: *mut sys::ngx_http_upstream_t) -> Option<Self> {
        NonNull::new(u).map(|u| Self(u, PhantomData))
    }

    /// The pointer for nginx's own functions.
    pub(super) fn as_ptr(self) -> *mut sys::ngx_http_upstream_t {
        self.0.as_ptr()
    }

    /// The headers of the answer, as the peer has sent them.
    pub fn headers(self) -> impl Iterator<Item = Header<'r>> {
        // SAFETY: ngx_http_upstream_init_request() and reinit() initialise the list.
        unsafe { headers(&raw const (*self.0.as_ptr()).headers_in.headers) }
    }

    /// The part that balancers work on.
    pub fn peer(self) -> NonNull<sys::ngx_peer_connection_t> {
        // SAFETY: a field of a live structure.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).peer) }
    }

    /// Key of the peer that was taken last; of none when the balancer keeps names elsewhere than in
    /// its peers, and before the first try.
    pub fn peer_key(self) -> PeerKey {
        // SAFETY: a field of a live structure. Where name points to is not looked at.
        let name = unsafe { self.0.as_ref().peer.name };
        // ngx_http_upstream_get_round_robin_peer() and the like set it to &peer->name.
        PeerKey((name as usize).wrapping_sub(offset_of!(Peer, name)))
    }

    /// Status that the peer has answered with; 0 while it has not.
    pub fn answer(self) -> usize {
        // SAFETY: a field of a live structure.
        unsafe { self.0.as_ref().headers_in.status_n }
    }

    /// The name (`10.0.0.1:8080`) of the peer whose response is being passed on. `None` when the
    /// response is nginx's own: ngx_http_upstream_finalize_request() closes the connection to the
    /// peer before it sends an error page.
    pub fn answering_peer(self) -> Option<&'r [u8]> {
        // SAFETY: fields of a live structure. The name belongs to a peer that is in use until
        // peer.free is called, which is after the header has been sent.
        unsafe {
            let u = self.0.as_ref();
            if u.peer.connection.is_null() || u.headers_in.status_n == 0 {
                return None;
            }
            u.peer.name.as_ref().map(|name| sys::bytes(*name))
        }
    }
}

/// `ngx_http_upstream_srv_conf_t`: one upstream of the configuration, alive for `'c`.
#[derive(Clone, Copy)]
pub struct Upstream<'c>(
    NonNull<sys::ngx_http_upstream_srv_conf_t>,
    PhantomData<&'c ()>,
);

impl<'c> Upstream<'c> {
    /// # Safety
    /// `us` lives for `'c`.
    pub unsafe fn from_ptr(us: *mut sys::ngx_http_upstream_srv_conf_t) -> Option<Self> {
        NonNull::new(us).map(|us| Self(us, PhantomData))
    }

    /// The pointer for nginx's own functions.
    pub fn as_ptr(self) -> *mut sys::ngx_http_upstream_srv_conf_t {
        self.0.as_ptr()
    }

    /// The upstream's name.
    pub fn name(self) -> &'c [u8] {
        // SAFETY: a string of a live configuration.
        unsafe { sys::bytes(self.0.as_ref().host) }
    }

    /// Its `server` directives so far, in order.
    #[cfg(not(nginx_since = "1.29.6"))]
    pub fn servers(self) -> &'c [sys::ngx_http_upstream_server_t] {
        // SAFETY: NULL, or the array that ngx_http_upstream() makes and ngx_http_upstream_server()
        // fills.
        unsafe {
            let servers = self.0.as_ref().servers;
            match servers.as_ref() {
                Some(servers) if !servers.elts.is_null() => {
                    std::slice::from_raw_parts(servers.elts.cast(), servers.nelts)
                }
                _ => &[],
            }
        }
    }

    /// Sets `down` of the `server` directive that was read last. While the block is read only.
    #[cfg(not(nginx_since = "1.29.6"))]
    pub fn set_down(self, down: usize) {
        // SAFETY: as in servers(); the configuration is read in one thread, and nobody looks at the
        // element meanwhile.
        unsafe {
            let Some(servers) = self.0.as_ref().servers.as_ref() else {
                return;
            };
            if let Some(last) = servers.nelts.checked_sub(1) {
                let server = servers.elts.cast::<sys::ngx_http_upstream_server_t>();
                (*server.add(last)).down = down;
            }
        }
    }

    /// The balancer knows `down` (NGX_HTTP_UPSTREAM_DOWN).
    #[cfg(not(nginx_since = "1.29.6"))]
    pub fn supports_down(self) -> bool {
        // SAFETY: a field of a live configuration.
        unsafe { self.0.as_ref().flags & sys::NGX_HTTP_UPSTREAM_DOWN as usize != 0 }
    }

    /// What a module keeps for this upstream. `None` for an upstream that is no block of the
    /// configuration (`proxy_pass http://10.0.0.1`).
    pub fn srv_conf<T: SrvConf>(self) -> Option<&'c T> {
        // SAFETY: SrvConf says what the place holds. ngx_http_upstream() makes srv_conf with a place
        // for every HTTP module; ngx_http_upstream_add() leaves it NULL.
        unsafe {
            let confs = NonNull::new(self.0.as_ref().srv_conf)?;
            (*confs.as_ptr().add((*T::module()).ctx_index))
                .cast::<T>()
                .as_ref()
        }
    }
}
