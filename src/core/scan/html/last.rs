//! The id that was handed out last: most pages have one id in all their links, and it is handed out
//! and examined once.

use super::tag::is_space;
use super::window::Window;
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
        kind: Value,
    ) -> Option<bool> {
        if !self.is_plain {
            return Some(false);
        }
        let rest = window.bytes.get(at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(self.id.as_slice()) else {
            let is_cut = self.id.starts_with(rest) && !window.to_end;
            return (!is_cut).then_some(false);
        };
        match (kind, after) {
            // A reference might continue the id; "&amp;" and "&name=" do not.
            (Value::InQuery, [b'&', next, ..]) => Some(next.is_ascii_alphabetic()),
            (Value::InQuery, [b'&']) | (_, []) => window.to_end.then_some(false),
            (Value::InParentheses, [byte, ..]) => Some(*byte == b')'),
            (Value::InPath, [b'/' | b'\\' | b'?', ..]) => Some(true),
            (_, [byte, ..]) => {
                Some(matches!(byte, b'#' | b';' | b'"' | b'\'' | b'>') || is_space(*byte))
            }
        }
    }

    fn remember(&mut self, id: &[u8]) {
        self.id.clear();
        self.id.extend_from_slice(id);
        self.is_plain = id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.,:*!$".contains(b));
    }
}

/// Where a value stands, which tells how it ends.
#[derive(Clone, Copy)]
pub(in crate::scan) enum Value {
    InQuery,
    InPath,
    InParentheses,
}

impl Value {
    /// What the value of the name at `at` is, `None` when that takes more than a look at what stands
    /// before it.
    pub(in crate::scan) fn of(
        names: &Names,
        name: &Name,
        window: &Window<'_>,
        at: usize,
    ) -> Option<Self> {
        // Far enough for most paths.
        const NEAR: usize = 128;

        if name.letter.is_some() {
            return Some(Self::InParentheses);
        }
        if !names.are_in_paths() {
            return Some(Self::InQuery);
        }
        let before = window.bytes.get(at.saturating_sub(NEAR)..at)?;
        match before {
            [.., b'?' | b'&'] => Some(Self::InQuery),
            _ if before.ends_with(b"&amp;") => Some(Self::InQuery),
            // A "&" may be a reference to "?".
            [before @ .., b';'] => {
                let ends = |byte: &u8| matches!(byte, b'?' | b'&' | b'"' | b'\'') || *byte <= b' ';
                match before.iter().rfind(|byte| ends(byte)) {
                    None | Some(b'?' | b'&') => None,
                    Some(_) => Some(Self::InPath),
                }
            }
            _ => None,
        }
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
