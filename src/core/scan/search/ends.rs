//! The bytes that end a string. Near ones are found one by one, others sixteen at a time.

/// A set of bytes that end strings.
pub(in crate::scan) struct Ends {
    ends: [bool; 256],
    /// Whether there is one among these bytes.
    is_any_in: fn(&[u8; BLOCK]) -> bool,
}

/// How many bytes are tested at once.
pub(in crate::scan) const BLOCK: usize = 16;

impl Ends {
    /// `ends` and `is_any_in` must agree; see [`is_any`].
    pub(in crate::scan) const fn new(
        ends: [bool; 256],
        is_any_in: fn(&[u8; BLOCK]) -> bool,
    ) -> Self {
        Self { ends, is_any_in }
    }

    #[inline]
    pub(in crate::scan) fn has(&self, byte: u8) -> bool {
        self.ends[usize::from(byte)]
    }

    // Not inlined, as most strings are shorter.
    #[inline(never)]
    fn first_in_blocks(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk() {
            if (self.is_any_in)(block) {
                break;
            }
            rest = after;
        }
        let at = rest.iter().position(|byte| self.has(*byte))?;
        Some(bytes.len() - rest.len() + at)
    }

    #[inline(never)]
    fn last_in_blocks(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((before, block)) = rest.split_last_chunk() {
            if (self.is_any_in)(block) {
                break;
            }
            rest = before;
        }
        rest.iter().rposition(|byte| self.has(*byte))
    }
}

/// Finds the bytes that end strings.
pub(in crate::scan) trait FindEnd {
    /// The first one in these bytes.
    fn first(&self, bytes: &[u8]) -> Option<usize>;

    /// The last one.
    fn last(&self, bytes: &[u8]) -> Option<usize>;
}

impl FindEnd for Ends {
    #[inline]
    fn first(&self, bytes: &[u8]) -> Option<usize> {
        let (near, far) = bytes.split_at_checked(BLOCK).unwrap_or((bytes, &[]));
        let first = near.iter().position(|byte| self.has(*byte));
        first.or_else(|| Some(BLOCK + self.first_in_blocks(far)?))
    }

    #[inline]
    fn last(&self, bytes: &[u8]) -> Option<usize> {
        let middle = bytes.len().saturating_sub(BLOCK);
        let (far, near) = bytes.split_at_checked(middle).unwrap_or((&[], bytes));
        let last = near.iter().rposition(|byte| self.has(*byte));
        last.map(|at| middle + at)
            .or_else(|| self.last_in_blocks(far))
    }
}

/// Whether one of these bytes passes a test. The compiler vectorises it if the test has no
/// branches.
#[inline(always)]
pub(in crate::scan) fn is_any(block: &[u8; BLOCK], test: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |any, byte| any | test(*byte))
}

/// The set of the bytes that pass a test. A macro, because a constant function takes no function.
macro_rules! set_of {
    ($test:ident) => {{
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            set[byte] = $test(byte as u8);
            byte += 1;
        }
        set
    }};
}

pub(in crate::scan) use set_of;

#[cfg(test)]
mod tests {
    use super::{is_any, Ends, FindEnd};

    const fn is_end(byte: u8) -> bool {
        (byte == b'"') | (byte <= b' ')
    }

    static ENDS: Ends = Ends::new(set_of!(is_end), |block| is_any(block, is_end));

    #[test]
    fn the_first_and_the_last_are_found_in_any_length() {
        for len in 0..70 {
            let plain = vec![b'a'; len];
            assert_eq!(ENDS.first(&plain), None);
            assert_eq!(ENDS.last(&plain), None);
            for one in 0..len {
                for other in one + 1..len {
                    let mut bytes = plain.clone();
                    (bytes[one], bytes[other]) = (b'"', b'\n');
                    assert_eq!(ENDS.first(&bytes), Some(one));
                    assert_eq!(ENDS.last(&bytes), Some(other));
                }
            }
        }
    }
}
