//! How many sessions each server has, by its number: counted by a sweep, or by a look at the table that
//! changes nothing.

use std::sync::atomic::Ordering::Relaxed;

use super::limits::Limits;
use super::registry::MOST_ENTRIES;
use super::session::{PeerId, Session};
use super::tick::Tick;
use super::word::Word;
use super::{Table, LINE};

/// The live sessions of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those in use, see [`Session::is_in_use`].
    pub in_use: u32,
    /// The others.
    pub not_in_use: u32,
    /// When the latest of them was last used.
    pub last_seen: Tick,
}

impl Tally {
    /// Adds those of another number of the same server.
    pub fn add(&mut self, other: Tally) {
        self.in_use = self.in_use.saturating_add(other.in_use);
        self.not_in_use = self.not_in_use.saturating_add(other.not_in_use);
        self.last_seen = self.last_seen.max(other.last_seen);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.in_use == 0 && self.not_in_use == 0
    }
}

/// Those of all numbers.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Vec<Tally>);

impl Tallies {
    /// The sessions with that number.
    pub fn of(&self, number: PeerId) -> Tally {
        let tally = self.0.get(number.get() as usize);
        tally.copied().unwrap_or_default()
    }

    /// None of any number from now on.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[inline]
    pub(super) fn add(&mut self, session: &Session) {
        let index = session.peer.get() as usize;
        if self.0.len() <= index && index < MOST_ENTRIES {
            self.0.resize(index + 1, Tally::default());
        }
        if let Some(tally) = self.0.get_mut(index) {
            match session.is_in_use() {
                true => tally.in_use += 1,
                false => tally.not_in_use += 1,
            }
            tally.last_seen = tally.last_seen.max(session.seen);
        }
    }
}

impl Table<'_> {
    /// Adds the live sessions in `count` words from the one at `from` on, and returns where the next
    /// ones begin; 0: that was the end of the table. A session that is relocated meanwhile may be
    /// counted twice or not at all.
    pub fn tally(
        &self,
        from: usize,
        count: usize,
        limits: &Limits,
        now: Tick,
        tallies: &mut Tallies,
    ) -> usize {
        let limits = self.zone_limits.unwrap_or(*limits);
        let end = from.saturating_add(count).min(self.words.len());
        for (place, word) in self.words.iter().enumerate().take(end).skip(from) {
            let word = Word::from_bits(word.load(Relaxed));
            let Some(key) = word.key() else { continue };
            let session = word.session();
            // In any other line no look-up finds it.
            let (first, second) = self.lines_of(key);
            let is_reachable = place / LINE == first || place / LINE == second;
            if is_reachable && limits.is_live(&session, now) {
                tallies.add(&session);
            }
        }
        match end < self.words.len() {
            true => end,
            false => 0,
        }
    }
}
