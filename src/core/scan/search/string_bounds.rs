//! The string around a name, searched for its ends once however many names stand in it: where names
//! follow each other closely, each would have the same bytes searched again.

use super::window::{Progress, Window};

/// The bytes around the last name in which no string ends. Places count in the body, so that it does
/// not matter in which window they have been seen.
#[derive(Clone, Copy, Default)]
pub(in crate::scan) struct Stretch {
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
    pub(in crate::scan) fn begin(
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
    pub(in crate::scan) fn end(
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const REACH: usize = 50;

    fn ends(byte: u8) -> bool {
        byte == b' '
    }

    /// The same, looked for anew.
    fn around(text: &[u8], at: usize) -> (Option<usize>, Option<usize>) {
        let before = text[..at].iter().rposition(|b| ends(*b));
        let from = before.map_or(0, |end| end + 1);
        let to = text[at..].iter().position(|b| ends(*b));
        let to = to.filter(|len| *len < REACH).map(|len| at + len);
        ((at - from <= REACH).then_some(from), to)
    }

    /// Strings of any length, with a name where the text has an `x`.
    fn text() -> Vec<u8> {
        let mut state = 1_u32;
        let mut numbers = std::iter::from_fn(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(state >> 16)
        });
        let mut text = Vec::new();
        while text.len() < 20_000 {
            let len = numbers.next().unwrap_or_default() % 160;
            let mut byte = || match numbers.next().unwrap_or_default() % 4 {
                0 => b'x',
                _ => b'-',
            };
            text.extend((0..len).map(|_| byte()));
            text.push(b' ');
        }
        text
    }

    #[test]
    fn strings_are_the_same_as_looked_for_anew_in_any_window() {
        let text = text();
        for size in [REACH / 3, REACH, 4 * REACH, text.len()] {
            let mut stretch = Stretch::default();
            for at in memchr::memchr_iter(b'x', &text) {
                let (from, to) = around(&text, at);
                // A piece, and then with what stands around it.
                for (back, more) in [(0, 0), (size, 0), (2 * REACH, 0), (2 * REACH, 2 * REACH)] {
                    let start = (at - at % size).saturating_sub(back);
                    let end = (at - at % size + size + more).min(text.len());
                    let window = Window {
                        bytes: &text[start..end],
                        from_start: start == 0,
                        to_end: end == text.len(),
                    };
                    let (place, at) = (start as u64, at - start);
                    match stretch.begin(&window, place, at, REACH, ends) {
                        Ok(begin) => assert_eq!(begin.map(|begin| start + begin), from),
                        Err(_) => {
                            assert!(start > 0 && from.is_none_or(|from| from <= start));
                            continue;
                        }
                    }
                    if from.is_none() {
                        break;
                    }
                    match stretch.end(&window, place, at, REACH, ends) {
                        Ok(found) => assert_eq!(found.map(|end| start + end), to),
                        Err(_) => assert!(to.is_none_or(|to| to >= end)),
                    }
                }
            }
        }
    }

    #[test]
    fn no_byte_is_looked_at_more_than_a_few_times() {
        for unit in ["x", "xx-", "x ", "--x--x--x "] {
            let text = unit.repeat(30_000 / unit.len());
            let window = Window {
                bytes: text.as_bytes(),
                from_start: true,
                to_end: true,
            };
            let looked_at = Cell::new(0);
            let ends = |byte| {
                looked_at.set(looked_at.get() + 1);
                ends(byte)
            };
            let mut stretch = Stretch::default();
            for at in memchr::memchr_iter(b'x', text.as_bytes()) {
                if let Ok(Some(_)) = stretch.begin(&window, 0, at, 2000, ends) {
                    let _ = stretch.end(&window, 0, at, 2000, ends);
                }
            }
            let limit = 3 * text.len();
            assert!(looked_at.get() < limit, "{unit}: {}", looked_at.get());
        }
    }
}
