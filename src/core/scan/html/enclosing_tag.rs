//! Where the tags may begin that are still open at a name: told from the last `>` before it, by the
//! same reasoning as in `carry_over`.

use std::ops::Range;

use super::tag::is_space;
use super::{MAX_QUOTED, MAX_TAG};
use crate::scan::search::window::{Progress, Window};

/// What it costs to look for the last `>` and its quotes, in bytes of a tag that is read.
const LOOK_COST: usize = 24;

/// How many bytes are searched for `>` and quotes at the cost of one that is read.
const SEARCHED_PER_COST: usize = 64;

/// What a step from one `>` back to an earlier one costs.
const STEP_COST: usize = 12;

/// Where the `<` of an open tag may stand.
pub(super) struct TagStarts {
    /// Before the last `>`, when that may stand in a quoted value.
    pub(super) before: Option<Range<usize>>,
    /// After it.
    pub(super) after: Range<usize>,
    /// What it cost to tell, in bytes.
    pub(super) cost: usize,
}

impl TagStarts {
    /// Those of the tags that are open at `at`.
    pub(super) fn at(window: &Window<'_>, at: usize) -> Result<Self, Progress> {
        let low = at.saturating_sub(MAX_TAG);
        let is_cut = low == 0 && !window.from_start;
        let last_closed = |to: usize| {
            let before = window.bytes.get(low..to).unwrap_or_default();
            let closed = memchr::memrchr(b'>', before).map(|at| low + at);
            match closed {
                None if is_cut => Err(Progress::NeedsBefore),
                closed => Ok(closed),
            }
        };
        let mut starts = Self {
            before: None,
            after: low..at,
            cost: LOOK_COST,
        };
        let closed = last_closed(at)?;
        if let Some(closed) = closed {
            starts.after.start = closed + 1;
        }
        starts.cost += starts.after.len() / SEARCHED_PER_COST;
        // Back to a ">" outside of quoted values: all tags before it have ended.
        let mut opening = match closed {
            Some(closed) => opening_before(window, low, closed)?,
            None => None,
        };
        while let Some(quote) = opening {
            starts.cost += STEP_COST;
            let before = starts.before.get_or_insert(low..quote);
            let Some(closed) = last_closed(quote)? else {
                break;
            };
            opening = opening_before(window, low, closed)?;
            if opening.is_none() {
                before.start = closed + 1;
            }
        }
        Ok(starts)
    }
}

/// The quote that opens the value in which the `>` at `closed` may stand.
fn opening_before(
    window: &Window<'_>,
    low: usize,
    closed: usize,
) -> Result<Option<usize>, Progress> {
    let opened = closed.saturating_sub(MAX_QUOTED).max(low);
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
