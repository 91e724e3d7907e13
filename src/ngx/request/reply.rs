//! A request that a handler of ours answers itself (`ngx_http_handler_pt`).

use super::super::chain::{Code, Marks, Output};
use super::super::owned::Owned;
use super::super::sys;
use super::Request;

/// The method of a request, as far as it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// Another one.
    Other,
}

/// The header of a response.
#[derive(Clone, Copy)]
pub struct Head<'h> {
    /// The status.
    pub status: u16,
    /// Content-Type, with its parameters. The charset, where there is one, is UTF-8.
    pub media_type: &'static [u8],
    /// More headers.
    pub headers: &'h [(&'static [u8], &'static [u8])],
}

const UTF_8: &[u8] = b"utf-8";

impl<'r> Request<'r> {
    /// The method.
    pub fn method(self) -> Method {
        // SAFETY: a plain field.
        match unsafe { (*self.raw()).method } as u32 {
            sys::NGX_HTTP_GET => Method::Get,
            sys::NGX_HTTP_HEAD => Method::Head,
            sys::NGX_HTTP_POST => Method::Post,
            _ => Method::Other,
        }
    }

    /// The path of the URL, decoded, and changed by `rewrite`.
    pub fn path(self) -> &'r [u8] {
        // SAFETY: a string in the request's header or pool (ngx_http_process_request_uri()).
        unsafe { sys::bytes((*self.raw()).uri) }
    }

    /// The name of the location: a prefix, a regular expression, or `@` and a name.
    pub fn location_name(self) -> &'r [u8] {
        // SAFETY: loc_conf is that of a server or of a location, with a place for every HTTP
        // module, that of the core made by ngx_http_core_create_loc_conf().
        unsafe {
            let module = &raw const sys::ngx_http_core_module;
            let core = *(*self.raw()).loc_conf.add((*module).ctx_index);
            sys::bytes((*core.cast::<sys::ngx_http_core_loc_conf_t>()).name)
        }
    }

    /// Answers the request, with a body that `write` hands out in pieces. It is kept in buffers of
    /// the request's pool until the client has it. `O` is of the module that answers.
    pub fn reply<O: Owned>(
        self,
        head: Head<'_>,
        write: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> Code {
        // SAFETY: a live request, whose body nobody has read yet.
        let discarded = unsafe { sys::ngx_http_discard_request_body(self.as_ptr()) };
        if discarded != sys::OK {
            return Code::from_int(discarded);
        }
        let Some(pool) = self.pool() else {
            return Code::FAILED;
        };
        let output = Output::new(O::module());
        let mut filling = output.begin(pool);
        let mut is_whole = true;
        write(&mut |piece| is_whole = is_whole && filling.push(piece).is_some());
        is_whole = is_whole && filling.mark(Marks::end(self.is_main())).is_some();
        if !is_whole || !self.begin_reply(head, Some(filling.written())) {
            return Code::FAILED;
        }
        // SAFETY: a live request with the header that begin_reply() has made.
        let sent = unsafe { sys::ngx_http_send_header(self.as_ptr()) };
        if sent == sys::ERROR || sent > sys::OK || self.is_header_only() {
            return Code::from_int(sent);
        }
        // SAFETY: the header was sent, and the chain is that of `filling`.
        let next = |chain| unsafe { sys::ngx_http_output_filter(self.as_ptr(), chain) };
        filling.send(&next).unwrap_or(Code::FAILED)
    }

    /// Makes the header, without a length where that is not known. False: out of memory.
    pub(super) fn begin_reply(self, head: Head<'_>, length: Option<u64>) -> bool {
        let bare = head.media_type.split(|byte| *byte == b';').next();
        // SAFETY: plain fields of a live request. The header filter adds the charset to a type only
        // where content_type_len is the whole length (ngx_http_header_filter()); the charset filter
        // leaves the body as it is where the charset is set (ngx_http_destination_charset()).
        unsafe {
            let out = &mut (*self.raw()).headers_out;
            out.status = head.status.into();
            out.content_type = sys::string(head.media_type);
            out.content_type_len = bare.map_or(0, <[u8]>::len);
            out.content_type_lowcase = std::ptr::null_mut();
            if head.media_type.ends_with(UTF_8) {
                out.charset = sys::string(UTF_8);
            }
            out.content_length_n = length.map_or(-1, |length| length as sys::off_t);
        }
        let mut headers = head.headers.iter();
        headers.all(|(name, value)| self.push_response_header(name, value).is_some())
    }
}

/// Version of nginx, such as `1.22.1`.
pub fn nginx_version() -> &'static str {
    sys::NGINX_VERSION.to_str().unwrap_or_default()
}
