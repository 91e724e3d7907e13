//! Copying what is missing from a table that is replaced into the one that replaces it, when nobody is
//! left who has the old one alone.

use std::sync::atomic::Ordering::Acquire;

use super::claim::Learned;
use super::eviction::EvictionPolicy;
use super::limits::Limits;
use super::look_up::LookUp;
use super::predecessor::Predecessor;
use super::registry::Epoch;
use super::session::{PeerId, Stage};
use super::tick::Tick;
use super::{FoundWord, Table};

/// How often a table is walked through in which sessions are relocated.
const WALKS: usize = 8;

/// Words that are compared at a time. The memory of all is fetched before, as when a table is filled.
const BATCH: usize = 32;

/// After so many words the work may be stopped.
const WORDS_AT_ONCE: usize = 1024;

impl Predecessor<'_> {
    /// Copies into the new table what it has not, or has otherwise, in several walks: workers go on
    /// relocating sessions in the old one meanwhile. To be called when only workers that
    /// have both tables are left. May take long; `false` when `is_stopped` has ended it.
    pub fn move_into(
        &self,
        new: &Table,
        limits: &Limits,
        now: Tick,
        is_stopped: &dyn Fn() -> bool,
    ) -> bool {
        if let Some(before) = self.before() {
            if !before.move_into(&self.table, limits, now, is_stopped) {
                return false;
            }
        }
        self.move_own_into(new, limits, now, is_stopped)
    }

    /// [`Predecessor::move_into`] of what stands in this table, whatever stands in those before it:
    /// some workers may still have only them.
    pub fn move_own_into(
        &self,
        new: &Table,
        limits: &Limits,
        now: Tick,
        is_stopped: &dyn Fn() -> bool,
    ) -> bool {
        let mut is_roomy = true;
        for _ in 0..WALKS {
            let relocated = self.table.counters.relocated.load(Acquire);
            if !self.walk(new, (limits, now), &mut is_roomy, is_stopped) {
                return false;
            }
            if self.table.counters.relocated.load(Acquire) == relocated {
                break;
            }
        }
        // What older workers have removed.
        for (count, (key, session)) in new.sessions().enumerate() {
            if count % WORDS_AT_ONCE == 0 && is_stopped() {
                return false;
            }
            let is_removed = || {
                let found = self.own_look_up(key, limits, now);
                !matches!(found, LookUp::Found(_)) && !self.is_given_up()
            };
            if session.stage == Stage::Entered && is_removed() {
                new.forget_entered(key, limits, now);
            }
        }
        true
    }

    /// One walk through the table. False: it was stopped.
    fn walk(
        &self,
        new: &Table,
        (limits, now): (&Limits, Tick),
        is_roomy: &mut bool,
        is_stopped: &dyn Fn() -> bool,
    ) -> bool {
        let words = self.table.capacity();
        let mut numbers = Numbers::default();
        for from in (0..words).step_by(WORDS_AT_ONCE) {
            if is_stopped() {
                return false;
            }
            numbers.begin(self, new);
            let found = self.table.words_in(from..words.min(from + WORDS_AT_ONCE));
            let live = |found: &FoundWord| limits.is_live(&found.word.session(), now);
            let found: Vec<FoundWord> = found.filter(live).collect();
            for batch in found.chunks(BATCH) {
                new.fetch(batch.iter().map(|found| found.key));
                for found in batch {
                    if numbers.is_there(self, new, found) {
                        continue;
                    }
                    // No live session has to go for one that had no room when the table was made.
                    // And once a full search has found no room, another one for each session would
                    // take minutes.
                    let policy = EvictionPolicy::Merge {
                        limits: *limits,
                        now,
                        is_thorough: *is_roomy,
                    };
                    let followed = self.follow(new, found.key, limits, &policy, now);
                    *is_roomy &= followed != Some(Learned::Refused);
                }
            }
        }
        true
    }
}

/// The numbers in the new table of the servers of the old one, as long as none has been given to
/// another server.
#[derive(Default)]
struct Numbers {
    /// By their numbers in the old table.
    known: Vec<Option<PeerId>>,
    epochs: Option<[Epoch; 2]>,
}

impl Numbers {
    /// To be called now and then, before words are read.
    fn begin(&mut self, old: &Predecessor<'_>, new: &Table) {
        let registries = old.table.registry().zip(new.registry());
        let epochs = registries.map(|(old, new)| [old.epoch(), new.epoch()]);
        if self.epochs != epochs {
            self.known.clear();
            self.epochs = epochs;
        }
    }

    /// Whether the new table has exactly that word, as is mostly so. Not where yet another table
    /// decides.
    fn is_there(&mut self, old: &Predecessor<'_>, new: &Table, found: &FoundWord) -> bool {
        if self.epochs.is_none() || old.before().is_some() {
            return false;
        }
        let number = found.word.peer();
        let index = number.get() as usize;
        if self.known.len() <= index {
            self.known.resize(index + 1, None);
        }
        let Some(known) = self.known.get_mut(index) else {
            return false;
        };
        if known.is_none() {
            *known = old.new_of(new, number).map(|server| server.number);
        }
        known.is_some_and(|peer| {
            let there = found.word.with_peer(peer).bits() as u64;
            new.copies_of(found.key) == (there, 1)
        })
    }
}
