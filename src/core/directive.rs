//! Parses the words of a `sticky` directive.
//!
//! They become a [`Mode`], a type that cannot hold a contradiction, or an error that tells the
//! operator which parameter is wrong and what was expected. Nothing is guessed and nothing is
//! ignored: a parameter without effect is an error. This is the only part of the core that refuses
//! its input.
//!
//! ```text
//! sticky [mode=cookie] [name=NAME] [hash=… | hmac=… hmac_key=KEY | text=raw] …;
//! sticky mode=query [name=NAME …] [from=query,form,…] [learn=html,location,…] …;
//! sticky mode=discover [for=TIME];
//! sticky mode=rewrite [name=NAME] [hash=… | hmac=… hmac_key=KEY | text=raw] …;
//! sticky cookie NAME …;   sticky route $VARIABLE …;   sticky learn create=… lookup=… zone=… …;
//! ```

pub mod cluster;
mod cookie;
mod discover;
mod elsewhere;
mod error;
mod from;
mod hosts;
mod learn;
mod max_sessions;
mod members;
pub mod nginx_forms;
pub mod nginx_units;
mod no_fallback;
mod on_failure;
mod parameters;
mod query;
mod rewrite;
pub mod server_parameters;
mod share;
mod shown;
pub mod statsd;
pub mod status;
mod types;
pub mod values;
mod warning;

use std::sync::Arc;

use crate::counters::SessionLimit;
use crate::digest::Recipe;
use crate::http::cookie::SameSite;
use crate::scan::json::MemberPaths;
use crate::scan::learn_set::LearnSet;
use crate::scan::response_headers::NameLengths;
use crate::scan::xml::XmlNames;
use crate::table::Limits;
use crate::url::{Names, SegmentPrefix};

use nginx_forms::{NginxForm, NginxRule};
use parameters::{ModeName, Parameters};

pub use error::{DirectiveError, NginxError};
pub use shown::shown;
pub use warning::{warnings, Warning};

/// How an upstream keeps its sessions together.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The module sets a cookie that names the server.
    Cookie(CookieRule),
    /// The module learns the session ids that the application hands out.
    Query(Box<QueryRule>),
    /// The module puts the name of the server into the links of its pages.
    Rewrite(RewriteRule),
    /// The module watches, to find out what the line should be.
    Discover(DiscoverRule),
    /// One of the forms that nginx itself has since 1.29.6.
    Nginx {
        /// Its rule.
        rule: NginxRule,
        /// As in the other modes.
        is_dry_run: bool,
    },
}

impl Mode {
    /// Whether the directive only says what it would do: `dry_run`.
    pub fn is_dry_run(&self) -> bool {
        match self {
            Mode::Cookie(rule) => rule.is_dry_run,
            Mode::Query(rule) => rule.is_dry_run,
            Mode::Rewrite(rule) => rule.is_dry_run,
            Mode::Nginx { is_dry_run, .. } => *is_dry_run,
            // It steers nothing anyway.
            Mode::Discover(_) => false,
        }
    }
}

/// The rule of `mode=cookie`, compatible with nginx-sticky-module-ng.
#[derive(Clone, Debug)]
pub struct CookieRule {
    /// Name of the cookie, `route` unless configured. Safe in a Set-Cookie header.
    pub name: Vec<u8>,
    /// How a server becomes a cookie value, [`Recipe::Hash`] with MD5 unless configured.
    pub recipe: Recipe,
    /// The attribute Domain, none unless configured. May hold variables; the rest of it is safe in
    /// a Set-Cookie header.
    pub domain: Option<Vec<u8>>,
    /// The attribute Path, `/` unless configured. As `domain`.
    pub path: Vec<u8>,
    /// How many seconds from now the browser keeps the cookie, 1 to `i64::MAX`; none: until it is
    /// closed. Add it to the time with saturation.
    pub expires: Option<u64>,
    /// The attribute Secure.
    pub secure: bool,
    /// The text that begins with a variable and says whether there is that attribute.
    pub secure_if: Option<Vec<u8>>,
    /// The attribute HttpOnly.
    pub httponly: bool,
    /// The attribute SameSite; [`SameSite::None`] only together with `secure`.
    pub samesite: Option<SameSite>,
    /// The text that begins with a variable and has the value of that attribute.
    pub samesite_of: Option<Vec<u8>>,
    /// The attribute Partitioned; only together with `secure`.
    pub partitioned: bool,
    /// The value of the application's own cookie of this name follows that of the server.
    pub transfer: bool,
    /// The delimiter between the two values, a space unless configured. Never empty.
    pub delimiter: Vec<u8>,
    /// No cookie is sent: the client gets it in another way.
    pub hide_cookie: bool,
    /// Responses that shared caches may keep get a cookie, too.
    pub cacheable: bool,
    /// What becomes of a session while its server is down or has failed, [`OnFailure::Move`] unless
    /// configured.
    pub on_failure: OnFailure,
    /// A request whose server is not available is refused, not balanced.
    pub no_fallback: Option<NoFallback>,
    /// Nothing is steered, sent or rewritten, only learned and counted: `dry_run`.
    pub is_dry_run: bool,
}

/// The rule of `mode=query`.
#[derive(Clone, Debug)]
pub struct QueryRule {
    /// Names of the session id, `sid` unless configured or no place has names, with the parts of
    /// links that are searched for them and the delimiter before the name of a node.
    pub names: Arc<Names>,
    /// The same for responses: what is [met](crate::url::Met) in these is no matter of requests.
    pub response_names: Arc<Names>,
    /// The places of a request that are searched for the id, in this order, each once; never empty.
    pub from: Vec<Place>,
    /// What these are, where it can mostly be told at once that none of them has an id.
    pub cheap: Option<CheapPlaces>,
    /// Whether [`Place::Query`] is the first.
    pub begins_with_query: bool,
    /// Whether all but the first are in the body of a request.
    pub rest_is_in_body: bool,
    /// Where a response may hand out an id.
    pub learn: LearnSet,
    /// Whether one of them is [`Place::Cookie`].
    pub is_from_cookie: bool,
    /// Whether requests begin sessions, pass by their servers, or are not steered: `learn=request`,
    /// `balance_factor`, `dry_run`.
    pub is_special: bool,
    /// Whether it is not, and [`Place::Query`] is the first place.
    pub is_usual: bool,
    /// Whether an answer may do more than to hand ids out in its header and body: it keeps a session or
    /// ends one, is asked for variables, or has cookies that the client gets with another one
    /// (X-Accel-Redirect).
    pub awaits_end: bool,
    /// Whether each answer is asked for more than its header and its body tell: `learn=request`, variables,
    /// `forget=`.
    pub asks_each_answer: bool,
    /// Whether an answer may hand an id out in its header.
    pub reads_header: bool,
    /// How long the names of such headers are, and of one that may end a session.
    pub header_lengths: NameLengths,
    /// The number of the variable that ends a session, if it has a value when the header of a
    /// response has come.
    pub forget: Option<usize>,
    /// Texts that begin with a variable; places and sources have their numbers.
    pub variables: Vec<Box<[u8]>>,
    /// How long a session lives: 1 second to 366 days, `lifetime` not below `expires`.
    pub limits: Limits,
    /// Where the sessions are kept.
    pub zone: ZoneChoice,
    /// The file in which the zone is saved; none with [`ZoneChoice::Off`].
    pub state: Option<Vec<u8>>,
    /// The upstreams that say the same name have their sessions in common; none with
    /// [`ZoneChoice::Off`].
    pub share: Option<Vec<u8>>,
    /// Hosts, beside the request's own, whose links are read: `a.example`, `.example.com` or
    /// `*.example.com`, without port.
    pub hosts: Vec<Box<[u8]>>,
    /// What becomes of a session while its server is down or has failed, [`OnFailure::Move`] unless
    /// configured.
    pub on_failure: OnFailure,
    /// A request whose server is not available is refused, not balanced.
    pub no_fallback: Option<NoFallback>,
    /// So many per cent of its share of the active requests a server may have before a request of
    /// its sessions goes elsewhere, 101 to 10,000, see [`Load::is_over`](crate::load::Load::is_over).
    /// `None` with `no_fallback`.
    pub balance_factor: Option<u32>,
    /// How many sessions each server may have that does not say so itself; none with
    /// [`ZoneChoice::Off`].
    pub max_sessions: Option<SessionLimit>,
    /// Other nginx do not learn of the sessions, although there is `sticky_cluster`: `cluster=off`.
    pub is_apart: bool,
    /// Nothing is steered, sent or rewritten, only learned and counted: `dry_run`.
    pub is_dry_run: bool,
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
    /// What becomes of a session while its server is down or has failed, [`OnFailure::Move`] unless
    /// configured.
    pub on_failure: OnFailure,
    /// A request whose server is not available is refused, not balanced.
    pub no_fallback: Option<NoFallback>,
    /// Nothing is steered, sent or rewritten, only learned and counted: `dry_run`.
    pub is_dry_run: bool,
}

/// The rule of `mode=discover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoverRule {
    /// For how many seconds it watches, 60 to 604,800.
    pub seconds: u64,
}

/// Where a request has the session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query of its URL.
    Query,
    /// In a posted form.
    Form,
    /// In the path of its URL, in a parameter.
    Path,
    /// In the path of its URL, as the segment behind this prefix.
    Segment(SegmentPrefix),
    /// In a cookie of one of the names.
    Cookie,
    /// In this header, whose name is in lower case.
    Header(Box<[u8]>),
    /// In members of a JSON body.
    Json(Arc<MemberPaths>),
    /// In elements and attributes of an XML body.
    Xml(Arc<XmlNames>),
    /// In a parameter of a header.
    HeaderParameter {
        /// The name of the header in lower case.
        header: Box<[u8]>,
        /// That of the parameter.
        name: Box<[u8]>,
    },
    /// The token of `Authorization: Bearer`.
    Bearer,
    /// The value of the text of this number in [`QueryRule::variables`].
    Variable(usize),
}

/// Which places a request is searched for an id, where there are no others than these.
#[derive(Clone, Copy, Debug)]
pub struct CheapPlaces {
    /// Cookies come before all others.
    pub begin_with_cookie: bool,
    /// One is [`Place::Query`].
    pub query: bool,
    /// Some are in the body.
    pub body: bool,
    /// One is [`Place::Path`].
    pub path: bool,
    /// One is [`Place::Cookie`].
    pub cookie: bool,
}

impl CheapPlaces {
    /// `None`: there are others.
    fn of(places: &[Place]) -> Option<Self> {
        let has = |place: &Place| places.contains(place);
        let (query, path, cookie) = (has(&Place::Query), has(&Place::Path), has(&Place::Cookie));
        let in_body = places.iter().filter(|place| place.is_in_body()).count();
        let count = in_body + usize::from(query) + usize::from(path) + usize::from(cookie);
        (count == places.len()).then_some(Self {
            begin_with_cookie: places.first() == Some(&Place::Cookie),
            query,
            body: in_body > 0,
            path,
            cookie,
        })
    }
}

impl Place {
    /// Whether it is in the body of a request.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Place::Form | Place::Json(_) | Place::Xml(_))
    }

    /// Whether the id is looked for under one of these names, those of `name=`.
    fn has_a_name(&self, names: &[Box<[u8]>]) -> bool {
        match self {
            Place::Query | Place::Form | Place::Path | Place::Cookie => true,
            Place::Json(members) => names.iter().any(|name| members.have(name)),
            Place::Xml(elements) => names.iter().any(|name| elements.have(name)),
            Place::Segment(_)
            | Place::Header(_)
            | Place::HeaderParameter { .. }
            | Place::Bearer
            | Place::Variable(_) => false,
        }
    }
}

impl QueryRule {
    /// Moves the numbers of variables: the first one gets `first` instead of 0.
    pub fn number_variables_from(&mut self, first: usize) {
        let places = self.from.iter_mut().filter_map(|place| match place {
            Place::Variable(number) => Some(number),
            _ => None,
        });
        let others = self.learn.variables.iter_mut().chain(&mut self.forget);
        for number in places.chain(others) {
            *number += first;
        }
    }

    /// Whether a response may end its session.
    #[inline]
    pub fn may_end_sessions(&self) -> bool {
        self.is_from_cookie || self.forget.is_some()
    }
}

/// What a request gets that is refused because its server cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFallback {
    /// The status of nginx where no server is left, 502.
    BadGateway,
    /// 503.
    Unavailable,
}

impl Place {
    /// What `$sticky_from` calls the place: as `from=` does. Where it [has
    /// names](Self::has_names), the name that the id came under follows.
    pub fn label(&self) -> Vec<u8> {
        match self {
            Place::Query => b"query".to_vec(),
            Place::Form => b"form".to_vec(),
            Place::Path => b"path".to_vec(),
            Place::Cookie => b"cookie".to_vec(),
            Place::Segment(prefix) => [b"segment:", prefix.text()].concat(),
            Place::Header(name) => [b"header:", &**name].concat(),
            Place::HeaderParameter { header, name } => {
                [b"header:", &**header, b":", &**name].concat()
            }
            Place::Bearer => b"bearer".to_vec(),
            Place::Json(_) => b"json".to_vec(),
            Place::Xml(_) => b"xml".to_vec(),
            Place::Variable(_) => b"variable".to_vec(),
        }
    }

    /// Whether ids stand there under the names of `name=`.
    pub fn has_names(&self) -> bool {
        matches!(
            self,
            Place::Query | Place::Form | Place::Path | Place::Cookie
        )
    }
}

/// What becomes of a session when its server is down or has failed, and another server answers its
/// requests. One whose server was removed moves in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It moves to the server that answers.
    Move,
    /// It stays: its requests return as soon as its server is back.
    Keep,
}

/// Where the sessions of an upstream are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneChoice {
    /// In a shared-memory zone named after the upstream.
    Own,
    /// In a shared-memory zone that other upstreams may use, too.
    Named {
        /// Its name, never empty and not `off`.
        name: Vec<u8>,
        /// Its size in bytes, at least 32 KB; none: that of another upstream, or the default.
        size: Option<usize>,
    },
    /// In the memory of each worker process.
    Off,
}

/// Parses the words behind `sticky` in the configuration, none for a bare `sticky;`.
///
/// They may stand in any order, `mode=` included. The rules for `mode=cookie` are those of
/// nginx-sticky-module-ng (`ngx_http_sticky_set()`), except that what it silently overrides or
/// ignores is an error: a parameter given twice, `hmac_key=` or `delimiter=` without effect.
///
/// ```
/// use sticky_core::directive::{parse, Mode, Place};
///
/// match parse(&[b"mode=query", b"name=sid", b"expires=30m"]) {
///     Ok(Mode::Query(rule)) => {
///         assert_eq!(rule.from, [Place::Cookie, Place::Path, Place::Query, Place::Form]);
///         assert_eq!(rule.limits.expires, 1800);
///     }
///     other => panic!("{other:?}"),
/// }
///
/// let error = parse(&[b"secur"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid parameter \"secur\" in \"sticky\" directive, did you mean \"secure\"?"
/// );
/// ```
///
/// # Errors
///
/// A mode that does not exist, else the first invalid word, else a contradiction between them.
pub fn parse(words: &[&[u8]]) -> Result<Mode, DirectiveError> {
    parse_with_key(words, &[])
}

/// The same for words that have [`key_file`], with what is in that file.
///
/// # Errors
///
/// As [`parse`], to which every such file is empty; and a file without a key.
pub fn parse_with_key(words: &[&[u8]], key_file: &[u8]) -> Result<Mode, DirectiveError> {
    // Only as the first word, as in nginx's own directive.
    if let Some((first, rest)) = words.split_first() {
        if let Some(form) = NginxForm::named(first) {
            let read = || {
                let (words, is_dry_run) = nginx_forms::without_dry_run(form, rest)?;
                let rule = nginx_forms::rule(form, &words)?;
                Ok(Mode::Nginx { rule, is_dry_run })
            };
            return read().map_err(DirectiveError::Nginx);
        }
    }
    if let Some(rule) = discover::rule(words)? {
        return Ok(Mode::Discover(rule));
    }
    let parameters = Parameters::read(words, key_file)?;
    match parameters.mode() {
        ModeName::Cookie => cookie::rule(&parameters).map(Mode::Cookie),
        ModeName::Query => query::rule(&parameters).map(|rule| Mode::Query(Box::new(rule))),
        ModeName::Rewrite => rewrite::rule(&parameters).map(Mode::Rewrite),
    }
}

/// The file that `hmac_key_file=` names, whose content [`parse_with_key`] needs.
pub fn key_file<'a>(words: &[&'a [u8]]) -> Option<&'a [u8]> {
    if words
        .first()
        .is_some_and(|first| NginxForm::named(first).is_some())
    {
        return None;
    }
    let file = words
        .iter()
        .find_map(|word| word.strip_prefix(b"hmac_key_file="))?;
    (!file.is_empty() && !values::has_variable(file)).then_some(file)
}
