//! The short ways of the two changes that requests and responses make most: a session is used again,
//! and one begins. They do what [`Table::touch`] and [`Table::learn`] would do, where the key has one word,
//! or none and there is room, and no other nginx has to be told. Else nothing has changed, and those are
//! called.

use std::sync::atomic::Ordering::Acquire;

use super::claim::Claim;
use super::key::Key;
use super::layout::Counters;
use super::limits::Limits;
use super::lines::{self, Places};
use super::look_up::{Held, Look};
use super::placement::free_place;
use super::session::PeerId;
use super::tick::Tick;
use super::word::Word;
use super::{test_points, Table, LINE};

/// The word of a live session that is to be touched, and what it becomes.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    key: Key,
    old: u64,
    new: u64,
}

impl Due {
    /// Who holds the session.
    #[inline(always)]
    pub fn held(&self) -> Held {
        Held::from_low(self.old)
    }
}

impl Table<'_> {
    /// After a look that did not tell: the session that is to be touched, if it has one word.
    #[inline(always)]
    pub fn due_at_once(&self, look: &Look, key: Key, limits: &Limits, now: Tick) -> Option<Due> {
        if look.copies != 1 || self.journal.is_some() {
            return None;
        }
        let session = Word::with_key(key, look.low).session();
        if !limits.is_live(&session, now) {
            return None;
        }
        let touched = limits.touched(&session, now, || self.counters.is_crowded(now))?;
        Some(Due {
            key,
            old: look.low,
            new: Word::new(key, &touched).bits() as u64,
        })
    }

    /// Touches it. False: its word has changed, or there are more.
    #[inline(always)]
    pub fn touch_at_once(&self, due: &Due) -> bool {
        let Due { key, old, new } = *due;
        let (first, second) = self.lines_of(key);
        let Places { of_key, .. } = self.places_in(first, second, key);
        if !of_key.is_power_of_two() {
            return false;
        }
        let place = place(first, second, of_key.trailing_zeros() as usize);
        let bits = |low| Word::with_key(key, low).bits();
        let is_done = self.swap(place, bits(old), bits(new));
        if is_done {
            test_points::at("replace: written");
        }
        is_done
    }

    /// Begins a session of which no line has a word, in a free place. False: there is another one
    /// meanwhile, which may be the session, or no room; or the claim is one that needs more.
    #[inline(always)]
    pub(super) fn begin_at_once(
        &self,
        key: Key,
        peer: PeerId,
        claim: &Claim,
        limits: &Limits,
        now: Tick,
    ) -> bool {
        if !matches!(claim, Claim::ResponseOnly | Claim::RequestCarried { .. }) {
            return false;
        }
        if self.journal.is_some() {
            return false;
        }
        let before = self.counters.relocated.load(Acquire);
        let (first, second) = self.lines_of(key);
        let Places { of_key, empty } = self.places_in(first, second, key);
        // Rule 3: that there is none counts only if nothing was relocated meanwhile.
        if of_key != 0 || self.counters.relocated.load(Acquire) != before {
            return false;
        }
        let Some(index) = free_place(empty) else {
            return false;
        };
        let word = Word::new(key, &claim.begun(peer, now));
        self.counters.note_use();
        if !self.fill(place(first, second, index), Word::EMPTY.bits(), word) {
            return false;
        }
        test_points::at("learn: inserted");
        if !self.wins_insertion(key, word, limits, now) {
            return false;
        }
        Counters::count(&self.counters.learned);
        true
    }

    /// Which words of two lines are of a key, and which of none.
    #[inline(always)]
    fn places_in(&self, first: usize, second: usize, key: Key) -> Places {
        match (self.line(first), self.line(second)) {
            (Some(first), Some(second)) => lines::places(first, second, key.get()),
            // A table without lines, in which there is no room.
            _ => Places {
                of_key: 0,
                empty: 0,
            },
        }
    }
}

/// The place in the table of the word at `index` of two lines.
#[inline(always)]
fn place(first: usize, second: usize, index: usize) -> usize {
    match index.checked_sub(LINE) {
        None => first * LINE + index,
        Some(index) => second * LINE + index,
    }
}
