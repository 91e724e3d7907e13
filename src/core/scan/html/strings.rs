//! The string around a name, in a script, in text, or in an attribute that is more than one URL:
//! what stands between quotes, white space, `<`, `>` and parentheses. Where it has backslashes, it
//! is a string of a script, and its escapes are decoded before it is read.

use wide::u8x16;

use super::tag::is_space;
use crate::scan::search::ends::{has_byte, pair, same, set_of, up_to, Among, Ends};
use crate::scan::search::string_bounds::StringBounds;
use crate::scan::search::window::{Progress, Window};
use crate::url::{is_absolute, Names};

/// How far a string may reach to each side of a name, in bytes.
pub const STRING_RADIUS: usize = 8 * 1024;

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

/// Whether a byte ends a string that may be a URL, outside of a value that is known to be one.
const fn ends_string(byte: u8) -> bool {
    ends_string_with_letter(byte) | (byte == b'(') | (byte == b')')
}

/// The same for a string that may be a URL with parentheses.
const fn ends_string_with_letter(byte: u8) -> bool {
    (byte <= b' ')
        | (byte == b'"')
        | (byte == b'\'')
        | (byte == b'`')
        | (byte == b'<')
        | (byte == b'>')
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
        // "<" and ">" differ in one bit.
        up_to(block, b' ') | quotes | pair(block, b'>', 2)
    }
}

/// What ends a string around a name, or around a letter in parentheses.
pub(in crate::scan) fn string_end(letter: bool) -> &'static Ends {
    match letter {
        true => &AROUND_LETTERS,
        false => &AROUND_NAMES,
    }
}

/// The string around the name at `at`. `None`: it is too long, or the page ends in it, so that the
/// id may be incomplete.
pub(in crate::scan) fn string_around(
    window: &Window<'_>,
    window_start: u64,
    at: usize,
    bounds: &mut StringBounds,
    ends: &Ends,
) -> Result<Option<Span>, Progress> {
    let Some(from) = bounds.start(window, window_start, at, STRING_RADIUS, ends)? else {
        return Ok(None);
    };
    match bounds.end(window, window_start, at, STRING_RADIUS, ends) {
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

    /// Whether a backslash stands in it.
    pub(in crate::scan) fn has_backslash(&self, window: &Window<'_>) -> bool {
        let string = window.bytes.get(self.from..self.to).unwrap_or_default();
        has_byte(string, b'\\')
    }

    /// The name of the attribute whose [quoted value](Self::is_quoted_value) it is. `None`: the tag
    /// must be read to tell whether it is one. A `>` stands before it, behind which no tag begins.
    pub(in crate::scan) fn attribute<'w>(
        &self,
        window: &Window<'w>,
    ) -> Result<Option<&'w [u8]>, Progress> {
        let end = self.from.saturating_sub(2);
        let low = end.saturating_sub(TAG_BEFORE);
        let before = window.bytes.get(low..end).unwrap_or_default();
        let Some(at) = memchr::memrchr2(b'<', b'>', before) else {
            return match low == 0 && !window.from_start {
                true => Err(Progress::NeedsBefore),
                false => Ok(None),
            };
        };
        let tag = before.get(at + 1..).unwrap_or_default();
        if before.get(at) == Some(&b'>') || !tag.first().is_some_and(u8::is_ascii_alphabetic) {
            return Ok(None);
        }
        let tag = tag.trim_ascii_end();
        let name = tag.iter().rposition(|b| BEFORE_NAME[usize::from(*b)]);
        Ok(name.and_then(|at| tag.get(at + 1..)))
    }

    /// Whether what looks like [an attribute](Self::attribute) stands in the value of another one,
    /// where visitors may have written it.
    #[cold]
    pub(in crate::scan) fn is_nested(&self, window: &Window<'_>) -> bool {
        let before = window.bytes.get(..self.from.saturating_sub(2));
        let before = before.unwrap_or_default();
        let start = memchr::memrchr(b'<', before).map_or(0, |at| at + 1);
        let mut rest = before.get(start..).unwrap_or_default();
        while let Some(opening) = memchr::memchr2(b'"', b'\'', rest) {
            let Some((quote, value)) = rest.get(opening..).and_then(<[u8]>::split_first) else {
                break;
            };
            let Some(closing) = memchr::memchr(*quote, value) else {
                return true;
            };
            rest = value.get(closing + 1..).unwrap_or_default();
        }
        false
    }
}

/// What may stand before the name of an attribute.
static BEFORE_NAME: [bool; 256] = {
    const fn is_before(byte: u8) -> bool {
        is_space(byte) | matches!(byte, b'"' | b'\'' | b'/')
    }
    set_of!(is_before)
};

/// How far before a value the `<` of its tag is looked for, in bytes.
const TAG_BEFORE: usize = 1024;

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

#[cfg(test)]
mod tests {
    use super::{AROUND_LETTERS, AROUND_NAMES};

    #[test]
    fn the_ends_of_strings_are_the_same_one_by_one_and_sixteen_at_a_time() {
        assert!(AROUND_NAMES.agree() && AROUND_LETTERS.agree());
    }
}
