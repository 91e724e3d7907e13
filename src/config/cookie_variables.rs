//! Variables in the attributes of the cookie of `mode=cookie`.

use std::cell::Cell;

use sticky_core::directive::{values, CookieRule};
use sticky_core::http::cookie::{self, SameSite};

use crate::ngx::clock;
use crate::ngx::complex::Text;
use crate::ngx::conf::Conf;
use crate::ngx::log::{Level, Log};
use crate::ngx::request::Request;

/// The attributes whose values differ from one request to the other.
pub struct CookieVariables<'c> {
    domain: Option<Text<'c>>,
    path: Option<Text<'c>>,
    secure: Option<Text<'c>>,
    samesite: Option<Text<'c>>,
    /// This worker has logged that a value of `samesite` is none.
    logged_samesite: Cell<bool>,
    upstream: &'c [u8],
}

impl<'c> CookieVariables<'c> {
    /// Resolves the variables of a directive. `None`: nginx has logged why that failed.
    pub fn new(cf: Conf<'c>, rule: &CookieRule, upstream: &'c [u8]) -> Option<Self> {
        let compiled = |text: Option<&[u8]>| match text.filter(|text| values::has_variable(text)) {
            Some(text) => Text::compile(cf, text).map(Some),
            None => Some(None),
        };
        Some(Self {
            domain: compiled(rule.domain.as_deref())?,
            path: compiled(Some(&rule.path))?,
            secure: compiled(rule.secure_if.as_deref())?,
            samesite: compiled(rule.samesite_of.as_deref())?,
            logged_samesite: Cell::new(false),
            upstream,
        })
    }

    /// The strictest one where a value is none of the three; without a value, no attribute.
    fn samesite(&self, value: &[u8]) -> Option<SameSite> {
        let named = SameSite::named(value);
        if named.is_none() && !value.is_empty() {
            if !self.logged_samesite.replace(true) {
                Log::cycle().write(
                    Level::Error,
                    format_args!(
                        "sticky: a cookie gets \"samesite=strict\", the value of the variable is \
                         \"{}\", expected \"strict\", \"lax\" or \"none\", upstream \"{}\"",
                        shown(value),
                        self.upstream.escape_ascii()
                    ),
                );
            }
            return Some(SameSite::Strict);
        }
        named
    }

    /// Whether the attributes are the same for all requests.
    pub fn is_empty(&self) -> bool {
        let all = [&self.domain, &self.path, &self.secure, &self.samesite];
        all.into_iter().all(Option::is_none)
    }

    /// The attributes of a cookie that is set now. One whose variables give nothing, or what would
    /// break the header, is left out.
    pub fn attributes(&self, r: Request<'c>, rule: &CookieRule) -> Vec<u8> {
        let usable = |text: Text<'c>| {
            let value = text.evaluate(r);
            value.filter(|value| !value.is_empty() && cookie::is_safe(value))
        };
        let mut attributes = rule.attributes(rule.expires_at(clock::unix_seconds()));
        if let Some(domain) = self.domain {
            attributes.domain = usable(domain);
        }
        if let Some(path) = self.path {
            attributes.path = usable(path).unwrap_or_default();
        }
        if let Some(secure) = self.secure {
            let value = secure.evaluate(r).unwrap_or_default();
            attributes.secure = !matches!(value, b"" | b"0");
        }
        if let Some(samesite) = self.samesite {
            attributes.samesite = self.samesite(samesite.evaluate(r).unwrap_or_default());
        }
        // Browsers drop a cookie that is not secure for these.
        if !attributes.secure {
            attributes.partitioned = false;
            attributes.samesite = attributes.samesite.filter(|is| *is != SameSite::None);
        }
        let mut written = Vec::with_capacity(64);
        attributes.write(&mut written);
        written
    }
}

/// The beginning of a value, safe in a line of the log.
fn shown(value: &[u8]) -> std::slice::EscapeAscii<'_> {
    const MAX_SHOWN: usize = 80;
    value.get(..MAX_SHOWN).unwrap_or(value).escape_ascii()
}
