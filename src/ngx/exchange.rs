//! A request's exchange with an upstream: what it asks of a peer, and what the peer answers.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;

use super::header::{headers, Header};
use super::peers::{Peer, PeerKey};
use super::sys;
use super::upstream::Upstream;

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
        // SAFETY: ngx_http_upstream_create() zeroes the list, which makes it an empty one;
        // ngx_http_upstream_process_header(), _reinit() and _cache_send() initialise it.
        unsafe { headers(&raw const (*self.0.as_ptr()).headers_in.headers) }
    }

    /// Finalizes the exchange of a request, which has no peer now, with this status, and returns
    /// whether the request is to be ended with it. What nginx does with the exchange afterwards has
    /// no effect but to give the request's count back.
    ///
    /// As ngx_http_upstream_finalize_request() does, which nginx's own code for "no peer" calls
    /// with no status but 502.
    ///
    /// # Safety
    /// `r` is the exchange's request.
    #[cold]
    pub(super) unsafe fn finalize(self, r: sys::RequestPtr, status: sys::ngx_int_t) -> bool {
        // SAFETY: a live structure that nobody else uses meanwhile;
        // ngx_http_upstream_init_request() sets cleanup to a handler in the request's pool.
        unsafe {
            let u = self.0.as_ptr();
            let Some(cleanup) = (*u).cleanup.as_mut() else {
                return false;
            };
            // Without it, ngx_http_upstream_finalize_request() gives the request's count back, and
            // does nothing else.
            *cleanup = None;
            (*u).cleanup = std::ptr::null_mut();
            if let Some(finalize) = (*u).finalize_request {
                finalize(r, status);
            }
            // ngx_http_upstream_next() would send what the cache still has.
            #[cfg(ngx_feature = "http_cache")]
            (*u).set_cache_status(sys::NGX_HTTP_CACHE_MISS);
        }
        true
    }

    /// What tells the configuration of its `proxy_pass` from others: an even number, not 0.
    #[inline]
    pub fn conf_key(self) -> usize {
        // SAFETY: a field of a live structure.
        unsafe { self.0.as_ref().conf as usize }
    }

    /// Whether headers of this name, in small letters, are not sent to the client
    /// (`proxy_hide_header`).
    #[cold]
    pub fn hides(self, name: &[u8]) -> bool {
        // SAFETY: the handler that has made the structure sets conf. Its hash is one that
        // ngx_http_upstream_hide_headers_hash() has made, or all zero (memcached_pass), which
        // ngx_hash_find() does not take; that changes nothing.
        unsafe {
            let hash = &raw mut (*self.0.as_ref().conf).hide_headers_hash;
            let start = name.as_ptr().cast_mut();
            let key = sys::ngx_hash_key(start, name.len());
            (*hash).size > 0 && !sys::ngx_hash_find(hash, key, start, name.len()).is_null()
        }
    }

    /// The part that balancers work on.
    pub(super) fn peer(self) -> NonNull<sys::ngx_peer_connection_t> {
        // SAFETY: the address of a field is not NULL.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).peer) }
    }

    /// The exchange that a balancer is asked for a peer of.
    ///
    /// # Safety
    /// `pc` is [`Self::peer`] of an exchange that lives for `'r`.
    pub(super) unsafe fn of_peer(pc: NonNull<sys::ngx_peer_connection_t>) -> Self {
        // SAFETY: the field is so many bytes behind the start of its structure.
        let u = unsafe { pc.byte_sub(offset_of!(sys::ngx_http_upstream_t, peer)) };
        Self(u.cast(), PhantomData)
    }

    /// `proxy_next_upstream_tries` and the like; 0: no limit.
    pub(super) fn max_tries(self) -> usize {
        // SAFETY: the handler that has made the structure (ngx_http_proxy_handler() and the like)
        // sets conf.
        unsafe { (*self.0.as_ref().conf).next_upstream_tries }
    }

    /// The upstream that the configuration names for it (`proxy_pass http://NAME`), until its
    /// balancer is asked for a peer.
    pub fn awaited(self) -> Option<Upstream<'r>> {
        // SAFETY: fields of a live structure. ngx_http_upstream_create() zeroes it;
        // ngx_http_proxy_handler() and the like set conf, and resolved where the name has
        // variables. ngx_http_upstream_init_round_robin_peer() sets get. upstream is NULL or an
        // upstream of the configuration (ngx_http_proxy_pass()).
        unsafe {
            let u = self.0.as_ref();
            if u.peer.get.is_some() || !u.resolved.is_null() {
                return None;
            }
            Upstream::from_ptr(u.conf.as_ref()?.upstream)
        }
    }

    /// The key of the peer that was taken last. It is no peer's key before the first attempt, and
    /// when the balancer keeps names elsewhere than in its peers.
    pub fn peer_key(self) -> PeerKey {
        // SAFETY: a field of a live structure. What name points to is not read.
        let name = unsafe { self.0.as_ref().peer.name };
        // ngx_http_upstream_get_round_robin_peer() and the like set it to &peer->name.
        PeerKey::from_address((name as usize).wrapping_sub(offset_of!(Peer, name)))
    }

    /// The name of the peer that was taken last. `None`: none was.
    #[cold]
    pub fn chosen_peer(self) -> Option<&'r [u8]> {
        // SAFETY: NULL, or what ngx_http_upstream_get_round_robin_peer() and the like have set: the
        // name of a peer, which stays until peer.free is called, or of the upstream, if none was
        // left.
        unsafe {
            let peer = &self.0.as_ref().peer;
            let is_taken = !peer.sockaddr.is_null();
            peer.name
                .as_ref()
                .filter(|_| is_taken)
                .map(|name| sys::bytes(*name))
        }
    }

    /// The status of the peer's answer; 0 while there is none.
    pub fn answer(self) -> usize {
        // SAFETY: a field of a live structure.
        unsafe { self.0.as_ref().headers_in.status_n }
    }

    /// The status of the latest attempt as nginx notes it (`$upstream_status`): that of the peer's
    /// answer, also where the client gets another response, or that of the failure; 0 while there is
    /// none.
    pub fn latest_status(self) -> usize {
        // SAFETY: NULL, or the state of the latest attempt in the array that
        // ngx_http_upstream_init_request() has made (ngx_http_upstream_connect()).
        unsafe { self.0.as_ref().state.as_ref() }.map_or(0, |state| state.status)
    }

    /// The name (`10.0.0.1:8080`) of the peer whose response is being passed on. `None` when the
    /// response is nginx's own: ngx_http_upstream_finalize_request() closes the connection to the
    /// peer before it sends an error page.
    pub fn answering_peer(self) -> Option<&'r [u8]> {
        // SAFETY: fields of a live structure. The name belongs to a peer that stays until peer.free
        // is called: ngx_http_upstream_finalize_request() does that after the header was sent.
        unsafe {
            let u = self.0.as_ref();
            if u.peer.connection.is_null() || u.headers_in.status_n == 0 {
                return None;
            }
            u.peer.name.as_ref().map(|name| sys::bytes(*name))
        }
    }
}
