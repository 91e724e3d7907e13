//! Finds the session ids in the URLs of any text, whatever its grammar: plain text, scripts, XML.
//!
//! A string is what stands between white space, controls and `" ' < > ( ) [ ] { } | ^` or a backtick.
//! It is a URL when the name stands in it as it does in one; then it is read as in an HTML page:
//! absolute and `//host` ones count when their host is ours, all others are relative to the page, and
//! so ours. In front of it `url=`, `href=` and the like may stand. What a sentence puts behind a URL is not
//! part of it: one or more of `. , ; : ! ?` before white space, `<` or the end.
//!
//! Before that, `\/`, `\u0026`, `\x26` (JavaScript, JSON) and character references (XML) of ASCII are
//! decoded; another backslash ends the string. A URL with the name that has no other mark than
//! being a path, `next?sid=1`, cannot be told from prose that looks like one; an id in it that no server
//! has given out is learned, and harms nobody.
//!
//! Bounds: a string reaches [`RUN`] bytes to each side of the name. It is searched for its ends, and read,
//! once however many names stand in it.

use std::sync::Arc;

use super::html::last::{hand_out, Last, Value};
use super::html::strings::link_in;
use super::search::hits::Found;
use super::search::references::decoded;
use super::search::string_bounds::Stretch;
use super::search::window::{Progress, Window};
use super::search::windowed::{Around, Examine};
use super::source::{Reading, Source};
use super::Learner;
use crate::http::media_type::is_text;
use crate::url::{Names, Site, MAX_NAME};

/// How far a string reaches to each side of a name, in bytes.
pub const RUN: usize = 2 * 1024;

/// How far back the end of a string is looked for at a border: a name that has begun has none in it.
const NEAR: usize = MAX_NAME;

/// Learns the session ids of one text.
pub struct TextLearner {
    strings: Around<Reader>,
}

impl TextLearner {
    /// A learner for one response.
    pub fn new(names: Arc<Names>, site: Site) -> Self {
        let reader = Reader {
            names: Arc::clone(&names),
            site,
            unescaped: Vec::new(),
            scratch: Vec::new(),
            last: Last::default(),
            strings: Default::default(),
        };
        Self {
            strings: Around::new(names, reader),
        }
    }

    /// A learner for this body.
    pub(super) fn of(reading: &Reading<'_>) -> Self {
        let learner = Self::new(Arc::clone(reading.names), reading.site.clone());
        learner.knowing(reading.body.known)
    }

    /// The same, for a response whose request has brought an id that need not be learned.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.strings.reader.last.remember(id);
        self
    }

    /// Without one of these, no id stands in a text.
    pub(super) fn needles(&self) -> Arc<Names> {
        Arc::clone(&self.strings.reader.names)
    }
}

impl Learner for TextLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        self.strings.feed(piece, found);
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        self.strings.end(found);
    }
}

/// As `learn=` has it.
pub static SOURCE: Source = Source {
    word: "text",
    reads: is_text,
    finds_urls: true,
    finds_members: false,
    learner: |of| Box::new(TextLearner::of(of)),
};

struct Reader {
    names: Arc<Names>,
    site: Site,
    unescaped: Vec<u8>,
    scratch: Vec<u8>,
    last: Last,
    /// Around names, and around letters.
    strings: [Seen; 2],
}

/// What has been seen of the string in progress.
#[derive(Default)]
struct Seen {
    stretch: Stretch,
    /// Strings have been read up to this place in the text.
    read: u64,
}

impl Examine for Reader {
    type Needles = Names;

    const BACK: usize = RUN + MAX_NAME;

    fn examine(
        &mut self,
        window: &Window<'_>,
        hit: Found,
        start: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let Some(name) = self.names.nth(hit.needle) else {
            return Progress::Done;
        };
        let at = hit.end.saturating_sub(name.anchor.needle().len());
        let is_letter = name.letter.is_some();
        let [around_names, around_letters] = &mut self.strings;
        let seen = match is_letter {
            true => around_letters,
            false => around_names,
        };
        if start + (at as u64) < seen.read {
            return Progress::Done;
        }
        let value_at = match window.bytes.get(hit.end) {
            None if !window.to_end => return Progress::NeedsAfter,
            _ if is_letter => Some(hit.end),
            Some(b'=') if name.anchor_is_name => Some(hit.end + 1),
            // "=" may be escaped.
            Some(b'\\' | b'&') => None,
            _ if name.anchor_is_name => return Progress::Done,
            _ => None,
        };
        // Where the id before ends in a mark, what looks like it may be the id and the mark of a sentence.
        let value_at = value_at.filter(|_| !self.last.end().is_some_and(is_punctuation));
        let value = match Value::of(&self.names, name, window, at) {
            Ok(value) => value,
            Err(progress) => return progress,
        };
        if let Some((value_at, kind)) = value_at.zip(value) {
            match self.last.is_repeated(window, value_at, kind) {
                Some(true) => return Progress::Done,
                Some(false) => {}
                None => return Progress::NeedsAfter,
            }
        }
        let ends = match is_letter {
            true => ends_string_with_letter,
            false => ends_string,
        };
        let string = match seen.stretch.begin(window, start, at, RUN, ends) {
            Ok(None) => return Progress::Done,
            Ok(Some(from)) => match seen.stretch.end(window, start, at, RUN, ends) {
                Ok(None) => return Progress::Done,
                Ok(Some(to)) => from..to,
                Err(_) if window.to_end => from..window.bytes.len(),
                Err(progress) => return progress,
            },
            Err(progress) => return progress,
        };
        seen.read = start + string.end as u64;
        let end = window.bytes.get(string.end).copied();
        let string = window.bytes.get(string).unwrap_or_default();
        self.read(string, end, ends, found);
        Progress::Done
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        let ends = match self.names.have_letters() {
            true => ends_string_with_letter,
            false => ends_string,
        };
        let end = carry.len() + piece.len();
        let last = |bytes: &[u8], start: usize| {
            let near = bytes.len().saturating_sub(NEAR);
            let bytes = bytes.get(near..).unwrap_or_default();
            bytes
                .iter()
                .rposition(|b| ends(*b))
                .map(|at| start + near + at)
        };
        let found = last(piece, carry.len()).or_else(|| {
            let is_near = piece.len() < NEAR;
            is_near.then(|| last(carry, 0)).flatten()
        });
        found.unwrap_or(end.saturating_sub(RUN + NEAR))
    }
}

impl Reader {
    /// Reads a string as one URL, or as several when an escape in it ends one. `end` is the byte
    /// behind it.
    fn read(
        &mut self,
        string: &[u8],
        end: Option<u8>,
        ends: fn(u8) -> bool,
        found: &mut dyn FnMut(&[u8]),
    ) {
        let Self {
            names,
            site,
            unescaped,
            scratch,
            last,
            ..
        } = self;
        let string = unescape(string, unescaped);
        let mut parts = decoded(string, scratch).split(|b| ends(*b)).peekable();
        while let Some(part) = parts.next() {
            let is_quoted = parts.peek().is_some() || end.is_some_and(is_quote);
            let link = match is_quoted {
                true => part,
                false => without_punctuation(part),
            };
            hand_out(names.in_clean_link(link_in(link, names), site), last, found);
        }
    }
}

/// The bytes that end a string.
static ENDS_STRING: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        ends[byte] = byte <= b' ' as usize
            || matches!(
                byte as u8,
                b'"' | b'\''
                    | b'`'
                    | b'<'
                    | b'>'
                    | b'('
                    | b')'
                    | b'['
                    | b']'
                    | b'{'
                    | b'}'
                    | b'|'
                    | b'^'
            );
        byte += 1;
    }
    ends
};

fn ends_string(byte: u8) -> bool {
    ENDS_STRING[usize::from(byte)]
}

/// The same for a string in which an id may stand in parentheses.
fn ends_string_with_letter(byte: u8) -> bool {
    ends_string(byte) && !matches!(byte, b'(' | b')')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// The string with the escapes of JavaScript and JSON decoded; those that no URL needs become a space.
fn unescape<'a>(string: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut at) = memchr::memchr(b'\\', string) else {
        return string;
    };
    scratch.clear();
    let mut rest = string;
    loop {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        scratch.extend_from_slice(plain);
        let (byte, len) = match escape.get(1) {
            Some(b'/') => (b'/', 2),
            Some(b'u') => (ascii(escape.get(2..6)), 6),
            Some(b'x') => (ascii(escape.get(2..4)), 4),
            _ => (b' ', 2),
        };
        scratch.push(byte);
        rest = escape.get(len..).unwrap_or_default();
        match memchr::memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    scratch
}

/// The ASCII character of this number; a space for all others.
fn ascii(digits: Option<&[u8]>) -> u8 {
    let value = digits
        .unwrap_or_default()
        .iter()
        .try_fold(0_u32, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | digit)
        });
    value
        .and_then(|value| u8::try_from(value).ok())
        .filter(u8::is_ascii)
        .unwrap_or(b' ')
}

fn without_punctuation(url: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| !is_punctuation(*byte);
    let end = url.iter().rposition(is_part).map_or(0, |last| last + 1);
    url.get(..end).unwrap_or_default()
}

fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?')
}
