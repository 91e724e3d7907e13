//! Bytes that are looked at in blocks of a fixed size, which the compiler has in registers.

/// Whether there is a semicolon. Nearly all paths are short, and so are the values of cookies.
#[inline(always)]
pub(crate) fn has_semicolon(path: &[u8]) -> bool {
    #[inline(always)]
    fn has_none<const N: usize>(block: &[u8; N]) -> bool {
        !block.iter().fold(false, |any, b| any | (*b == b';'))
    }
    match path.len() {
        0..4 => path.contains(&b';'),
        4..8 => !are_all(path, has_none::<4>),
        8..16 => !are_all(path, has_none::<8>),
        16..128 => !are_all(path, has_none::<16>),
        _ => memchr::memchr(b';', path).is_some(),
    }
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
