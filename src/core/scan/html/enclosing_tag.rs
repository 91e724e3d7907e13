//! Where the tags may have begun that are open at a place: told from the last `>`, as border does.

use std::ops::Range;

use super::tag::is_space;
use super::{QUOTED, REACH};
use crate::scan::search::window::{Progress, Window};

/// What it costs to look for the last `>` and its quotes, in bytes of a tag that is read.
const LOOK: usize = 24;

/// How many bytes are searched for marks at the cost of one that is read.
const SEARCHED: usize = 64;

/// What a step from one `>` back to another costs.
const STEP: usize = 12;

/// Where the `<` of an open tag may stand.
pub(super) struct Open {
    /// Before the last `>`, when that may stand in a quoted value.
    pub(super) before: Option<Range<usize>>,
    /// After it.
    pub(super) after: Range<usize>,
    /// What it took to tell, in bytes.
    pub(super) cost: usize,
}

impl Open {
    pub(super) fn at(window: &Window<'_>, at: usize) -> Result<Self, Progress> {
        let low = at.saturating_sub(REACH);
        let is_cut = low == 0 && !window.from_start;
        let last_closed = |to: usize| {
            let before = window.bytes.get(low..to).unwrap_or_default();
            let closed = memchr::memrchr(b'>', before).map(|at| low + at);
            match closed {
                None if is_cut => Err(Progress::NeedsBefore),
                closed => Ok(closed),
            }
        };
        let mut open = Self {
            before: None,
            after: low..at,
            cost: LOOK,
        };
        let closed = last_closed(at)?;
        if let Some(closed) = closed {
            open.after.start = closed + 1;
        }
        open.cost += open.after.len() / SEARCHED;
        // Back to a ">" that stands in no value: before that, all tags have ended.
        let mut opening = match closed {
            Some(closed) => opening_before(window, low, closed)?,
            None => None,
        };
        while let Some(quote) = opening {
            open.cost += STEP;
            let before = open.before.get_or_insert(low..quote);
            let Some(closed) = last_closed(quote)? else {
                break;
            };
            opening = opening_before(window, low, closed)?;
            if opening.is_none() {
                before.start = closed + 1;
            }
        }
        Ok(open)
    }
}

/// The quote that opens the value in which the `>` at `closed` may stand.
fn opening_before(
    window: &Window<'_>,
    low: usize,
    closed: usize,
) -> Result<Option<usize>, Progress> {
    let opened = closed.saturating_sub(QUOTED).max(low);
    let values = window.bytes.get(opened..closed).unwrap_or_default();
    let is_cut = |from: usize| from == 0 && !window.from_start;
    let mut opening = None;
    for quote in [b'"', b'\''] {
        let Some(at) = memchr::memrchr(quote, values).map(|at| opened + at) else {
            if is_cut(opened) {
                return Err(Progress::NeedsBefore);
            }
            continue;
        };
        let before = window.bytes.get(low..at).unwrap_or_default();
        match before.iter().rev().find(|b| !is_space(**b)) {
            None if is_cut(low) => return Err(Progress::NeedsBefore),
            Some(b'=') => opening = opening.max(Some(at)),
            _ => {}
        }
    }
    Ok(opening)
}
