//! Variables in the attributes of the cookie of `mode=cookie`.

use sticky_core::directive::{values, CookieRule};
use sticky_core::http::cookie;

use crate::ngx::clock;
use crate::ngx::complex::Text;
use crate::ngx::conf::Conf;
use crate::ngx::request::Request;

/// The attributes whose values differ from one request to the other.
pub struct CookieVariables<'c> {
    domain: Option<Text<'c>>,
    path: Option<Text<'c>>,
}

impl<'c> CookieVariables<'c> {
    /// Resolves the variables of a directive. `None`: nginx has logged why that failed.
    pub fn new(cf: Conf<'c>, rule: &CookieRule) -> Option<Self> {
        let compiled = |text: Option<&[u8]>| match text.filter(|text| values::has_variable(text)) {
            Some(text) => Text::compile(cf, text).map(Some),
            None => Some(None),
        };
        Some(Self {
            domain: compiled(rule.domain.as_deref())?,
            path: compiled(Some(&rule.path))?,
        })
    }

    /// Whether the attributes are the same for all requests.
    pub fn is_empty(&self) -> bool {
        self.domain.is_none() && self.path.is_none()
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
        let mut written = Vec::with_capacity(64);
        attributes.write(&mut written);
        written
    }
}
