//! Searching bytes with registers that not every processor has.

/// Bytes that are compared at once; the compiler divides them among registers.
const BLOCK: usize = 128;

/// The same where there are fewer.
const SMALL: usize = 16;

/// Whether `first` stands somewhere in the bytes and `second` so far behind it. Of few bytes it may be
/// true without.
#[inline]
pub fn may_have_pair(bytes: &[u8], first: u8, second: u8, distance: usize) -> bool {
    let Some(behind) = bytes.get(distance..) else {
        return false;
    };
    let bytes = bytes.get(..behind.len()).unwrap_or_default();
    match behind.len() {
        0..SMALL => bytes.contains(&first),
        SMALL..BLOCK => any_of_few(bytes, behind, first, second),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has AVX2.
        _ if std::arch::is_x86_feature_detected!("avx2") => unsafe {
            any_avx2(bytes, behind, first, second)
        },
        _ => any_of_many(bytes, behind, first, second),
    }
}

#[inline(never)]
fn any_of_few(bytes: &[u8], behind: &[u8], first: u8, second: u8) -> bool {
    any::<SMALL>(bytes, behind, first, second)
}

#[inline(never)]
fn any_of_many(bytes: &[u8], behind: &[u8], first: u8, second: u8) -> bool {
    any::<BLOCK>(bytes, behind, first, second)
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn any_avx2(bytes: &[u8], behind: &[u8], first: u8, second: u8) -> bool {
    any::<BLOCK>(bytes, behind, first, second)
}

/// At least a block of bytes, and so many behind them. Without branches inside of a block, which the
/// compiler then vectorises.
#[inline(always)]
fn any<const N: usize>(bytes: &[u8], behind: &[u8], first: u8, second: u8) -> bool {
    #[inline(always)]
    fn is_in<const N: usize>(block: &[u8; N], behind: &[u8; N], first: u8, second: u8) -> bool {
        let mut any = 0;
        for (one, other) in block.iter().zip(behind) {
            any |= u8::from(*one == first) & u8::from(*other == second);
        }
        any != 0
    }
    for (block, block_behind) in bytes.chunks_exact(N).zip(behind.chunks_exact(N)) {
        if let (Some(block), Some(block_behind)) = (block.first_chunk(), block_behind.first_chunk())
        {
            if is_in::<N>(block, block_behind, first, second) {
                return true;
            }
        }
    }
    // The last block overlaps the one before.
    match (bytes.last_chunk(), behind.last_chunk::<N>()) {
        (Some(block), Some(block_behind)) => is_in(block, block_behind, first, second),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{may_have_pair, SMALL};

    #[test]
    fn finds_a_pair_at_each_place() {
        for length in 0..300 {
            let mut bytes = vec![b'.'; length];
            assert!(!may_have_pair(&bytes, b'a', b'b', 3), "{length}");
            for at in 0..length {
                bytes[at] = b'a';
                let is_exact = length >= SMALL + 3;
                assert!(
                    !may_have_pair(&bytes, b'a', b'b', 3) || !is_exact,
                    "{length} {at}"
                );
                if at + 3 < length {
                    bytes[at + 3] = b'b';
                    assert!(may_have_pair(&bytes, b'a', b'b', 3), "{length} {at}");
                    bytes[at + 3] = b'.';
                }
                bytes[at] = b'.';
            }
        }
    }

    #[test]
    fn a_distance_beyond_the_end_is_no_pair() {
        assert!(!may_have_pair(b"ab", b'a', b'b', 7));
        assert!(may_have_pair(b"ab", b'a', b'b', 1));
    }
}
