//! The id that was handed out last: most pages have one id in all their links, and it is handed out
//! and examined once.

use super::strings::spaces_and;
use super::tag::is_space;
use crate::scan::search::window::{Progress, Window};
use crate::url::{Carried, Name, Names};

/// The id that was handed out last.
#[derive(Default)]
pub(in crate::scan) struct Last {
    id: Vec<u8>,
    /// Its bytes are written in a link as they are.
    is_plain: bool,
}

impl Last {
    /// Whether the value at `at` is this id once more: most pages have one id in all their links.
    /// Then nothing new can come of the hit, wherever the link leads. `None`: more bytes are needed.
    pub(in crate::scan) fn is_repeated(
        &self,
        window: &Window<'_>,
        at: usize,
        value: Value,
    ) -> Option<bool> {
        if !self.is_plain {
            return Some(false);
        }
        let rest = window.bytes.get(at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(self.id.as_slice()) else {
            let is_cut = self.id.starts_with(rest) && !window.to_end;
            return (!is_cut).then_some(false);
        };
        match (value.place, after) {
            // Behind it stands the name of a node, whatever follows.
            (_, [byte, ..]) if Some(*byte) == value.delimiter => Some(true),
            // A reference might continue the id; "&amp;" and "&name=" do not.
            (Place::Query, [b'&', next, ..]) => Some(next.is_ascii_alphabetic()),
            (Place::Query, [b'&']) | (_, []) => window.to_end.then_some(false),
            (Place::Parentheses, [byte, ..]) => Some(*byte == b')'),
            // Not `\`: in a text it may begin an escape.
            (Place::Path, [b'/' | b'?', ..]) => Some(true),
            (_, [byte, ..]) => {
                Some(matches!(byte, b'#' | b';' | b'"' | b'\'' | b'>') || is_space(*byte))
            }
        }
    }

    /// The last byte of the id.
    pub(in crate::scan) fn end(&self) -> Option<u8> {
        self.id.last().copied()
    }

    /// An id that need not be handed out, none when it is empty.
    pub(in crate::scan) fn remember(&mut self, id: &[u8]) {
        self.id.clear();
        self.id.extend_from_slice(id);
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.,:*!$".contains(b);
        self.is_plain = !id.is_empty() && id.iter().all(is_plain);
    }
}

/// What tells whether a URL is still in its path: its start, or its query's. What ends a string is
/// among them, as what stands before that may no longer be at hand.
static MARKS: [bool; 256] = spaces_and(b"?&\"'`<>()\\");

/// What tells how a value ends.
#[derive(Clone, Copy)]
pub(in crate::scan) struct Value {
    place: Place,
    delimiter: Option<u8>,
}

#[derive(Clone, Copy)]
enum Place {
    Query,
    Path,
    Parentheses,
}

impl Value {
    /// How the value of the name at `at` ends, `None` when that takes more than a look at what stands
    /// before it; an error when that is not at hand.
    #[inline]
    pub(in crate::scan) fn of(
        names: &Names,
        name: &Name,
        window: &Window<'_>,
        at: usize,
    ) -> Result<Option<Self>, Progress> {
        let delimiter = names.delimiter();
        let place = Place::of(names, name, window, at)?;
        Ok(place.map(|place| Self { place, delimiter }))
    }
}

impl Place {
    #[inline]
    fn of(
        names: &Names,
        name: &Name,
        window: &Window<'_>,
        at: usize,
    ) -> Result<Option<Self>, Progress> {
        match (name.letter, names.are_in_paths()) {
            (Some(_), _) => Ok(Some(Self::Parentheses)),
            (None, false) => Ok(Some(Self::Query)),
            (None, true) => Self::behind(window, at),
        }
    }

    /// What the bytes before a name say of its place.
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
                    // A "&" may be a reference to "?".
                    _ => None,
                }
            }
            _ => None,
        };
        Ok(place)
    }
}

/// Hands an id out unless it is the one before. Returns whether there is one.
pub(in crate::scan) fn hand_out(
    carried: Carried<'_>,
    last: &mut Last,
    found: &mut dyn FnMut(&[u8]),
) -> bool {
    let Carried::Id(id) = carried else {
        return false;
    };
    if *last.id != *id {
        last.remember(&id);
        found(&id);
    }
    true
}
