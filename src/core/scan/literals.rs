//! Finds the session ids in the object literals of scripts, and in the JSON in them: `client_id:
//! "…"`, `"client_id": "…"`.
//!
//! A script is not parsed. The bytes of a name are searched; it is that of a member if it stands
//! alone or in quotes, behind a `{`, a comma or the start of a line, and a colon follows. Its value
//! is a string in quotes or backticks, or an unsigned integer. A name in a string or a comment that
//! looks so is taken, too. Names are not found where they are written with escapes.
//!
//! Bounds: up to 256 bytes of white space, and a value of up to 24 KB.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::search::matches::{Match, Needles};
use super::search::window::{Progress, Window};
use super::search::windowed::{Examine, WindowedSearch};
use super::{Found, FoundIn, Learner, Restart};
use crate::events::Source;
use crate::url::{Names, NeedleIndex, MAX_ID, MAX_NAME, MAX_NAMES};

/// How much white space may stand before and behind the name and the colon, in bytes.
const MAX_SPACE: usize = 256;

/// The longest way to write an id: `\u0041` for each byte.
const MAX_WRITTEN: usize = 6 * MAX_ID;

/// The names of members that are ids, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct LiteralNames {
    names: Vec<Finder<'static>>,
    index: NeedleIndex,
}

impl LiteralNames {
    /// Names from the ninth on are left out; the directive has no more.
    pub fn new(names: &[Box<[u8]>]) -> Self {
        let names = names.iter().take(MAX_NAMES);
        let names: Vec<_> = names.map(|name| Finder::new(name).into_owned()).collect();
        Self {
            index: NeedleIndex::of(names.iter()),
            names,
        }
    }
}

impl Needles for LiteralNames {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        self.names.get(index)
    }

    fn longest(&self) -> usize {
        let lengths = self.names.iter().map(|name| name.needle().len());
        lengths.max().unwrap_or(0)
    }

    #[inline]
    fn index(&self) -> &NeedleIndex {
        &self.index
    }
}

/// Learns the session ids of one script, or of several in a row.
pub struct LiteralLearner {
    search: WindowedSearch<Literals>,
    names: Arc<Names>,
    last: Vec<u8>,
}

impl LiteralLearner {
    /// A learner for one response. `names` say where an id ends ([`Names::id_in`]).
    pub fn new(members: Arc<LiteralNames>, names: Arc<Names>) -> Self {
        let examiner = Literals {
            members: Arc::clone(&members),
            value: 0,
            read_to: 0,
        };
        Self {
            search: WindowedSearch::new(members, examiner),
            names,
            last: Vec::new(),
        }
    }

    /// The same, for a response to a request with an id that need not be learned again.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.last = id.to_vec();
        self
    }
}

/// Takes decoded values and hands out the ids in them.
fn handing_out<'a>(
    names: &'a Names,
    last: &'a mut Vec<u8>,
    found: &'a mut Found<'a>,
) -> impl FnMut(&[u8], FoundIn) -> bool + 'a {
    |value, found_in| {
        let Some(id) = names.id_in(value).filter(|id| *id != last.as_slice()) else {
            return true;
        };
        let is_done = found(id, found_in);
        if is_done {
            last.clear();
            last.extend_from_slice(id);
        }
        is_done
    }
}

impl Learner for LiteralLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        self.search.feed(piece, &mut found);
    }

    fn end(&mut self, found: &mut Found<'_>) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        self.search.end(&mut found);
    }
}

impl Restart for LiteralLearner {
    fn restart(&mut self) {
        self.search.restart();
        self.search.examiner.value = 0;
        self.search.examiner.read_to = 0;
    }
}

/// Examines the matches of names.
struct Literals {
    members: Arc<LiteralNames>,
    /// Where the value begins that was read last, and how far it was read, so that nothing is read
    /// once more when the next piece comes. Both count in the text.
    value: u64,
    read_to: u64,
}

impl Literals {
    /// Reads the member whose name ends at `end`.
    fn read(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Result<(), Progress> {
        let len = self
            .members
            .nth(name.needle)
            .map_or(0, |name| name.needle().len());
        let Some(behind) = behind_name(window, name.end.saturating_sub(len), name.end)? else {
            return Ok(());
        };
        let Some(colon) = after_space(window, behind)? else {
            return Ok(());
        };
        if window.bytes.get(colon) != Some(&b':') {
            return Ok(());
        }
        let Some(from) = after_space(window, colon + 1)? else {
            return Ok(());
        };
        match window.bytes.get(from) {
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                let from = from + 1;
                if let Some(end) = self.end_of_text(window, window_start, from, *quote)? {
                    let written = window.bytes.get(from..end).unwrap_or_default();
                    if let Some(value) = text(written, *quote) {
                        found(&value, FoundIn::other(Source::Script));
                    }
                }
            }
            Some(b'0'..=b'9') => {
                let rest = window.bytes.get(from..).unwrap_or_default();
                let readable = rest.get(..MAX_ID + 1).unwrap_or(rest);
                let len = readable.iter().take_while(|b| b.is_ascii_digit()).count();
                match rest.get(len) {
                    None if !window.to_end => return Err(Progress::NeedsAfter),
                    // Neither a fraction nor a number in another notation.
                    Some(byte) if is_of_identifier(*byte) || *byte == b'.' => {}
                    _ => {
                        found(
                            rest.get(..len).unwrap_or_default(),
                            FoundIn::other(Source::Script),
                        );
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the quote stands that ends the string whose text starts at `from`.
    fn end_of_text(
        &mut self,
        window: &Window<'_>,
        window_start: u64,
        from: usize,
        quote: u8,
    ) -> Result<Option<usize>, Progress> {
        let place = window_start + from as u64;
        let mut at = match self.value == place {
            true => self.read_to.saturating_sub(window_start) as usize,
            false => from,
        };
        let limit = from + MAX_WRITTEN + 1;
        while let Some(rest) = window.bytes.get(at..limit.min(window.bytes.len())) {
            match memchr::memchr2(quote, b'\\', rest) {
                Some(next) if rest.get(next) == Some(&quote) => return Ok(Some(at + next)),
                // What is escaped does not end it, and may come with the next piece.
                Some(next) => at += next + 2,
                None => {
                    at += rest.len();
                    break;
                }
            }
        }
        self.value = place;
        self.read_to = window_start + at as u64;
        match window.to_end || at >= limit {
            true => Ok(None),
            false => Err(Progress::NeedsAfter),
        }
    }
}

impl Examine for Literals {
    type Needles = LiteralNames;

    const BACK: usize = MAX_NAME + MAX_SPACE + 2;

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        let read = self.read(window, name, window_start, found);
        read.err().unwrap_or(Progress::Done)
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        (carry.len() + piece.len()).saturating_sub(Self::BACK)
    }
}

/// Where the name of a member that stands between two places ends, with its quotes. `None`: it is
/// none.
fn behind_name(window: &Window<'_>, from: usize, end: usize) -> Result<Option<usize>, Progress> {
    let before = match from.checked_sub(1) {
        Some(at) => window.bytes.get(at).copied(),
        None if window.from_start => None,
        None => return Err(Progress::NeedsBefore),
    };
    let (from, behind) = match before {
        Some(quote @ (b'"' | b'\'')) => match window.bytes.get(end) {
            Some(byte) if *byte == quote => (from - 1, end + 1),
            None if !window.to_end => return Err(Progress::NeedsAfter),
            _ => return Ok(None),
        },
        _ => (from, end),
    };
    // What stands before it: a name that is longer, or no place for a member.
    let low = from.saturating_sub(MAX_SPACE + 1);
    let space = window.bytes.get(low..from).unwrap_or_default();
    let at = space.iter().rposition(|byte| !byte.is_ascii_whitespace());
    let begins_line = space
        .get(at.map_or(0, |at| at + 1)..)
        .is_some_and(|space| space.contains(&b'\n'));
    let is_member = match at.and_then(|at| space.get(at)) {
        Some(b'{' | b',') => true,
        _ if begins_line => true,
        Some(_) => false,
        None if low == 0 && window.from_start => true,
        None if low == 0 => return Err(Progress::NeedsBefore),
        None => false,
    };
    Ok(is_member.then_some(behind))
}

/// The place behind the white space at `from`. `None`: there is too much of it.
fn after_space(window: &Window<'_>, from: usize) -> Result<Option<usize>, Progress> {
    let rest = window.bytes.get(from..).unwrap_or_default();
    let readable = rest.get(..MAX_SPACE + 1).unwrap_or(rest);
    let len = readable
        .iter()
        .take_while(|b| b.is_ascii_whitespace())
        .count();
    match len {
        len if len > MAX_SPACE => Ok(None),
        len if len == rest.len() && !window.to_end => Err(Progress::NeedsAfter),
        len => Ok(Some(from + len)),
    }
}

fn is_of_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

/// The value of a string that is written so between its quotes (ECMA-262, 12.9.4). `None`: it is
/// longer than an id may be written, or no string without further parts.
fn text(written: &[u8], quote: u8) -> Option<Vec<u8>> {
    let has_part = quote == b'`' && written.windows(2).any(|bytes| bytes == b"${");
    if written.len() > MAX_WRITTEN || written.iter().any(|byte| *byte < b' ') || has_part {
        return None;
    }
    let mut value = Vec::new();
    let mut rest = written;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at)?;
        value.extend_from_slice(plain);
        let (len, number) = match escape.get(1)? {
            b'u' => (6, escape.get(2..6)?),
            b'x' => (4, escape.get(2..4)?),
            b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'0'..=b'9' => return None,
            _ => (2, &[][..]),
        };
        match number {
            [] => value.extend(escape.get(1)),
            digits => {
                let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
                let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                let character = char::from_u32(number)?;
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = escape.get(len..)?;
    }
    value.extend_from_slice(rest);
    (!value.is_empty()).then_some(value)
}
