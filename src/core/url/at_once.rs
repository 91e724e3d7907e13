//! The id of a request whose query is short and plain, as those of nearly all are, of an upstream with one
//! name: in one look, with few branches. What is not found so is looked for by the other rules, which
//! find the same.

use wide::u8x16;

use super::{Names, MAX_ID};

/// The longest query that is looked at.
const LONGEST: usize = 64;

/// The shortest id.
const SHORTEST: usize = size_of::<u64>();

/// The only name, if it is short and nothing is cut off behind an id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    /// Its bytes and `=`, and a mask of the bits that count.
    start: (u64, u64),
    /// How many bytes that are.
    length: usize,
}

/// What one look at a query tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainQuery<'a> {
    /// It is empty, or a pair of another name: there is no id.
    None,
    /// This id.
    Id(&'a [u8]),
    /// Nothing: it may have several pairs, escapes, or a value that is no id, or is too short or too long
    /// for one look.
    Untold,
}

impl Names {
    /// Prepares that.
    pub(super) fn with_alone(mut self) -> Self {
        self.alone = match &*self.names {
            [name] if self.delimiter.is_none() && self.max_id == MAX_ID => {
                let length = name.bytes.len() + 1;
                name.whole_start().map(|start| Alone { start, length })
            }
            _ => None,
        };
        self
    }

    /// What nearly all requests have, of an upstream with one short name: no query, or the id alone,
    /// with nothing to decode.
    #[inline(always)]
    pub fn in_query_at_once<'a>(&self, query: &'a [u8]) -> PlainQuery<'a> {
        if query.is_empty() {
            return PlainQuery::None;
        }
        let (Some(alone), Some(first)) = (&self.alone, query.first_chunk()) else {
            return PlainQuery::Untold;
        };
        if !is_one_short_pair(query) {
            return PlainQuery::Untold;
        }
        let (start, mask) = alone.start;
        if u64::from_le_bytes(*first) & mask != start {
            return PlainQuery::None;
        }
        match query.get(alone.length..) {
            Some(id) if id.len() >= SHORTEST => PlainQuery::Id(id),
            _ => PlainQuery::Untold,
        }
    }

    /// The first id of a query that has several pairs. `None`: it has none, or there is more to look at.
    #[inline(always)]
    pub fn first_in_pairs_at_once<'a>(&self, query: &'a [u8]) -> Option<&'a [u8]> {
        let alone = self.alone.as_ref()?;
        let (separators, escapes) = marks(query)?;
        if escapes != 0 {
            return None;
        }
        // A pair begins at the start and behind each separator.
        let mut begins = separators << 1 | 1;
        let (start, mask) = alone.start;
        while begins != 0 {
            let at = begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let pairs = query.get(at..)?;
            if u64::from_le_bytes(*pairs.first_chunk()?) & mask == start {
                let value = pairs.get(alone.length..)?;
                let behind = separators.checked_shr((at + alone.length) as u32);
                let end = behind.unwrap_or(0).trailing_zeros() as usize;
                let id = value.get(..end).unwrap_or(value);
                return (id.len() >= SHORTEST).then_some(id);
            }
        }
        None
    }
}

/// Where `&` and `;` stand in a query of 16 to 64 bytes, and where `%` and `+` do: a bit for each byte.
#[inline(always)]
fn marks(query: &[u8]) -> Option<(u64, u64)> {
    #[inline(always)]
    fn of_block(block: [u8; 16]) -> (u64, u64) {
        let block = u8x16::new(block);
        let are = |one, other| {
            let both = block.cmp_eq(u8x16::splat(one)) | block.cmp_eq(u8x16::splat(other));
            u64::from(both.move_mask() as u16)
        };
        (are(b'&', b';'), are(b'%', b'+'))
    }
    if query.len() > LONGEST {
        return None;
    }
    let last = query.last_chunk()?;
    let (mut separators, mut escapes) = of_block(*last);
    separators <<= query.len() - 16;
    escapes <<= query.len() - 16;
    let (mut rest, mut at) = (query, 0);
    while let Some((block, behind)) = rest.split_first_chunk() {
        let (separating, escaping) = of_block(*block);
        separators |= separating << at;
        escapes |= escaping << at;
        (rest, at) = (behind, at + 16);
    }
    Some((separators, escapes))
}

/// The same as `is_one_plain_pair` for up to 64 bytes, as nearly all have; false for more. In blocks that
/// overlap.
#[inline(always)]
pub(super) fn is_one_short_pair(query: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (query.first_chunk(), query.last_chunk()) {
        let ends = lowest(*first).min(lowest(*last));
        if query.len() <= 32 {
            return are_plain(ends);
        }
        let behind = query.get(16..).and_then(<[u8]>::first_chunk);
        let before = query.get(..query.len() - 16).and_then(<[u8]>::last_chunk);
        return match (behind, before) {
            (Some(second), Some(third)) if query.len() <= LONGEST => {
                are_plain(ends.min(lowest(*second)).min(lowest(*third)))
            }
            _ => false,
        };
    }
    if let (Some(first), Some(last)) = (query.first_chunk(), query.last_chunk()) {
        let both = u128::from(u64::from_ne_bytes(*first)) << 64;
        let both = both | u128::from(u64::from_ne_bytes(*last));
        return are_plain(lowest(both.to_ne_bytes()));
    }
    false
}

/// 0 for each byte that separates or escapes, or is another one of those up to `+`.
#[inline(always)]
pub(super) fn lowest(block: [u8; 16]) -> u8x16 {
    let block = u8x16::new(block);
    let from_plus = block.saturating_sub(u8x16::splat(b'+'));
    from_plus.min(block ^ u8x16::splat(b';'))
}

/// Whether none of the [`lowest`] is 0.
#[inline(always)]
pub(super) fn are_plain(lowest: u8x16) -> bool {
    lowest.cmp_eq(u8x16::splat(0)).none()
}
