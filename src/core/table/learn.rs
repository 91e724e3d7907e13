//! Learning a session: inserting it, or moving a live one.

use std::sync::atomic::Ordering::SeqCst;

use super::claim::{Claim, Learned};
use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::layout::Counters;
use super::limits::Limits;
use super::look_up::{rank, Current, View};
use super::noting::Earlier;
use super::registry::Registration;
use super::session::PeerId;
use super::sync::fence;
use super::tick::Tick;
use super::word::Word;
use super::{test_points, Table, ATTEMPTS, LINE};

/// What is learned, and whether other words may be moved for it.
struct Attempt<'a> {
    key: Key,
    peer: PeerId,
    /// That of the peer, if it is in a registry.
    registration: Option<&'a Registration>,
    claim: Claim,
    limits: &'a Limits,
    now: Tick,
    may_relocate: bool,
}

/// What has become of a word that was inserted beside another one.
enum Lost {
    Removed,
    /// Another worker has changed or removed it before.
    Changed,
}

impl Table<'_> {
    /// [`Table::learn`] of a registered peer. Refused also when its number is another's by now.
    pub fn learn_of(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        if let Some(is_kept) = self.begin_of(key, peer, &claim, limits, now) {
            return match is_kept {
                true => Learned::New { evicted: None },
                false => Learned::Refused,
            };
        }
        let attempt = Attempt {
            key,
            peer: peer.number,
            registration: Some(peer),
            claim,
            limits,
            now,
            may_relocate: true,
        };
        self.learn_of_otherwise(attempt, peer, is_unusable)
    }

    /// A session that has begun a moment ago does not stay.
    #[cold]
    #[inline(never)]
    pub(super) fn take_away(&self, key: Key, claim: Claim, peer: PeerId, now: Tick) {
        self.note_end(key, &claim.begun(peer, now), now);
        self.forget(key);
    }

    /// The same where there is more to do.
    #[inline(never)]
    fn learn_of_otherwise(
        &self,
        attempt: Attempt<'_>,
        peer: &Registration,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let Attempt {
            key,
            claim,
            limits,
            now,
            ..
        } = attempt;
        let learned = self.learn_on(attempt, is_unusable);
        let is_kept = match learned {
            Learned::New { .. } => self.keep_if_held(peer, || {
                self.take_away(key, claim, peer.number, now);
            }),
            Learned::Moved { from } => self.keep_if_held(peer, || {
                self.reassign(key, peer.number, from, limits, now);
            }),
            Learned::Same | Learned::Kept { .. } | Learned::Refused => true,
        };
        if is_kept {
            learned
        } else {
            Learned::Refused
        }
    }

    /// Records that a response of `peer` contains the id at `now`, or what else the claim says.
    /// `is_unusable` returns whether a
    /// peer has been removed or cannot be used; it is called only for another holder of a live
    /// session, and may be called again after a lost race.
    pub fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        if self.begin_at_once(key, peer, &claim, limits, now) {
            return Learned::New { evicted: None };
        }
        let attempt = Attempt {
            key,
            peer,
            registration: None,
            claim,
            limits,
            now,
            may_relocate: true,
        };
        self.learn_on(attempt, is_unusable)
    }

    #[inline(always)]
    fn learn_on(
        &self,
        attempt: Attempt<'_>,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        // The first attempt by itself: one in a loop carries what all of them need.
        let mut earlier = Earlier::NONE;
        match self.try_to_learn(&attempt, &mut earlier, is_unusable) {
            Some(learned) => learned,
            None => self.try_again(attempt, earlier, is_unusable),
        }
    }

    /// The further attempts, after a lost race.
    #[cold]
    #[inline(never)]
    fn try_again(
        &self,
        mut attempt: Attempt<'_>,
        mut earlier: Earlier,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let earlier = &mut earlier;
        for number in 1..ATTEMPTS {
            attempt.may_relocate = number < ATTEMPTS / 2;
            let session = (attempt.key, attempt.peer);
            let settled = self.settle(session, earlier, attempt.limits, attempt.now);
            let learned = settled.or_else(|| self.try_to_learn(&attempt, earlier, is_unusable));
            if let Some(learned) = learned {
                return learned;
            }
        }
        self.take_back(earlier.noted);
        self.refuse()
    }

    #[cold]
    fn refuse(&self) -> Learned {
        Counters::count(&self.counters.refused);
        Learned::Refused
    }

    /// One attempt, after `earlier` ones. `None`: a race was lost.
    #[inline(always)]
    fn try_to_learn(
        &self,
        attempt: &Attempt<'_>,
        earlier: &mut Earlier,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Option<Learned> {
        let Attempt {
            key,
            peer,
            registration,
            claim,
            limits,
            now,
            may_relocate,
        } = *attempt;
        let mut view = View::default();
        self.find_in(&mut view, key, limits, now);
        if let Current::Live(index, session) = view.current {
            let (new, learned) = claim.change(&session, peer, limits, now, is_unusable);
            // A second request has found the word that was inserted here.
            let learned = match (learned, earlier.entered) {
                (Learned::Same, Some(evicted)) => Learned::New { evicted },
                _ => learned,
            };
            let Some(new) = new else {
                return Some(learned);
            };
            if earlier.noted.is_some() {
                // There was no session a moment ago.
                return None;
            }
            if registration.is_some_and(|peer| !self.may_note(peer)) {
                return Some(Learned::Refused);
            }
            earlier.noted = self.note_change(key, &session, &new);
            earlier.learned = learned;
            self.replace(&view, key, index, &new, limits, now)?;
            if matches!(learned, Learned::Moved { .. }) {
                Counters::count(&self.counters.moved);
            }
            return Some(learned);
        }

        let begun = claim.begun(peer, now);
        let word = Word::new(key, &begun);
        if earlier.noted.is_none() {
            earlier.noted = self.note_begin(key, &begun);
            earlier.learned = Learned::New { evicted: None };
        }
        let noted = earlier.noted;
        let policy = EvictionPolicy::Learn {
            limits: self.zone_limits.unwrap_or(*limits),
            now,
        };
        match self.insert(&view, word, &policy, may_relocate) {
            Placed::Raced => None,
            Placed::Full => {
                self.take_back(noted);
                Some(self.refuse())
            }
            Placed::Inserted(evicted) => {
                test_points::at("learn: inserted");
                let is_request = matches!(claim, Claim::Request { .. });
                // What the follower of a cluster writes meanwhile stays, too.
                let is_kept = match is_request || self.journal.is_some() {
                    true => self.is_alone(key, word, limits, now),
                    false => match self.wins_insertion(key, word, limits, now) {
                        true => Ok(()),
                        false => Err(Lost::Removed),
                    },
                };
                let Err(lost) = is_kept else {
                    self.note_late(noted, key, &begun);
                    Counters::count(&self.counters.learned);
                    return Some(Learned::New { evicted });
                };
                if let Lost::Changed = lost {
                    // Another worker has gone on with the session: it had begun.
                    earlier.noted = None;
                }
                earlier.entered = is_request.then_some(evicted);
                None
            }
        }
    }

    /// Reads both lines again after `word` was inserted: of two workers that insert one key, at
    /// least one gets here after both have inserted. A worker that sees two different words removes
    /// the one that ranks lower; false when that is its own. A word equal to its own is left: it
    /// may be its own, relocated.
    #[inline(always)]
    pub(super) fn wins_insertion(&self, key: Key, word: Word, limits: &Limits, now: Tick) -> bool {
        // Between write and reads, in both workers: a processor with a weaker memory order than x86
        // might let each read before the other's write is visible.
        fence(SeqCst);
        if self.copies_of(key) == (word.bits() as u64, 1) {
            test_points::at("learn: looked again");
            return true;
        }
        self.wins_among_several(key, word, limits, now)
    }

    /// The same where there are other words of the key, or none.
    #[cold]
    #[inline(never)]
    fn wins_among_several(&self, key: Key, word: Word, limits: &Limits, now: Tick) -> bool {
        let (first, second) = self.lines_of(key);
        let mut words = [0; 2 * LINE];
        let places = self.read(first, second, key, &mut words);
        test_points::at("learn: looked again");
        let is_another =
            |bits: &u128| *bits != word.bits() && Word::from_bits(*bits).key() == Some(key);
        if !words.iter().any(is_another) {
            return true;
        }
        let view = View {
            first,
            second,
            words,
            empty: places.empty,
            current: Current::Absent,
        };
        self.resolve_copies(&view, key, word, limits, now)
    }

    /// The same for a word that a request has entered, which goes to its peer as soon as this is so:
    /// so the word must not be removed any more by another request that enters one. Whoever sees a
    /// live word of another peer removes its own, whatever their rank, and tries again. If both do,
    /// they find the same free place then, and one of them gets it.
    fn is_alone(&self, key: Key, word: Word, limits: &Limits, now: Tick) -> Result<(), Lost> {
        // As in wins_insertion().
        fence(SeqCst);
        if self.copies_of(key) == (word.bits() as u64, 1) {
            test_points::at("learn: looked again");
            return Ok(());
        }
        self.alone_of_several(key, word, limits, now)
    }

    /// The same where there are other words of the key, or none.
    #[cold]
    fn alone_of_several(
        &self,
        key: Key,
        word: Word,
        limits: &Limits,
        now: Tick,
    ) -> Result<(), Lost> {
        let (first, second) = self.lines_of(key);
        let mut words = [0; 2 * LINE];
        let places = self.read(first, second, key, &mut words);
        test_points::at("learn: looked again");
        let is_another = |bits: &u128| {
            let other = Word::from_bits(*bits);
            other.key() == Some(key)
                && other.session().peer != word.session().peer
                && limits.is_live(&other.session(), now)
        };
        if !words.iter().any(is_another) {
            return Ok(());
        }
        let view = View {
            first,
            second,
            words,
            empty: places.empty,
            current: Current::Absent,
        };
        match self.remove_copies(&view, key, |_, other| other == word) {
            true => Err(Lost::Removed),
            false => Err(Lost::Changed),
        }
    }

    /// Leaves the highest ranking of several different words of a key in `view`. False when that is
    /// neither `word` nor one of the same peer.
    #[cold]
    fn resolve_copies(
        &self,
        view: &View,
        key: Key,
        word: Word,
        limits: &Limits,
        now: Tick,
    ) -> bool {
        let ours = rank(word, limits, now);
        let mut winner = word;
        let mut highest = ours;
        for bits in view.words {
            let other = Word::from_bits(bits);
            // Ranked only then: most words are of other keys.
            if other.key() == Some(key) {
                let other_rank = rank(other, limits, now);
                if other_rank > highest {
                    (winner, highest) = (other, other_rank);
                }
            }
        }
        let beaten = winner != word;

        let removed = self.remove_copies(view, key, |_, other| {
            if beaten {
                other == word
            } else {
                rank(other, limits, now) < ours
            }
        });
        // If our word has changed and the winner has our peer, a request has just confirmed it.
        !beaten || (!removed && winner.session().peer == word.session().peer)
    }
}
