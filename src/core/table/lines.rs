//! Reads the words of the two lines of a key: at once, or where a test needs to come in between, one
//! by one.

#[cfg(not(any(feature = "steps", feature = "model")))]
pub use sticky_words::{find, load, places, Places};

#[cfg(any(feature = "steps", feature = "model"))]
pub use one_by_one::{find, load, places, Places};

#[cfg(any(feature = "steps", feature = "model"))]
mod one_by_one {
    use std::sync::atomic::Ordering::Acquire;

    pub use sticky_words::Places;

    use crate::table::sync::AtomicU128;
    use crate::table::{test_points, LINE};

    /// See sticky-words, here and below.
    pub fn find(first: &[AtomicU128; LINE], second: &[AtomicU128; LINE], key: u64) -> (u64, u64) {
        let mut words = [0; 2 * LINE];
        load(first, second, key, &mut words);
        let of_key = words.iter().filter(|word| (**word >> 64) as u64 == key);
        of_key.fold((0, 0), |(low, count), word| (low | *word as u64, count + 1))
    }

    #[allow(missing_docs)]
    pub fn load(
        first: &[AtomicU128; LINE],
        second: &[AtomicU128; LINE],
        key: u64,
        words: &mut [u128; 2 * LINE],
    ) -> Places {
        for (bits, word) in words.iter_mut().zip(first.iter().chain(second)) {
            test_points::at("view: a word");
            *bits = word.load(Acquire);
        }
        places_of(words, key)
    }

    #[allow(missing_docs)]
    pub fn places(first: &[AtomicU128; LINE], second: &[AtomicU128; LINE], key: u64) -> Places {
        load(first, second, key, &mut [0; 2 * LINE])
    }

    fn places_of(words: &[u128; 2 * LINE], key: u64) -> Places {
        let with_key = |key: u64| {
            let are = words.iter().map(|word| (word >> 64) as u64 == key);
            are.rev().fold(0, |all, is| all << 1 | u32::from(is))
        };
        Places {
            of_key: with_key(key),
            empty: with_key(0),
        }
    }
}

/// The lines of both are as long.
const _: () = assert!(super::LINE == sticky_words::LINE);
