//! A request, the beginning of its body, and the header of its response.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::os::raw::c_void;
use std::ptr::NonNull;

use super::chain::Chain;
use super::exchange::Exchange;
use super::header::{have_name_of, headers, Header};
use super::log::Log;
use super::owned::{Context, LocConf, MainConf};
use super::pool::Pool;
use super::sys;

mod order;
mod reply;
mod turns;

pub use order::{Reply, WithBody};
pub use reply::{nginx_version, Head, Method};
pub use turns::Turns;

/// The bit of `r->buffered` that says so, see [`Request::set_body_is_held`].
const HELD: u32 = 0x08;

/// A request of nginx, alive for `'r`.
#[derive(Clone, Copy)]
pub struct Request<'r>(NonNull<sys::ngx_http_request_s>, PhantomData<&'r ()>);

/// The beginning of a request's body.
pub struct Body<'r> {
    /// Its first bytes, in one piece.
    pub bytes: Cow<'r, [u8]>,
    /// Whether that is the whole body.
    pub is_whole: bool,
}

impl<'r> Request<'r> {
    /// # Safety
    /// `r` is a request that lives for `'r`.
    pub unsafe fn from_ptr(r: sys::RequestPtr) -> Option<Self> {
        NonNull::new(r.cast()).map(|r| Self(r, PhantomData))
    }

    /// The request that nginx passes to a callback.
    ///
    /// # Safety
    /// `r` is not NULL, and a request that lives for `'r`.
    #[inline(always)]
    pub unsafe fn of_callback(r: sys::RequestPtr) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(r.cast()) }, PhantomData)
    }

    /// The pointer for nginx's own functions.
    pub fn as_ptr(self) -> sys::RequestPtr {
        self.0.as_ptr().cast()
    }

    fn raw(self) -> *mut sys::ngx_http_request_s {
        self.0.as_ptr()
    }

    /// The request that the client sent; `self`, unless this is a subrequest.
    pub fn main(self) -> Self {
        // SAFETY: ngx_http_alloc_request() and ngx_http_subrequest() set main.
        unsafe { Self::from_ptr((*self.raw()).main.cast()) }.unwrap_or(self)
    }

    /// Whether the client sent this request: it is no subrequest.
    pub fn is_main(self) -> bool {
        // SAFETY: as in main().
        unsafe { std::ptr::eq((*self.raw()).main.cast(), self.raw()) }
    }

    /// Whether a part of the response is still to be sent, although it was passed on.
    #[inline]
    pub fn has_unsent(self) -> bool {
        // SAFETY: a request has a connection (ngx_http_alloc_request(), ngx_http_subrequest()); bits
        // that the last filter sets, ngx_http_write_filter() or that of HTTP/2.
        unsafe { (*(*self.raw()).connection).buffered() != 0 }
    }

    /// The part of the URL after the question mark, undecoded.
    pub fn args(self) -> &'r [u8] {
        // SAFETY: a string in the request's header (ngx_http_process_request_uri()), or in its
        // pool.
        unsafe { sys::bytes((*self.raw()).args) }
    }

    /// Whether the URL, and so its arguments, are still those that the client sent. It may be false
    /// for a URL that nothing has changed.
    #[inline]
    pub fn is_as_sent(self) -> bool {
        // SAFETY: a bit of a live request. ngx_http_process_request_uri() sets it; all that changes
        // the URL or its arguments clears it (ngx_http_script_regex_start_code(),
        // ngx_http_variable_set_args(), ngx_http_internal_redirect()). A subrequest has it only as
        // a clone, with the arguments of its request (ngx_http_subrequest()).
        unsafe { (*self.raw()).valid_unparsed_uri() != 0 }
    }

    /// The arguments as the client sent them.
    pub fn unparsed_args(self) -> &'r [u8] {
        let url = self.unparsed_uri();
        let mut parts = url.splitn(2, |byte| *byte == b'#');
        let url = parts.next().unwrap_or_default();
        let mut parts = url.splitn(2, |byte| *byte == b'?');
        parts.nth(1).unwrap_or_default()
    }

    /// The URL as the client sent it, with its query (`$request_uri`). A subrequest has that of its
    /// request (`ngx_http_subrequest()`).
    pub fn unparsed_uri(self) -> &'r [u8] {
        // SAFETY: a string in the request's header (ngx_http_process_request_uri()).
        unsafe { sys::bytes((*self.raw()).unparsed_uri) }
    }

    /// The path of [that URL](Self::unparsed_uri), not decoded.
    pub fn unparsed_path(self) -> &'r [u8] {
        let mut parts = self
            .unparsed_uri()
            .splitn(2, |byte| matches!(byte, b'?' | b'#'));
        parts.next().unwrap_or_default()
    }

    /// The host that the client asked for, lower-case, without port; empty when it named none.
    pub fn host(self) -> &'r [u8] {
        // SAFETY: a string in the request's header or pool (ngx_http_validate_host()).
        unsafe { sys::bytes((*self.raw()).headers_in.server) }
    }

    /// Whether the method is HEAD.
    pub fn is_head(self) -> bool {
        // SAFETY: a plain field.
        unsafe { (*self.raw()).method == sys::NGX_HTTP_HEAD as usize }
    }

    /// Whether this is a subrequest whose response goes nowhere (cache update, mirror).
    pub fn is_background(self) -> bool {
        // SAFETY: a bit of a live request.
        unsafe { (*self.raw()).background() != 0 }
    }

    /// The values of the request's Cookie headers.
    pub fn cookies(self) -> impl Iterator<Item = &'r [u8]> + Clone {
        #[cfg(nginx_since = "1.23.0")]
        {
            // SAFETY: a field of a live request; a subrequest has a copy (ngx_http_subrequest()).
            let mut next = unsafe { (*self.raw()).headers_in.cookie };
            std::iter::from_fn(move || {
                // SAFETY: NULL or an element of headers_in.headers, which live as long as the
                // request; ngx_http_process_header_line() links them.
                let element = unsafe { next.as_ref()? };
                next = element.next;
                // SAFETY: a string in the request's header.
                Some(unsafe { sys::bytes(element.value) })
            })
        }
        #[cfg(not(nginx_since = "1.23.0"))]
        {
            // SAFETY: ngx_http_process_multi_header_lines() makes an array of pointers to elements;
            // before that it is zero. A subrequest has a copy (ngx_http_subrequest()).
            let cookies: &[*mut sys::ngx_table_elt_t] = unsafe {
                let cookies = &(*self.raw()).headers_in.cookies;
                if cookies.elts.is_null() {
                    &[]
                } else {
                    std::slice::from_raw_parts(cookies.elts.cast(), cookies.nelts)
                }
            };
            // SAFETY: an element of headers_in.headers, which live as long as the request.
            let value =
                |&element: &*mut sys::ngx_table_elt_t| unsafe { sys::bytes((*element).value) };
            cookies.iter().map(value)
        }
    }

    /// The client's address as bytes: without a port.
    pub fn client_address(self) -> &'r [u8] {
        // SAFETY: a request has a connection, whose addr_text ngx_event_accept() sets, and
        // ngx_http_realip_set_addr() when it replaces the address.
        unsafe { sys::bytes((*(*self.raw()).connection).addr_text) }
    }

    /// The headers of the request.
    pub fn request_headers(self) -> impl Iterator<Item = Header<'r>> {
        // SAFETY: as in header_values().
        unsafe { headers(&raw const (*self.raw()).headers_in.headers) }
    }

    /// The values of the request's headers of this name, in any case.
    pub fn header_values(self, name: &[u8]) -> impl Iterator<Item = &'r [u8]> + use<'r, '_> {
        // SAFETY: ngx_http_alloc_request() zeroes the list, which makes it an empty one.
        // ngx_http_process_request_line() initialises it for HTTP/1 before it reads headers,
        // ngx_http_v2_create_stream() and ngx_http_v3_init_pseudo_headers() for HTTP/2 and HTTP/3.
        // A subrequest has a copy (ngx_http_subrequest()), which a list can be read from.
        let headers = unsafe { headers(&raw const (*self.raw()).headers_in.headers) };
        headers
            .filter(move |header: &Header<'r>| header.name().eq_ignore_ascii_case(name))
            .map(Header::value)
    }

    /// The request's Content-Type; empty when it has none.
    pub fn body_type(self) -> &'r [u8] {
        // SAFETY: NULL or an element of headers_in.headers, which live as long as the request.
        unsafe {
            let element = (*self.raw()).headers_in.content_type;
            element
                .as_ref()
                .map_or(&[], |element| sys::bytes(element.value))
        }
    }

    /// Whether nginx holds anything of the request's body.
    #[inline]
    pub fn has_body(self) -> bool {
        !self.body_chain().is_empty()
    }

    /// Whether it has, or will when nginx has read it: a subrequest's is that of its request, or none.
    pub fn will_have_body(self) -> bool {
        // SAFETY: plain fields and a bit of a live request. ngx_http_process_request_header() and
        // ngx_http_v2_run_request() set the length, and that it is not known (`chunked`).
        unsafe {
            let r = &*self.raw();
            match r.request_body.is_null() && self.is_main() {
                true => r.headers_in.content_length_n > 0 || r.headers_in.chunked() != 0,
                false => self.has_body(),
            }
        }
    }

    /// Whether nginx has all of the body, and the filters of bodies have passed its end.
    #[inline]
    pub fn is_body_saved(self) -> bool {
        // SAFETY: NULL or what ngx_http_read_client_request_body() has made.
        let body = unsafe { (*self.raw()).request_body.as_ref() };
        body.is_some_and(|body| body.last_saved() != 0)
    }

    /// Whether the body is passed on as it comes, not when it is there.
    pub fn is_body_passed_on(self) -> bool {
        // SAFETY: a bit of a live request.
        unsafe { (*self.raw()).request_body_no_buffering() != 0 }
    }

    fn body_chain(self) -> Chain<'r> {
        // SAFETY: NULL, or what ngx_http_read_client_request_body() or
        // ngx_http_discard_request_body_filter() has made, with NULL or a chain in bufs. A
        // subrequest has its request's (ngx_http_subrequest()), or one of auth_request's, all of it
        // zero (ngx_http_auth_request_handler()).
        unsafe {
            let body = (*self.raw()).request_body.as_ref();
            Chain::from_ptr(body.map_or(std::ptr::null_mut(), |body| body.bufs))
        }
    }

    /// The first bytes of the request's body, at most `limit` of them: those that have come, where
    /// nginx passes the body on before it has read it, else all. `None`: there are none.
    ///
    /// What nginx has written to a file is read from there, at once: it has just been written, so
    /// it comes from the page cache.
    pub fn body(self, limit: usize) -> Option<Body<'r>> {
        let chain = self.body_chain();
        // SAFETY: a bit of a live request, which ngx_http_read_unbuffered_request_body() clears
        // when it has read all. A subrequest has the body of its request, but not the bit
        // (ngx_http_subrequest()).
        let is_coming = unsafe { (*self.main().raw()).request_body_no_buffering() != 0 };
        let mut body = Body {
            bytes: Cow::Borrowed(&[]),
            is_whole: !is_coming,
        };
        for buffer in chain.buffers() {
            let room = limit - body.bytes.len();
            let length = match buffer.bytes() {
                Some(piece) => {
                    let taken = piece.get(..room).unwrap_or(piece);
                    if body.bytes.is_empty() && !is_coming {
                        body.bytes = Cow::Borrowed(taken);
                    } else if !taken.is_empty() {
                        // What is still to come may overwrite what has been sent.
                        body.bytes.to_mut().extend_from_slice(taken);
                    }
                    piece.len()
                }
                None => {
                    let length = buffer.length_in_file();
                    let wanted = room.min(length);
                    if wanted > 0 && !buffer.read_file(wanted, body.bytes.to_mut()) {
                        body.is_whole = false;
                        break;
                    }
                    length
                }
            };
            if length > room {
                body.is_whole = false;
                break;
            }
        }
        (!body.bytes.is_empty()).then_some(body)
    }

    /// Status of the response.
    pub fn status(self) -> usize {
        // SAFETY: a plain field.
        unsafe { (*self.raw()).headers_out.status }
    }

    /// Media type of the response as it stands in the header, parameters included.
    pub fn response_type(self) -> &'r [u8] {
        // SAFETY: a string in the request's pool or in the configuration
        // (ngx_http_upstream_copy_content_type(), ngx_http_set_content_type()).
        unsafe { sys::bytes((*self.raw()).headers_out.content_type) }
    }

    /// The length of the response's body, where its header tells it.
    pub fn response_length(self) -> Option<u64> {
        // SAFETY: a plain field, -1 where there is no length (ngx_http_upstream_send_response()).
        let length = unsafe { (*self.raw()).headers_out.content_length_n };
        u64::try_from(length).ok()
    }

    /// The Content-Encoding of the response where its bytes pass our filter, unless it is none.
    pub fn content_coding(self) -> Option<&'r [u8]> {
        // SAFETY: NULL or an element of headers_out.headers, which live as long as the request.
        let encoding = unsafe { (*self.raw()).headers_out.content_encoding.as_ref()? };
        // SAFETY: a string in the request's pool or of its module.
        let name = unsafe { sys::bytes(encoding.value) };
        (encoding.hash != 0 && !name.eq_ignore_ascii_case(b"identity")).then_some(name)
    }

    /// Whether the response comes from nginx's cache.
    pub fn is_cached(self) -> bool {
        // SAFETY: a bit of a live request.
        unsafe { (*self.raw()).cached() != 0 }
    }

    /// Whether the response has a header only.
    pub fn is_header_only(self) -> bool {
        // SAFETY: a bit of a live request.
        unsafe { (*self.raw()).header_only() != 0 }
    }

    /// Asks the copy filter for a body in memory (`ngx_http_copy_filter()`).
    pub fn need_body_in_memory(self) {
        // SAFETY: a bit of a live request, for filters to set in their header filter.
        unsafe { (*self.raw()).set_filter_need_in_memory(1) }
    }

    /// Says whether a filter of ours keeps a part of the body back: while it does, nginx calls the
    /// filters again when more can be sent, and does not take the response for complete. Of the
    /// four bits of `r->buffered`, nginx's own filters use the others (`NGX_HTTP_SSI_BUFFERED`,
    /// `NGX_HTTP_SUB_BUFFERED`, `NGX_HTTP_COPY_BUFFERED`). The bits of the connection do not do:
    /// ngx_http_finalize_request() does not look at them at the end of a subrequest.
    pub fn set_body_is_held(self, is_held: bool) {
        // SAFETY: a bit-field of a live request, which filters set and clear.
        unsafe {
            let r = &mut *self.raw();
            let others = r.buffered() & !HELD;
            r.set_buffered(others | if is_held { HELD } else { 0 });
        }
    }

    /// Whether a part of the body was held back, see [`Request::set_body_is_held`].
    pub fn is_body_held(self) -> bool {
        // SAFETY: a bit-field of a live request.
        unsafe { (*self.raw()).buffered() & HELD != 0 }
    }

    /// Whether the filters after ours have something of the response that they have not sent. Only then
    /// are they to be called without a buffer, while we hold one: `ngx_http_write_filter()` takes it for an error otherwise.
    pub fn is_pending(self) -> bool {
        // SAFETY: fields of a live request and its connection.
        unsafe {
            let r = &*self.raw();
            let is_kept = r.buffered() != 0 || !r.out.is_null() || !r.postponed.is_null();
            is_kept || (*r.connection).buffered() != 0
        }
    }

    /// The headers of the response that will be sent.
    pub fn response_headers(self) -> impl Iterator<Item = Header<'r>> {
        // SAFETY: ngx_http_alloc_request() and ngx_http_subrequest() initialise the list.
        let headers = unsafe { headers(&raw const (*self.raw()).headers_out.headers) };
        headers.filter(|header: &Header<'r>| !header.is_hidden())
    }

    /// Whether the length of the name of any header of the response is such, also of one that will not
    /// be sent.
    #[inline(always)]
    pub fn has_response_header(self, is_such: impl Fn(usize) -> bool) -> bool {
        // SAFETY: as in response_headers().
        unsafe { have_name_of(&raw const (*self.raw()).headers_out.headers, is_such) }
    }

    /// Takes back what the header says of the body's length and bytes, which will be others than
    /// the server's, as nginx's own filters do (`ngx_http_clear_content_length()`,
    /// `ngx_http_clear_last_modified()`, `ngx_http_clear_accept_ranges()`, `ngx_http_weak_etag()`).
    pub fn body_will_change(self) {
        // SAFETY: NULL or elements of headers_out.headers, which live as long as the request;
        // nobody else uses them meanwhile.
        unsafe {
            let r = self.raw();
            let out = &mut (*r).headers_out;
            if self.is_main() {
                out.content_length_n = -1;
                if let Some(length) = out.content_length.as_mut() {
                    length.hash = 0;
                }
                out.content_length = std::ptr::null_mut();
                out.last_modified_time = -1;
                if let Some(date) = out.last_modified.as_mut() {
                    date.hash = 0;
                }
                out.last_modified = std::ptr::null_mut();
            }
            if let Some(ranges) = out.accept_ranges.as_mut() {
                ranges.hash = 0;
            }
            out.accept_ranges = std::ptr::null_mut();
            (*r).set_allow_ranges(0);
            sys::ngx_http_weak_etag(self.as_ptr());
        }
    }

    /// Adds a header to the response. Both strings live as long as the request. `None`: out of
    /// memory.
    pub fn push_response_header(self, name: &'static [u8], value: &'r [u8]) -> Option<Header<'r>> {
        // SAFETY: ngx_list_push() returns NULL or a new, uninitialised element.
        unsafe {
            let headers = &raw mut (*self.raw()).headers_out.headers;
            let element = NonNull::new(sys::ngx_list_push(headers))?.cast::<sys::ngx_table_elt_t>();
            element.write(sys::ngx_table_elt_t {
                hash: 1,
                key: sys::string(name),
                value: sys::string(value),
                lowcase_key: std::ptr::null_mut(),
                #[cfg(nginx_since = "1.23.0")]
                next: std::ptr::null_mut(),
            });
            Header::from_ptr(element.as_ptr())
        }
    }

    /// The module's context of this request, where there is one.
    pub fn context<T: Context + 'r>(self) -> Option<&'r T> {
        // SAFETY: Context says what the place holds. ngx_http_alloc_request() and
        // ngx_http_subrequest() make ctx, with a place for every HTTP module, all NULL.
        unsafe {
            let slot = (*self.raw()).ctx.add((*T::module()).ctx_index);
            (*slot).cast::<T>().as_ref()
        }
    }

    /// Sets the module's context of this request, until an internal redirect or the end.
    pub fn set_context<T: Context + 'r>(self, context: &'r T) {
        // SAFETY: as in context(). What is stored is only read through shared references.
        unsafe {
            let slot = (*self.raw()).ctx.add((*T::module()).ctx_index);
            *slot = std::ptr::from_ref(context).cast_mut().cast::<c_void>();
        }
    }

    /// A module's configuration of the request's location.
    pub fn loc_conf<T: LocConf>(self) -> Option<&'r T> {
        // SAFETY: LocConf says what the place holds. loc_conf is that of a server or of a location,
        // with a place for every HTTP module (ngx_http_core_server(), ngx_http_core_location()).
        unsafe {
            (*(*self.raw()).loc_conf.add((*T::module()).ctx_index))
                .cast::<T>()
                .as_ref()
        }
    }

    /// Ends the request with a response of nginx's own, or what `error_page` says; the caller goes
    /// on to use the request, and gives its own count back.
    pub(super) fn end_with(self, status: sys::ngx_int_t) {
        // SAFETY: a bit-field of a live request, and a callback that nginx has no more use for
        // (ngx_http_upstream_finalize_request()). One count more keeps the request alive.
        unsafe {
            let main = self.main().raw();
            (*main).set_count((*main).count() + 1);
            (*self.raw()).read_event_handler = Some(sys::ngx_http_block_reading);
            // Others may fetch it. Nothing of it was written to a file yet.
            #[cfg(ngx_feature = "http_cache")]
            if !(*self.raw()).cache.is_null() {
                sys::ngx_http_file_cache_free((*self.raw()).cache, std::ptr::null_mut());
            }
            sys::ngx_http_finalize_request(self.as_ptr(), status);
        }
    }

    /// The values of the response's Cache-Control headers.
    pub fn cache_control(self) -> impl Iterator<Item = &'r [u8]> {
        #[cfg(nginx_since = "1.23.0")]
        let all = {
            // SAFETY: a field of a live request.
            let mut next = unsafe { (*self.raw()).headers_out.cache_control };
            std::iter::from_fn(move || {
                // SAFETY: NULL or an element of headers_out.headers, which live as long as the
                // request; ngx_http_upstream_copy_multi_header_lines() links them.
                let element = unsafe { next.as_ref()? };
                next = element.next;
                // SAFETY: as above.
                unsafe { Header::from_ptr(std::ptr::from_ref(element).cast_mut()) }
            })
        };
        #[cfg(not(nginx_since = "1.23.0"))]
        let all = {
            // SAFETY: ngx_http_upstream_copy_multi_header_lines() and
            // ngx_http_add_multi_header_lines() make an array of pointers to elements of
            // headers_out.headers, which live as long as the request; before that it is zero.
            let all: &[*mut sys::ngx_table_elt_t] = unsafe {
                let all = &(*self.raw()).headers_out.cache_control;
                if all.elts.is_null() {
                    &[]
                } else {
                    std::slice::from_raw_parts(all.elts.cast(), all.nelts)
                }
            };
            // SAFETY: as above.
            all.iter()
                .filter_map(|&element| unsafe { Header::from_ptr(element) })
        };
        all.filter(|header| !header.is_hidden()).map(Header::value)
    }

    /// Where nginx keeps the values of indexed variables.
    pub(super) fn variables(self) -> *mut sys::ngx_variable_value_t {
        // SAFETY: a plain field.
        unsafe { (*self.raw()).variables }
    }

    /// Whether the configuration may define the indexed variable anew, as it does with `map` and
    /// `set`: it is none of nginx's own.
    pub(super) fn may_redefine(self, index: sys::ngx_uint_t) -> bool {
        // SAFETY: main_conf has one for every HTTP module (ngx_http_block()), that of the core made
        // by ngx_http_core_create_main_conf(); ngx_http_get_variable_index() fills the array.
        unsafe {
            let module = &raw const sys::ngx_http_core_module;
            let core = *(*self.raw()).main_conf.add((*module).ctx_index);
            let core = core.cast::<sys::ngx_http_core_main_conf_t>();
            let variables: &[sys::ngx_http_variable_t] = (*core).variables.as_slice();
            let variable = variables.get(index);
            let flags = variable.map_or(0, |variable| variable.flags);
            flags & sys::NGX_HTTP_VAR_CHANGEABLE as sys::ngx_uint_t != 0
        }
    }

    /// A module's configuration of the whole of `http`.
    pub fn main_conf<T: MainConf>(self) -> Option<&'r T> {
        // SAFETY: MainConf says what the place holds. main_conf has one for every HTTP module
        // (ngx_http_block()).
        unsafe {
            (*(*self.raw()).main_conf.add((*T::module()).ctx_index))
                .cast::<T>()
                .as_ref()
        }
    }

    /// The request's memory.
    pub fn pool(self) -> Option<Pool<'r>> {
        // SAFETY: ngx_http_alloc_request() makes the pool; a subrequest has its request's
        // (ngx_http_subrequest()).
        unsafe { Pool::from_ptr((*self.raw()).pool) }
    }

    /// The connection's log.
    pub fn log(self) -> Log {
        // SAFETY: ngx_http_alloc_request() sets the connection, ngx_event_accept() its log; both
        // live as long as the request.
        unsafe { Log::from_ptr((*(*self.raw()).connection).log) }.unwrap_or_else(Log::cycle)
    }

    /// Whether debug lines of HTTP are written for its connection (`debug_connection`) or for all,
    /// as ngx_log_debug() asks.
    #[inline]
    pub fn is_debugged(self) -> bool {
        // SAFETY: as in log(). The log is never NULL (ngx_event_accept(),
        // ngx_http_v2_create_stream(), ngx_quic_open_stream()).
        let level = unsafe { (*(*(*self.raw()).connection).log).log_level };
        level & sys::NGX_LOG_DEBUG_HTTP as usize != 0
    }

    /// How many attempts at servers nginx has noted for the request (`r->upstream_states`).
    pub fn tries(self) -> usize {
        // SAFETY: NULL or the array that ngx_http_upstream_init_request() has made.
        unsafe { (*self.raw()).upstream_states.as_ref() }.map_or(0, |states| states.nelts)
    }

    /// The exchange with an upstream, where the request has one.
    pub fn upstream(self) -> Option<Exchange<'r>> {
        // SAFETY: NULL or what ngx_http_upstream_create() has made in the request's pool.
        unsafe { Exchange::from_ptr((*self.raw()).upstream.cast()) }
    }
}
