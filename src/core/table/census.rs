//! A census of newcomers, taken by a sweep: the difference to what [`Counters::newcomers`] said
//! meanwhile is what workers that died have left wrong.
//!
//! The counter cannot be replaced by the number found. A sweep of a large table takes minutes, in
//! which all may have changed. So each piece of the sweep notes the counter. The words of a piece are
//! spread over all keys, so its share of all newcomers is its share of the table.

use std::ops::AddAssign;
use std::sync::atomic::Ordering::Relaxed;

use super::layout::Counters;
use super::word::Word;

/// The census of a piece of a sweep. Those of one sweep are added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    words: i64,
    /// Words of newcomers.
    found: i64,
    /// Those of them that the sweep then freed.
    freed: i64,
    /// The counter when the piece began, for each of its words.
    noted: i64,
}

/// More newcomers are not counted in a table, so that nothing overflows.
const MOST: i64 = 1 << 31;

impl Census {
    pub(super) fn begin(words: usize, counters: &Counters) -> Census {
        let words = words as i64;
        Census {
            words,
            noted: words.saturating_mul(counters.newcomers().clamp(-MOST, MOST)),
            ..Census::default()
        }
    }

    pub(super) fn add(&mut self, word: Word) {
        self.found += i64::from(word.is_newcomer());
    }

    /// `word`, which was added, has been freed.
    pub(super) fn subtract(&mut self, word: Word) {
        self.freed += i64::from(word.is_newcomer());
    }

    /// By how much the counter is too low, after a census of a whole table.
    fn missing(&self) -> i64 {
        let half = self.words / 2;
        let noted = self
            .noted
            .saturating_add(half)
            .checked_div_euclid(self.words);
        noted.map_or(0, |noted| self.found.saturating_sub(noted))
    }
}

impl AddAssign for Census {
    fn add_assign(&mut self, next: Census) {
        // What the pieces before have freed is missing in the counter, and not in the next piece.
        let before = self.freed.saturating_mul(next.words);
        self.noted = self.noted.saturating_add(next.noted).saturating_add(before);
        self.words += next.words;
        self.found += next.found;
        self.freed += next.freed;
    }
}

impl Counters {
    /// Words of newcomers, as far as it is known.
    pub(super) fn newcomers(&self) -> i64 {
        self.newcomers.load(Relaxed) as i64
    }

    /// Corrects the number of newcomers, after a census of the whole table.
    pub(super) fn correct(&self, census: &Census) {
        if !(0..=census.words).contains(&self.newcomers()) {
            let found = census.found - census.freed;
            self.newcomers.store(found as u64, Relaxed);
            return;
        }
        let missing = census.missing();
        if missing != 0 {
            self.newcomers.fetch_add(missing as u64, Relaxed);
        }
    }
}
