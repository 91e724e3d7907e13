//! What a handler of ours asks of a request that wants something done: its body, and who has sent it.

use super::super::chain::Code;
use super::super::guard::guard;
use super::super::sys;
use super::Request;

/// What a content handler returns.
#[derive(Clone, Copy)]
pub struct Reply(sys::ngx_int_t);

impl Reply {
    /// The request is counted once more, and is answered later.
    pub(super) const DONE: Self = Self(sys::DONE);

    /// The request has been answered, with this result.
    pub fn of(code: Code) -> Self {
        Self(code.as_int())
    }

    /// The code for nginx.
    pub fn as_int(self) -> sys::ngx_int_t {
        self.0
    }
}

/// Handles a request whose body has been read.
pub trait WithBody {
    /// Answers it.
    fn handle(r: Request<'_>) -> Reply;
}

impl<'r> Request<'r> {
    /// Reads the body, however slowly it comes, and calls `H` then. What is returned is for nginx, from
    /// a content handler.
    pub fn read_body<H: WithBody>(self) -> Reply {
        // SAFETY: a live request in a content handler, whose body nobody has read yet.
        let code =
            unsafe { sys::ngx_http_read_client_request_body(self.as_ptr(), Some(with_body::<H>)) };
        // As every content handler of nginx: the request is counted once more until it has its body.
        match code >= sys::NGX_HTTP_SPECIAL_RESPONSE as sys::ngx_int_t {
            true => Reply(code),
            false => Reply::DONE,
        }
    }

    /// The length of the body, where the header tells it.
    pub fn body_length(self) -> Option<u64> {
        // SAFETY: a plain field.
        let length = unsafe { (*self.raw()).headers_in.content_length_n };
        length.try_into().ok()
    }

    /// The value of a variable by its name, in lower case. `None`: there is none.
    pub fn variable(self, name: &[u8]) -> Option<&'r [u8]> {
        let mut name = sys::string(name);
        // SAFETY: ngx_hash_key() and ngx_http_get_variable() read the name, and the latter returns
        // NULL or a value that lives as long as the request.
        unsafe {
            let hash = sys::ngx_hash_key(name.data, name.len);
            let value = sys::ngx_http_get_variable(self.as_ptr(), &raw mut name, hash).as_ref()?;
            if value.not_found() != 0 || value.data.is_null() {
                return None;
            }
            Some(std::slice::from_raw_parts(value.data, value.len() as usize))
        }
    }

    /// The address of whoever is at the other end of the connection, as text, as if no module had put
    /// another one in its place; `unix:` for a unix socket.
    pub fn connected_address(self) -> &'r [u8] {
        self.variable(b"realip_remote_addr")
            // Without the module realip nobody changes it.
            .or_else(|| self.variable(b"remote_addr"))
            .unwrap_or_default()
    }

    /// Whether the other end speaks for somebody else by the PROXY protocol.
    pub fn has_proxy_protocol(self) -> bool {
        self.variable(b"proxy_protocol_addr")
            .is_some_and(|address| !address.is_empty())
    }
}

unsafe extern "C" fn with_body<H: WithBody>(r: sys::RequestPtr) {
    // SAFETY: ngx_http_read_client_request_body() passes the request that read_body() has given it.
    let Some(request) = (unsafe { Request::from_ptr(r) }) else {
        return;
    };
    let failed = sys::NGX_HTTP_INTERNAL_SERVER_ERROR as sys::ngx_int_t;
    let code = guard(failed, || H::handle(request).as_int());
    // SAFETY: as ngx_http_upstream_init() and others end a request that their handler has got the
    // body for.
    unsafe { sys::ngx_http_finalize_request(r, code) }
}
