//! The cookies that name a server, at run time: which servers the value of one may name, and how
//! one is written.

use memchr::memmem;

use crate::directive::nginx_forms::{is_samesite, Expires, NginxCookieRule};
use crate::directive::CookieRule;
use crate::http::cookie::{self, Attributes};

/// How many delimiters of a cookie are tried: enough for the dots of an address or a path, and a
/// bound on the work that a client can cause.
const MAX_DELIMITERS: usize = 16;

impl CookieRule {
    /// The routes that the value of a client's cookie may have, the likeliest first.
    ///
    /// Without `transfer`, that is the value itself. With it, the route ends at the first
    /// delimiter, as in nginx-sticky-module-ng. Then the next delimiters are tried, because the
    /// name of a server under `text=raw` may contain the delimiter (`10.0.0.1:8080` and `.`), and
    /// at last the whole value, which a client has as long as the application has set no cookie of
    /// its own.
    pub fn routes<'s>(&'s self, cookie: &'s [u8]) -> impl Iterator<Item = &'s [u8]> + 's {
        let cuts = self
            .transfer
            .then(|| memmem::find_iter(cookie, &self.delimiter));
        let cuts = cuts.into_iter().flatten().take(MAX_DELIMITERS);
        cuts.filter_map(|at| cookie.get(..at))
            .chain(std::iter::once(cookie))
    }

    /// Until when the browser keeps a cookie that is set at `now`, both in seconds since 1970 UTC.
    pub fn expires_at(&self, now: i64) -> Option<i64> {
        let seconds = self.expires?;
        Some(now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// The attributes of a cookie that the browser keeps until `expires`, in seconds since 1970
    /// UTC.
    pub fn attributes(&self, expires: Option<i64>) -> Attributes<'_> {
        Attributes {
            domain: self.domain.as_deref(),
            expires,
            path: &self.path,
            secure: self.secure,
            httponly: self.httponly,
            samesite: self.samesite,
            partitioned: self.partitioned,
        }
    }
}

impl NginxCookieRule {
    /// The value of Set-Cookie, in the order and the spelling of nginx
    /// (`ngx_http_upstream_sticky_cookie_insert()`). `domain` and `samesite` are the values of
    /// these attributes for this response, empty for none; `now` is in seconds since 1970 UTC.
    pub fn set_cookie(&self, value: &[u8], domain: &[u8], samesite: &[u8], now: i64) -> Vec<u8> {
        let mut line = Vec::with_capacity(128);
        line.extend_from_slice(&self.name);
        line.push(b'=');
        line.extend_from_slice(value);
        match self.expires {
            None => {}
            Some(Expires::Max) => {
                line.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000")
            }
            Some(Expires::After(seconds)) => {
                let at = now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
                line.extend_from_slice(b"; expires=");
                cookie::write_short_date(at, &mut line);
                line.extend_from_slice(format!("; max-age={seconds}").as_bytes());
            }
        }
        if !domain.is_empty() {
            line.extend_from_slice(b"; domain=");
            line.extend_from_slice(domain);
        }
        if self.httponly {
            line.extend_from_slice(b"; httponly");
        }
        if self.secure {
            line.extend_from_slice(b"; secure");
        }
        if !samesite.is_empty() {
            line.extend_from_slice(b"; samesite=");
            // A variable may have any value.
            line.extend_from_slice(if is_samesite(samesite) {
                samesite
            } else {
                b"strict"
            });
        }
        if let Some(path) = &self.path {
            line.extend_from_slice(b"; path=");
            line.extend_from_slice(path);
        }
        line
    }
}
