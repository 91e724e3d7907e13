//! Searches the members of some names, wherever they stand, without reading the rest.
//!
//! A quote without a backslash before it, a name, a quote: in a valid document that is a whole
//! string, because no character of a name can follow a closing quote. It is the name of a member
//! when a colon follows. A name may also be written with escapes, though no encoder does so for
//! these characters: at each such escape, the string around it is read.

use std::sync::Arc;

use super::escapes::unescaped;
use super::member::{MAX_WRITTEN_NAME, MAX_WRITTEN_VALUE};
use super::searched::Members;
use super::MEMBER;
use crate::scan::search::matches::{Match, Needles};
use crate::scan::search::window::{Progress, Window};
use crate::scan::search::windowed::Examine;
use crate::scan::Found;
use crate::url::MAX_NAME;

/// How much white space may stand before the colon and before the value, in bytes.
const MAX_SPACE: usize = 256;

/// Examines the matches of names and escapes.
pub(super) struct ByName {
    members: Arc<Members>,
    scratch: Vec<u8>,
    opening: LastOpening,
    read: LastRead,
    /// The value that was read last and need not be read again, with all that stands before it behind its
    /// name, as most have it. Empty: none.
    known: Vec<u8>,
}

/// What has been searched for the quote that opens a string. Offsets count in the text.
#[derive(Default)]
struct LastOpening {
    from: u64,
    to: u64,
    /// The last quote between them.
    quote: Option<u64>,
}

/// How far was read from some places on, so that these bytes are not read once more when the next
/// piece comes, or for another escape in the same string.
#[derive(Default)]
struct LastRead {
    name: ReadFrom,
    space: [ReadFrom; 2],
    value: ReadFrom,
}

/// The place from which bytes were read on, and where to continue. Both count in the text.
#[derive(Default)]
struct ReadFrom {
    from: u64,
    to: u64,
}

impl ReadFrom {
    /// How much behind `from` has been read.
    #[inline]
    fn behind(&self, from: u64) -> usize {
        match self.from == from {
            true => (self.to - from) as usize,
            false => 0,
        }
    }

    fn note(&mut self, from: u64, len: usize) {
        *self = Self {
            from,
            to: from + len as u64,
        };
    }
}

impl ByName {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self {
            members,
            scratch: Vec::new(),
            opening: LastOpening::default(),
            read: LastRead::default(),
            known: Vec::new(),
        }
    }

    /// Begins a new text. What is known of values stays.
    pub(super) fn restart(&mut self) {
        self.opening = LastOpening::default();
        self.read = LastRead::default();
    }

    /// Where the string ends that contains an escape up to `end`. `None`: it is not one of the
    /// names.
    fn end_of_name(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        end: usize,
    ) -> Result<Option<usize>, Progress> {
        let Some(opening) = self.opening.before(window, window_start, end)? else {
            return Ok(None);
        };
        let from = opening + 1;
        let read = &mut self.read.name;
        let closing = closing_quote(window, window_start, from, MAX_WRITTEN_NAME, read)?;
        let Some(closing) = closing else {
            return Ok(None);
        };
        read.note(window_start + from as u64, closing - from);
        let written = window.bytes.get(from..closing).unwrap_or_default();
        let name = unescaped(written, &mut self.scratch);
        let is_ours = name.is_some_and(|name| self.members.has(name));
        Ok(is_ours.then_some(closing + 1))
    }

    /// Reads the value of the name that ends at `end`.
    fn read_value(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        end: usize,
        found: &mut Found<'_>,
    ) -> Result<(), Progress> {
        let LastRead { space, value, .. } = &mut self.read;
        let [before_colon, behind_colon] = space;
        let Some(colon) = after_space(window, window_start, end, before_colon)? else {
            return Ok(());
        };
        if window.bytes.get(colon) != Some(&b':') {
            return Ok(());
        }
        let Some(from) = after_space(window, window_start, colon + 1, behind_colon)? else {
            return Ok(());
        };
        match window.bytes.get(from) {
            Some(b'"') => {
                let from = from + 1;
                let limit = MAX_WRITTEN_VALUE;
                if let Some(closing) = closing_quote(window, window_start, from, limit, value)? {
                    let written = window.bytes.get(from..closing).unwrap_or_default();
                    let value = unescaped(written, &mut self.scratch);
                    let is_done = value.is_some_and(|value| {
                        let is_plain = value.len() == written.len();
                        found(value, MEMBER) && is_plain
                    });
                    if is_done {
                        self.known.clear();
                        self.known.extend_from_slice(b":\"");
                        self.known.extend_from_slice(written);
                        self.known.push(b'"');
                    }
                }
            }
            Some(b'0'..=b'9') => {
                let rest = window.bytes.get(from..).unwrap_or_default();
                let read = value.behind(window_start + from as u64);
                let more = rest.get(read..).unwrap_or_default();
                let len = read + more.iter().take_while(|b| b.is_ascii_digit()).count();
                let number = rest.get(..len).unwrap_or_default();
                match rest.get(len) {
                    None if !window.to_end && len <= MAX_WRITTEN_VALUE => {
                        value.note(window_start + from as u64, len);
                        return Err(Progress::NeedsAfter);
                    }
                    Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']') => {
                        found(number, MEMBER);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl LastOpening {
    /// The quote that opens the string in which an escape ends at `end`, if there may be one.
    fn before(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        end: usize,
    ) -> Result<Option<usize>, Progress> {
        let end_place = window_start + end as u64;
        let low_place = end_place.saturating_sub(MAX_WRITTEN_NAME as u64);
        let low = end.saturating_sub(MAX_WRITTEN_NAME);
        // What was searched for another escape, or in an earlier piece, is not searched again.
        let is_known = self.from <= low_place && (low_place..=end_place).contains(&self.to);
        let known_to = is_known
            .then(|| self.to.checked_sub(window_start))
            .flatten();
        let from = known_to.map_or(low, |to| to as usize);
        let bytes = window.bytes.get(from..end).unwrap_or_default();
        let mut quotes = memchr::memrchr_iter(b'"', bytes).map(|at| from + at);
        let opening = quotes.find(|at| !is_escaped(window.bytes, *at));
        // A backslash may stand just before the window.
        let is_cut = from == 0 && !window.from_start;
        let opening = match opening {
            Some(0) if is_cut => return Err(Progress::NeedsBefore),
            Some(opening) => Some(opening),
            None if known_to.is_some() => match self.quote.filter(|quote| *quote >= low_place) {
                None => None,
                Some(quote) => match quote.checked_sub(window_start) {
                    Some(quote) => Some(quote as usize),
                    None => return Err(Progress::NeedsBefore),
                },
            },
            None if is_cut => return Err(Progress::NeedsBefore),
            None => None,
        };
        *self = Self {
            from: low_place,
            to: end_place,
            quote: opening.map(|opening| window_start + opening as u64),
        };
        Ok(opening)
    }
}

impl Examine for ByName {
    type Needles = Members;

    /// An escape is followed back to the start of its string.
    const BACK: usize = MAX_WRITTEN_NAME + 1;

    #[inline(always)]
    fn is_known(&self, bytes: &[u8], name: Match) -> bool {
        let value = bytes.get(name.end..name.end + self.known.len());
        !self.known.is_empty() && value == Some(&self.known) && !self.members.is_escape(name.needle)
    }

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        let end = if self.members.is_escape(name.needle) {
            match window.bytes.get(name.end..name.end + 2) {
                Some(digits) if !self.members.has_character(digits) => return Progress::Done,
                None if !window.to_end => return Progress::NeedsAfter,
                _ => {}
            }
            match self.end_of_name(window, window_start, name.end) {
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
        self.read_value(window, window_start, end, found)
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
#[inline(always)]
fn closing_quote(
    window: &Window<'_>,
    window_start: u64,
    from: usize,
    limit: usize,
    read: &mut ReadFrom,
) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let readable = rest.get(..limit + 1).unwrap_or(rest);
    let mut at = read.behind(window_start + from as u64);
    while let Some(bytes) = readable.get(at..) {
        let Some(next) = memchr::memchr2(b'"', b'\\', bytes) else {
            at = readable.len();
            break;
        };
        at += next;
        if readable.get(at) == Some(&b'"') {
            return Ok(Some(from + at));
        }
        at += 2;
    }
    read.note(window_start + from as u64, at);
    if rest.len() > limit || window.to_end {
        Ok(None)
    } else {
        Err(Progress::NeedsAfter)
    }
}

/// The offset behind the white space at `from`. `None`: there is too much of it.
#[inline(always)]
fn after_space(
    window: &Window<'_>,
    window_start: u64,
    from: usize,
    read: &mut ReadFrom,
) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if rest.first().is_some_and(|byte| !is_space(&byte)) {
        return Ok(Some(from));
    }
    let known = read.behind(window_start + from as u64);
    let more = rest.get(known..).unwrap_or_default().iter();
    let more = more.take((MAX_SPACE + 1).saturating_sub(known));
    let len = known + more.take_while(is_space).count();
    if len > MAX_SPACE {
        Ok(None)
    } else if len >= rest.len() && !window.to_end {
        read.note(window_start + from as u64, len);
        Err(Progress::NeedsAfter)
    } else {
        Ok(Some(from + len))
    }
}
