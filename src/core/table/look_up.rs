//! Finding the session of a key, and which of its copies counts.

use std::sync::atomic::Ordering::Acquire;

use super::key::Key;
use super::limits::{Fresh, Limits};
use super::lines::{self, Places};
use super::session::{PeerId, Session, Stage};
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

/// What the table has for the id of a request: as [`LookUp`], in two registers and without what
/// requests do not ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// No session.
    Unknown,
    /// An expired session.
    Expired,
    /// A live session.
    Live(Held),
    /// A live session that is to be [touched](Table::touch).
    Due(Held),
}

/// What one look at the table tells.
#[derive(Clone, Copy, Debug)]
pub enum FirstLook {
    /// No session.
    Unknown,
    /// A live session, which is not to be touched.
    Live(Held),
    /// Nothing, see [`Table::ask_after`].
    Untold(Look),
}

/// What was seen of a key in the table.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The low halves of its words, together.
    pub(super) low: u64,
    /// How many these are.
    pub(super) copies: u64,
    /// Relocations that were counted before that.
    before: u64,
}

/// Who holds a session, and how: the half of its word that is not the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held(u64);

impl Held {
    /// That of a session.
    pub fn of(key: Key, session: &Session) -> Held {
        Held(Word::new(key, session).bits() as u64)
    }

    #[inline(always)]
    pub(super) fn from_low(low: u64) -> Held {
        Held(low)
    }

    #[inline(always)]
    fn word(self) -> Word {
        Word::from_bits(self.0.into())
    }

    /// The peer that holds it.
    #[inline(always)]
    pub fn peer(self) -> PeerId {
        self.word().peer()
    }

    /// Whether a request has entered it and no answer has kept it.
    pub fn is_entered(self) -> bool {
        self.word().session().stage == Stage::Entered
    }
}

impl Asked {
    /// The answer from what was found.
    pub fn of(key: Key, found: LookUp, is_due: impl FnOnce(&Session) -> bool) -> Asked {
        match found {
            LookUp::Unknown => Asked::Unknown,
            LookUp::Expired => Asked::Expired,
            LookUp::Found(session) if is_due(&session) => Asked::Due(Held::of(key, &session)),
            LookUp::Found(session) => Asked::Live(Held::of(key, &session)),
        }
    }
}

impl<'a> Table<'a> {
    /// [`Table::look_up`] for a request with the id, where one look tells. `clock` is asked once the words
    /// are read: for the seconds since the epoch, and for how long a session is fresh.
    #[inline(always)]
    pub fn ask_at_once(&self, key: Key, clock: impl FnOnce() -> (u64, Fresh)) -> FirstLook {
        let before = self.counters.relocated.load(Acquire);
        let (low, copies) = self.copies_of(key);
        if copies == 1 {
            let held = Held(low);
            let (passed, fresh) = clock();
            if fresh.is(held.word(), passed) && !self.counters.is_rarely_crowded(passed) {
                return FirstLook::Live(held);
            }
        } else if copies == 0 && self.counters.relocated.load(Acquire) == before {
            return FirstLook::Unknown;
        }
        FirstLook::Untold(Look {
            low,
            copies,
            before,
        })
    }

    /// A look that tells nothing by itself.
    pub(super) fn look(&self, key: Key) -> Look {
        let before = self.counters.relocated.load(Acquire);
        let (low, copies) = self.copies_of(key);
        Look {
            low,
            copies,
            before,
        }
    }

    /// The same after a look that did not tell.
    #[inline(never)]
    pub fn ask_after(&self, look: Look, key: Key, limits: &Limits, now: Tick) -> Asked {
        let Look {
            low,
            copies,
            before,
        } = look;
        let session = Held(low).word().session();
        let is_found = copies == 1 && limits.is_live(&session, now);
        let found = match is_found {
            true => LookUp::Found(session),
            false if copies == 1 && self.counters.relocated.load(Acquire) == before => {
                LookUp::Expired
            }
            false => self.look_up_again(key, limits, now),
        };
        match found {
            LookUp::Found(session) if !is_found => {
                Asked::of(key, found, |_| self.is_due(&session, limits, now))
            }
            LookUp::Found(_) if self.is_due(&session, limits, now) => Asked::Due(Held(low)),
            LookUp::Found(_) => Asked::Live(Held(low)),
            LookUp::Unknown => Asked::Unknown,
            LookUp::Expired => Asked::Expired,
        }
    }

    /// The low halves of the words of a key, together, and how many they are.
    #[inline(always)]
    pub(super) fn copies_of(&self, key: Key) -> (u64, u64) {
        let (first, second) = self.lines_of(key);
        // All eight are read in any case: the two cache misses overlap.
        match (self.line(first), self.line(second)) {
            (Some(first), Some(second)) => lines::find(first, second, key.get()),
            _ => (0, 0),
        }
    }

    /// The session of `key`. Reads only.
    #[inline(always)]
    pub fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        let before = self.counters.relocated.load(Acquire);
        let (low, copies) = self.copies_of(key);
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
        let mut view = View::default();
        self.find_in(&mut view, key, limits, now);
        view
    }

    /// The same in a view that stays where it is: it is large.
    #[inline(always)]
    pub(super) fn find_in(&self, view: &mut View, key: Key, limits: &Limits, now: Tick) {
        let before = self.counters.relocated.load(Acquire);
        self.view_in(view, key, limits, now);
        if !matches!(view.current, Current::Live(..))
            && self.counters.relocated.load(Acquire) != before
        {
            *view = self.look_again(key, limits, now);
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
        let mut view = View::default();
        self.view_in(&mut view, key, limits, now);
        view
    }

    #[inline(always)]
    fn view_in(&self, view: &mut View, key: Key, limits: &Limits, now: Tick) {
        (view.first, view.second) = self.lines_of(key);
        let places = self.read(view.first, view.second, key, &mut view.words);
        view.empty = places.empty;
        view.current = Current::among(&view.words, places.of_key, limits, now);
    }

    /// Reads the words of two lines; of none in a table without lines.
    #[inline(always)]
    pub(super) fn read(
        &self,
        first: usize,
        second: usize,
        key: Key,
        words: &mut [u128; 2 * LINE],
    ) -> Places {
        // All eight before any is examined: the two cache misses overlap.
        match (self.line(first), self.line(second)) {
            (Some(first), Some(second)) => lines::load(first, second, key.get(), words),
            _ => Places {
                of_key: 0,
                empty: u32::MAX >> (u32::BITS - 2 * LINE as u32),
            },
        }
    }

    /// The two lines of a key, which differ: the high bits of the key select the first, its low
    /// half the second. 0 and 0 in a table without lines.
    #[inline]
    pub(super) fn lines_of(&self, key: Key) -> (usize, usize) {
        let lines = self.lines.len() as u64;
        let scaled = |bits: u64| ((u128::from(bits) * u128::from(lines)) >> 64) as u64;
        let first = scaled(key.get());
        let mut second = scaled(key.get().rotate_left(32));
        if second == first {
            second = if first + 1 < lines { first + 1 } else { 0 };
        }
        (first as usize, second as usize)
    }

    #[inline]
    pub(super) fn line(&self, index: usize) -> Option<&'a [AtomicU128; LINE]> {
        self.lines.get(index)
    }
}

/// The words of both lines of a key, as they were read once.
#[derive(Default)]
pub(super) struct View {
    pub first: usize,
    pub second: usize,
    pub words: [u128; 2 * LINE],
    /// A bit for each of them that is empty.
    pub empty: u32,
    pub current: Current,
}

/// The copy of a session that counts, by its index in a [`View`].
#[derive(Clone, Copy, Default)]
pub(super) enum Current {
    Live(usize, Session),
    Expired,
    #[default]
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
    fn among(words: &[u128; 2 * LINE], mut copies: u32, limits: &Limits, now: Tick) -> Current {
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
