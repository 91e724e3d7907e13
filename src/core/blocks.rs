//! Bytes that are looked at in blocks of a fixed size, which the compiler has in registers.

use wide::u8x16;

/// Whether there is a semicolon. Nearly all paths are short, and so are the values of cookies.
#[inline(always)]
pub(crate) fn has_semicolon(path: &[u8]) -> bool {
    match path.len() {
        0..128 => has_such(path, |byte| byte == b';'),
        _ => memchr::memchr(b';', path).is_some(),
    }
}

/// Whether any of some bytes is such. A test without branches is vectorised.
#[inline(always)]
pub(crate) fn has_such(bytes: &[u8], is_such: impl Fn(u8) -> bool + Copy) -> bool {
    #[inline(always)]
    fn has_none<const N: usize>(block: &[u8; N], is_such: impl Fn(u8) -> bool) -> bool {
        !block.iter().fold(false, |any, byte| any | is_such(*byte))
    }
    match bytes.len() {
        0..4 => bytes.iter().any(|byte| is_such(*byte)),
        4..8 => !are_all(bytes, |block: &[u8; 4]| has_none(block, is_such)),
        8..16 => !are_all(bytes, |block: &[u8; 8]| has_none(block, is_such)),
        _ => !are_all(bytes, |block: &[u8; 16]| has_none(block, is_such)),
    }
}

/// Where the first byte is that is such, if there is one: `are_such` sets the bytes of a block that are.
/// The outer `None`: there is less than a block.
#[inline(always)]
pub(crate) fn first_such(bytes: &[u8], are_such: impl Fn(u8x16) -> u8x16) -> Option<Option<usize>> {
    let first_in = |block: &[u8; 16]| match are_such(u8x16::new(*block)).move_mask() {
        0 => None,
        mask => Some(mask.trailing_zeros() as usize),
    };
    let last = bytes.last_chunk()?;
    let (mut rest, mut at) = (bytes, 0);
    while let Some((block, behind)) = rest.split_first_chunk() {
        if let Some(first) = first_in(block) {
            return Some(Some(at + first));
        }
        (rest, at) = (behind, at + block.len());
    }
    // It overlaps the one before, in which there is none.
    Some(first_in(last).map(|first| bytes.len() - last.len() + first))
}

/// Whether `test` holds for all bytes, block by block: the compiler vectorises a `test` without
/// branches. False for less than a block.
#[inline(always)]
pub(crate) fn are_all<const N: usize>(bytes: &[u8], test: impl Fn(&[u8; N]) -> bool) -> bool {
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk() {
        if !test(block) {
            return false;
        }
        rest = after;
    }
    // The last block overlaps the one before.
    bytes.last_chunk().is_some_and(test)
}
