//! The string around a name, in a script, in text, or in an attribute that is more than one URL:
//! what stands between quotes, white space, `<`, `>`, parentheses and backslashes.

use crate::scan::search::string_bounds::StringBounds;
use crate::scan::search::window::{Progress, Window};
use crate::url::{is_absolute, Names};

/// How far a string may reach to each side of a name, in bytes.
pub const STRING_RADIUS: usize = 2 * 1024;

/// The string around a name, as offsets in the window.
#[derive(Clone, Copy)]
pub(in crate::scan) struct Span {
    pub(in crate::scan) from: usize,
    pub(in crate::scan) to: usize,
}

/// The set of spaces, control characters and these bytes.
pub(in crate::scan) const fn spaces_and(marks: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        set[byte] = true;
        byte += 1;
    }
    let mut index = 0;
    while index < marks.len() {
        set[marks[index] as usize] = true;
        index += 1;
    }
    set
}

/// The bytes that end a string.
static ENDS_STRING: [bool; 256] = spaces_and(b"\"'`<>()\\");

/// Whether a byte ends a string that may be a URL, outside of a value that is known to be one.
fn ends_string(byte: u8) -> bool {
    ENDS_STRING[usize::from(byte)]
}

/// The same for a string that may be a URL with parentheses.
fn ends_string_with_letter(byte: u8) -> bool {
    ends_string(byte) && !matches!(byte, b'(' | b')')
}

/// The test for the end of a string, around a name or around a letter in parentheses.
pub(in crate::scan) fn string_end(letter: bool) -> fn(u8) -> bool {
    match letter {
        true => ends_string_with_letter,
        false => ends_string,
    }
}

/// The string around the name at `at`. `None`: it is too long, or the page ends in it, so that the
/// id may be incomplete.
pub(in crate::scan) fn string_around(
    window: &Window<'_>,
    window_start: u64,
    at: usize,
    bounds: &mut StringBounds,
    ends: impl Fn(u8) -> bool,
) -> Result<Option<Span>, Progress> {
    let Some(from) = bounds.start(window, window_start, at, STRING_RADIUS, &ends)? else {
        return Ok(None);
    };
    match bounds.end(window, window_start, at, STRING_RADIUS, &ends) {
        Ok(to) => Ok(to.map(|to| Span { from, to })),
        Err(_) if window.to_end => Ok(None),
        Err(progress) => Err(progress),
    }
}

impl Span {
    /// Whether it stands in quotes behind a `=`, so that it is the whole value of an attribute or
    /// reads like one. `None`: the bytes before it are needed.
    pub(in crate::scan) fn is_quoted_value(&self, window: &Window<'_>) -> Option<bool> {
        let before = |back| {
            self.from
                .checked_sub(back)
                .and_then(|at| window.bytes.get(at))
        };
        let Some(opening) = before(1) else {
            return window.from_start.then_some(false);
        };
        if !matches!(opening, b'"' | b'\'') || window.bytes.get(self.to) != Some(opening) {
            return Some(false);
        }
        match before(2) {
            Some(before) => Some(*before == b'='),
            None => window.from_start.then_some(false),
        }
    }
}

/// The URL in a string, without a `url=`, `href=` or `1x,` that is glued to its start, and without
/// the comma that ends an entry of a `srcset`. Where ids are in paths, a `=` behind a semicolon
/// belongs to the path.
pub(in crate::scan) fn link_in<'a>(string: &'a [u8], names: &Names) -> &'a [u8] {
    let mut string = string;
    while let [rest @ .., b','] = string {
        string = rest;
    }
    let first = memchr::memchr3(b'?', b'=', b',', string);
    if first
        .and_then(|at| string.get(at))
        .is_none_or(|b| *b == b'?')
        || is_absolute(string)
    {
        return string;
    }
    let end = match names.are_in_paths() {
        true => memchr::memchr2(b'?', b';', string),
        false => memchr::memchr(b'?', string),
    };
    let path = end.and_then(|end| string.get(..end)).unwrap_or_default();
    let glued = memchr::memchr2_iter(b'=', b',', path).filter_map(|at| string.get(at + 1..));
    glued
        .into_iter()
        .find(|rest| is_absolute(rest))
        .unwrap_or(string)
}
