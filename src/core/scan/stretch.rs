//! The string around a name, searched for its ends once however many names stand in it: where names
//! follow each other closely, each would have the same bytes searched again.

use super::window::{Progress, Window};

/// The bytes around the last name in which no string ends. Places count in the body, so that it does
/// not matter in which window they have been seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Stretch {
    from: u64,
    to: u64,
    /// Before `from`, a string ends or the body begins.
    is_begun: bool,
    /// The byte at `to` ends it.
    is_ended: bool,
}

impl Stretch {
    /// Where the string begins in which the byte at `at` stands, of a window that stands at `start`
    /// in the body. `None`: more than `reach` bytes before it.
    pub(super) fn begin(
        &mut self,
        window: &Window<'_>,
        start: u64,
        at: usize,
        reach: usize,
        ends: impl Fn(u8) -> bool,
    ) -> Result<Option<usize>, Progress> {
        let low = at.saturating_sub(reach + 1);
        let begins = low == 0 && window.from_start;
        let place = start + at as u64;
        let last_end = |from: usize, to: usize| {
            let bytes = window.bytes.get(from..to).unwrap_or_default();
            bytes.iter().rposition(|b| ends(*b)).map(|end| from + end)
        };
        if !(self.from..=self.to).contains(&place) {
            let is_behind = place > self.to && !self.is_ended && self.to >= start + low as u64;
            let floor = match is_behind {
                true => (self.to - start) as usize,
                false => low,
            };
            let end = last_end(floor, at);
            if end.is_some() || !is_behind {
                self.from = start + end.map_or(floor, |end| end + 1) as u64;
                self.is_begun = end.is_some() || begins;
            }
            self.to = place;
            self.is_ended = false;
        }
        let is_far = |from: u64| place - from > reach as u64;
        if !self.is_begun && !is_far(self.from) {
            // Further back than an earlier window, or an earlier name, had to look.
            let end = last_end(low, self.from.saturating_sub(start) as usize);
            let from = start + end.map_or(low, |end| end + 1) as u64;
            self.from = self.from.min(from);
            self.is_begun = end.is_some() || begins;
        }
        if is_far(self.from) {
            return Ok(None);
        }
        let from = self.from.checked_sub(start).filter(|_| self.is_begun);
        from.map(|from| Some(from as usize))
            .ok_or(Progress::NeedsBefore)
    }

    /// Where that string ends. `None`: `reach` bytes behind `at` or further.
    pub(super) fn end(
        &mut self,
        window: &Window<'_>,
        start: u64,
        at: usize,
        reach: usize,
        ends: impl Fn(u8) -> bool,
    ) -> Result<Option<usize>, Progress> {
        let limit = at + reach;
        let searched = self.to.saturating_sub(start) as usize;
        if !self.is_ended && searched < limit {
            let rest = window.bytes.get(searched..).unwrap_or_default();
            let rest = rest.get(..limit - searched).unwrap_or(rest);
            let end = rest.iter().position(|b| ends(*b));
            self.to += end.unwrap_or(rest.len()) as u64;
            self.is_ended = end.is_some();
        }
        let end = self.to.saturating_sub(start) as usize;
        if end >= limit {
            Ok(None)
        } else if self.is_ended && end < window.bytes.len() {
            Ok(Some(end))
        } else {
            Err(Progress::NeedsAfter)
        }
    }
}
