//! The short ways of the two changes that requests and responses make most: a session is used again,
//! and one begins; and of the response that changes nothing. They do what [`Table::touch`] and
//! [`Table::learn`] would do, where the key has one word, or none and there is room, and no other nginx has
//! to be told. Else nothing has changed, and those are called.

use std::sync::atomic::Ordering::Acquire;

use super::claim::Claim;
use super::key::Key;
use super::layout::Counters;
use super::limits::Limits;
use super::lines::{self, Places};
use super::look_up::{Held, Look};
use super::placement::free_place;
use super::registry::Registration;
use super::session::{PeerId, Stage};
use super::sync::AtomicU128;
use super::tick::Tick;
use super::word::Word;
use super::{exchange, test_points, Table, LINE};

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
        let Some(lines) = self.both_lines(key) else {
            return false;
        };
        let Places { of_key, .. } = lines::places(lines.0, lines.1, key.get());
        if !of_key.is_power_of_two() {
            return false;
        }
        let (old, new) = (Word::with_key(key, old), Word::with_key(key, new));
        let is_done = place(lines, of_key.trailing_zeros() as usize)
            .is_some_and(|place| exchange(place, old.bits(), new.bits()));
        if is_done {
            self.counters.note_swap(old, new);
            test_points::at("replace: written");
        }
        is_done
    }

    /// Whether [`Table::learn`] of a response, whose request has not carried the id, would find that its
    /// peer has the session, and would not change it. False also where that takes more than one look.
    #[inline(always)]
    pub fn is_unchanged_at(&self, key: Key, peer: PeerId, limits: &Limits, now: Tick) -> bool {
        let (low, copies) = self.copies_of(key);
        let session = Word::with_key(key, low).session();
        copies == 1
            && session.peer == peer
            && session.stage == Stage::Settled
            && limits.is_live(&session, now)
            && !limits.is_refresh_due(&session, now, Claim::ResponseOnly.confirms())
    }

    /// [`Table::learn_of`] where that is a new session, in a free place: whether it stays. `None`: nothing
    /// has changed, and that is to be called.
    #[inline(always)]
    pub fn begin_of(
        &self,
        key: Key,
        peer: &Registration,
        claim: &Claim,
        limits: &Limits,
        now: Tick,
    ) -> Option<bool> {
        if !self.begin_at_once(key, peer.number, claim, limits, now) {
            return None;
        }
        Some(self.keep_if_held(peer, || {
            self.take_away(key, *claim, peer.number, now);
        }))
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
        let Some(lines) = self.both_lines(key) else {
            return false;
        };
        let Places { of_key, empty } = lines::places(lines.0, lines.1, key.get());
        // Rule 3: that there is none counts only if nothing was relocated meanwhile.
        if of_key != 0 || self.counters.relocated.load(Acquire) != before {
            return false;
        }
        let Some(place) = free_place(empty).and_then(|index| place(lines, index)) else {
            return false;
        };
        let word = Word::new(key, &claim.begun(peer, now));
        self.counters.note_use();
        if !exchange(place, Word::EMPTY.bits(), word.bits()) {
            return false;
        }
        self.counters.note_filled(word);
        test_points::at("learn: inserted");
        if !self.wins_insertion(key, word, limits, now) {
            return false;
        }
        Counters::count(&self.counters.learned);
        true
    }

    /// `None`: a table without lines.
    #[inline(always)]
    fn both_lines(&self, key: Key) -> Option<BothLines<'_>> {
        let (first, second) = self.lines_of(key);
        Some((self.line(first)?, self.line(second)?))
    }
}

type BothLines<'a> = (&'a [AtomicU128; LINE], &'a [AtomicU128; LINE]);

/// The place of the word at `index` of both.
#[inline(always)]
fn place((first, second): BothLines<'_>, index: usize) -> Option<&AtomicU128> {
    let line = if index < LINE { first } else { second };
    line.get(index % LINE)
}
