//! The members of some names, wherever they stand, read without what surrounds them.
//!
//! A quote that no backslash precedes, a name, a quote: in a valid document that is a string, whole,
//! because behind a closing quote no character of a name can stand. It is a name when a colon
//! follows. A name may also be written with escapes, which no encoder does to these characters: where
//! one stands, the string around it is read.

use std::sync::Arc;

use super::member::{unescaped, Members, LONGEST_NAME, LONGEST_VALUE};
use crate::scan::search::hits::{Found, Needles};
use crate::scan::search::window::{Progress, Window};
use crate::scan::search::windowed::Examine;
use crate::url::MAX_NAME;

/// How much white space may stand between a name and its value, in bytes.
const SPACE: usize = 256;

/// Reads what follows a name.
pub(super) struct Anywhere {
    members: Arc<Members>,
    scratch: Vec<u8>,
}

impl Anywhere {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self {
            members,
            scratch: Vec::new(),
        }
    }

    /// Where the string ends in which an escape ends at `end`, when it is one of the names.
    fn end_of_name(&mut self, window: &Window<'_>, end: usize) -> Result<Option<usize>, Progress> {
        let low = end.saturating_sub(LONGEST_NAME);
        let before = window.bytes.get(low..end).unwrap_or_default();
        let mut quotes = memchr::memrchr_iter(b'"', before).map(|at| low + at);
        let opening = quotes.find(|at| !is_escaped(window.bytes, *at));
        // A backslash may stand before the window.
        let is_cut = low == 0 && !window.from_start;
        let opening = match opening {
            None | Some(0) if is_cut => return Err(Progress::NeedsBefore),
            None => return Ok(None),
            Some(opening) => opening,
        };
        let from = opening + 1;
        let Some(closing) = closing_quote(window, from, LONGEST_NAME)? else {
            return Ok(None);
        };
        let written = window.bytes.get(from..closing).unwrap_or_default();
        let name = unescaped(written, &mut self.scratch);
        let is_ours = name.is_some_and(|name| self.members.has(name));
        Ok(is_ours.then_some(closing + 1))
    }

    /// Reads the value of the name that ends at `end`.
    fn read_value(
        &mut self,
        window: &Window<'_>,
        end: usize,
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Progress> {
        let Some(colon) = after_space(window, end)? else {
            return Ok(());
        };
        if window.bytes.get(colon) != Some(&b':') {
            return Ok(());
        }
        let Some(from) = after_space(window, colon + 1)? else {
            return Ok(());
        };
        match window.bytes.get(from) {
            Some(b'"') => {
                let from = from + 1;
                if let Some(closing) = closing_quote(window, from, LONGEST_VALUE)? {
                    let written = window.bytes.get(from..closing).unwrap_or_default();
                    if let Some(value) = unescaped(written, &mut self.scratch) {
                        found(value);
                    }
                }
            }
            Some(b'0'..=b'9') => {
                let rest = window.bytes.get(from..).unwrap_or_default();
                let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                let number = rest.get(..len).unwrap_or_default();
                match rest.get(len) {
                    None if !window.to_end && len <= LONGEST_VALUE => {
                        return Err(Progress::NeedsAfter);
                    }
                    Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']') => found(number),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Examine for Anywhere {
    type Needles = Members;

    /// An escape is searched back for the start of its string.
    const BACK: usize = LONGEST_NAME + 1;

    fn examine(
        &mut self,
        window: &Window<'_>,
        hit: Found,
        _: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let end = if self.members.is_escape(hit.needle) {
            match window.bytes.get(hit.end..hit.end + 2) {
                Some(digits) if !self.members.has_character(digits) => return Progress::Done,
                None if !window.to_end => return Progress::NeedsAfter,
                _ => {}
            }
            match self.end_of_name(window, hit.end) {
                Ok(Some(end)) => end,
                Ok(None) => return Progress::Done,
                Err(progress) => return progress,
            }
        } else {
            let len = self.members.nth(hit.needle).map_or(0, |n| n.needle().len());
            let quote = hit.end.saturating_sub(len);
            if quote == 0 && !window.from_start {
                return Progress::NeedsBefore;
            }
            if is_escaped(window.bytes, quote) {
                return Progress::Done;
            }
            hit.end
        };
        self.read_value(window, end, found)
            .err()
            .unwrap_or(Progress::Done)
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        (carry.len() + piece.len()).saturating_sub(LONGEST_NAME + MAX_NAME)
    }
}

/// A quote behind a backslash cannot open a string.
fn is_escaped(bytes: &[u8], quote: usize) -> bool {
    let before = quote.checked_sub(1).and_then(|at| bytes.get(at));
    before == Some(&b'\\')
}

/// The place of the quote that closes the string whose text starts at `from`; `None` when the text is
/// longer than `limit`.
fn closing_quote(
    window: &Window<'_>,
    from: usize,
    limit: usize,
) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let readable = rest.get(..limit + 1).unwrap_or(rest);
    let mut at = 0;
    while let Some(next) = readable
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if readable.get(at) == Some(&b'"') {
            return Ok(Some(from + at));
        }
        at += 2;
    }
    if rest.len() > limit || window.to_end {
        Ok(None)
    } else {
        Err(Progress::NeedsAfter)
    }
}

/// The place behind the white space at `from`; `None` when there is too much of it.
fn after_space(window: &Window<'_>, from: usize) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let len = rest.iter().take(SPACE + 1).take_while(is_space).count();
    if len > SPACE {
        Ok(None)
    } else if len == rest.len() && !window.to_end {
        Err(Progress::NeedsAfter)
    } else {
        Ok(Some(from + len))
    }
}
