//! The pieces of queries and the like, and what can be said of them without a look at each byte.

use wide::u8x16;

use super::at_once::{are_plain, is_one_short_pair, lowest};
use super::MAX_SEARCHED;
use crate::blocks::are_all;

/// As much of a text as is searched. What is left stands whole: it ends before a separator.
#[inline]
pub(super) fn searched(text: &[u8], is_separator: impl Fn(u8) -> bool) -> &[u8] {
    match text.get(..=MAX_SEARCHED) {
        None => text,
        Some(start) => cut_before(start, is_separator),
    }
}

#[cold]
#[inline(never)]
fn cut_before(text: &[u8], is_separator: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().rposition(|byte| is_separator(*byte));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

pub(super) fn separates_pairs(byte: u8) -> bool {
    matches!(byte, b'&' | b';')
}

/// The pieces between separators; `separator` finds the next one.
pub(super) fn split(
    pairs: &[u8],
    separator: impl Fn(&[u8]) -> Option<usize>,
) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(pairs);
    std::iter::from_fn(move || {
        let pairs = rest?;
        let (pair, after) = match separator(pairs) {
            Some(end) => (pairs.get(..end).unwrap_or_default(), pairs.get(end + 1..)),
            None => (pairs, None),
        };
        rest = after;
        Some(pair)
    })
}

/// Whether a query certainly has neither separators nor escapes: no `&`, `;`, `%`, `+`. Also false
/// for fewer than 8 bytes, and where a byte is another one of those up to `+`: `$`, `!`, `*` ….
#[inline(always)]
pub(super) fn is_one_plain_pair(query: &[u8]) -> bool {
    match query.len() {
        0..=64 => is_one_short_pair(query),
        _ => are_all(query, |block| are_plain(lowest(*block))),
    }
}

/// Whether a query certainly has nothing to decode. Also false for fewer than 16 bytes.
pub(super) fn is_unescaped(query: &[u8]) -> bool {
    are_all(query, |block: &[u8; 16]| {
        let block = u8x16::new(*block);
        (block.cmp_eq(u8x16::splat(b'%')) | block.cmp_eq(u8x16::splat(b'+'))).none()
    })
}
