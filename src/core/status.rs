//! What an operator sees of the upstreams and zones: a [`Report`], and its forms as a page, as JSON
//! and as metrics.
//!
//! The report is plain data, or a [`View`] of it, of which each form asks for one upstream after the
//! other. What is not known is `None`, and is left out of all three forms.

use std::borrow::Cow;

use crate::discover::judge::Findings;
use crate::events::{BodyEnd, Forget, Move, Reader, Skip, Source, Status};

mod address;
mod html;
mod json;
mod metrics;
mod pieces;
mod shown;
mod time;
mod verdict;
mod writing;

pub use address::{Form, Query};
pub use html::{content_security_policy, DETAILED};
pub use json::{done, refusal, SCHEMA};
pub use metrics::{Family, FAMILIES};
pub use verdict::{Standing, Verdict};
pub use writing::{json, metrics, page, Writing, AT_ONCE};

/// Media types of the three forms, and of a refusal that is not JSON.
pub mod media_type {
    /// Of [`page`](super::page()).
    pub const PAGE: &[u8] = b"text/html; charset=utf-8";
    /// Of [`json`](super::json()) and [`refusal`](super::refusal).
    pub const JSON: &[u8] = b"application/json";
    /// Of [`metrics`](super::metrics()).
    pub const METRICS: &[u8] = b"text/plain; version=0.0.4; charset=utf-8";
    /// Of a line of text.
    pub const TEXT: &[u8] = b"text/plain; charset=utf-8";
}

/// All that is shown, at one time.
#[derive(Clone, Debug, Default)]
pub struct Report<'a> {
    /// Version of the module.
    pub version: &'a str,
    /// Version of nginx.
    pub nginx: &'a str,
    /// When it was made, in seconds since 1970.
    pub now: u64,
    /// The upstreams, in the order of the configuration.
    pub upstreams: Vec<Upstream<'a>>,
    /// The zones that hold their sessions.
    pub zones: Vec<Zone<'a>>,
    /// `sticky_cluster`.
    pub cluster: Option<Cluster<'a>>,
    /// Whoever sees it may do something: the token of his forms.
    pub token: Option<String>,
    /// What a page begins with, after somebody has done something.
    pub notice: Option<Notice>,
}

/// Where a form finds what it shows, when it comes to it.
pub trait View {
    /// What there is beside upstreams and zones.
    fn about(&self) -> &Report<'_>;
    /// How many upstreams there are.
    fn upstreams(&self) -> usize;
    /// One of them, by its place. Of what is not wanted of it, nothing is known.
    fn upstream(&self, at: usize, wanted: Wanted) -> Upstream<'_>;
    /// How many zones there are.
    fn zones(&self) -> usize;
    /// One of them, by its place.
    fn zone(&self, at: usize) -> Zone<'_>;
    /// Whether what was asked for since the last call took some milliseconds: all else is for the next
    /// turn.
    fn took_long(&self) -> bool {
        false
    }
}

/// What is wanted of an upstream, beside its name and how its sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// What became of its requests.
    Sums,
    /// What is counted of its servers, in any order.
    Counts,
    /// Its servers.
    Servers,
    /// Everything.
    All,
}

impl View for Report<'_> {
    fn about(&self) -> &Report<'_> {
        self
    }

    fn upstreams(&self) -> usize {
        self.upstreams.len()
    }

    fn upstream(&self, at: usize, _: Wanted) -> Upstream<'_> {
        self.upstreams.get(at).cloned().unwrap_or_default()
    }

    fn zones(&self) -> usize {
        self.zones.len()
    }

    fn zone(&self, at: usize) -> Zone<'_> {
        self.zones.get(at).cloned().unwrap_or_default()
    }
}

/// What has come of something that somebody has done on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is done.
    Done(String),
    /// It is not.
    Refused(String),
    /// Whether it is meant, and the parameters that say so.
    Ask(String, Vec<(&'static str, Vec<u8>)>),
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Name of the action.
    pub action: &'static str,
    /// The upstream.
    pub upstream: Vec<u8>,
    /// The server.
    pub server: Option<Vec<u8>>,
    /// The same in words.
    pub text: String,
    /// How many sessions were changed. `None`: that is not known yet, or none could be.
    pub sessions: Option<u64>,
    /// The session that was looked up. `None` within: there is none.
    pub found: Option<Option<Found>>,
}

/// A session that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its server. `None`: it has left, or the next request chooses one.
    pub server: Option<Vec<u8>>,
    /// Seconds since it began.
    pub age: u64,
    /// Seconds since its last use, as far as that is written down.
    pub unused_for: u64,
    /// A request has come back with the id.
    pub is_in_use: bool,
}

/// An upstream with a `sticky` directive.
#[derive(Clone, Debug, Default)]
pub struct Upstream<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its directives of this module, as configured but without secrets, see
    /// [`directive::shown`](crate::directive::shown()).
    pub directives: Vec<&'a [u8]>,
    /// How its sessions are kept together.
    pub mode: Mode,
    /// nginx itself carries the directive out, since 1.29.6: nothing is known of its sessions.
    pub is_nginx: bool,
    /// Nothing is steered or sent, see
    /// [`Mode::is_dry_run`](crate::directive::Mode::is_dry_run): the outcomes are what would have
    /// become of requests.
    pub is_dry_run: bool,
    /// Place in [`Report::zones`] of the zone with its sessions, where it has one.
    pub zone: Option<usize>,
    /// `share=`.
    pub share: Option<&'a [u8]>,
    /// Its servers, each name once.
    pub servers: Vec<Server<'a>>,
    /// What reads bodies of its responses, as configured.
    pub readers: Vec<Reader>,
    /// What became of its requests.
    pub sums: Option<Sums>,
    /// How far `mode=discover` has come.
    pub watched: Option<Watched>,
    /// What `mode=discover` has found out.
    pub discovered: Option<Findings>,
}

/// How far `mode=discover` has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watched {
    /// Requests that were looked at.
    pub requests: u64,
    /// When it ends, or has ended, in seconds since 1970.
    pub until: u64,
}

impl Upstream<'_> {
    /// How many bodies were read and how far, by each that reads them now, or did before.
    pub fn bodies<'s>(
        &'s self,
        sums: &'s Sums,
    ) -> impl Iterator<Item = (Reader, &'s [u64; BodyEnd::COUNT])> {
        let all = Reader::ALL.iter().copied().zip(&sums.bodies);
        all.filter(|(reader, ends)| self.readers.contains(reader) || ends.iter().any(|it| *it > 0))
    }
}

/// How the sessions of an upstream are kept together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// `mode=cookie`.
    #[default]
    Cookie,
    /// `mode=query`.
    Query,
    /// `mode=rewrite`.
    Rewrite,
    /// `mode=discover`.
    Discover,
    /// `sticky cookie`, `sticky route`.
    Nginx,
    /// `sticky learn`.
    Learn,
}

impl Mode {
    /// What JSON calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Cookie => "cookie",
            Mode::Query => "query",
            Mode::Rewrite => "rewrite",
            Mode::Discover => "discover",
            Mode::Nginx => "nginx",
            Mode::Learn => "learn",
        }
    }

    /// Whether sessions are learned from responses.
    pub const fn learns(self) -> bool {
        matches!(self, Mode::Query | Mode::Learn)
    }
}

/// Counts of an upstream, by the numbers of the enumerations of [`events`](crate::events).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Since when they are counted, in seconds since 1970.
    pub since: Option<u64>,
    /// When the memory of all counts has grown, in the same way: what workers have counted later
    /// that were ending then is missing.
    pub grown: Option<u64>,
    /// Requests by what became of their sessions.
    pub requests: [u64; Status::COUNT],
    /// Sessions learned, by where.
    pub learned: [u64; Source::COUNT],
    /// Ids that were not learned, and responses not read.
    pub skipped: [u64; Skip::COUNT],
    /// Sessions that went to another server.
    pub moved: [u64; Move::COUNT],
    /// Sessions forgotten before their time.
    pub forgotten: [u64; Forget::COUNT],
    /// Bodies of responses, by what has read them and how far.
    pub bodies: [[u64; BodyEnd::COUNT]; Reader::COUNT],
    /// Bytes of them that were read, as they came from the server.
    pub body_bytes: u64,
    /// Of the requests that are [`Status::Gone`], those that are so because an operator wanted it.
    pub planned: u64,
}

impl Sums {
    /// Requests that went to the server of their session.
    pub fn steered(&self) -> u64 {
        self.requests[Status::Hit.number()]
    }

    /// Requests for which the balancer chose.
    pub fn balanced(&self) -> u64 {
        self.total().saturating_sub(self.steered())
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.requests.iter().sum()
    }

    /// Requests that came with a session id.
    pub fn with_id(&self) -> u64 {
        let without = [Status::None, Status::New].map(|status| self.requests[status.number()]);
        self.total().saturating_sub(without.iter().sum())
    }

    /// Those that are judged by: their sessions should have held. Moves that an operator wanted are none of their faults.
    pub fn judged(&self) -> u64 {
        let planned = self.planned.min(self.requests[Status::Gone.number()]);
        self.with_id().saturating_sub(planned)
    }
}

/// A server of an upstream: one address.
#[derive(Clone, Debug, Default)]
pub struct Server<'a> {
    /// Its printable address.
    pub name: Cow<'a, [u8]>,
    /// `route=`.
    pub route: Option<Cow<'a, [u8]>>,
    /// It is a backup server.
    pub is_backup: bool,
    /// The configuration says that it is down.
    pub is_down: bool,
    /// It gets the requests of its own sessions alone.
    pub is_draining: bool,
    /// It is drained by hand, or says that it wants no new sessions.
    pub drain: Option<ServerDrain>,
    /// How many sessions it may have.
    pub max_sessions: Option<u64>,
    /// It has so many: new ones go to others.
    pub is_full: bool,
    /// Its sessions, as last counted.
    pub sessions: Option<Sessions>,
    /// Requests that went to it because their session is there.
    pub hits: Option<u64>,
    /// When a request of a session last went to it, in seconds since 1970.
    pub last_use: Option<u64>,
}

/// How a server is drained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerDrain {
    /// The server itself has said so.
    pub is_announced: bool,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// From when on its own sessions go elsewhere, too, in seconds since 1970.
    pub until: Option<u64>,
}

/// How many sessions a server has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sessions {
    /// A request has come back with the id.
    pub in_use: u64,
    /// None has yet.
    pub unused: u64,
    /// When they were counted, in seconds since 1970.
    pub counted: Option<u64>,
}

/// A zone with a session table.
#[derive(Clone, Debug, Default)]
pub struct Zone<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// How many sessions there is room for.
    pub capacity: u64,
    /// Its sessions, as last counted. `None`: not yet.
    pub sessions: Option<Sessions>,
    /// Sessions that were learned, since the zone was made.
    pub learned: u64,
    /// Live sessions in use that were given up for new ones.
    pub evicted_in_use: u64,
    /// The same for those that no request had come back for.
    pub evicted_unused: u64,
    /// When one was last given up, in seconds since 1970.
    pub last_eviction: Option<u64>,
    /// Sessions that were not learned: no place.
    pub refused: u64,
    /// `state=`.
    pub state: Option<StateFile<'a>>,
}

/// The part of this nginx in a cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster<'a> {
    /// Where the store is, without user and password.
    pub store: Cow<'a, [u8]>,
    /// Whether it answers.
    pub is_up: bool,
    /// When it has last answered, in seconds since 1970. `None`: it never has.
    pub last_contact: Option<u64>,
    /// How many nginx are there, with this one.
    pub nodes: u64,
    /// Milliseconds from when another one has sent the latest records to when they were applied.
    pub lag: u64,
    /// Changes of sessions that are to be sent.
    pub pending: u64,
    /// Records that were sent.
    pub sent: u64,
    /// Records of others that were applied.
    pub received: u64,
    /// Changes for which there was no room while the store was away.
    pub dropped: u64,
    /// What was read and is not of this cluster, or malformed.
    pub refused: u64,
    /// How often the store was lost.
    pub lost: u64,
}

/// The file of a zone.
#[derive(Clone, Debug, Default)]
pub struct StateFile<'a> {
    /// Its full name.
    pub path: Cow<'a, [u8]>,
    /// When it was last written, in seconds since 1970. `None`: not since the zone was made.
    pub written: Option<u64>,
    /// How often that has failed, or reading it.
    pub errors: u64,
    /// The latest attempt has failed.
    pub is_failing: bool,
}
