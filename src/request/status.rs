//! The values of `$sticky_status`, `$sticky_skipped` and `$upstream_sticky_status`.

use std::cell::Cell;

use crate::ngx::request::Request;

/// What became of the session of a request: the value of `$sticky_status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The request has no session id.
    None,
    /// It had none, and the response handed one out.
    New,
    /// It went to the server of its session.
    Hit,
    /// Its session id is unknown.
    Miss,
    /// Its session has expired.
    Expired,
    /// The server of its session cannot be used.
    Gone,
    /// The server of its session is in another upstream of the share.
    Foreign,
    /// The server of its session has as many requests as it may have.
    Full,
}

impl Status {
    /// The variable's value.
    pub fn name(self) -> &'static str {
        match self {
            Status::None => "NONE",
            Status::New => "NEW",
            Status::Hit => "HIT",
            Status::Miss => "MISS",
            Status::Expired => "EXPIRED",
            Status::Gone => "GONE",
            Status::Foreign => "FOREIGN",
            Status::Full => "FULL",
        }
    }
}

/// Why an id of a response was not learned: the value of `$sticky_skipped`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Skipped {
    /// The response had more new ids than are learned from one.
    Cap,
}

impl Skipped {
    /// The variable's value.
    pub fn name(self) -> &'static str {
        match self {
            Skipped::Cap => "cap",
        }
    }
}

/// How the attempts of a request went: the value of `$upstream_sticky_status`.
pub struct Tries {
    /// A bit for each of the first 64 attempts: it went to the session's server.
    hits: Cell<u64>,
    /// Attempts in `$upstream_addr` before the first of this upstream.
    before: u32,
    has_id: bool,
}

impl Tries {
    /// Before the first attempt.
    pub fn begin(r: Request<'_>, has_id: bool) -> Self {
        Self {
            hits: Cell::new(0),
            before: noted(r),
            has_id,
        }
    }

    /// The latest attempt goes to the server of the request's session.
    pub fn hit(&self, r: Request<'_>) {
        // nginx counts an attempt before it asks for a peer (ngx_http_upstream_connect()).
        let bit = 1u64.checked_shl(self.count(r).saturating_sub(1));
        self.hits.set(self.hits.get() | bit.unwrap_or(0));
    }

    /// `NEW`, `HIT` or `MISS` for each attempt, separated as in `$upstream_addr`.
    pub fn listed(&self, r: Request<'_>) -> String {
        let word = |number: u32| match self.hits.get().checked_shr(number).unwrap_or(0) & 1 {
            _ if !self.has_id => "NEW",
            0 => "MISS",
            _ => "HIT",
        };
        let words: Vec<_> = (0..self.count(r)).map(word).collect();
        words.join(", ")
    }

    /// Attempts of this exchange so far.
    fn count(&self, r: Request<'_>) -> u32 {
        noted(r).saturating_sub(self.before)
    }
}

/// Attempts that nginx has counted, which never exceed a `u32`.
fn noted(r: Request<'_>) -> u32 {
    r.tries() as u32
}
