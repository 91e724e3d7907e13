//! What became of a request: the values of `$sticky_status` and `$upstream_sticky_status`.

use std::cell::Cell;

use crate::ngx::request::Request;

/// What became of a request's session; the value of `$sticky_status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The request has no session id.
    None,
    /// It had none, and the response has handed one out.
    New,
    /// It went to the server of its session.
    Hit,
    /// Its session id is unknown.
    Miss,
    /// Its session has expired.
    Expired,
    /// The server of its session cannot be used.
    Gone,
}

impl Status {
    /// As it is logged.
    pub fn name(self) -> &'static str {
        match self {
            Status::None => "NONE",
            Status::New => "NEW",
            Status::Hit => "HIT",
            Status::Miss => "MISS",
            Status::Expired => "EXPIRED",
            Status::Gone => "GONE",
        }
    }
}

/// How a request's tries went; the value of `$upstream_sticky_status`.
pub struct Tries {
    /// One bit for each try, the first 64.
    hits: Cell<u64>,
    /// Tries that nginx had noted before the first of ours.
    before: u32,
    has_id: bool,
}

impl Tries {
    /// Before the first try.
    pub fn begin(r: Request<'_>, has_id: bool) -> Self {
        Self {
            hits: Cell::new(0),
            before: noted(r),
            has_id,
        }
    }

    /// The latest try goes to the server of the request's session.
    pub fn hit(&self, r: Request<'_>) {
        // nginx notes a try before it asks for a peer (ngx_http_upstream_connect()).
        let bit = 1u64.checked_shl(self.count(r).saturating_sub(1));
        self.hits.set(self.hits.get() | bit.unwrap_or(0));
    }

    /// `NEW`, `HIT` or `MISS` for each try, divided as in `$upstream_addr`.
    pub fn listed(&self, r: Request<'_>) -> String {
        let word = |number: u32| match self.hits.get().checked_shr(number).unwrap_or(0) & 1 {
            _ if !self.has_id => "NEW",
            0 => "MISS",
            _ => "HIT",
        };
        let words: Vec<_> = (0..self.count(r)).map(word).collect();
        words.join(", ")
    }

    /// Tries of this exchange so far.
    fn count(&self, r: Request<'_>) -> u32 {
        noted(r).saturating_sub(self.before)
    }
}

/// Tries that nginx has noted. There are not as many as would be cut off.
fn noted(r: Request<'_>) -> u32 {
    r.tries() as u32
}
