//! The atomics of the session table: those of the processor, or with feature `model` those of
//! loom, which runs a test in every order of the threads' accesses, with every value that the
//! memory model lets a thread see.

#[cfg(not(feature = "model"))]
pub use portable_atomic::AtomicU128;
#[cfg(not(feature = "model"))]
pub use std::sync::atomic::{fence, AtomicU64};

#[cfg(not(feature = "model"))]
pub use sticky_words::{read, swap};

#[cfg(feature = "model")]
pub use loom::sync::atomic::{fence, AtomicU64};
#[cfg(feature = "model")]
pub use model::{read, swap, AtomicU128};

#[cfg(feature = "model")]
mod model {
    use std::sync::atomic::Ordering;
    use std::sync::{Mutex, PoisonError};

    use loom::sync::atomic::AtomicU64;

    /// All values so far; a value's number is its index. The first is 0.
    static VALUES: Mutex<Vec<u128>> = Mutex::new(Vec::new());

    /// 128 bits, which loom does not have: the atomic holds the number of the value. Equal values
    /// have equal numbers, so a compare-and-swap decides as it would on the values.
    #[derive(Debug)]
    pub struct AtomicU128(AtomicU64);

    impl AtomicU128 {
        /// See portable-atomic, here and below.
        pub fn new(value: u128) -> Self {
            Self(AtomicU64::new(number_of(value)))
        }

        #[allow(missing_docs)]
        pub fn is_lock_free() -> bool {
            true
        }

        #[allow(missing_docs)]
        pub fn load(&self, order: Ordering) -> u128 {
            value_of(self.0.load(order))
        }

        #[allow(missing_docs)]
        pub fn store(&self, value: u128, order: Ordering) {
            self.0.store(number_of(value), order);
        }

        #[allow(missing_docs)]
        pub fn compare_exchange(
            &self,
            old: u128,
            new: u128,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u128, u128> {
            self.0
                .compare_exchange(number_of(old), number_of(new), success, failure)
                .map(value_of)
                .map_err(value_of)
        }
    }

    /// See sticky-words, here and below.
    pub fn read(word: &AtomicU128) -> u128 {
        word.load(Ordering::Acquire)
    }

    #[allow(missing_docs)]
    pub fn swap(word: &AtomicU128, old: u128, new: u128) -> bool {
        word.compare_exchange(old, new, Ordering::SeqCst, Ordering::Acquire)
            .is_ok()
    }

    fn number_of(value: u128) -> u64 {
        let mut values = VALUES.lock().unwrap_or_else(PoisonError::into_inner);
        if values.is_empty() {
            values.push(0);
        }
        let number = values.iter().position(|known| *known == value);
        let number = number.unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        });
        number as u64
    }

    fn value_of(number: u64) -> u128 {
        let values = VALUES.lock().unwrap_or_else(PoisonError::into_inner);
        values.get(number as usize).copied().unwrap_or_default()
    }
}
