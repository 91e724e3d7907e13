//! The id of a link as nearly all stand in the attributes of pages: relative, the name in its query, `&`
//! written as such or as `&amp;`, and nothing to decode. In one pass. What is not found so is looked for
//! by the other rules, which find the same.

use wide::u8x16;

use super::{LinkPart, Name, Names, Site};
use crate::blocks::{first_such, has_such};

/// The longest link that is looked at: longer than most are.
const LONGEST: usize = u128::BITS as usize;

const BLOCK: usize = 16;

/// The rest of `&amp;`.
const AMP: &[u8] = b"amp;";

impl Names {
    /// Whether [`in_markup_at_once`](Self::in_markup_at_once) may find any: a quick look.
    #[inline(always)]
    pub(crate) fn may_be_in_markup_at_once(&self, link: &[u8]) -> bool {
        (BLOCK..=LONGEST).contains(&link.len()) && self.names.len() == 1
    }

    /// The id in a link without character references but `&amp;`, if there is one name. `None`: it has
    /// none, or there is more to look at.
    #[inline(never)]
    pub(crate) fn in_markup_at_once<'a>(&self, link: &'a [u8], site: &Site) -> Option<&'a [u8]> {
        let [name @ Name { letter: None, .. }] = &*self.names else {
            return None;
        };
        if self.parts.first() != Some(&LinkPart::Query) || !site.has_relative() {
            return None;
        }
        let separators = separators(link)?;
        // A "=" before it may belong to what is glued to the link.
        let mark = first_such(link, |block| is(block, b'?') | is(block, b'='))??;
        let (path, query) = link.split_at_checked(mark)?;
        // In a path that is searched, "&amp;" does not separate.
        if !query.starts_with(b"?") || path.starts_with(b"//") || has_such(path, |b| b == b'&') {
            return None;
        }
        let mut value = None;
        let mut left = separators & u128::MAX << mark;
        let mut from = mark + 1;
        loop {
            // Of several, it is more to tell which one counts.
            if name.begins(link.get(from..)?)
                && value.replace(from + name.bytes.len() + 1).is_some()
            {
                return None;
            }
            if left == 0 {
                break;
            }
            let end = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            from = end + 1;
            let behind = link.get(from..)?;
            if link.get(end) != Some(&b'&') {
                continue;
            }
            if behind.starts_with(AMP) {
                // Up to its semicolon, which separates, too.
                left &= left.wrapping_sub(1);
                from += AMP.len();
            } else if !is_separator(behind) {
                return None;
            }
        }
        let value = link.get(value?..)?;
        let behind = separators.checked_shr((link.len() - value.len()) as u32);
        let len = behind.unwrap_or(0).trailing_zeros() as usize;
        self.id_in(value.get(..len).unwrap_or(value))
    }
}

/// Where `&` and `;` stand in a link, a bit for each byte, if it is short and has nothing to decode.
#[inline(always)]
fn separators(link: &[u8]) -> Option<u128> {
    if link.len() > LONGEST {
        return None;
    }
    let last = u8x16::new(*link.last_chunk()?);
    let are_separators = |block| (is(block, b'&') | is(block, b';')).move_mask() as u16;
    let mut decoded = may_decode(last);
    let mut separators = u128::from(are_separators(last)) << (link.len() - BLOCK);
    let (mut rest, mut at) = (link, 0);
    while let Some((block, behind)) = rest.split_first_chunk() {
        let block = u8x16::new(*block);
        decoded |= may_decode(block);
        separators |= u128::from(are_separators(block)) << at;
        (rest, at) = (behind, at + BLOCK);
    }
    decoded.none().then_some(separators)
}

/// Whether the `&` before this is no reference, or `&amp;`.
#[inline(never)]
pub(crate) fn is_separator(behind: &[u8]) -> bool {
    let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric();
    behind.starts_with(AMP) || behind.iter().find(|byte| !is_in_name(byte)) == Some(&b'=')
}

/// The bytes because of which a link may read otherwise than it is written: those up to `%`, which are
/// control characters, the space, `!`, `"`, `#` and `$`; and `+`, `,`, `:` and `\`.
#[inline(always)]
fn may_decode(block: u8x16) -> u8x16 {
    let is_low = block.min(u8x16::splat(b'%')).cmp_eq(block);
    is_low | is(block, b'+') | is(block, b',') | is(block, b':') | is(block, b'\\')
}

#[inline(always)]
fn is(block: u8x16, byte: u8) -> u8x16 {
    block.cmp_eq(u8x16::splat(byte))
}
