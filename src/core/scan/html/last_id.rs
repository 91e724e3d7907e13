//! The id that was handed out last. Most pages have one id in all their links: it is handed out
//! once, and where it is repeated, nothing around it is read.

use std::cell::OnceCell;

use wide::u8x16;

use super::strings::spaces_and;
use super::tag::is_space;
use crate::scan::script_escapes::ends_value;
use crate::scan::search::ends::{same, up_from, up_to};
use crate::scan::search::window::{Progress, Window};
use crate::scan::{Found, FoundIn};
use crate::url::{ExtractedId, Name, Names, Role};

/// The id that was handed out last.
#[derive(Default)]
pub(in crate::scan) struct LastId {
    /// How a parameter with it ends whose link is in quotes: `=`, the id, `"`. Empty if there is none.
    written: Vec<u8>,
    /// Links have its bytes as they are, not encoded. Asked for where it seems to be repeated.
    is_plain: OnceCell<bool>,
}

impl LastId {
    #[inline(always)]
    fn id(&self) -> &[u8] {
        match &*self.written {
            [_, id @ .., _] => id,
            _ => &[],
        }
    }

    #[inline]
    fn is_plain(&self) -> bool {
        *self.is_plain.get_or_init(|| is_plain(self.id()))
    }

    /// Whether the value at `at` is this id once more. Then nothing new can be found there,
    /// wherever the link leads. `None`: the bytes after it are needed.
    #[inline]
    pub(in crate::scan) fn is_repeated(
        &self,
        window: &Window<'_>,
        at: usize,
        value_end: ValueEnd,
    ) -> Option<bool> {
        let id = self.id();
        if id.is_empty() {
            return Some(false);
        }
        let end = at + id.len();
        let is_in_parentheses = matches!(value_end.place, ValuePlace::Parentheses);
        let is_repeated = match window.bytes.get(end) == Some(&b'"') && !is_in_parentheses {
            // As in most links.
            true => Some(
                window
                    .bytes
                    .get(at..end)
                    .is_some_and(|value| is_same(value, id)),
            ),
            false => self.is_before(window, at, value_end),
        };
        match is_repeated {
            Some(false) => is_repeated,
            _ if self.is_plain() => is_repeated,
            _ => Some(false),
        }
    }

    /// The same where no quote ends the value.
    #[inline(never)]
    fn is_before(&self, window: &Window<'_>, at: usize, value_end: ValueEnd) -> Option<bool> {
        let rest = window.bytes.get(at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(self.id()) else {
            let is_cut = self.id().starts_with(rest) && !window.to_end;
            return (!is_cut).then_some(false);
        };
        match (value_end.place, after) {
            // The name of a node follows, and whatever it is, it is cut off.
            (_, [byte, ..]) if Some(*byte) == value_end.delimiter => Some(true),
            // A character reference could continue the id; "&amp;" and "&name=" do not.
            (ValuePlace::Query, [b'&', next, ..]) => Some(next.is_ascii_alphabetic()),
            (ValuePlace::Query, [b'&']) | (_, []) => window.to_end.then_some(false),
            (ValuePlace::Parentheses, [byte, ..]) => Some(*byte == b')'),
            (ValuePlace::Path | ValuePlace::Segment, [b'/' | b'?', ..]) => Some(true),
            (ValuePlace::Segment, [b';', ..]) => Some(false),
            (_, [b'#' | b';' | b'"' | b'\'' | b'>', ..]) => Some(true),
            (place, [b'\\', escape @ ..]) => {
                let is_query = matches!(place, ValuePlace::Query);
                ends_value(escape, is_query).or_else(|| window.to_end.then_some(false))
            }
            (_, [byte, ..]) => Some(is_space(*byte)),
        }
    }

    /// Whether the id stands at `at`, behind a `=` and before a `"`.
    #[inline(always)]
    pub(in crate::scan) fn is_written_at(&self, bytes: &[u8], at: usize) -> bool {
        let written = bytes.get(at..at + self.written.len());
        let is_same = written.is_some_and(|written| is_same(written, &self.written));
        is_same && !self.written.is_empty() && self.is_plain()
    }

    /// The last byte of the id.
    pub(in crate::scan) fn end(&self) -> Option<u8> {
        self.id().last().copied()
    }

    /// How many bytes it has allocated.
    pub(in crate::scan) fn allocated(&self) -> usize {
        self.written.capacity()
    }

    /// Takes an id that need not be handed out; an empty one means none.
    pub(in crate::scan) fn remember(&mut self, id: &[u8]) {
        self.written.clear();
        self.is_plain.take();
        if !id.is_empty() {
            self.written.reserve(id.len() + 2);
            self.written.push(b'=');
            self.written.extend_from_slice(id);
            self.written.push(b'"');
        }
    }
}

/// Whether both are the same. Most ids are so long that two blocks are all of them.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn are<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    one.len() == other.len()
        && match one.len() {
            16..=32 => are::<16>(one, other),
            33..=64 => are::<32>(one, other),
            _ => one == other,
        }
}

/// Whether links have all bytes of an id as they are.
fn is_plain(id: &[u8]) -> bool {
    let is_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.,:*!$".contains(byte);
    let (blocks, rest) = id.as_chunks();
    blocks.iter().all(are_plain)
        && (id.last_chunk().is_some_and(are_plain) || rest.iter().all(is_byte))
}

/// The same for sixteen bytes.
#[inline(always)]
fn are_plain(bytes: &[u8; 16]) -> bool {
    let block = u8x16::new(*bytes);
    let is_within = |block, first, last| up_from(block, first) & up_to(block, last);
    let is_letter = is_within(block | u8x16::splat(0x20), b'a', b'z');
    // The colon stands behind the digits.
    let is_digit = is_within(block, b'0', b':');
    let is_mark = same(block, b'_') | same(block, b'*') | same(block, b'!') | same(block, b'$');
    (is_letter | is_digit | is_mark | is_within(block, b',', b'.')).all()
}

/// The bytes that tell whether a URL is still in its path: the start of a string or of a query. The
/// ends of strings are among them, because what stands before those may be out of the window.
static MARKS: [bool; 256] = spaces_and(b"?&\"'`<>()\\");

/// What tells where a value ends.
#[derive(Clone, Copy)]
pub(in crate::scan) struct ValueEnd {
    place: ValuePlace,
    delimiter: Option<u8>,
}

#[derive(Clone, Copy)]
enum ValuePlace {
    Query,
    Path,
    Parentheses,
    /// A whole segment.
    Segment,
}

impl ValueEnd {
    /// How the value of the name at `at` ends. `None`: the bytes just before the name do not tell.
    #[inline]
    pub(in crate::scan) fn of(
        names: &Names,
        name: &Name,
        window: &Window<'_>,
        at: usize,
    ) -> Result<Option<Self>, Progress> {
        let delimiter = names.delimiter();
        let place = ValuePlace::of(names, name, window, at)?;
        Ok(place.map(|place| Self { place, delimiter }))
    }
}

impl ValuePlace {
    #[inline]
    fn of(
        names: &Names,
        name: &Name,
        window: &Window<'_>,
        at: usize,
    ) -> Result<Option<Self>, Progress> {
        if matches!(name.role, Role::Segment { .. }) {
            return Ok(Some(Self::Segment));
        }
        match (name.letter, names.are_in_paths()) {
            (Some(_), _) => Ok(Some(Self::Parentheses)),
            (None, false) => Ok(Some(Self::Query)),
            (None, true) => Self::behind(window, at),
        }
    }

    /// What the bytes before a name say.
    fn behind(window: &Window<'_>, at: usize) -> Result<Option<Self>, Progress> {
        // Far enough for most paths.
        const NEAR: usize = 128;

        let before = window.bytes.get(at.saturating_sub(NEAR)..at);
        let place = match before.unwrap_or_default() {
            [.., b'?' | b'&'] => Some(Self::Query),
            before if before.ends_with(b"&amp;") => Some(Self::Query),
            [before @ .., b';'] => {
                let mark = before.iter().rfind(|byte| MARKS[usize::from(**byte)]);
                match mark {
                    None if at < NEAR && !window.from_start => return Err(Progress::NeedsBefore),
                    Some(b'"' | b'\'' | ..=b' ') => Some(Self::Path),
                    // A "&" may begin a character reference to "?".
                    _ => None,
                }
            }
            _ => None,
        };
        Ok(place)
    }
}

/// Hands an id out unless it is the last one again. Returns whether there is one.
pub(in crate::scan) fn hand_out(
    id: ExtractedId<'_>,
    found_in: FoundIn,
    last: &mut LastId,
    found: &mut Found<'_>,
) -> bool {
    let ExtractedId::Id(id) = id else {
        return false;
    };
    hand_out_id(&id, found_in, last, found);
    true
}

/// The same of what is an id.
#[inline]
pub(in crate::scan) fn hand_out_id(
    id: &[u8],
    found_in: FoundIn,
    last: &mut LastId,
    found: &mut Found<'_>,
) {
    if !is_same(last.id(), id) && found(id, found_in) {
        last.remember(id);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_plain, is_same};

    #[test]
    fn ids_are_the_same_of_which_all_bytes_are() {
        for len in 0..70 {
            let id: Vec<u8> = (0..len).collect();
            assert!(is_same(&id, &id));
            assert!(!is_same(&id, &[&id[..], b"x"].concat()));
            for at in 0..id.len() {
                let mut other = id.clone();
                other[at] ^= 1;
                assert!(!is_same(&id, &other), "{len}, {at}");
            }
        }
    }

    #[test]
    fn ids_are_plain_in_which_all_bytes_are() {
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:*!$".contains(&byte);
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut id = vec![b'x'; len];
                    id[at] = byte;
                    assert_eq!(is_plain(&id), is_byte(byte), "{}", id.escape_ascii());
                }
            }
        }
    }
}
