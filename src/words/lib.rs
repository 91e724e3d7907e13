//! Reads two lines of the session table at once: of eight words, the one that has a key.
//!
//! portable-atomic can do that word by word. It asks for each word anew what the processor can, and
//! calls a function by a pointer for it, which is most of what a look-up costs. Here that is asked
//! once for all eight, and they are compared where they are, in registers. Where one word is read or
//! replaced and instructions count, that is done here, too. It needs unsafe code, which is why it is a
//! crate of its own: the core has none.
//!
//! Nothing else is different. Each word is read once, whole, by the instruction that portable-atomic
//! uses as well (`vmovdqa` of 16 aligned bytes, which is atomic on processors with AVX), so that no
//! access has another size than those that write the words. Where a processor has no AVX, or the
//! tool that runs the code does not know assembly, portable-atomic reads them; it is what the tests
//! compare with.
#![warn(missing_docs)]

use std::sync::atomic::Ordering::{Acquire, SeqCst};

use portable_atomic::AtomicU128;

/// A word.
#[inline(always)]
pub fn read(word: &AtomicU128) -> u128 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if wide::is_available() {
        // SAFETY: that is what is_available() has told.
        return unsafe { wide::read_one(word) };
    }
    read_otherwise(word)
}

#[cold]
#[inline(never)]
fn read_otherwise(word: &AtomicU128) -> u128 {
    word.load(Acquire)
}

/// Replaces a word that has not changed, sequentially consistent; whether it has not.
#[inline(always)]
pub fn swap(word: &AtomicU128, old: u128, new: u128) -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if wide::is_available() {
        // SAFETY: that is what is_available() has told.
        return unsafe { wide::swap(word, old, new) };
    }
    swap_otherwise(word, old, new)
}

#[cold]
#[inline(never)]
fn swap_otherwise(word: &AtomicU128, old: u128, new: u128) -> bool {
    word.compare_exchange(old, new, SeqCst, Acquire).is_ok()
}

/// Words in a line.
pub const LINE: usize = 4;

/// A line.
pub type Line = [AtomicU128; LINE];

/// The words whose high half is `key`: the bits of their low halves together, which are those of the
/// one if it is one, and how many they are.
// A function of its own, which goes on to one of two with the same arguments: where it is called, the
// result is in registers.
#[inline(never)]
pub fn find(first: &Line, second: &Line, key: u64) -> (u64, u64) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if wide::is_available() {
        // SAFETY: that is what is_available() has told.
        return unsafe { wide::find(first, second, key) };
    }
    find_one_by_one(first, second, key)
}

/// Which of eight words are such, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Those whose high half is the key.
    pub of_key: u32,
    /// Those whose high half is 0.
    pub empty: u32,
}

/// All words, and which of them are of a key or of none.
#[inline(always)]
pub fn load(first: &Line, second: &Line, key: u64, words: &mut [u128; 2 * LINE]) -> Places {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if wide::is_available() {
        // SAFETY: that is what is_available() has told.
        return unsafe { wide::load(first, second, key, words) };
    }
    load_one_by_one(first, second, key, words)
}

/// The same without the words.
#[inline(always)]
pub fn places(first: &Line, second: &Line, key: u64) -> Places {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if wide::is_available() {
        // SAFETY: that is what is_available() has told.
        return unsafe { wide::places(first, second, key) };
    }
    load_one_by_one(first, second, key, &mut [0; 2 * LINE])
}

#[inline(never)]
fn find_one_by_one(first: &Line, second: &Line, key: u64) -> (u64, u64) {
    let all = first.iter().chain(second).map(|word| word.load(Acquire));
    let of_key = all.filter(|word| (word >> 64) as u64 == key);
    of_key.fold((0, 0), |(low, count), word| (low | word as u64, count + 1))
}

#[inline(never)]
fn load_one_by_one(first: &Line, second: &Line, key: u64, words: &mut [u128; 2 * LINE]) -> Places {
    for (bits, word) in words.iter_mut().zip(first.iter().chain(second)) {
        *bits = word.load(Acquire);
    }
    let with_key = |key: u64| {
        let are = words.iter().map(|word| (word >> 64) as u64 == key);
        are.rev().fold(0, |all, is| all << 1 | u32::from(is))
    };
    Places {
        of_key: with_key(key),
        empty: with_key(0),
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod wide {
    use std::arch::asm;
    use std::arch::is_x86_feature_detected;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi64, _mm_and_si128, _mm_cmpeq_epi64, _mm_cvtsi128_si64,
        _mm_movemask_epi8, _mm_or_si128, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi64x,
        _mm_setzero_si128, _mm_testz_si128, _mm_unpackhi_epi64, _mm_unpacklo_epi64,
    };
    use std::mem::transmute;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    use portable_atomic::AtomicU128;

    use super::{Line, Places, LINE};

    const UNKNOWN: u8 = 0;
    const NOT_AVAILABLE: u8 = 1;
    const AVAILABLE: u8 = 2;

    /// Whether the processor can do what this module does; the same throughout a process.
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

    #[inline(always)]
    pub fn is_available() -> bool {
        STATE.load(Relaxed) == AVAILABLE || is_newly_available()
    }

    #[cold]
    #[inline(never)]
    fn is_newly_available() -> bool {
        if STATE.load(Relaxed) == UNKNOWN {
            // Without cmpxchg16b, portable-atomic writes words under locks.
            let is_available =
                is_x86_feature_detected!("avx") && is_x86_feature_detected!("cmpxchg16b");
            let state = match is_available {
                true => AVAILABLE,
                false => NOT_AVAILABLE,
            };
            STATE.store(state, Relaxed);
        }
        STATE.load(Relaxed) == AVAILABLE
    }

    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    pub unsafe fn read_one(word: &AtomicU128) -> u128 {
        let (low, high): (u64, u64);
        // SAFETY: as in read(), of one word.
        unsafe {
            asm!(
                "vmovdqa {word}, xmmword ptr [{at}]",
                "vmovq {low}, {word}",
                "vpextrq {high}, {word}, 1",
                at = in(reg) word.as_ptr(),
                word = out(xmm_reg) _,
                low = out(reg) low,
                high = out(reg) high,
                options(nostack, preserves_flags),
            );
        }
        u128::from(high) << 64 | u128::from(low)
    }

    /// # Safety
    /// The processor has cmpxchg16b.
    #[inline(always)]
    pub unsafe fn swap(word: &AtomicU128, old: u128, new: u128) -> bool {
        let is_swapped: u64;
        // SAFETY: a word is aligned to 16 bytes and may be written at any time, whole, as this does:
        // nothing that is said to be unchanged by this may be memory. The compiler needs RBX for
        // itself, so that is as before at the end; RDI is named for another register than that.
        unsafe {
            asm!(
                "xchg rbx, {low}",
                "lock cmpxchg16b xmmword ptr [rdi]",
                "sete al",
                "mov rbx, {low}",
                low = inout(reg) new as u64 => _,
                in("rcx") (new >> 64) as u64,
                inout("rax") old as u64 => is_swapped,
                inout("rdx") (old >> 64) as u64 => _,
                in("rdi") word.as_ptr(),
                options(nostack),
            );
        }
        is_swapped as u8 != 0
    }

    /// # Safety
    /// The processor has AVX and cmpxchg16b.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn read(first: &Line, second: &Line) -> [__m128i; 2 * LINE] {
        let (a, b, c, d, e, f, g, h);
        // SAFETY: a line is four words, which are aligned to 16 bytes and may be read at any time.
        // The processor reads each in one go, after everything that comes before, and all that
        // follows is done after that: nothing that is said to be unchanged by this may be memory.
        unsafe {
            asm!(
                "vmovdqa {a}, xmmword ptr [{first}]",
                "vmovdqa {b}, xmmword ptr [{first} + 16]",
                "vmovdqa {c}, xmmword ptr [{first} + 32]",
                "vmovdqa {d}, xmmword ptr [{first} + 48]",
                "vmovdqa {e}, xmmword ptr [{second}]",
                "vmovdqa {f}, xmmword ptr [{second} + 16]",
                "vmovdqa {g}, xmmword ptr [{second} + 32]",
                "vmovdqa {h}, xmmword ptr [{second} + 48]",
                first = in(reg) first.as_ptr(),
                second = in(reg) second.as_ptr(),
                a = out(xmm_reg) a,
                b = out(xmm_reg) b,
                c = out(xmm_reg) c,
                d = out(xmm_reg) d,
                e = out(xmm_reg) e,
                f = out(xmm_reg) f,
                g = out(xmm_reg) g,
                h = out(xmm_reg) h,
                options(nostack, preserves_flags),
            );
        }
        [a, b, c, d, e, f, g, h]
    }

    /// # Safety
    /// The processor has AVX and cmpxchg16b.
    #[target_feature(enable = "avx")]
    pub unsafe fn load(
        first: &Line,
        second: &Line,
        key: u64,
        words: &mut [u128; 2 * LINE],
    ) -> Places {
        // SAFETY: the caller's promise. A register has 128 bits, any of which are a number.
        unsafe {
            let read = read(first, second);
            *words = transmute::<[__m128i; 2 * LINE], [u128; 2 * LINE]>(read);
            places_of(read, key)
        }
    }

    /// # Safety
    /// The processor has AVX and cmpxchg16b.
    #[target_feature(enable = "avx")]
    pub unsafe fn places(first: &Line, second: &Line, key: u64) -> Places {
        // SAFETY: the caller's promise.
        unsafe { places_of(read(first, second), key) }
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn places_of(read: [__m128i; 2 * LINE], key: u64) -> Places {
        let [a, b, c, d, e, f, g, h] = read;
        let (ab, cd) = (_mm_unpackhi_epi64(a, b), _mm_unpackhi_epi64(c, d));
        let (ef, gh) = (_mm_unpackhi_epi64(e, f), _mm_unpackhi_epi64(g, h));
        let with_key = |key| {
            let (ab, cd) = (_mm_cmpeq_epi64(ab, key), _mm_cmpeq_epi64(cd, key));
            let (ef, gh) = (_mm_cmpeq_epi64(ef, key), _mm_cmpeq_epi64(gh, key));
            // Halves, quarters and eighths of what is all set or all clear.
            let (abcd, efgh) = (_mm_packs_epi32(ab, cd), _mm_packs_epi32(ef, gh));
            let bytes = _mm_packs_epi16(_mm_packs_epi32(abcd, efgh), _mm_setzero_si128());
            _mm_movemask_epi8(bytes) as u32
        };
        Places {
            of_key: with_key(_mm_set1_epi64x(key as i64)),
            empty: with_key(_mm_setzero_si128()),
        }
    }

    /// # Safety
    /// The processor has AVX and cmpxchg16b.
    #[target_feature(enable = "avx")]
    pub unsafe fn find(first: &Line, second: &Line, key: u64) -> (u64, u64) {
        // SAFETY: the caller's promise; what has AVX has all that is older, too.
        unsafe {
            let [a, b, c, d, e, f, g, h] = read(first, second);
            let key = _mm_set1_epi64x(key as i64);
            // Two words at a time: all bits are set of a half that is the key.
            let are_of_key = |one, other| _mm_cmpeq_epi64(_mm_unpackhi_epi64(one, other), key);
            let (ab, cd) = (are_of_key(a, b), are_of_key(c, d));
            let (ef, gh) = (are_of_key(e, f), are_of_key(g, h));
            let any = _mm_or_si128(_mm_or_si128(ab, cd), _mm_or_si128(ef, gh));
            if _mm_testz_si128(any, any) != 0 {
                return (0, 0);
            }
            let low_of = |one, other, are| _mm_and_si128(_mm_unpacklo_epi64(one, other), are);
            let low = _mm_or_si128(
                _mm_or_si128(low_of(a, b, ab), low_of(c, d, cd)),
                _mm_or_si128(low_of(e, f, ef), low_of(g, h, gh)),
            );
            // All bits set is -1.
            let less = _mm_add_epi64(_mm_add_epi64(ab, cd), _mm_add_epi64(ef, gh));
            let second_half = |both| _mm_cvtsi128_si64(_mm_unpackhi_epi64(both, both)) as u64;
            let low = _mm_cvtsi128_si64(low) as u64 | second_half(low);
            let less = (_mm_cvtsi128_si64(less) as u64).wrapping_add(second_half(less));
            (low, less.wrapping_neg())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;

    use super::*;

    fn line(words: [u128; LINE]) -> Line {
        words.map(AtomicU128::new)
    }

    /// xorshift64.
    fn next(random: &mut u64) -> u64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    }

    #[test]
    fn words_are_found_as_one_by_one() {
        let mut random = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..100_000 {
            // Few keys, so that there are none, one or several of each.
            let mut word = || {
                let key = match next(&mut random) % 12 {
                    0 => 0,
                    1 => u64::MAX,
                    2 => 1 << 63,
                    // Differs in one half of the half.
                    3 => (1 << 32) | 1,
                    key => key,
                };
                u128::from(key) << 64 | u128::from(next(&mut random))
            };
            let (first, second) = (
                line([(); LINE].map(|_| word())),
                line([(); LINE].map(|_| word())),
            );
            for key in [0, 1, 4, 7, 11, 1 << 32, (1 << 32) | 1, 1 << 63, u64::MAX] {
                let expected = find_one_by_one(&first, &second, key);
                assert_eq!(find(&first, &second, key), expected, "{key:x}");
                let (mut words, mut expected) = ([0; 2 * LINE], [1; 2 * LINE]);
                let places = load(&first, &second, key, &mut words);
                let as_expected = load_one_by_one(&first, &second, key, &mut expected);
                assert_eq!((places, words), (as_expected, expected), "{key:x}");
                assert_eq!(super::places(&first, &second, key), as_expected, "{key:x}");
            }
        }
    }

    #[test]
    fn a_word_is_replaced_if_it_is_as_expected() {
        let values = [0, 1, u128::MAX, 1 << 64, u128::from(u64::MAX), 7 << 64 | 5];
        for before in values {
            for old in values {
                for new in values {
                    let word = AtomicU128::new(before);
                    assert_eq!(read(&word), before);
                    assert_eq!(swap(&word, old, new), old == before);
                    let expected = if old == before { new } else { before };
                    assert_eq!((read(&word), word.load(SeqCst)), (expected, expected));
                }
            }
        }
    }

    /// Each adds one to both halves, so often, and sees no halves that differ.
    #[test]
    fn words_that_several_replace_are_replaced_whole() {
        const TIMES: u64 = 100_000;
        let word = AtomicU128::new(0);
        let add = || {
            let mut done = 0;
            while done < TIMES {
                let old = read(&word);
                assert_eq!(old as u64, (old >> 64) as u64);
                done += u64::from(swap(&word, old, old.wrapping_add(1 << 64 | 1)));
            }
        };
        thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
        });
        assert_eq!(
            word.load(SeqCst),
            u128::from(2 * TIMES) << 64 | u128::from(2 * TIMES)
        );
    }

    #[test]
    fn a_word_alone_is_found_in_each_place() {
        for place in 0..2 * LINE {
            let words = [(); 2 * LINE].map(|_| AtomicU128::new(7 << 64 | 5));
            words[place].store(9 << 64 | 3, SeqCst);
            let (first, second) = words.split_at(LINE);
            let (first, second) = (first.try_into().unwrap(), second.try_into().unwrap());
            assert_eq!(find(first, second, 9), (3, 1), "{place}");
            assert_eq!(find(first, second, 7), (5, 7), "{place}");
            assert_eq!(find(first, second, 8), (0, 0), "{place}");
        }
    }

    /// Its two halves are written together, and seen together.
    #[test]
    fn no_word_is_seen_half_written() {
        let (first, second) = (line([0; LINE]), line([0; LINE]));
        let is_over = AtomicBool::new(false);
        let both = |half: u64| u128::from(half) << 64 | u128::from(half);
        thread::scope(|scope| {
            scope.spawn(|| {
                for half in 1..=200_000 {
                    let line = if half % 2 == 0 { &first } else { &second };
                    let word = &line[half as usize / 2 % LINE];
                    let old = word.load(Acquire);
                    let done = word.compare_exchange(old, both(half), SeqCst, SeqCst);
                    assert_eq!(done, Ok(old));
                }
                is_over.store(true, SeqCst);
            });
            let mut latest = 0;
            while !is_over.load(SeqCst) {
                let mut words = [0; 2 * LINE];
                load(&first, &second, 1, &mut words);
                assert!(words.iter().all(|word| *word == both(*word as u64)));
                latest = words
                    .iter()
                    .fold(latest, |latest, word| latest.max(*word as u64));
                let (low, count) = find(&first, &second, latest);
                assert!(latest == 0 || count == 0 || (low, count) == (latest, 1));
            }
        });
        assert_eq!(find(&first, &second, 200_000), (200_000, 1));
    }
}
