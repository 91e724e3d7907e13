//! What of the bytes so far a name in later ones may need: the tag and the string in progress.
//!
//! Reading the tags forward from the start would tell, and cost ten times as much as the search for
//! the name. Instead: at a `>` every tag has ended, unless the `>` stands in a quoted value. The
//! quote that opens such a value is the last one of its kind before the `>`, and it follows a `=`.
//! In nearly all pages the last quotes are closing ones, which proves that no tag is open.

use super::tag::is_space;
use super::{QUOTED, REACH, RUN};

/// The end of a string is looked for so far back; beyond it all of [`RUN`] is kept unseen, and as
/// much more, for a name that has begun.
const NEAR: usize = crate::url::MAX_NAME;

/// Two slices that follow each other in the page.
struct Joined<'a> {
    carry: &'a [u8],
    piece: &'a [u8],
}

/// The place, counted over both, before which nothing is needed any more. `ends` tells what ends a
/// string.
pub(super) fn first_needed(carry: &[u8], piece: &[u8], ends: fn(u8) -> bool) -> usize {
    let joined = Joined { carry, piece };
    let end = carry.len() + piece.len();
    let low = end.saturating_sub(REACH + NEAR);
    let string = joined.string_start(end, ends);
    // Bytes before `low` are needed by no tag that still counts.
    joined.tag_start(low, end).min(string)
}

impl Joined<'_> {
    fn at(&self, place: usize) -> Option<u8> {
        match place.checked_sub(self.carry.len()) {
            Some(place) => self.piece.get(place).copied(),
            None => self.carry.get(place).copied(),
        }
    }

    /// The last such byte in `from..to`.
    fn last(&self, byte: u8, from: usize, to: usize) -> Option<usize> {
        let border = self.carry.len();
        let in_piece = from.saturating_sub(border)..to.saturating_sub(border);
        let start = in_piece.start;
        let piece = self.piece.get(in_piece).unwrap_or_default();
        if let Some(at) = memchr::memrchr(byte, piece) {
            return Some(border + start + at);
        }
        let carry = self.carry.get(from..to.min(border)).unwrap_or_default();
        memchr::memrchr(byte, carry).map(|at| from + at)
    }

    /// The start of the string that the end cuts, with the two bytes before it, which tell what
    /// kind of string it is.
    fn string_start(&self, end: usize, ends: fn(u8) -> bool) -> usize {
        let near = self.piece.len().saturating_sub(NEAR);
        let last = self.piece.get(near..).unwrap_or_default();
        let found = match last.iter().rposition(|b| ends(*b)) {
            Some(at) => Some(self.carry.len() + near + at),
            // A piece shorter than that.
            None => {
                let near = end.saturating_sub(NEAR).min(self.carry.len());
                let last = self.carry.get(near..).unwrap_or_default();
                last.iter().rposition(|b| ends(*b)).map(|at| near + at)
            }
        };
        found.map_or(end.saturating_sub(RUN + NEAR + 2), |at| {
            at.saturating_sub(1)
        })
    }

    /// The place before which no tag begins that is open at the end, and nothing stands that tells
    /// so. From the `>` on, not from the next `<`: a quote between them decides what is examined.
    fn tag_start(&self, low: usize, end: usize) -> usize {
        let Some(closed) = self.last(b'>', low, end) else {
            return low;
        };
        let opened = closed.saturating_sub(QUOTED).max(low);
        let may_be_in_value = [b'"', b'\'']
            .into_iter()
            .any(|quote| self.may_be_in_value(quote, opened, closed));
        match may_be_in_value {
            true => low,
            false => closed,
        }
    }

    fn may_be_in_value(&self, quote: u8, low: usize, closed: usize) -> bool {
        let Some(opening) = self.last(quote, low, closed) else {
            return false;
        };
        match opening.checked_sub(1).and_then(|at| self.at(at)) {
            Some(byte) if is_space(byte) => {
                let mut before = (low..opening).rev().filter_map(|at| self.at(at));
                before.find(|b| !is_space(*b)).is_none_or(|b| b == b'=')
            }
            Some(byte) => byte == b'=',
            None => true,
        }
    }
}
