//! Finding the session of a key, and which of its copies counts.

use std::sync::atomic::Ordering::Acquire;

use super::key::Key;
use super::limits::Limits;
use super::lines;
use super::session::Session;
use super::sync::AtomicU128;
use super::tick::Tick;
use super::word::Word;
use super::{Table, ATTEMPTS, LINE};

/// What the table has for an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookUp {
    /// No session.
    Unknown,
    /// An expired session.
    Expired,
    /// A live session.
    Found(Session),
}

impl<'a> Table<'a> {
    /// The session of `key`. Reads only.
    #[inline(always)]
    pub fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        let before = self.counters.relocated.load(Acquire);
        let (first, second) = self.lines_of(key);
        // All eight are read in any case: the two cache misses overlap.
        let (low, copies) = match (self.line(first), self.line(second)) {
            (Some(first), Some(second)) => lines::find(first, second, key.get()),
            _ => (0, 0),
        };
        let session = match copies {
            0 => None,
            1 => Some(Word::with_key(key, low).session()),
            _ => return self.look_up_again(key, limits, now),
        };
        match session {
            Some(session) if limits.is_live(&session, now) => LookUp::Found(session),
            _ if self.counters.relocated.load(Acquire) != before => {
                self.look_up_again(key, limits, now)
            }
            Some(_) => LookUp::Expired,
            None => LookUp::Unknown,
        }
    }

    /// The same, where the first look does not tell: there are several copies, or the counter has
    /// changed.
    #[cold]
    #[inline(never)]
    fn look_up_again(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        match self.look_again(key, limits, now).current {
            Current::Live(_, session) => LookUp::Found(session),
            Current::Expired => LookUp::Expired,
            Current::Absent => LookUp::Unknown,
        }
    }

    /// Both lines of a key, and the current copy in them.
    #[inline(always)]
    pub(super) fn find(&self, key: Key, limits: &Limits, now: Tick) -> View {
        let before = self.counters.relocated.load(Acquire);
        let view = self.view(key, limits, now);
        match view.current {
            Current::Live(..) => view,
            _ if self.counters.relocated.load(Acquire) == before => view,
            _ => self.look_again(key, limits, now),
        }
    }

    /// Rule 3 of the table, after the counter has changed during the first look. If it changes
    /// during every look, the session counts as unknown, which costs its affinity and no more.
    #[cold]
    #[inline(never)]
    fn look_again(&self, key: Key, limits: &Limits, now: Tick) -> View {
        let mut before = self.counters.relocated.load(Acquire);
        let mut view = self.view(key, limits, now);
        for _ in 0..ATTEMPTS {
            let after = self.counters.relocated.load(Acquire);
            if before == after || matches!(view.current, Current::Live(..)) {
                break;
            }
            before = after;
            view = self.view(key, limits, now);
        }
        view
    }

    #[inline(always)]
    fn view(&self, key: Key, limits: &Limits, now: Tick) -> View {
        let (first, second) = self.lines_of(key);
        let mut view = View {
            first,
            second,
            words: [0; 2 * LINE],
            current: Current::Absent,
        };
        self.read(first, second, &mut view.words);
        view.current = Current::among(&view.words, key, limits, now);
        view
    }

    /// Reads the words of two lines; of none in a table without lines.
    #[inline(always)]
    pub(super) fn read(&self, first: usize, second: usize, words: &mut [u128; 2 * LINE]) {
        // All eight before any is examined: the two cache misses overlap.
        if let (Some(first), Some(second)) = (self.line(first), self.line(second)) {
            *words = lines::load(first, second);
        }
    }

    /// The two lines of a key, which differ: the high bits of the key select the first, its low
    /// half the second. 0 and 0 in a table without lines.
    #[inline]
    pub(super) fn lines_of(&self, key: Key) -> (usize, usize) {
        let scaled = |bits: u64| ((u128::from(bits) * u128::from(self.lines)) >> 64) as u64;
        let first = scaled(key.get());
        let mut second = scaled(key.get().rotate_left(32));
        if second == first {
            second = if first + 1 < self.lines { first + 1 } else { 0 };
        }
        (first as usize, second as usize)
    }

    #[inline]
    pub(super) fn line(&self, index: usize) -> Option<&'a [AtomicU128; LINE]> {
        self.words.get(index * LINE..)?.first_chunk()
    }
}

/// The words of both lines of a key, as they were read once.
pub(super) struct View {
    pub first: usize,
    pub second: usize,
    pub words: [u128; 2 * LINE],
    pub current: Current,
}

/// The copy of a session that counts, by its index in a [`View`].
#[derive(Clone, Copy)]
pub(super) enum Current {
    Live(usize, Session),
    Expired,
    Absent,
}

impl View {
    /// The place in the table of the word at `index`.
    pub fn place(&self, index: usize) -> usize {
        if index < LINE {
            self.first * LINE + index
        } else {
            self.second * LINE + index - LINE
        }
    }

    pub fn bits(&self, index: usize) -> u128 {
        self.words.get(index).copied().unwrap_or_default()
    }
}

impl Current {
    #[inline(always)]
    fn among(words: &[u128; 2 * LINE], key: Key, limits: &Limits, now: Tick) -> Current {
        let mut copies = 0u32;
        for (index, bits) in words.iter().enumerate() {
            copies |= u32::from(Word::from_bits(*bits).is_of(key)) << index;
        }
        if copies == 0 {
            return Current::Absent;
        }
        if !copies.is_power_of_two() {
            copies = 1 << highest_ranked(words, copies, limits, now);
        }
        let index = copies.trailing_zeros() as usize % words.len();
        let session = Word::from_bits(words[index]).session();
        if limits.is_live(&session, now) {
            Current::Live(index, session)
        } else {
            Current::Expired
        }
    }
}

/// The index of the highest ranking of several copies of a key.
#[cold]
fn highest_ranked(words: &[u128; 2 * LINE], copies: u32, limits: &Limits, now: Tick) -> usize {
    let copies = words
        .iter()
        .enumerate()
        .filter(|(index, _)| copies >> index & 1 == 1);
    let ranked = copies.max_by_key(|(_, bits)| rank(Word::from_bits(**bits), limits, now));
    ranked.map_or(0, |(index, _)| index)
}

/// Orders the copies of one key; the highest is the session. The bits decide when nothing else
/// does, so that the order does not depend on the places, which may change.
pub(super) fn rank(word: Word, limits: &Limits, now: Tick) -> (bool, bool, Tick, u128) {
    let live = limits.is_live(&word.session(), now);
    (live, word.is_confirmed(), word.seen(), word.bits())
}

/// The places of two lines.
pub(super) fn places(first: usize, second: usize) -> impl Iterator<Item = usize> {
    [first, second]
        .into_iter()
        .flat_map(|line| line * LINE..(line + 1) * LINE)
}
