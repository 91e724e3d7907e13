//! The string around a name: what stands between quotes, white space, `<`, `>`, parentheses and
//! backslashes, in a script, in text, or in an attribute that is more than one URL.

use super::RUN;
use crate::scan::search::string_bounds::Stretch;
use crate::scan::search::window::{Progress, Window};
use crate::url::{is_absolute, Names};

/// The string around a hit.
#[derive(Clone, Copy)]
pub(in crate::scan) struct Run {
    pub(in crate::scan) from: usize,
    pub(in crate::scan) to: usize,
}

/// Spaces, controls and these bytes.
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

/// Whether a byte ends a string that may be a URL, outside a value known to be one.
fn ends_string(byte: u8) -> bool {
    ENDS_STRING[usize::from(byte)]
}

/// The same for a string that may hold a URL with parentheses.
fn ends_string_with_letter(byte: u8) -> bool {
    ends_string(byte) && !matches!(byte, b'(' | b')')
}

/// What ends a string around a name, or around a letter.
pub(in crate::scan) fn ends_around(letter: bool) -> fn(u8) -> bool {
    match letter {
        true => ends_string_with_letter,
        false => ends_string,
    }
}

/// The string around a hit, up to the bytes that end it; `None` when it is too long or the page ends
/// in it, so that nobody knows whether the id is complete.
pub(in crate::scan) fn run_around(
    window: &Window<'_>,
    start: u64,
    at: usize,
    stretch: &mut Stretch,
    ends: impl Fn(u8) -> bool,
) -> Result<Option<Run>, Progress> {
    let Some(from) = stretch.begin(window, start, at, RUN, &ends)? else {
        return Ok(None);
    };
    match stretch.end(window, start, at, RUN, &ends) {
        Ok(to) => Ok(to.map(|to| Run { from, to })),
        Err(_) if window.to_end => Ok(None),
        Err(progress) => Err(progress),
    }
}

impl Run {
    /// Whether it stands in quotes after a `=`, so that it is the whole value of an attribute or
    /// reads like one. `None`: the bytes before it are not at hand.
    pub(in crate::scan) fn is_quoted_value(&self, window: &Window<'_>) -> Option<bool> {
        let place = |back| {
            self.from
                .checked_sub(back)
                .and_then(|at| window.bytes.get(at))
        };
        let Some(opening) = place(1) else {
            return window.from_start.then_some(false);
        };
        if !matches!(opening, b'"' | b'\'') || window.bytes.get(self.to) != Some(opening) {
            return Some(false);
        }
        match place(2) {
            Some(before) => Some(*before == b'='),
            None => window.from_start.then_some(false),
        }
    }
}

/// The URL in a string: what follows a `url=`, `href=` or `1x,` that is glued to it, and nothing of
/// the comma that ends an entry of a `srcset`. Where names are in paths, a `=` behind a semicolon is
/// theirs.
pub(in crate::scan) fn link_in<'a>(run: &'a [u8], names: &Names) -> &'a [u8] {
    let mut run = run;
    while let [rest @ .., b','] = run {
        run = rest;
    }
    let first = memchr::memchr3(b'?', b'=', b',', run);
    if first.and_then(|at| run.get(at)).is_none_or(|b| *b == b'?') || is_absolute(run) {
        return run;
    }
    let end = match names.are_in_paths() {
        true => memchr::memchr2(b'?', b';', run),
        false => memchr::memchr(b'?', run),
    };
    let place = end.and_then(|end| run.get(..end)).unwrap_or_default();
    let glued = memchr::memchr2_iter(b'=', b',', place).filter_map(|at| run.get(at + 1..));
    glued
        .into_iter()
        .find(|rest| is_absolute(rest))
        .unwrap_or(run)
}
