//! Which bytes are carried over to the next piece, because a name in it may need them: those of the
//! tag and of the string in progress.
//!
//! Reading the tags from the start of the page would tell, but would cost ten times as much as the
//! search for the name. Instead: every tag has ended at a `>`, unless the `>` stands in a quoted
//! value. The quote that opens such a value is the last one of its kind before the `>`, and it
//! follows a `=`. In nearly all pages the last quotes are closing ones, which proves that no tag is
//! open.

use super::strings::STRING_RADIUS;
use super::tag::is_space;
use super::{MAX_QUOTED, MAX_TAG};
use crate::scan::search::ends::{Ends, FindEnd};

/// How far back the end of a string is searched. If there is none, all of [`STRING_RADIUS`] is
/// carried over, and as much more for a name that has begun.
const NEAR: usize = crate::url::MAX_NAME;

/// The bytes carried over so far, and the piece that follows them.
struct CarryAndPiece<'a> {
    carry: &'a [u8],
    piece: &'a [u8],
}

/// The place, counted over both, before which nothing is needed any more. `ends` tells what ends a
/// string.
pub(super) fn first_needed(carry: &[u8], piece: &[u8], ends: &Ends) -> usize {
    let both = CarryAndPiece { carry, piece };
    let end = carry.len() + piece.len();
    let low = end.saturating_sub(MAX_TAG + NEAR);
    let string = both.string_start(end, ends);
    // No tag that still counts needs bytes before `low`.
    both.tag_start(low, end).min(string)
}

impl CarryAndPiece<'_> {
    fn at(&self, place: usize) -> Option<u8> {
        match place.checked_sub(self.carry.len()) {
            Some(place) => self.piece.get(place).copied(),
            None => self.carry.get(place).copied(),
        }
    }

    /// The last such byte in `from..to`.
    fn last(&self, byte: u8, from: usize, to: usize) -> Option<usize> {
        let carried = self.carry.len();
        let in_piece = from.saturating_sub(carried)..to.saturating_sub(carried);
        let start = in_piece.start;
        let piece = self.piece.get(in_piece).unwrap_or_default();
        if let Some(at) = memchr::memrchr(byte, piece) {
            return Some(carried + start + at);
        }
        let carry = self.carry.get(from..to.min(carried)).unwrap_or_default();
        memchr::memrchr(byte, carry).map(|at| from + at)
    }

    /// The start of the string that the piece ends in, with the two bytes before it, which tell
    /// what kind of string it is.
    fn string_start(&self, end: usize, ends: &Ends) -> usize {
        let near = self.piece.len().saturating_sub(NEAR);
        let last = self.piece.get(near..).unwrap_or_default();
        let found = match ends.last(last) {
            Some(at) => Some(self.carry.len() + near + at),
            // The piece may be shorter than that.
            None => {
                let near = end.saturating_sub(NEAR).min(self.carry.len());
                let last = self.carry.get(near..).unwrap_or_default();
                ends.last(last).map(|at| near + at)
            }
        };
        found.map_or(end.saturating_sub(STRING_RADIUS + NEAR + 2), |at| {
            at.saturating_sub(1)
        })
    }

    /// The place before which no tag begins that is open at the end, and nothing stands that proves
    /// it. From the `>` on, not from the next `<`: a quote between them decides what is examined.
    fn tag_start(&self, low: usize, end: usize) -> usize {
        let Some(closed) = self.last(b'>', low, end) else {
            return low;
        };
        let opened = closed.saturating_sub(MAX_QUOTED).max(low);
        let may_be_in_value = [b'"', b'\'']
            .into_iter()
            .any(|quote| self.may_be_in_value(quote, opened, closed));
        match may_be_in_value {
            true => low,
            false => closed,
        }
    }

    /// Whether the `>` at `closed` may stand in a value with these quotes.
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
