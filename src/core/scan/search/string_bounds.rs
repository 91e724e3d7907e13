//! The bounds of the string around a name. They are searched once, however many names stand in the
//! string; otherwise each of them would have the same bytes searched again.

use super::ends::FindEnd;
use super::window::{Progress, Window};

/// The bytes around the last name in which no string ends. Offsets count in the body, so they hold
/// in any window.
#[derive(Clone, Copy, Default)]
pub(in crate::scan) struct StringBounds {
    from: u64,
    to: u64,
    /// The string starts at `from`: an end of a string or the start of the body stands before it.
    has_start: bool,
    /// The string ends at `to`.
    has_end: bool,
}

impl StringBounds {
    /// Where the string starts that contains the byte at `at` of the window; the window begins at
    /// `window_start` in the body. `None`: more than `radius` bytes before it.
    #[inline(always)]
    pub(in crate::scan) fn start(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        at: usize,
        radius: usize,
        ends: &impl FindEnd,
    ) -> Result<Option<usize>, Progress> {
        let low = at.saturating_sub(radius + 1);
        let begins = low == 0 && window.from_start;
        let place = window_start + at as u64;
        let last_end = |from: usize, to: usize| {
            let bytes = window.bytes.get(from..to).unwrap_or_default();
            ends.last(bytes).map(|end| from + end)
        };
        if !(self.from..=self.to).contains(&place) {
            let is_behind =
                place > self.to && !self.has_end && self.to >= window_start + low as u64;
            let floor = match is_behind {
                true => (self.to - window_start) as usize,
                false => low,
            };
            let end = last_end(floor, at);
            if end.is_some() || !is_behind {
                self.from = window_start + end.map_or(floor, |end| end + 1) as u64;
                self.has_start = end.is_some() || begins;
            }
            self.to = place;
            self.has_end = false;
        }
        let is_far = |from: u64| place - from > radius as u64;
        if !self.has_start && !is_far(self.from) {
            // Search further back than an earlier window or an earlier name did.
            let end = last_end(low, self.from.saturating_sub(window_start) as usize);
            let from = window_start + end.map_or(low, |end| end + 1) as u64;
            self.from = self.from.min(from);
            self.has_start = end.is_some() || begins;
        }
        if is_far(self.from) {
            return Ok(None);
        }
        let from = self
            .from
            .checked_sub(window_start)
            .filter(|_| self.has_start);
        from.map(|from| Some(from as usize))
            .ok_or(Progress::NeedsBefore)
    }

    /// Where that string ends. `None`: `radius` bytes behind `at` or further.
    #[inline(always)]
    pub(in crate::scan) fn end(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        at: usize,
        radius: usize,
        ends: &impl FindEnd,
    ) -> Result<Option<usize>, Progress> {
        let limit = at + radius;
        let searched = self.to.saturating_sub(window_start) as usize;
        if !self.has_end && searched < limit {
            let rest = window.bytes.get(searched..).unwrap_or_default();
            let rest = rest.get(..limit - searched).unwrap_or(rest);
            let end = ends.first(rest);
            self.to += end.unwrap_or(rest.len()) as u64;
            self.has_end = end.is_some();
        }
        let end = self.to.saturating_sub(window_start) as usize;
        if end >= limit {
            Ok(None)
        } else if self.has_end && end < window.bytes.len() {
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

    const RADIUS: usize = 50;

    fn ends(byte: u8) -> bool {
        byte == b' '
    }

    /// Counts the bytes that are examined.
    #[derive(Default)]
    struct Counted(Cell<usize>);

    impl FindEnd for Counted {
        fn first(&self, bytes: &[u8]) -> Option<usize> {
            let end = bytes.iter().position(|b| ends(*b));
            self.0
                .set(self.0.get() + end.map_or(bytes.len(), |end| end + 1));
            end
        }

        fn last(&self, bytes: &[u8]) -> Option<usize> {
            let end = bytes.iter().rposition(|b| ends(*b));
            self.0
                .set(self.0.get() + end.map_or(bytes.len(), |end| bytes.len() - end));
            end
        }
    }

    /// The same, searched anew each time.
    fn searched_anew(text: &[u8], at: usize) -> (Option<usize>, Option<usize>) {
        let before = text[..at].iter().rposition(|b| ends(*b));
        let from = before.map_or(0, |end| end + 1);
        let to = text[at..].iter().position(|b| ends(*b));
        let to = to.filter(|len| *len < RADIUS).map(|len| at + len);
        ((at - from <= RADIUS).then_some(from), to)
    }

    /// A text of strings of all lengths, in which each `x` is a name.
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
    fn bounds_are_the_same_as_when_searched_anew() {
        let text = text();
        for size in [RADIUS / 3, RADIUS, 4 * RADIUS, text.len()] {
            let mut bounds = StringBounds::default();
            for at in memchr::memchr_iter(b'x', &text) {
                let (from, to) = searched_anew(&text, at);
                // A piece alone, then with bytes before it, then with bytes around it.
                for (back, more) in [(0, 0), (size, 0), (2 * RADIUS, 0), (2 * RADIUS, 2 * RADIUS)] {
                    let start = (at - at % size).saturating_sub(back);
                    let end = (at - at % size + size + more).min(text.len());
                    let window = Window {
                        bytes: &text[start..end],
                        from_start: start == 0,
                        to_end: end == text.len(),
                    };
                    let (place, at) = (start as u64, at - start);
                    match bounds.start(&window, place, at, RADIUS, &Counted::default()) {
                        Ok(found) => assert_eq!(found.map(|from| start + from), from),
                        Err(_) => {
                            assert!(start > 0 && from.is_none_or(|from| from <= start));
                            continue;
                        }
                    }
                    if from.is_none() {
                        break;
                    }
                    match bounds.end(&window, place, at, RADIUS, &Counted::default()) {
                        Ok(found) => assert_eq!(found.map(|end| start + end), to),
                        Err(_) => assert!(to.is_none_or(|to| to >= end)),
                    }
                }
            }
        }
    }

    #[test]
    fn each_byte_is_examined_at_most_three_times() {
        for unit in ["x", "xx-", "x ", "--x--x--x "] {
            let text = unit.repeat(30_000 / unit.len());
            let window = Window {
                bytes: text.as_bytes(),
                from_start: true,
                to_end: true,
            };
            let ends = Counted::default();
            let mut bounds = StringBounds::default();
            for at in memchr::memchr_iter(b'x', text.as_bytes()) {
                if let Ok(Some(_)) = bounds.start(&window, 0, at, 2000, &ends) {
                    let _ = bounds.end(&window, 0, at, 2000, &ends);
                }
            }
            let limit = 3 * text.len();
            let examined = ends.0.get();
            assert!(examined < limit, "{unit}: {examined}");
        }
    }
}
