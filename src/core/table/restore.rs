//! Filling a table that is not in use yet, with sessions that may be too many for it.

use std::sync::atomic::Ordering::Relaxed;

use super::claim::Evicted;
use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::look_up::{rank, Current};
use super::session::Session;
use super::tick::Tick;
use super::word::Word;
use super::{Table, ATTEMPTS};

/// No session expires: there is no clock, or the caller has checked.
const NO_EXPIRY: Limits = Limits {
    expires: Tick::MAX,
    lifetime: None,
};

/// Percentage of the words that can be filled without long searches.
const EASILY_FILLED: usize = 92;

/// Sessions that are inserted at a time. The memory of all is fetched before: one by one, each waits for
/// its own, which is most of the time.
const BATCH: usize = 32;

/// Ranges into which the times of last use are divided.
const RANGES: usize = 4096;

impl Table<'_> {
    /// Fills a table that is not in use yet. `all` passes every session to its argument, in any
    /// order, and is called up to four times. If there is not enough space, sessions in use have
    /// priority, then those seen last. Of two words of one key, the one that ranks higher stays.
    /// Returns how many sessions were added.
    ///
    /// # Errors
    /// Those of `all`; the table keeps the sessions inserted until then.
    pub fn restore<E>(
        &self,
        all: impl Fn(&mut dyn FnMut(Key, &Session)) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut seen = SeenRange::default();
        all(&mut |_, session| seen.add(session.seen))?;
        let priorities = match seen.count <= self.easily_filled() {
            true => None,
            false => {
                let mut histogram = Histogram::new(seen);
                all(&mut |_, session| histogram.add(session.seen, session.is_in_use()))?;
                Some(histogram)
            }
        };
        let mut restored = 0;
        for pass in self.passes(seen, priorities) {
            let mut import = Import::new(self, &pass.policy);
            all(&mut |key, session| {
                if pass.has(session.seen, session.is_in_use()) {
                    import.add(key, session);
                }
            })?;
            restored += import.finish();
        }
        Ok(restored)
    }

    /// How many sessions there can be without long searches.
    pub(super) fn easily_filled(&self) -> usize {
        self.capacity() * EASILY_FILLED / 100
    }

    /// In which order sessions are inserted, if there is not enough space for all, by their priorities.
    pub(super) fn passes(&self, seen: SeenRange, priorities: Option<Histogram>) -> Vec<Pass> {
        let Some(histogram) = priorities else {
            return vec![Pass {
                seen,
                priorities: 0..=usize::MAX,
                policy: EvictionPolicy::Copy,
            }];
        };
        let space = self.easily_filled();
        let least = histogram.least_of(space);
        // With several left for each free place, nearly all are taken without a search.
        let rest = match seen.count.saturating_sub(space) > 2 * (self.capacity() - space) {
            true => EvictionPolicy::Spare,
            false => EvictionPolicy::Merge {
                limits: NO_EXPIRY,
                now: 0,
                is_thorough: false,
            },
        };
        let first = Pass {
            seen,
            priorities: least..=usize::MAX,
            policy: EvictionPolicy::Copy,
        };
        let last = least.checked_sub(1).map(|last| Pass {
            seen,
            priorities: 0..=last,
            policy: rest,
        });
        [first].into_iter().chain(last).collect()
    }

    /// Inserts a session of another table by that policy. Where the table has a live one of the key,
    /// that becomes what `change` makes of both words, if anything.
    pub(super) fn import(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        policy: &EvictionPolicy,
        change: impl Fn(Word, Word) -> Option<Session>,
    ) -> Imported {
        let word = Word::new(key, session);
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Current::Live(index, _) = view.current {
                let known = Word::from_bits(view.bits(index));
                let Some(new) = change(known, word) else {
                    return Imported::Known;
                };
                if self.replace(&view, key, index, &new, limits, now).is_some() {
                    return Imported::Known;
                }
                continue;
            }
            match self.insert(&view, word, policy, false) {
                Placed::Inserted(evicted) => return Imported::Inserted(evicted),
                Placed::Raced => {}
                Placed::Full => break,
            }
        }
        Imported::Full
    }

    /// Reads a word of each line that these sessions may be put into.
    pub(super) fn fetch(&self, keys: impl Iterator<Item = Key>) {
        let mut any = 0;
        for key in keys {
            let (first, second) = self.lines_of(key);
            let lines = [first, second]
                .into_iter()
                .filter_map(|line| self.line(line));
            for word in lines.filter_map(|line| line.first()) {
                any |= word.load(Relaxed);
            }
        }
        std::hint::black_box(any);
    }
}

/// The result of importing a session of another table.
pub(super) enum Imported {
    Inserted(Option<Evicted>),
    /// The table has the session.
    Known,
    Full,
}

/// Sessions that are inserted one after the other, before those with a lower priority.
pub(super) struct Pass {
    seen: SeenRange,
    priorities: std::ops::RangeInclusive<usize>,
    pub policy: EvictionPolicy,
}

impl Pass {
    /// Whether a session last seen then is inserted.
    #[inline]
    pub fn has(&self, seen: Tick, is_in_use: bool) -> bool {
        *self.priorities.start() == 0 && *self.priorities.end() == usize::MAX
            || self
                .priorities
                .contains(&self.seen.priority(seen, is_in_use))
    }
}

/// Inserts sessions, by a policy.
pub(super) struct Import<'t, 'a> {
    table: &'t Table<'a>,
    policy: &'t EvictionPolicy,
    batch: Vec<(Key, Session)>,
    /// How many were added, and none had to go for.
    added: usize,
}

impl<'t, 'a> Import<'t, 'a> {
    pub fn new(table: &'t Table<'a>, policy: &'t EvictionPolicy) -> Self {
        Self {
            table,
            policy,
            batch: Vec::with_capacity(BATCH),
            added: 0,
        }
    }

    /// Inserts one, now or later.
    #[inline]
    pub fn add(&mut self, key: Key, session: &Session) {
        self.batch.push((key, *session));
        if self.batch.len() == BATCH {
            self.insert();
        }
    }

    /// Inserts all that were added. Returns how many sessions the table has more.
    pub fn finish(mut self) -> usize {
        self.insert();
        self.added
    }

    fn insert(&mut self) {
        let table = self.table;
        table.fetch(self.batch.iter().map(|(key, _)| *key));
        let rank = |word| rank(word, &NO_EXPIRY, 0);
        for (key, session) in self.batch.drain(..) {
            let change = |known, word| (rank(word) > rank(known)).then_some(session);
            let imported = table.import(key, &session, &NO_EXPIRY, 0, self.policy, change);
            self.added += usize::from(matches!(imported, Imported::Inserted(None)));
        }
    }
}

/// When sessions were last seen.
#[derive(Clone, Copy, Default)]
pub(super) struct SeenRange {
    pub count: usize,
    first: Option<Tick>,
    last: Tick,
}

impl SeenRange {
    #[inline]
    pub fn add(&mut self, seen: Tick) {
        self.count += 1;
        self.first = Some(self.first.map_or(seen, |first| first.min(seen)));
        self.last = self.last.max(seen);
    }

    /// Both together.
    pub fn and(self, other: SeenRange) -> SeenRange {
        SeenRange {
            count: self.count + other.count,
            first: self.first.into_iter().chain(other.first).min(),
            last: self.last.max(other.last),
        }
    }

    /// The later a session was seen, the higher; one in use is higher than any other.
    #[inline]
    fn priority(&self, seen: Tick, is_in_use: bool) -> usize {
        let first = self.first.unwrap_or_default();
        let length = u64::from(self.last.saturating_sub(first)) + 1;
        let since = u64::from(seen.saturating_sub(first));
        let range = (since * RANGES as u64 / length) as usize;
        range.min(RANGES - 1) + RANGES * usize::from(is_in_use)
    }
}

/// How many sessions there are of each priority.
pub(super) struct Histogram {
    seen: SeenRange,
    counts: Vec<usize>,
}

impl Histogram {
    pub fn new(seen: SeenRange) -> Self {
        Self {
            seen,
            counts: vec![0; 2 * RANGES],
        }
    }

    #[inline]
    pub fn add(&mut self, seen: Tick, is_in_use: bool) {
        if let Some(count) = self.counts.get_mut(self.seen.priority(seen, is_in_use)) {
            *count += 1;
        }
    }

    /// Both together.
    pub fn and(mut self, other: &Histogram) -> Histogram {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self
    }

    /// The lowest priority such that there is space for all sessions of this and higher ones.
    fn least_of(&self, space: usize) -> usize {
        let mut left = space;
        let fits = |count: &&usize| {
            let rest = left.checked_sub(**count);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        2 * RANGES - self.counts.iter().rev().take_while(fits).count()
    }
}
