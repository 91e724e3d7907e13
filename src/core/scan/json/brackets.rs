//! Finds the brackets of a JSON text outside of its strings, which are all that nesting depends on.
//! Most blocks of a document have none of them and take a few SIMD instructions each.

use wide::{i8x16, CmpEq, CmpGt};

/// The state at the current place of a text.
#[derive(Clone, Copy, Default)]
pub(super) struct Brackets {
    pub(super) in_string: bool,
    /// The next byte belongs to an escape.
    pub(super) is_escaped: bool,
}

const WIDTH: usize = 64;
const LANE: usize = 16;

/// Fewer bytes than these are read one by one at less cost.
pub(super) const FEW: usize = 12;

impl Brackets {
    /// Reads on. `on` gets the place of each bracket outside of strings and of each backslash, the
    /// byte, and whether it stands in a string. When `on` returns true, reading stops behind that
    /// byte, and its place is returned.
    #[inline]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut on: impl FnMut(usize, u8, bool) -> bool,
    ) -> Option<usize> {
        let mut at = usize::from(self.is_escaped);
        let mut in_string = self.in_string;
        while let Some(marked) = Marked::next(bytes, &mut at, &mut in_string) {
            let Marked {
                mut marks,
                mut quotes,
            } = marked;
            let before = u64::from(in_string);
            let mut strings = parities(quotes ^ before);
            let start = at;
            at = bytes.len().min(start + WIDTH);
            while marks != 0 {
                let bit = marks & marks.wrapping_neg();
                let place = start + marks.trailing_zeros() as usize;
                marks ^= bit;
                in_string = strings & bit != 0;
                let byte = bytes.get(place).copied().unwrap_or_default();
                if byte == b'\\' {
                    let escaped = bit << 1;
                    marks &= !escaped;
                    if quotes & escaped != 0 {
                        quotes ^= escaped;
                        strings = parities(quotes ^ before);
                    }
                    at = at.max(place + 2);
                } else if in_string || byte == b'|' {
                    continue;
                }
                if on(place, byte, in_string) {
                    self.in_string = in_string;
                    self.is_escaped = byte == b'\\';
                    return Some(place);
                }
            }
            in_string = strings >> (WIDTH - 1) != 0;
        }
        self.in_string = in_string;
        self.is_escaped = at > bytes.len();
        None
    }

    /// The same, of the brackets outside of strings alone: a backslash costs no more than another
    /// byte.
    #[inline]
    pub(super) fn read_outside(
        &mut self,
        bytes: &[u8],
        mut on: impl FnMut(usize, u8) -> bool,
    ) -> Option<usize> {
        let skipped = usize::from(self.is_escaped);
        let mut rest = bytes.get(skipped..)?;
        let (mut in_string, mut escape) = (u64::from(self.in_string), 0);
        while !rest.is_empty() {
            let padding;
            let block = match rest.first_chunk::<WIDTH>() {
                Some(block) => block,
                None => {
                    padding = padded(rest);
                    &padding
                }
            };
            let len = rest.len().min(WIDTH);
            let lanes = [0, 1, 2, 3].map(|lane| lane_of(block, lane));
            let marks = lanes.map(marks_in);
            let quotes = lanes.map(|lane| lane.cmp_eq(i8x16::splat(b'"' as i8)));
            let any = (marks[0] | marks[1]) | (marks[2] | marks[3]);
            if any.move_mask() == 0 && escape == 0 {
                let odd = (quotes[0] ^ quotes[1]) ^ (quotes[2] ^ quotes[3]);
                in_string ^= u64::from(is_odd(odd.move_mask() as u32));
            } else {
                let slashes = lanes.map(|lane| lane.cmp_eq(i8x16::splat(b'\\' as i8)));
                let slashes = bits(slashes);
                let escaped = escaped_by(slashes, &mut escape);
                if len < WIDTH {
                    // Of the byte that comes next.
                    escape = escaped >> len & 1;
                }
                let strings = parities(bits(quotes) & !escaped ^ in_string);
                let mut marks = bits(marks) & !(strings | slashes | escaped);
                in_string = strings >> (WIDTH - 1);
                while marks != 0 {
                    let place = bytes.len() - rest.len() + marks.trailing_zeros() as usize;
                    marks &= marks - 1;
                    let byte = bytes.get(place).copied().unwrap_or_default();
                    if byte != b'|' && on(place, byte) {
                        *self = Self::default();
                        return Some(place);
                    }
                }
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        self.in_string = in_string != 0;
        self.is_escaped = escape != 0;
        None
    }

    /// The same byte by byte, for [`FEW`] bytes.
    pub(super) fn read_few(
        &mut self,
        bytes: &[u8],
        mut on: impl FnMut(usize, u8, bool) -> bool,
    ) -> Option<usize> {
        for (place, byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut self.is_escaped) {
                continue;
            }
            match byte {
                b'"' => self.in_string ^= true,
                b'\\' => self.is_escaped = true,
                b'{' | b'}' | b'[' | b']' if !self.in_string => {}
                _ => continue,
            }
            if *byte != b'"' && on(place, *byte, self.in_string) {
                return Some(place);
            }
        }
        None
    }
}

/// A block with a bracket or a backslash in it, with a bit for each byte.
struct Marked {
    /// Brackets and backslashes, and also `|`.
    marks: u64,
    quotes: u64,
}

impl Marked {
    /// The next such block from `at` on. `at` becomes its place, and `in_string` tells whether a
    /// string is open there.
    #[inline]
    fn next(bytes: &[u8], at: &mut usize, in_string: &mut bool) -> Option<Self> {
        let mut rest = bytes.get(*at..)?;
        // An odd number of bits means that a string is open.
        let mut seen = u32::from(*in_string);
        let found = loop {
            let padding;
            let block = match rest.first_chunk::<WIDTH>() {
                Some(block) => block,
                None if rest.is_empty() => break None,
                None => {
                    padding = padded(rest);
                    &padding
                }
            };
            let lanes = [0, 1, 2, 3].map(|lane| lane_of(block, lane));
            let marks = lanes.map(marks_in);
            let quotes = lanes.map(|lane| lane.cmp_eq(i8x16::splat(b'"' as i8)));
            let any = (marks[0] | marks[1]) | (marks[2] | marks[3]);
            if any.move_mask() != 0 {
                break Some(Self {
                    marks: bits(marks),
                    quotes: bits(quotes),
                });
            }
            let odd = (quotes[0] ^ quotes[1]) ^ (quotes[2] ^ quotes[3]);
            seen ^= odd.move_mask() as u32;
            rest = rest.get(WIDTH..).unwrap_or_default();
        };
        *at = bytes.len() - rest.len();
        *in_string = is_odd(seen);
        found
    }
}

#[inline]
fn lane_of(block: &[u8; WIDTH], index: usize) -> i8x16 {
    let lane = block.get(index * LANE..).and_then(<[u8]>::first_chunk);
    lane.map_or(i8x16::ZERO, |lane: &[u8; LANE]| {
        i8x16::new(lane.map(|byte| byte as i8))
    })
}

/// Sets all bits of the bytes that are brackets, backslashes or `|`.
#[inline]
fn marks_in(lane: i8x16) -> i8x16 {
    // This bit turns `[\]` into `{|}`. Adding two makes these the greatest numbers of an i8.
    let greatest = (lane | i8x16::splat(0x20)) + i8x16::splat(2);
    greatest.cmp_gt(i8x16::splat(0x7c))
}

/// One bit for each byte.
#[inline]
fn bits(lanes: [i8x16; WIDTH / LANE]) -> u64 {
    let [a, b, c, d] = lanes.map(|lane| lane.move_mask() as u64);
    a | b << LANE | c << (2 * LANE) | d << (3 * LANE)
}

/// Each bit becomes the parity of itself and all bits below it: set from an opening quote up to its
/// closing one.
#[inline]
fn parities(bits: u64) -> u64 {
    let mut parities = bits;
    for shift in [1, 2, 4, 8, 16, 32] {
        parities ^= parities << shift;
    }
    parities
}

/// The bytes behind a backslash that is not behind another one itself. `escape` is 1 if the byte before
/// these 64 is such a backslash, and becomes 1 if the last of them is.
#[inline]
fn escaped_by(slashes: u64, escape: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;

    // Of a run of backslashes every second one escapes. The carry of an addition goes through the run,
    // and so tells whether it has begun at an odd place (as simdjson does it).
    let slashes = slashes & !*escape;
    let follow = slashes << 1 | *escape;
    let odd = slashes & !EVEN & !follow;
    let (runs, overflows) = odd.overflowing_add(slashes);
    *escape = u64::from(overflows);
    (EVEN ^ runs << 1) & follow
}

#[inline]
fn is_odd(bits: u32) -> bool {
    let mut parities = bits;
    for shift in [8, 4, 2, 1] {
        parities ^= parities >> shift;
    }
    parities & 1 != 0
}

fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut block = [0; WIDTH];
    if let Some(start) = block.get_mut(..rest.len()) {
        start.copy_from_slice(rest);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::{escaped_by, Brackets};

    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 16) as usize % end
        }
    }

    #[test]
    fn every_second_backslash_of_a_run_escapes() {
        let mut numbers = Numbers(1);
        for _ in 0..20_000 {
            let dense = numbers.below(4);
            let mut slash = || (0..=dense).all(|_| numbers.below(2) == 1);
            let slashes = (0..64).fold(0, |bits, at| bits | u64::from(slash()) << at);
            let before = u64::from(slash());
            let (mut expected, mut is_escaped) = (0_u64, before == 1);
            for at in 0..64 {
                expected |= u64::from(is_escaped) << at;
                is_escaped = !is_escaped && slashes >> at & 1 == 1;
            }
            let mut escape = before;
            assert_eq!(escaped_by(slashes, &mut escape), expected, "{slashes:b}");
            assert_eq!(escape == 1, is_escaped, "{slashes:b}");
        }
    }

    /// In pieces of any length, brackets outside of strings are those that are found one by one.
    #[test]
    fn brackets_outside_of_strings_are_found_however_a_text_is_cut() {
        let mut numbers = Numbers(2);
        for _ in 0..2_000 {
            let plain = 1 + numbers.below(40);
            let bytes: Vec<u8> = (0..numbers.below(300))
                .map(|_| {
                    *b"\\\\\"\"{}[]|"
                        .get(numbers.below(9 + plain))
                        .unwrap_or(&b'a')
                })
                .collect();
            let mut one_by_one = Brackets::default();
            let mut expected = Vec::new();
            let _ = one_by_one.read_few(&bytes, |at, byte, in_string| {
                expected.extend((byte != b'\\' && !in_string).then_some((at, byte)));
                false
            });
            let mut brackets = Brackets::default();
            let mut found = Vec::new();
            let mut at = 0;
            while at < bytes.len() {
                let end = (at + 1 + numbers.below(130)).min(bytes.len());
                let stops = numbers.below(2) == 0;
                let stopped = brackets.read_outside(&bytes[at..end], |place, byte| {
                    found.push((at + place, byte));
                    stops
                });
                at = stopped.map_or(end, |place| at + place + 1);
            }
            let shown = bytes.escape_ascii();
            assert_eq!(found, expected, "{shown}");
            let states = [one_by_one, brackets].map(|it| (it.in_string, it.is_escaped));
            assert_eq!(states[0], states[1], "{shown}");
        }
    }
}
