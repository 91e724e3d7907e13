//! Finds the session ids in the URLs of any text, whatever its grammar: plain text, scripts, XML.
//!
//! A string is what stands between white space, control characters and `" ' < > ( ) [ ] { } | ^` or
//! a backtick. It is a URL when the name stands in it as in a URL. Then it is read as in an HTML
//! page: absolute and `//host` ones count if the host is the site's own; all others are relative to
//! the page and count, too. `url=`, `href=` and the like may stand before it. Punctuation of a
//! sentence behind a URL is not part of it: one or more of `. , ; : ! ?` before white space, `<` or
//! the end.
//!
//! Before that, `\/`, `\u0026`, `\x26` (JavaScript, JSON) and character references (XML) of ASCII
//! are decoded; any other backslash ends the string. A relative URL like `next?sid=1` cannot be
//! told from prose that looks like one. An id in such prose, which no server has issued, is learned
//! and does no harm.
//!
//! Bounds: a string may reach [`STRING_RADIUS`] bytes to each side of the name. It is searched and
//! read once, however many names stand in it.

use std::sync::Arc;

use wide::u8x16;

use super::character_references::decoded;
use super::html::last_id::{hand_out, LastId, ValueEnd};
use super::html::strings::link_in;
use super::script_escapes::unescaped;
use super::search::ends::{pair, same, set_of, up_from, up_to, Among, Ends, FindEnd};
use super::search::matches::Match;
use super::search::string_bounds::StringBounds;
use super::search::window::{Progress, Window};
use super::search::windowed::{Examine, WindowedSearch};
use super::{Found, FoundIn, Learner};
use crate::events::Source;
use crate::url::{Name, Names, Role, Site, MAX_NAME};

/// How far a string may reach to each side of a name, in bytes.
pub const STRING_RADIUS: usize = 8 * 1024;

/// How far back the end of a string is searched at the end of a piece: a name has none in it.
const NEAR: usize = MAX_NAME;

/// Learns the session ids of one text.
pub struct TextLearner {
    search: WindowedSearch<TextExaminer>,
}

impl TextLearner {
    /// A learner for one response.
    pub fn new(names: Arc<Names>, site: Site) -> Self {
        let examiner = TextExaminer {
            names: Arc::clone(&names),
            site,
            scratch: Default::default(),
            last: LastId::default(),
            strings: Default::default(),
        };
        Self {
            search: WindowedSearch::new(names, examiner),
        }
    }

    /// The same, for a response to a request with an id that need not be learned again.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.search.examiner.last.remember(id);
        self
    }

    /// The needles without which a text has no id.
    pub(super) fn needles(&self) -> Arc<Names> {
        Arc::clone(&self.search.examiner.names)
    }
}

impl Learner for TextLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        self.search.feed(piece, found);
    }

    fn end(&mut self, found: &mut Found<'_>) {
        self.search.end(found);
    }
}

/// Examines the matches of names in one text.
struct TextExaminer {
    names: Arc<Names>,
    site: Site,
    /// For the escapes of scripts, and for character references.
    scratch: [Vec<u8>; 2],
    last: LastId,
    /// The string in progress: around names, and around letters.
    strings: [CurrentString; 2],
}

/// The string in progress.
#[derive(Default)]
struct CurrentString {
    bounds: StringBounds,
    /// The text has been read up to here.
    read_to: u64,
}

/// Whether a match of a name certainly is no parameter: what follows it belongs to a longer word.
#[inline(always)]
pub(super) fn is_in_word(names: &Names, bytes: &[u8], name: Match) -> bool {
    let is_parameter = names.nth(name.needle).is_some_and(Name::is_parameter);
    is_parameter && is_word_behind(bytes, name)
}

/// The same of the name of a parameter.
#[inline(always)]
pub(super) fn is_word_behind(bytes: &[u8], name: Match) -> bool {
    let after = bytes.get(name.end);
    // "=" may be escaped.
    after.is_some_and(|after| !matches!(after, b'=' | b'\\' | b'&'))
}

impl Examine for TextExaminer {
    type Needles = Names;

    const BACK: usize = STRING_RADIUS + MAX_NAME;

    #[inline(always)]
    fn is_known(&self, bytes: &[u8], name: Match) -> bool {
        is_in_word(&self.names, bytes, name)
    }

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        let end = name.end;
        let Some(name) = self.names.nth(name.needle) else {
            return Progress::Done;
        };
        let at = end.saturating_sub(name.literal.needle().len());
        let is_letter = name.letter.is_some();
        let [around_names, around_letters] = &mut self.strings;
        let string = match is_letter {
            true => around_letters,
            false => around_names,
        };
        if window_start + (at as u64) < string.read_to {
            return Progress::Done;
        }
        let value_at = match (window.bytes.get(end), name.role) {
            (None, _) if !window.to_end => return Progress::NeedsAfter,
            (Some(b'/'), Role::Segment { is_last, .. }) => is_last.then_some(end + 1),
            _ if is_letter => Some(end),
            (Some(b'='), _) if name.literal_is_name => Some(end + 1),
            // "=", or "/", may be escaped.
            (Some(b'\\' | b'&'), _) => None,
            (_, Role::Segment { ends: true, .. }) => return Progress::Done,
            _ if name.literal_is_name => return Progress::Done,
            _ => None,
        };
        // If the last id ends in punctuation, what looks like it may be another id at the end of a
        // sentence.
        let value_at = value_at.filter(|_| !self.last.end().is_some_and(is_punctuation));
        let value_end = match ValueEnd::of(&self.names, name, window, at) {
            Ok(value_end) => value_end,
            Err(progress) => return progress,
        };
        if let Some((value_at, value_end)) = value_at.zip(value_end) {
            match self.last.is_repeated(window, value_at, value_end) {
                Some(true) => return Progress::Done,
                Some(false) => {}
                None => return Progress::NeedsAfter,
            }
        }
        let ends = string_end(is_letter);
        let range = match string
            .bounds
            .start(window, window_start, at, STRING_RADIUS, ends)
        {
            Ok(None) => return Progress::Done,
            Ok(Some(from)) => match string
                .bounds
                .end(window, window_start, at, STRING_RADIUS, ends)
            {
                Ok(None) => return Progress::Done,
                Ok(Some(to)) => from..to,
                Err(_) if window.to_end => from..window.bytes.len(),
                Err(progress) => return progress,
            },
            Err(progress) => return progress,
        };
        string.read_to = window_start + range.end as u64;
        let end = window.bytes.get(range.end).copied();
        let string = window.bytes.get(range).unwrap_or_default();
        self.read(string, end, ends, found);
        Progress::Done
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        let ends = string_end(self.names.have_letters());
        let end = carry.len() + piece.len();
        let last = |bytes: &[u8], start: usize| {
            let near = bytes.len().saturating_sub(NEAR);
            let bytes = bytes.get(near..).unwrap_or_default();
            ends.last(bytes).map(|at| start + near + at)
        };
        let found = last(piece, carry.len()).or_else(|| {
            let is_near = piece.len() < NEAR;
            is_near.then(|| last(carry, 0)).flatten()
        });
        found.unwrap_or(end.saturating_sub(STRING_RADIUS + NEAR))
    }
}

impl TextExaminer {
    /// Reads a string as one URL, or as several if an escape in it ends one. `end` is the byte
    /// behind the string.
    fn read(&mut self, string: &[u8], end: Option<u8>, ends: &Ends, found: &mut Found<'_>) {
        let Self {
            names,
            site,
            scratch: [scratch, references],
            last,
            ..
        } = self;
        let string = unescaped(string, scratch);
        let mut parts = decoded(string, references)
            .split(|b| ends.has(*b))
            .peekable();
        while let Some(part) = parts.next() {
            let is_quoted = parts.peek().is_some() || end.is_some_and(is_quote);
            let link = match is_quoted {
                true => part,
                false => without_punctuation(part),
            };
            let id = names.in_clean_link(link_in(link, names), site);
            hand_out(id, FoundIn::other(Source::Text), last, found);
        }
    }
}

const fn ends_string(byte: u8) -> bool {
    ends_string_with_letter(byte) | (byte == b'(') | (byte == b')')
}

/// The same for a string in which an id may stand in parentheses.
const fn ends_string_with_letter(byte: u8) -> bool {
    (byte <= b' ')
        | (byte == b'"')
        | (byte == b'\'')
        | (byte == b'`')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'[')
        | (byte == b']')
        | (byte == b'^')
        | ((byte >= b'{') & (byte <= b'}'))
}

static AROUND_NAMES: Ends = Ends::new::<AroundNames>(set_of!(ends_string));

static AROUND_LETTERS: Ends = Ends::new::<AroundLetters>(set_of!(ends_string_with_letter));

struct AroundNames;

impl Among for AroundNames {
    #[inline(always)]
    fn among(block: u8x16) -> u8x16 {
        AroundLetters::among(block) | pair(block, b')', 1)
    }
}

struct AroundLetters;

impl Among for AroundLetters {
    #[inline(always)]
    fn among(block: u8x16) -> u8x16 {
        let quotes = same(block, b'"') | same(block, b'\'') | same(block, b'`');
        let brackets = same(block, b'[') | same(block, b']') | same(block, b'^');
        let braces = up_to(block, b'}') & up_from(block, b'{');
        // "<" and ">" differ in one bit.
        up_to(block, b' ') | quotes | brackets | braces | pair(block, b'>', 2)
    }
}

/// What ends a string around a name, or around a letter in parentheses.
fn string_end(letter: bool) -> &'static Ends {
    match letter {
        true => &AROUND_LETTERS,
        false => &AROUND_NAMES,
    }
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn without_punctuation(url: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| !is_punctuation(*byte);
    let end = url.iter().rposition(is_part).map_or(0, |last| last + 1);
    url.get(..end).unwrap_or_default()
}

fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?')
}

#[cfg(test)]
mod tests {
    use super::{AROUND_LETTERS, AROUND_NAMES};

    #[test]
    fn the_ends_of_strings_are_the_same_one_by_one_and_sixteen_at_a_time() {
        assert!(AROUND_NAMES.agree() && AROUND_LETTERS.agree());
    }
}
