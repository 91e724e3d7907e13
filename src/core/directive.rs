//! What the words of a `sticky` directive mean.
//!
//! The words become one [`Mode`], a type that cannot hold a contradiction, or an error that tells
//! the operator which parameter is wrong and what was expected. Nothing is guessed and nothing is
//! ignored: what has no effect is an error. This is the only part of the core that may refuse.
//!
//! ```text
//! sticky [mode=cookie] [name=NAME] [hash=… | hmac=… hmac_key=KEY | text=raw] …;
//! sticky mode=query [name=NAME …] [from=query,form,…] [learn=html,location,…] …;
//! sticky mode=rewrite [name=NAME] [hash=… | hmac=… hmac_key=KEY | text=raw] …;
//! sticky cookie NAME …;   sticky route $VARIABLE …;   sticky learn create=… lookup=… zone=… …;
//! ```

mod cookie;
mod error;
pub mod native;
pub mod nginx_units;
mod parameters;
mod places;
mod query;
mod rewrite;

use std::sync::Arc;

use crate::digest::Recipe;
use crate::http::cookie::SameSite;
use crate::scan::learn_set::LearnSet;
use crate::table::Limits;
use crate::url::Names;

pub use error::DirectiveError;
use native::{Form, NativeRule};
use parameters::{Kind, Parameters};

/// How an upstream keeps its sessions together.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The module sets a cookie that names the server.
    Cookie(CookieRule),
    /// The module learns the session ids that the application hands out.
    Query(QueryRule),
    /// The module puts the server's name into the links of its pages.
    Rewrite(RewriteRule),
    /// One of the forms that nginx itself has since 1.29.6.
    Native(NativeRule),
}

/// The rule of `mode=cookie`, compatible with nginx-sticky-module-ng.
#[derive(Clone, Debug)]
pub struct CookieRule {
    /// Name of the cookie, `route` unless configured. Fit for a Set-Cookie header.
    pub name: Vec<u8>,
    /// How a server becomes a cookie value, [`Recipe::Hash`] with MD5 unless configured.
    pub recipe: Recipe,
    /// The attribute Domain, none unless configured. Fit for a Set-Cookie header.
    pub domain: Option<Vec<u8>>,
    /// The attribute Path, `/` unless configured. Fit for a Set-Cookie header.
    pub path: Vec<u8>,
    /// For how many seconds from now the browser keeps the cookie, 1 to `i64::MAX`; none: until it
    /// is closed. Add it to the time with saturation.
    pub expires: Option<u64>,
    /// The attribute Secure.
    pub secure: bool,
    /// The attribute HttpOnly.
    pub httponly: bool,
    /// The attribute SameSite; [`SameSite::None`] only together with `secure`.
    pub samesite: Option<SameSite>,
    /// The attribute Partitioned; only together with `secure`.
    pub partitioned: bool,
    /// The value of the application's own cookie of this name is carried behind the server's.
    pub transfer: bool,
    /// What stands between the two values, a space unless configured. Never empty.
    pub delimiter: Vec<u8>,
    /// No cookie is sent: the client has it from somewhere else.
    pub hide_cookie: bool,
    /// A request whose server cannot be used is refused, not balanced.
    pub no_fallback: bool,
}

/// The rule of `mode=query`.
#[derive(Clone, Debug)]
pub struct QueryRule {
    /// Names of the parameter that carries the session id, `sid` unless configured, with where they
    /// stand in links and what cuts the name of a node off.
    pub names: Arc<Names>,
    /// Where a request may carry the id, in the order of search, each place once; never empty.
    pub from: Vec<Place>,
    /// Where a response may hand an id out.
    pub learn: LearnSet,
    /// How long a session lives: 1 second to 366 days, `lifetime` not below `expires`.
    pub limits: Limits,
    /// Where the sessions are kept.
    pub zone: ZoneChoice,
    /// The file that the zone is written to and read from, not with [`ZoneChoice::Off`].
    pub state: Option<Vec<u8>>,
    /// Hosts, beside the request's own, whose links are followed: `a.example`, `.example.com` or
    /// `*.example.com`, without port.
    pub hosts: Vec<Box<[u8]>>,
    /// A request whose server cannot be used is refused, not balanced.
    pub no_fallback: bool,
}

/// The rule of `mode=rewrite`.
#[derive(Clone, Debug)]
pub struct RewriteRule {
    /// The one name of the parameter, `route` unless configured.
    pub names: Arc<Names>,
    /// How a server becomes a value, [`Recipe::Hash`] with MD5 unless configured.
    pub recipe: Recipe,
    /// Hosts, beside the request's own, whose links get the parameter: as in [`QueryRule`].
    pub hosts: Vec<Box<[u8]>>,
    /// A request whose server cannot be used is refused, not balanced.
    pub no_fallback: bool,
}

/// Where a request carries the session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query of its URL.
    Query,
    /// In the form that it posts.
    Form,
    /// In the path of its URL.
    Path,
    /// In a cookie of that name.
    Cookie,
    /// In this header, whose name is in lower case.
    Header(Box<[u8]>),
}

/// Where the sessions of an upstream are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneChoice {
    /// In a shared-memory zone named after the upstream.
    Own,
    /// In a shared-memory zone that other upstreams may use too.
    Named {
        /// Its name, never empty and not `off`.
        name: Vec<u8>,
        /// Its size in bytes, at least 32 KB; none: as another upstream says, or the default.
        size: Option<usize>,
    },
    /// In the memory of each worker process.
    Off,
}

/// Reads the words that follow `sticky` in the configuration, none for a bare `sticky;`.
///
/// The words may stand in any order, `mode=` included. The rules for `mode=cookie` are those of
/// nginx-sticky-module-ng (`ngx_http_sticky_set()`), except that what it silently overrides or
/// ignores is an error: a parameter given twice, `hmac_key=` or `delimiter=` without effect.
///
/// # Errors
///
/// A mode that there is not, else the first word that is wrong, else a contradiction between them.
pub fn parse(words: &[&[u8]]) -> Result<Mode, DirectiveError> {
    // Only as the first word: that is where nginx's own directive has its kind.
    if let Some((first, rest)) = words.split_first() {
        if let Some(form) = Form::named(first) {
            return native::rule(form, rest)
                .map(Mode::Native)
                .map_err(DirectiveError::Native);
        }
    }
    let parameters = Parameters::read(words)?;
    match parameters.kind() {
        Kind::Cookie => cookie::rule(&parameters).map(Mode::Cookie),
        Kind::Query => query::rule(&parameters).map(Mode::Query),
        Kind::Rewrite => rewrite::rule(&parameters).map(Mode::Rewrite),
    }
}
