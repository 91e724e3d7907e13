//! A form that is written part by part, so that nobody waits for all of it.

use super::pieces::Pieces;
use super::{html, View};

/// How much is written at a time, in bytes: a part is no longer than what one upstream adds.
pub const AT_ONCE: usize = 64 * 1024;

/// How many upstreams or zones are looked at at a time.
const LOOKS_AT_ONCE: usize = 256;

/// A form that is being written.
pub struct Writing(Steps);

enum Steps {
    Page(Box<html::Steps>),
    Json(super::json::Steps),
    Metrics(super::metrics::Steps),
}

impl Writing {
    /// The page. `path` is that of the request; `chosen` the upstream that it asks for, which is then
    /// the only one of the source.
    pub fn page(path: &[u8], chosen: Option<&[u8]>) -> Self {
        Self(Steps::Page(Box::new(html::Steps::new(path, chosen))))
    }

    /// JSON.
    pub fn json() -> Self {
        Self(Steps::Json(super::json::Steps::default()))
    }

    /// Metrics.
    pub fn metrics() -> Self {
        Self(Steps::Metrics(super::metrics::Steps::default()))
    }

    /// Writes the next part. Returns whether there is more.
    pub fn go_on(&mut self, view: &dyn View, out: &mut dyn FnMut(&[u8])) -> bool {
        let mut pieces = Pieces::new(out);
        for _ in 0..LOOKS_AT_ONCE {
            let has_more = match &mut self.0 {
                Steps::Page(steps) => steps.step(view, &mut pieces),
                Steps::Json(steps) => steps.step(view, &mut pieces),
                Steps::Metrics(steps) => steps.step(view, &mut pieces),
            };
            if !has_more {
                return false;
            }
            if pieces.written() >= AT_ONCE || view.took_long() {
                break;
            }
        }
        true
    }

    /// Writes all that is left.
    fn finish(mut self, view: &dyn View, out: &mut dyn FnMut(&[u8])) {
        while self.go_on(view, out) {}
    }
}

/// Writes the page, see [`Writing::page`].
pub fn page(view: &dyn View, path: &[u8], chosen: Option<&[u8]>, out: &mut dyn FnMut(&[u8])) {
    Writing::page(path, chosen).finish(view, out);
}

/// Writes JSON.
pub fn json(view: &dyn View, out: &mut dyn FnMut(&[u8])) {
    Writing::json().finish(view, out);
}

/// Writes metrics.
pub fn metrics(view: &dyn View, out: &mut dyn FnMut(&[u8])) {
    Writing::metrics().finish(view, out);
}
