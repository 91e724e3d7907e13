//! Which members of a document are session ids, and how names and values are written.

use memchr::memmem::Finder;

use crate::directive::Member;
use crate::scan::hits::Needles;
use crate::url::{MAX_ID, MAX_NAME, MAX_NAMES};

/// The longest way to write a byte: `\u0041`.
const ESCAPE: usize = 6;

/// How a name of the greatest length is written at the longest, without its quotes.
pub(super) const LONGEST_NAME: usize = ESCAPE * MAX_NAME;

/// The same for the string of an id; a suffix that is cut from it stands behind the id.
pub(super) const LONGEST_VALUE: usize = ESCAPE * MAX_ID;

/// The members that are session ids, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct Members {
    /// The names of those that count wherever they stand.
    pub(super) anywhere: Vec<Box<[u8]>>,
    /// The names that lead to the others from the outermost object.
    pub(super) paths: Vec<Box<[Box<[u8]>]>>,
    /// The names in quotes, and behind them the escape with which an ASCII character may be written.
    needles: Vec<Finder<'static>>,
}

impl Members {
    /// Prepares the search for these members.
    pub fn new(members: &[Member]) -> Self {
        let mut anywhere = Vec::new();
        let mut paths = Vec::new();
        for member in members {
            match member {
                Member::Anywhere(name) => anywhere.push(name.clone()),
                Member::At(path) => paths.push(path.clone()),
            }
        }
        let quoted = anywhere.iter().map(|name| [b"\"", &**name, b"\""].concat());
        let needles = quoted.chain([b"\\u00".to_vec()]);
        let needles = needles.map(|needle| Finder::new(&needle).into_owned());
        let needles = needles.collect();
        Self {
            anywhere,
            paths,
            needles,
        }
    }

    /// Whether the bytes of the names tell where they stand. Not those of `:sid`: in `"a":sid"` the
    /// first quote would close a string.
    pub(super) fn stand_anywhere(&self) -> bool {
        self.paths.is_empty()
            && self.anywhere.len() <= MAX_NAMES
            && !self.anywhere.iter().any(|name| name.starts_with(b":"))
    }

    /// Whether this needle is an escape, not a name.
    pub(super) fn is_escape(&self, needle: usize) -> bool {
        needle == self.anywhere.len()
    }

    /// Whether the character of this hexadecimal number stands in one of the names.
    pub(super) fn has_character(&self, digits: &[u8]) -> bool {
        let byte = hexadecimal(digits).and_then(|number| u8::try_from(number).ok());
        let mut names = self.anywhere.iter();
        byte.is_some_and(|byte| names.any(|name| name.contains(&byte)))
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.anywhere.iter().any(|own| **own == *name)
    }
}

impl Needles for Members {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        self.needles.get(index)
    }

    fn longest(&self) -> usize {
        let lengths = self.needles.iter().map(|needle| needle.needle().len());
        lengths.max().unwrap_or(0)
    }
}

/// What a string says that is written so between its quotes (RFC 8259, 7), in `scratch` when there
/// are escapes. `None`: it is no string.
pub(super) fn unescaped<'a>(written: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if written.iter().any(|byte| *byte < b' ') {
        return None;
    }
    let Some(mut at) = memchr::memchr(b'\\', written) else {
        return Some(written);
    };
    scratch.clear();
    let mut rest = written;
    loop {
        let (plain, escape) = rest.split_at_checked(at)?;
        scratch.extend_from_slice(plain);
        let (character, len) = character(escape)?;
        scratch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(len..)?;
        match memchr::memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    Some(scratch)
}

/// The character that an escape stands for, and the escape's length.
fn character(escape: &[u8]) -> Option<(char, usize)> {
    let character = match escape.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return utf16(escape),
        _ => return None,
    };
    Some((character, 2))
}

fn utf16(escape: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = escape.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        hexadecimal(digits)
    };
    let first = unit(0)?;
    let pair = [first, unit(ESCAPE).unwrap_or_default()];
    // A second unit only counts behind the first half of a pair.
    let units = if matches!(first, 0xd800..=0xdbff) {
        2
    } else {
        1
    };
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, units * ESCAPE))
}

/// The number of up to four digits.
fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u16)
    })
}
