//! The value of `$upstream_sticky_status`.

use std::cell::Cell;

use crate::ngx::request::Request;

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

    /// The same of the first attempt.
    #[inline(always)]
    pub fn hit_first(&self) {
        self.hits.set(1);
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

    /// The number of the latest attempt, from 1 on.
    pub fn number(&self, r: Request<'_>) -> u32 {
        self.count(r)
    }

    /// Whether the latest attempt goes to the server of the request's session.
    pub fn is_hit(&self, r: Request<'_>) -> bool {
        let latest = self.count(r).saturating_sub(1);
        self.hits.get().checked_shr(latest).unwrap_or(0) & 1 == 1
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
