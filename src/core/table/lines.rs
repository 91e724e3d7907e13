//! Reads the words of the two lines of a key: at once, or where a test needs to come in between, one
//! by one.

#[cfg(not(any(feature = "steps", feature = "model")))]
pub use sticky_words::{find, load};

#[cfg(any(feature = "steps", feature = "model"))]
pub use one_by_one::{find, load};

#[cfg(any(feature = "steps", feature = "model"))]
mod one_by_one {
    use std::sync::atomic::Ordering::Acquire;

    use crate::table::sync::AtomicU128;
    use crate::table::{test_points, LINE};

    /// See sticky-words, here and below.
    pub fn find(first: &[AtomicU128; LINE], second: &[AtomicU128; LINE], key: u64) -> (u64, u64) {
        let all = load(first, second).into_iter();
        let of_key = all.filter(|word| (word >> 64) as u64 == key);
        of_key.fold((0, 0), |(low, count), word| (low | word as u64, count + 1))
    }

    #[allow(missing_docs)]
    pub fn load(first: &[AtomicU128; LINE], second: &[AtomicU128; LINE]) -> [u128; 2 * LINE] {
        let mut words = [0; 2 * LINE];
        for (bits, word) in words.iter_mut().zip(first.iter().chain(second)) {
            test_points::at("view: a word");
            *bits = word.load(Acquire);
        }
        words
    }
}

/// The lines of both are as long.
#[cfg(not(feature = "model"))]
const _: () = assert!(super::LINE == sticky_words::LINE);
