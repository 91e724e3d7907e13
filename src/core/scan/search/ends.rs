//! The bytes that end a string, found sixteen at a time.

use wide::u8x16;

/// A set of bytes that end strings.
pub(in crate::scan) struct Ends {
    ends: [bool; 256],
    /// Which of sixteen bytes are in it: the lowest bit tells of the first one.
    among: fn(u8x16) -> i32,
}

impl Ends {
    /// `ends` and `among` must agree; see [`set_of`] and [`up_to`].
    pub(in crate::scan) const fn new(ends: [bool; 256], among: fn(u8x16) -> i32) -> Self {
        Self { ends, among }
    }

    #[inline]
    pub(in crate::scan) fn has(&self, byte: u8) -> bool {
        self.ends[usize::from(byte)]
    }

    /// Whether one byte and sixteen of them are tested alike.
    #[cfg(test)]
    pub(in crate::scan) fn agree(&self) -> bool {
        let among = |byte: u8| (self.among)(u8x16::splat(byte));
        (0..=u8::MAX).all(|byte| among(byte) == i32::from(self.has(byte)) * 0xffff)
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
            false => self.first_in_blocks(bytes),
        }
    }

    #[inline]
    fn last(&self, bytes: &[u8]) -> Option<usize> {
        match bytes.len() < BLOCK {
            true => bytes.iter().rposition(|byte| self.has(*byte)),
            false => self.last_in_blocks(bytes),
        }
    }
}

/// How many bytes are tested at once.
const BLOCK: usize = 16;

impl Ends {
    // Not inlined, as what is searched where pieces are small is shorter.
    #[inline(never)]
    fn first_in_blocks(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
            let ends = (self.among)(u8x16::new(*block));
            if ends != 0 {
                return Some(bytes.len() - rest.len() + ends.trailing_zeros() as usize);
            }
            rest = after;
        }
        let at = rest.iter().position(|byte| self.has(*byte))?;
        Some(bytes.len() - rest.len() + at)
    }

    #[inline(never)]
    fn last_in_blocks(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((before, block)) = rest.split_last_chunk::<BLOCK>() {
            let ends = (self.among)(u8x16::new(*block));
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
    use super::{has_byte, places_of, same, up_to, Ends, FindEnd};

    const fn is_end(byte: u8) -> bool {
        (byte == b'"') | (byte <= b' ')
    }

    static ENDS: Ends = Ends::new(set_of!(is_end), |block| {
        (same(block, b'"') | up_to(block, b' ')).move_mask()
    });

    #[test]
    fn sixteen_bytes_at_once_are_tested_as_one_is() {
        assert!(ENDS.agree());
        assert!(!Ends::new(ENDS.ends, |block| same(block, b'"').move_mask()).agree());
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
