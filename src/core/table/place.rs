//! Where a new word goes, and who makes room for it.
//!
//! A newcomer whose two lines are full looks for the nearest free place: the other lines of the
//! eight words there, the other lines of the words in those, and so on, nearest first. Then the
//! words on the way move up by one, from the far end, so that at any instant each of them stands
//! somewhere.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::table::key::Key;
use crate::table::test_points;
use crate::table::tick::Tick;
use crate::table::word::{Limits, Session, Word};

use super::{Counters, Evicted, Held, Table, View, LINE};

/// How many lines are read in search of a free place: enough to fill a table to 0.9 before a
/// live session has to go, see `cargo bench --bench table`.
const SEARCH: usize = 96;

/// The same in the second in which a whole search was in vain, for a newcomer that can have the
/// word of a session not in use next to it: a flood shall not cost a search for each id.
const SHORT_SEARCH: usize = 8;

/// Which words a newcomer may take.
pub(super) enum Rule {
    /// Those of sessions that are over, and, when there is no other, live ones: the oldest that is
    /// not in use, then the one not seen for longest.
    Learn {
        /// Limits that hold for all words.
        limits: Limits,
        /// Tick of the newcomer.
        now: Tick,
    },
    /// Only those of sessions that are not in use, when the newcomer's is, or of ones like it
    /// that were seen longer ago.
    Copy,
    /// Only those of sessions that are over.
    Merge {
        /// Limits that hold for all words.
        limits: Limits,
        /// The tick now.
        now: Tick,
        /// A place is worth a whole search.
        is_thorough: bool,
    },
}

/// What became of a newcomer.
pub(super) enum Placed {
    In(Evicted),
    /// Another worker has changed the table meanwhile: look again.
    Raced,
    NoRoom,
}

/// A word on the way from the newcomer to a free place.
#[derive(Clone, Copy, Default)]
struct Step {
    bits: u128,
    place: usize,
    /// Index of the step before; its own for the eight words that the newcomer sees.
    before: u16,
}

/// A place that may be taken, and the step from which it is reached.
#[derive(Clone, Copy)]
struct End {
    bits: u128,
    place: usize,
    step: u16,
}

/// What a search has come by.
#[derive(Default)]
struct Found {
    /// The nearest place that is free or its session over. The search ends there.
    free: Option<End>,
    /// The nearest place of a live session to which no request has come back yet.
    unused: Option<End>,
    /// A key that stands in two places.
    double: Option<Key>,
}

impl Table<'_> {
    /// Puts `word`, whose key `view` shows to have no live session, into the table. After several
    /// attempts that were in vain it is not `patient` any more, and takes what it can get.
    pub(super) fn place(&self, view: &View, word: Word, rule: &Rule, patient: bool) -> Placed {
        let key = word.key();
        let index_of = |wanted: &dyn Fn(Word) -> bool| {
            view.words
                .iter()
                .position(|bits| wanted(Word::from_bits(*bits)))
        };

        let own = match view.held {
            Held::Nowhere => None,
            Held::Live(..) | Held::Over => index_of(&|other| other.key() == key),
        };
        let free = own
            .or_else(|| free_place(view))
            .or_else(|| index_of(&|w| rule.is_over(w)));
        if let Some(index) = free {
            return self.take(view.place(index), view.bits(index), word, rule);
        }

        let least_seen = |used_too: bool| {
            let all = view.words.iter().enumerate();
            all.filter(|(_, bits)| used_too || !Word::from_bits(**bits).is_in_use())
                .min_by_key(|(_, bits)| Word::from_bits(**bits).seen())
        };
        let near = least_seen(false);
        let reach = match rule {
            Rule::Learn { .. } if near.is_some() && self.is_pressed(rule) => SHORT_SEARCH,
            Rule::Merge { is_thorough, .. } if !is_thorough => SHORT_SEARCH,
            _ => SEARCH,
        };
        let mut steps = [Step::default(); SEARCH];
        let found = self.search(view, rule, &mut steps, reach);
        let is_far = |end: &End| usize::from(end.step) >= SHORT_SEARCH;
        if let (Rule::Learn { now, .. }, true) = (rule, found.free.as_ref().is_none_or(is_far)) {
            self.counters.note_crowd(*now);
        }
        if let Some(end) = found.free {
            return self.shift(&steps, end, word, rule);
        }

        let victim = match rule {
            Rule::Learn { limits, now } => match (found.double, near, found.unused) {
                // When it is not merged, another worker was at it: there may be room now.
                (Some(key), _, _) if self.merge(key, limits, *now) || patient => {
                    return Placed::Raced
                }
                (_, None, Some(end)) => return self.shift(&steps, end, word, rule),
                _ => near.or_else(|| least_seen(true)),
            },
            Rule::Copy => match (near, found.unused) {
                (None, Some(end)) if word.is_in_use() => {
                    return self.shift(&steps, end, word, rule)
                }
                _ => near.or_else(|| least_seen(true)).filter(|(_, bits)| {
                    let worth = |word: Word| (word.is_in_use(), word.seen());
                    worth(Word::from_bits(**bits)) < worth(word)
                }),
            },
            Rule::Merge { .. } => None,
        };
        match victim {
            Some((index, bits)) => self.take(view.place(index), *bits, word, rule),
            None => Placed::NoRoom,
        }
    }

    /// Whether a live session had to go in this very second. The first to go in a second always
    /// goes after a whole search, so this ends with the need for it.
    fn is_pressed(&self, rule: &Rule) -> bool {
        match rule {
            Rule::Learn { now, .. } => {
                self.counters.last_forced.load(Relaxed) == u64::from(*now) + 1
            }
            Rule::Copy | Rule::Merge { .. } => false,
        }
    }

    /// Looks for the nearest free place beyond the lines in `view`, whose words become the first
    /// of `steps`, and reads at most `reach` lines.
    fn search(&self, view: &View, rule: &Rule, steps: &mut [Step; SEARCH], reach: usize) -> Found {
        let mut found = Found::default();
        let mut known = 0;
        for (index, bits) in view.words.iter().enumerate() {
            let key = Word::from_bits(*bits).key();
            let same = |other: &u128| Word::from_bits(*other).key() == key;
            if view.words.iter().take(index).any(same) {
                found.double = key;
            }
            if let Some(step) = steps.get_mut(index) {
                *step = Step {
                    bits: *bits,
                    place: view.place(index),
                    before: index as u16,
                };
                known = index + 1;
            }
        }

        let mut at = 0;
        while at < known.min(reach) {
            let Some(Step {
                bits,
                place,
                before,
            }) = steps.get(at).copied()
            else {
                break;
            };
            let step = at as u16;
            at += 1;
            let Some(key) = Word::from_bits(bits).key() else {
                continue;
            };
            let (first, second) = self.lines_of(key);
            let from = place / LINE;
            let to = if from == first { second } else { first };
            // Back where the step before came from: nothing new there.
            let back = steps
                .get(usize::from(before))
                .is_some_and(|step| step.place / LINE == to);
            let Some(line) = self.line(to).filter(|_| !back) else {
                continue;
            };
            let words = line.each_ref().map(|slot| {
                test_points::at("search: a word");
                slot.load(SeqCst)
            });
            for (offset, bits) in words.into_iter().enumerate() {
                let place = to * LINE + offset;
                let word = Word::from_bits(bits);
                if word.is_empty() || rule.is_over(word) {
                    found.free = Some(End { bits, place, step });
                    return found;
                }
                if found.unused.is_none() && !word.is_in_use() {
                    found.unused = Some(End { bits, place, step });
                }
                let same = |other: &u128| Word::from_bits(*other).key() == word.key();
                if word.key() == Some(key) || words.iter().take(offset).any(same) {
                    found.double = word.key();
                }
                if let Some(next) = steps.get_mut(known) {
                    *next = Step {
                        bits,
                        place,
                        before: step,
                    };
                    known += 1;
                }
            }
        }
        found
    }

    /// Leaves one of several copies of a live session, which two relocations have made that
    /// crossed each other and no request has cleared up yet. One of them must first outrank
    /// the others: of equals, each might be the one that another worker relies on. Returns
    /// whether that made room.
    fn merge(&self, key: Key, limits: &Limits, now: Tick) -> bool {
        let view = self.find(key, limits, now);
        let Held::Live(at, held) = view.held else {
            return false;
        };
        test_points::at("merge: decided");
        let seen = held.seen.saturating_add(1);
        self.replace(&view, key, at, &Session { seen, ..held }, limits, now) == Some(true)
    }

    /// Moves the words on the way to `end` up by one and puts `word` where the first of them
    /// stood. Each replacement is the copy of one word and the end of the source of the one
    /// before. When a source has changed, its copy is taken back and the rest is left: all that
    /// was done up to there is complete.
    fn shift(&self, steps: &[Step; SEARCH], end: End, word: Word, rule: &Rule) -> Placed {
        let (mut place, mut bits) = (end.place, end.bits);
        let mut index = usize::from(end.step);
        let mut evicted = Evicted::Nothing;
        let mut copied = None;
        // A way is at most as long as there are steps.
        for _ in 0..=SEARCH {
            let Some(step) = steps.get(index) else { break };
            if !self.swap(place, bits, step.bits) {
                return self.take_back(copied);
            }
            if copied.is_none() {
                evicted = self.displaced(Word::from_bits(bits), word, rule);
            }
            copied = Some((place, step.bits));
            test_points::at("shift: copied");
            self.count_relocation();
            test_points::at("shift: counted");
            (place, bits) = (step.place, step.bits);
            if usize::from(step.before) == index {
                if !self.swap(place, bits, word.bits()) {
                    return self.take_back(copied);
                }
                return Placed::In(evicted);
            }
            index = usize::from(step.before);
        }
        Placed::Raced
    }

    fn take_back(&self, copied: Option<(usize, u128)>) -> Placed {
        if let Some((place, bits)) = copied {
            test_points::at("shift: source changed");
            self.swap(place, bits, Word::EMPTY.bits());
        }
        Placed::Raced
    }

    fn take(&self, place: usize, old: u128, word: Word, rule: &Rule) -> Placed {
        if !self.swap(place, old, word.bits()) {
            return Placed::Raced;
        }
        Placed::In(self.displaced(Word::from_bits(old), word, rule))
    }

    /// Counts what happened to the session whose word was taken.
    fn displaced(&self, old: Word, word: Word, rule: &Rule) -> Evicted {
        if old.is_empty() {
            return Evicted::Nothing;
        }
        // The key's own word is judged by the limits of the call and was found to be over.
        if old.key() == word.key() || rule.is_over(old) {
            Counters::count(&self.counters.expired_reused);
            return Evicted::Nothing;
        }
        if let Rule::Learn { now, .. } = rule {
            self.counters
                .last_forced
                .fetch_max(u64::from(*now) + 1, Relaxed);
        }
        if old.is_in_use() {
            Counters::count(&self.counters.evicted_confirmed);
            Evicted::Confirmed
        } else {
            Counters::count(&self.counters.evicted_unconfirmed);
            Evicted::Unconfirmed
        }
    }
}

impl Rule {
    fn is_over(&self, word: Word) -> bool {
        match self {
            Rule::Learn { limits, now } | Rule::Merge { limits, now, .. } => {
                !limits.is_live(&word.session(), *now)
            }
            Rule::Copy => false,
        }
    }
}

/// A free place in the emptier of both lines: that leaves room in either for longest.
fn free_place(view: &View) -> Option<usize> {
    let is_free = |index: &usize| Word::from_bits(view.bits(*index)).is_empty();
    let (first, second) = (0..LINE, LINE..2 * LINE);
    let more = second.clone().filter(is_free).count() > first.clone().filter(is_free).count();
    let mut line = if more { second } else { first };
    line.find(is_free)
}
