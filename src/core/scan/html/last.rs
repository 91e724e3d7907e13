//! The id that was handed out last: most pages have one id in all their links, and it is handed out
//! and examined once.

use super::tag::is_space;
use super::window::Window;
use crate::url::Carried;

/// The id that was handed out last.
#[derive(Default)]
pub(super) struct Last {
    id: Vec<u8>,
    /// Its bytes are written in a link as they are.
    is_plain: bool,
}

impl Last {
    /// Whether the value at `at` is this id once more: most pages have one id in all their links.
    /// Then nothing new can come of the hit, wherever the link leads. `None`: more bytes are needed.
    pub(super) fn is_repeated(&self, window: &Window<'_>, at: usize) -> Option<bool> {
        if !self.is_plain {
            return Some(false);
        }
        let rest = window.bytes.get(at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(self.id.as_slice()) else {
            let is_cut = self.id.starts_with(rest) && !window.to_end;
            return (!is_cut).then_some(false);
        };
        match after {
            // A reference might continue the id; "&amp;" and "&name=" do not.
            [b'&', next, ..] => Some(next.is_ascii_alphabetic()),
            [b'&'] | [] => window.to_end.then_some(false),
            [byte, ..] => {
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

/// Hands an id out unless it is the one before. Returns whether there is one.
pub(super) fn hand_out(
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
