//! An upstream of the configuration.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::owned::SrvConf;
use super::sys;

/// `ngx_http_upstream_srv_conf_t`: one upstream of the configuration, alive for `'c`.
#[derive(Clone, Copy)]
pub struct Upstream<'c>(
    NonNull<sys::ngx_http_upstream_srv_conf_t>,
    PhantomData<&'c ()>,
);

/// An address of the configuration.
pub struct Address<'c> {
    /// Position of its `server` directive in the block.
    pub position: usize,
    /// Printable, `10.0.0.1:8080`.
    pub name: &'c [u8],
    /// `route=`, where nginx knows it (since 1.29.6); else empty.
    pub sid: &'c [u8],
    /// It is of a backup server.
    pub is_backup: bool,
    /// `down` of its directive; 0 when it is not set.
    pub down: usize,
}

fn is_resolved(server: &sys::ngx_http_upstream_server_t) -> bool {
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    return server.host.len != 0;
    #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
    {
        let _ = server;
        false
    }
}

impl<'c> Upstream<'c> {
    /// # Safety
    /// `us` lives for `'c`.
    pub unsafe fn from_ptr(us: *mut sys::ngx_http_upstream_srv_conf_t) -> Option<Self> {
        NonNull::new(us).map(|us| Self(us, PhantomData))
    }

    /// The upstream that nginx passes to a callback.
    ///
    /// # Safety
    /// `us` is not NULL, and lives for `'c`.
    #[inline(always)]
    pub unsafe fn of_callback(us: *mut sys::ngx_http_upstream_srv_conf_t) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(us) }, PhantomData)
    }

    /// The pointer for nginx's own functions.
    pub fn as_ptr(self) -> *mut sys::ngx_http_upstream_srv_conf_t {
        self.0.as_ptr()
    }

    /// The upstream's name.
    pub fn name(self) -> &'c [u8] {
        // SAFETY: a string of a live configuration (ngx_http_upstream_add()).
        unsafe { sys::bytes(self.0.as_ref().host) }
    }

    /// Its `server` directives so far, in order.
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

    /// Sets `down` of the latest `server` directive. Only while the block is read.
    #[cfg(not(nginx_since = "1.29.6"))]
    pub fn set_down(self, down: usize) {
        // SAFETY: as in servers(); nobody else uses the element meanwhile.
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

    /// Whether the balancer knows `down` (NGX_HTTP_UPSTREAM_DOWN).
    #[cfg(not(nginx_since = "1.29.6"))]
    pub fn supports_down(self) -> bool {
        // SAFETY: a field of a live configuration.
        unsafe { self.0.as_ref().flags & sys::NGX_HTTP_UPSTREAM_DOWN as usize != 0 }
    }

    /// The addresses of its `server` directives, in the order of round robin's peers. Those of names
    /// that are resolved at run time are not among them.
    pub fn addresses(self) -> Vec<Address<'c>> {
        let mut addresses = Vec::new();
        for is_backup in [false, true] {
            for (position, server) in self.servers().iter().enumerate() {
                if is_resolved(server) || (server.backup() != 0) != is_backup {
                    continue;
                }
                #[cfg(nginx_since = "1.29.6")]
                // SAFETY: a string of a live configuration (ngx_http_upstream_server()).
                let sid = unsafe { sys::bytes(server.sid) };
                #[cfg(not(nginx_since = "1.29.6"))]
                let sid = &b""[..];
                for index in 0..server.naddrs {
                    // SAFETY: addrs has naddrs elements (ngx_parse_url()), whose names live as long
                    // as the configuration.
                    let name = unsafe { sys::bytes((*server.addrs.add(index)).name) };
                    addresses.push(Address {
                        position,
                        name,
                        sid,
                        is_backup,
                        down: server.down,
                    });
                }
            }
        }
        addresses
    }

    /// What the configuration calls its servers: each address, and each name that is resolved at run
    /// time.
    pub fn labels(self) -> BTreeSet<&'c [u8]> {
        self.placed_labels().map(|(_, label)| label).collect()
    }

    /// The same, each with the position of its `server` directive.
    pub fn placed_labels(self) -> impl Iterator<Item = (usize, &'c [u8])> {
        let all = self.servers().iter().enumerate();
        let resolved = all.filter(|(_, server)| is_resolved(server));
        // SAFETY: a string of a live configuration (ngx_http_upstream_server()).
        let resolved = resolved.map(|(at, server)| (at, unsafe { sys::bytes(server.name) }));
        let fixed = self.addresses().into_iter();
        fixed
            .map(|address| (address.position, address.name))
            .chain(resolved)
    }

    /// Whether the address of a server is resolved at run time.
    pub fn has_resolved(self) -> bool {
        self.servers().iter().any(is_resolved)
    }

    /// A module's configuration of this upstream. `None` for an upstream that is no block
    /// (`proxy_pass http://10.0.0.1`).
    pub fn srv_conf<T: SrvConf>(self) -> Option<&'c T> {
        // SAFETY: SrvConf says what the place holds. ngx_http_upstream() makes srv_conf, with a place
        // for every HTTP module; ngx_http_upstream_add() alone leaves it NULL.
        unsafe {
            let confs = NonNull::new(self.0.as_ref().srv_conf)?;
            (*confs.as_ptr().add((*T::module()).ctx_index))
                .cast::<T>()
                .as_ref()
        }
    }
}
