//! How a session gets into the table.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::table::key::Key;
use crate::table::sync::fence;
use crate::table::test_points;
use crate::table::tick::Tick;
use crate::table::word::{Limits, PeerId, Session, Word};

use super::place::{Placed, Rule};
use super::{rank, Claim, Counters, Held, Learned, Table, View, ATTEMPTS, LINE};

impl Table<'_> {
    /// A response of `peer` at `now` hands out the id. `gone` tells whether a peer is not there
    /// any more, or cannot be used; it is asked only about another holder of a live session,
    /// and may be asked again after a lost race.
    pub fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        gone: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let rule = Rule::Learn {
            limits: self.others.unwrap_or(*limits),
            now,
        };
        for attempt in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Held::Live(at, held) = view.held {
                let (new, outcome) = if held.peer == peer {
                    let Some(new) = limits.refreshed(&held, now, claim.confirms()) else {
                        return Learned::Same;
                    };
                    (new, Learned::Same)
                } else if claim.moves(&held, gone) {
                    let new = held.moved(peer, now, claim.confirms());
                    (new, Learned::Moved { from: held.peer })
                } else {
                    return Learned::Kept { holder: held.peer };
                };
                if self.replace(&view, key, at, &new, limits, now).is_some() {
                    if outcome != Learned::Same {
                        Counters::count(&self.counters.moved);
                    }
                    return outcome;
                }
                continue;
            }

            let word = Word::new(key, &Session::begun(peer, now, claim.confirms()));
            match self.place(&view, word, &rule, attempt < ATTEMPTS / 2) {
                Placed::Raced => {}
                Placed::NoRoom => break,
                Placed::In(evicted) => {
                    test_points::at("learn: inserted");
                    if self.prevails(key, word, limits, now) {
                        Counters::count(&self.counters.learned);
                        return Learned::New { evicted };
                    }
                }
            }
        }
        self.counters.refused.fetch_add(1, Relaxed);
        Learned::Refused
    }

    /// Looks at both lines again after `word` was put in one of them: of two workers that insert
    /// one key, at least one gets here after both have inserted. Whoever sees two different words
    /// removes the one that ranks lower; false when that is our own. A word equal to ours is left:
    /// it may be ours, relocated.
    pub(super) fn prevails(&self, key: Key, word: Word, limits: &Limits, now: Tick) -> bool {
        // Between our write and our reads, for both workers, or a processor with a weaker order than
        // x86 might let each read before the other's write is there.
        fence(SeqCst);
        let (first, second) = self.lines_of(key);
        let mut words = [0; 2 * LINE];
        self.read(first, second, &mut words);
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
            held: Held::Nowhere,
        };
        self.outranks(&view, key, word, limits, now)
    }

    /// Of several different words of a key that a look has shown, the highest ranking one stays. False
    /// when that is not `word`, nor of the same peer.
    #[cold]
    fn outranks(&self, view: &View, key: Key, word: Word, limits: &Limits, now: Tick) -> bool {
        let ours = rank(word, limits, now);
        let mut winner = word;
        let mut highest = ours;
        for bits in view.words {
            let other = Word::from_bits(bits);
            // Ranked only then: the other words are mostly strangers'.
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
        // Our word gone, one of the same peer in its place: a request has confirmed it already.
        !beaten || (!removed && winner.session().peer == word.session().peer)
    }
}
