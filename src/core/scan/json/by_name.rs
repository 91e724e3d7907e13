//! Searches the members of some names, wherever they stand, without reading the rest.
//!
//! A quote without a backslash before it, a name, a quote: in a valid document that is a whole
//! string, because no character of a name can follow a closing quote. It is the name of a member
//! when a colon follows. A name may also be written with escapes, though no encoder does so for
//! these characters: at each such escape, the string around it is read.

use std::sync::Arc;

use super::escapes::unescaped;
use super::member::{Members, MAX_WRITTEN_NAME, MAX_WRITTEN_VALUE};
use crate::scan::search::matches::{Match, Needles};
use crate::scan::search::window::{Progress, Window};
use crate::scan::search::windowed::Examine;
use crate::scan::{Found, IdClass};
use crate::url::MAX_NAME;

/// How much white space may stand before the colon and before the value, in bytes.
const MAX_SPACE: usize = 256;

/// Examines the matches of names and escapes.
pub(super) struct ByName {
    members: Arc<Members>,
    scratch: Vec<u8>,
}

impl ByName {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self {
            members,
            scratch: Vec::new(),
        }
    }

    /// Where the string ends that contains an escape up to `end`. `None`: it is not one of the
    /// names.
    fn end_of_name(&mut self, window: &Window<'_>, end: usize) -> Result<Option<usize>, Progress> {
        let low = end.saturating_sub(MAX_WRITTEN_NAME);
        let before = window.bytes.get(low..end).unwrap_or_default();
        let mut quotes = memchr::memrchr_iter(b'"', before).map(|at| low + at);
        let opening = quotes.find(|at| !is_escaped(window.bytes, *at));
        // A backslash may stand just before the window.
        let is_cut = low == 0 && !window.from_start;
        let opening = match opening {
            None | Some(0) if is_cut => return Err(Progress::NeedsBefore),
            None => return Ok(None),
            Some(opening) => opening,
        };
        let from = opening + 1;
        let Some(closing) = closing_quote(window, from, MAX_WRITTEN_NAME)? else {
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
        found: &mut Found<'_>,
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
                if let Some(closing) = closing_quote(window, from, MAX_WRITTEN_VALUE)? {
                    let written = window.bytes.get(from..closing).unwrap_or_default();
                    if let Some(value) = unescaped(written, &mut self.scratch) {
                        found(value, IdClass::Other);
                    }
                }
            }
            Some(b'0'..=b'9') => {
                let rest = window.bytes.get(from..).unwrap_or_default();
                let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                let number = rest.get(..len).unwrap_or_default();
                match rest.get(len) {
                    None if !window.to_end && len <= MAX_WRITTEN_VALUE => {
                        return Err(Progress::NeedsAfter);
                    }
                    Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']') => {
                        found(number, IdClass::Other);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Examine for ByName {
    type Needles = Members;

    /// An escape is followed back to the start of its string.
    const BACK: usize = MAX_WRITTEN_NAME + 1;

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        _: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        let end = if self.members.is_escape(name.needle) {
            match window.bytes.get(name.end..name.end + 2) {
                Some(digits) if !self.members.has_character(digits) => return Progress::Done,
                None if !window.to_end => return Progress::NeedsAfter,
                _ => {}
            }
            match self.end_of_name(window, name.end) {
                Ok(Some(end)) => end,
                Ok(None) => return Progress::Done,
                Err(progress) => return progress,
            }
        } else {
            let len = self
                .members
                .nth(name.needle)
                .map_or(0, |n| n.needle().len());
            let quote = name.end.saturating_sub(len);
            if quote == 0 && !window.from_start {
                return Progress::NeedsBefore;
            }
            if is_escaped(window.bytes, quote) {
                return Progress::Done;
            }
            name.end
        };
        self.read_value(window, end, found)
            .err()
            .unwrap_or(Progress::Done)
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        (carry.len() + piece.len()).saturating_sub(MAX_WRITTEN_NAME + MAX_NAME)
    }
}

/// Whether a backslash stands before a quote, which then cannot open a string.
fn is_escaped(bytes: &[u8], quote: usize) -> bool {
    let before = quote.checked_sub(1).and_then(|at| bytes.get(at));
    before == Some(&b'\\')
}

/// Where the quote stands that closes the string whose text starts at `from`. `None`: the text is
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

/// The offset behind the white space at `from`. `None`: there is too much of it.
fn after_space(window: &Window<'_>, from: usize) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let len = rest.iter().take(MAX_SPACE + 1).take_while(is_space).count();
    if len > MAX_SPACE {
        Ok(None)
    } else if len == rest.len() && !window.to_end {
        Err(Progress::NeedsAfter)
    } else {
        Ok(Some(from + len))
    }
}
