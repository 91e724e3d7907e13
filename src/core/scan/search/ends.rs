//! The bytes that end a string, found sixteen at a time.

use wide::u8x16;

/// A set of bytes that end strings.
pub(in crate::scan) struct Ends {
    ends: [bool; 256],
    first: fn(&Self, &[u8]) -> Option<usize>,
    last: fn(&Self, &[u8]) -> Option<usize>,
}

/// The same set, as a test of sixteen bytes.
pub(in crate::scan) trait Among {
    /// All bits of those that are in it.
    fn among(block: u8x16) -> u8x16;
}

impl Ends {
    /// `ends` and the test must agree; see [`set_of`] and [`up_to`].
    pub(in crate::scan) const fn new<A: Among>(ends: [bool; 256]) -> Self {
        Self {
            ends,
            first: Self::first_in_blocks::<A>,
            last: Self::last_in_blocks::<A>,
        }
    }

    #[inline]
    pub(in crate::scan) fn has(&self, byte: u8) -> bool {
        self.ends[usize::from(byte)]
    }

    /// Whether one byte and sixteen of them are tested alike.
    #[cfg(test)]
    pub(in crate::scan) fn agree(&self) -> bool {
        (0..=u8::MAX).all(|byte| {
            let (block, is) = ([byte; BLOCK], self.has(byte));
            let found = [(self.first)(self, &block), (self.last)(self, &block)];
            found == [is.then_some(0), is.then_some(BLOCK - 1)]
        })
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
        match bytes.len() < BLOCK {
            true => bytes.iter().position(|byte| self.has(*byte)),
            false => (self.first)(self, bytes),
        }
    }

    #[inline]
    fn last(&self, bytes: &[u8]) -> Option<usize> {
        match bytes.len() < BLOCK {
            true => bytes.iter().rposition(|byte| self.has(*byte)),
            false => (self.last)(self, bytes),
        }
    }
}

/// How many bytes are tested at once.
const BLOCK: usize = 16;

impl Ends {
    fn first_in_blocks<A: Among>(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
            let ends = A::among(u8x16::new(*block)).move_mask();
            if ends != 0 {
                return Some(bytes.len() - rest.len() + ends.trailing_zeros() as usize);
            }
            rest = after;
        }
        let at = rest.iter().position(|byte| self.has(*byte))?;
        Some(bytes.len() - rest.len() + at)
    }

    fn last_in_blocks<A: Among>(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((before, block)) = rest.split_last_chunk::<BLOCK>() {
            let ends = A::among(u8x16::new(*block)).move_mask();
            if let Some(at) = ends.checked_ilog2() {
                return Some(before.len() + at as usize);
            }
            rest = before;
        }
        rest.iter().rposition(|byte| self.has(*byte))
    }
}

/// How many bytes at most are searched here; [`memchr`] finds its way through more at less cost.
const SHORT: usize = 128;

/// Whether a byte is among these, which mostly are few.
#[inline]
pub(in crate::scan) fn has_byte(bytes: &[u8], byte: u8) -> bool {
    let (blocks, rest) = bytes.as_chunks();
    if bytes.len() > SHORT {
        return memchr::memchr(byte, bytes).is_some();
    }
    let mut any = u8x16::ZERO;
    for block in blocks {
        any |= same(u8x16::new(*block), byte);
    }
    match bytes.last_chunk() {
        Some(last) => (any | same(u8x16::new(*last), byte)).any(),
        None => rest.contains(&byte),
    }
}

/// Where a byte is among these, which mostly are few.
#[inline]
pub(in crate::scan) fn places_of(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> + '_ {
    let mut at = 0;
    let mut found = 0_u32;
    std::iter::from_fn(move || {
        while found == 0 {
            let rest = bytes.get(at..)?;
            let block = match rest.first_chunk() {
                Some(block) => *block,
                None if rest.is_empty() => return None,
                None => {
                    let mut block = [!byte; 16];
                    block
                        .iter_mut()
                        .zip(rest)
                        .for_each(|(to, from)| *to = *from);
                    block
                }
            };
            found = same(u8x16::new(block), byte).move_mask() as u32;
            at += 16;
        }
        let place = at - 16 + found.trailing_zeros() as usize;
        found &= found - 1;
        Some(place)
    })
}

/// Which bytes are this one.
#[inline(always)]
pub(in crate::scan) fn same(block: u8x16, byte: u8) -> u8x16 {
    block.cmp_eq(u8x16::splat(byte))
}

/// Which bytes are this one, or the one that differs from it in `bit`, which is set in it.
#[inline(always)]
pub(in crate::scan) fn pair(block: u8x16, byte: u8, bit: u8) -> u8x16 {
    same(block | u8x16::splat(bit), byte)
}

/// Which bytes are not greater than this one.
#[inline(always)]
pub(in crate::scan) fn up_to(block: u8x16, byte: u8) -> u8x16 {
    block.min(u8x16::splat(byte)).cmp_eq(block)
}

/// Which bytes are not less than this one.
#[inline(always)]
pub(in crate::scan) fn up_from(block: u8x16, byte: u8) -> u8x16 {
    block.max(u8x16::splat(byte)).cmp_eq(block)
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
    use wide::u8x16;

    use super::{has_byte, places_of, same, up_to, Among, Ends, FindEnd};

    const fn is_end(byte: u8) -> bool {
        (byte == b'"') | (byte <= b' ')
    }

    struct QuotesAndSpaces;

    impl Among for QuotesAndSpaces {
        fn among(block: u8x16) -> u8x16 {
            same(block, b'"') | up_to(block, b' ')
        }
    }

    struct Quotes;

    impl Among for Quotes {
        fn among(block: u8x16) -> u8x16 {
            same(block, b'"')
        }
    }

    static ENDS: Ends = Ends::new::<QuotesAndSpaces>(set_of!(is_end));

    #[test]
    fn sixteen_bytes_at_once_are_tested_as_one_is() {
        assert!(ENDS.agree());
        assert!(!Ends::new::<Quotes>(ENDS.ends).agree());
    }

    #[test]
    fn a_byte_is_found_at_all_its_places_in_any_length() {
        for len in 0..200 {
            for step in [1, 2, 3, 5, 15, 16, 17, 40] {
                let bytes: Vec<u8> = (0..len)
                    .map(|at| b"ab"[usize::from(at % step == 0)])
                    .collect();
                let places: Vec<usize> = (0..len).step_by(step).collect();
                assert_eq!(places_of(&bytes, b'b').collect::<Vec<_>>(), places);
                assert!(!has_byte(&bytes, b'c') && places_of(&bytes, b'c').next().is_none());
                let mut one = vec![b'a'; len];
                for at in places {
                    one[at] = b'b';
                    assert!(has_byte(&one, b'b'));
                    one[at] = b'a';
                }
            }
        }
    }

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
