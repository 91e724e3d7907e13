//! The session table: a map from key to session in memory that several processes share and any
//! of them may leave at any instruction. It has no lock, no list, no allocation and no clock.
//!
//! A session is one [`Word`], changed by one 128-bit compare-and-swap. Four words are a line; the
//! key alone chooses the two lines in which the session may stand. Everything follows from
//! three rules:
//!
//! 1. **Copies are ranked.** A key may stand in several places: a relocation is under way, its
//!    worker died, or two workers learned one id at once. Everybody takes the same copy for the
//!    session ([`rank`]: live, confirmed, last seen), and whatever changes a session raises its
//!    rank, so a copy left behind never comes back. The next change of the session removes it, or
//!    its own idle limit does.
//! 2. **Who clears has copied.** A relocation writes the copy, counts it in
//!    [`Counters::relocated`], then replaces the source, or, when the source has changed
//!    meanwhile, takes its own copy back. So it removes at most one copy of a key, not before it
//!    has added one of the same value, and however many relocations cross each other, one copy
//!    remains, as fresh as the freshest was.
//! 3. **Who finds nothing makes sure.** A reader who passes the place before the copy is written
//!    and the source after it was replaced misses a session. It reads again, between two looks
//!    at that counter. If they are equal, whatever was removed meanwhile had its copy, or the
//!    word that outranks it, written before: there were more copies than were removed, so one
//!    of them stood in its place throughout.
//!
//! Whoever inserts reads its lines again. Of two that insert one key at once at least one sees
//! both words, and rank says which of them goes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};

use crate::table::key::Key;
use crate::table::sync::AtomicU128;
use crate::table::tick::Tick;
use crate::table::word::{Limits, PeerId, Session, Word};

mod claim;
mod copy;
pub mod key;
mod layout;
mod learn;
pub mod local;
mod place;
mod restore;
mod sweep;
pub mod sync;
pub mod test_points;
pub mod tick;
pub mod word;

pub use claim::{Claim, Evicted, Learned};
pub use copy::Absorbed;
pub use layout::{Counters, Header, ZoneHeader};
pub use sweep::Swept;

/// Words in a line; with lines of 64 bytes, one cache line.
pub const LINE: usize = 4;

/// How often a lost race is run again. Each one lost means that another worker got ahead.
const ATTEMPTS: usize = 16;

/// What a request learns about its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookUp {
    /// Nothing is known about it.
    Unknown,
    /// There was a session, and it is over.
    Expired,
    /// A live session.
    Found(Session),
}

/// Whether 128-bit atomics are instructions of this processor. Where they are not, they are
/// locks local to a process: useless in shared memory, and `zone=off` is the way out.
pub fn is_lock_free() -> bool {
    AtomicU128::is_lock_free()
}

/// A view of the session table in somebody's memory.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    words: &'a [AtomicU128],
    counters: &'a Counters,
    lines: u64,
    others: Option<Limits>,
}

impl<'a> Table<'a> {
    /// A table on `words`, of which it uses a whole number of lines. With less than two lines
    /// nothing is ever found and nothing learned.
    pub fn new(words: &'a [AtomicU128], counters: &'a Counters) -> Table<'a> {
        let lines = words.len() / LINE;
        let lines = if lines < 2 { 0 } else { lines };
        let words = words.get(..lines * LINE).unwrap_or_default();
        Table {
            words,
            counters,
            lines: lines as u64,
            others: None,
        }
    }

    /// The same table, for a zone that several upstreams share: `longest` are the limits under
    /// which every session of the zone is judged before its word is given away (see
    /// [`Limits::longer`]). Without it, the limits of the call hold for all words.
    pub fn shared_under(self, longest: Limits) -> Table<'a> {
        Table {
            others: Some(longest),
            ..self
        }
    }

    /// Number of words in use by the table.
    pub fn capacity(&self) -> usize {
        self.words.len()
    }

    /// The session of `key`. Reads only.
    #[inline(always)]
    pub fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        let before = self.counters.relocated.load(Acquire);
        let (first, second) = self.lines_of(key);
        let mut words = [0; 2 * LINE];
        self.read(first, second, &mut words);
        let held = match Held::among(&words, key, limits, now) {
            Held::Live(_, session) => return LookUp::Found(session),
            _ if self.counters.relocated.load(Acquire) != before => {
                self.look_again(key, limits, now).held
            }
            held => held,
        };
        match held {
            Held::Live(_, session) => LookUp::Found(session),
            Held::Over => LookUp::Expired,
            Held::Nowhere => LookUp::Unknown,
        }
    }

    /// A request at `now` has brought the id: the session is confirmed, and `seen` advances when
    /// that is due. An unknown or expired session stays so.
    pub fn touch(&self, key: Key, limits: &Limits, now: Tick) {
        let is_crowded = self.counters.was_crowded(now);
        self.update(key, limits, now, |held| {
            limits.touched(held, now, is_crowded)
        });
    }

    /// Whether [`Table::touch`] would write this session: mostly not.
    #[inline]
    pub fn is_due(&self, session: &Session, limits: &Limits, now: Tick) -> bool {
        let is_crowded = self.counters.was_crowded(now);
        limits.touched(session, now, is_crowded).is_some()
    }

    /// Gives the session to another peer, while it is live and its holder still is `from`.
    /// Returns whether it has been done.
    pub fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits, now: Tick) -> bool {
        let done = self.update(key, limits, now, |held| {
            (held.peer == from).then(|| held.moved(to, now, false))
        });
        if done {
            Counters::count(&self.counters.moved);
        }
        done
    }

    /// Removes the session, live or not, and returns whether there was one. A copy survives when a
    /// worker that was just relocating the session dies before it has looked at the source again.
    pub fn forget(&self, key: Key) -> bool {
        let mut forgotten = false;
        let (first, second) = self.lines_of(key);
        for _ in 0..ATTEMPTS {
            // As by rule 3: nothing found counts when nothing was relocated meanwhile.
            let before = self.counters.relocated.load(Acquire);
            let mut clean = true;
            for place in places(first, second) {
                let Some(slot) = self.words.get(place) else {
                    continue;
                };
                let bits = slot.load(SeqCst);
                if Word::from_bits(bits).key() == Some(key) {
                    test_points::at("forget: a copy found");
                    clean = false;
                    forgotten |= self.swap(place, bits, Word::EMPTY.bits());
                }
            }
            if clean && self.counters.relocated.load(Acquire) == before {
                break;
            }
        }
        forgotten
    }

    /// All sessions, live or not, in no order. A session that is relocated during the walk may
    /// come twice or not at all.
    pub fn sessions(&self) -> impl Iterator<Item = (Key, Session)> + 'a {
        let table = *self;
        self.words
            .iter()
            .enumerate()
            .filter_map(move |(place, slot)| {
                let word = Word::from_bits(slot.load(Acquire));
                let key = word.key()?;
                let (first, second) = table.lines_of(key);
                let line = place / LINE;
                (line == first || line == second).then(|| (key, word.session()))
            })
    }

    /// Replaces the live session of `key` by what `change` makes of it. `change` may be called
    /// several times. False when there is no live session, or nothing to change.
    fn update(
        &self,
        key: Key,
        limits: &Limits,
        now: Tick,
        change: impl Fn(&Session) -> Option<Session>,
    ) -> bool {
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            let Held::Live(at, held) = view.held else {
                return false;
            };
            let Some(new) = change(&held) else {
                return false;
            };
            if self.replace(&view, key, at, &new, limits, now).is_some() {
                return true;
            }
        }
        false
    }

    /// Writes `new` over the copy at index `at`, the one that counts, and removes the other copies
    /// that `view` shows. `None` when the word has changed meanwhile, else whether there were
    /// other copies.
    fn replace(
        &self,
        view: &View,
        key: Key,
        at: usize,
        new: &Session,
        limits: &Limits,
        now: Tick,
    ) -> Option<bool> {
        let word = Word::new(key, new);
        if !self.swap(view.place(at), view.bits(at), word.bits()) {
            return None;
        }
        test_points::at("replace: written");
        let ours = rank(word, limits, now);
        Some(self.remove_copies(view, key, |index, other| {
            index != at && rank(other, limits, now) < ours
        }))
    }

    /// Removes copies of a key that a higher ranking word in the table outranks, and returns
    /// whether there was one. Only relocations of that word itself could remove it, and those
    /// keep rule 2; so the session stays. Counted first, as a relocation is: a reader may have
    /// passed the place of the higher one before it was written.
    fn remove_copies(&self, view: &View, key: Key, loses: impl Fn(usize, Word) -> bool) -> bool {
        let mut removed = false;
        for (index, bits) in view.words.iter().enumerate() {
            let word = Word::from_bits(*bits);
            if word.key() == Some(key) && loses(index, word) {
                self.count_relocation();
                test_points::at("remove copies: counted");
                removed |= self.swap(view.place(index), *bits, Word::EMPTY.bits());
            }
        }
        removed
    }

    /// Both lines of a key, and the copy in them that counts.
    #[inline(always)]
    fn find(&self, key: Key, limits: &Limits, now: Tick) -> View {
        let before = self.counters.relocated.load(Acquire);
        let view = self.view(key, limits, now);
        match view.held {
            Held::Live(..) => view,
            _ if self.counters.relocated.load(Acquire) == before => view,
            _ => self.look_again(key, limits, now),
        }
    }

    /// Rule 3 of the table, when the counter has moved on during the first look. Should it do so
    /// every single time, the session counts as unknown, which costs its affinity and no more.
    #[cold]
    #[inline(never)]
    fn look_again(&self, key: Key, limits: &Limits, now: Tick) -> View {
        let mut before = self.counters.relocated.load(Acquire);
        let mut view = self.view(key, limits, now);
        for _ in 0..ATTEMPTS {
            let after = self.counters.relocated.load(Acquire);
            if before == after || matches!(view.held, Held::Live(..)) {
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
            held: Held::Nowhere,
        };
        self.read(first, second, &mut view.words);
        view.held = Held::among(&view.words, key, limits, now);
        view
    }

    /// Reads the words of two lines; of none in a table without lines.
    #[inline(always)]
    fn read(&self, first: usize, second: usize, words: &mut [u128; 2 * LINE]) {
        // All eight before any is examined: the two cache misses overlap.
        if let (Some(first), Some(second)) = (self.line(first), self.line(second)) {
            for (word, slot) in words.iter_mut().zip(first.iter().chain(second)) {
                test_points::at("view: a word");
                *word = slot.load(Acquire);
            }
        }
    }

    /// The two lines of a key, different ones: the high bits of the key choose the first, its low
    /// half the second. 0 and 0 in a table without lines.
    #[inline]
    fn lines_of(&self, key: Key) -> (usize, usize) {
        let scaled = |bits: u64| ((u128::from(bits) * u128::from(self.lines)) >> 64) as u64;
        let first = scaled(key.get());
        let mut second = scaled(key.get().rotate_left(32));
        if second == first {
            second = if first + 1 < self.lines { first + 1 } else { 0 };
        }
        (first as usize, second as usize)
    }

    #[inline]
    fn line(&self, index: usize) -> Option<&'a [AtomicU128; LINE]> {
        self.words.get(index * LINE..)?.first_chunk()
    }

    /// Replaces a word that still is what it was. Sequentially consistent: two workers that
    /// insert one key in two places and then read must not both miss the other's word.
    fn swap(&self, place: usize, old: u128, new: u128) -> bool {
        test_points::at("swap");
        self.words
            .get(place)
            .is_some_and(|slot| slot.compare_exchange(old, new, SeqCst, Acquire).is_ok())
    }

    /// Between writing a word somewhere and removing it, or one that it outranks, elsewhere.
    fn count_relocation(&self) {
        self.counters.relocated.fetch_add(1, AcqRel);
    }
}

/// What two lines held at one look.
struct View {
    first: usize,
    second: usize,
    words: [u128; 2 * LINE],
    held: Held,
}

/// The copy of a session that counts, by its index in a [`View`].
#[derive(Clone, Copy)]
enum Held {
    Live(usize, Session),
    Over,
    Nowhere,
}

impl View {
    /// Where in the table the word at `index` stands.
    fn place(&self, index: usize) -> usize {
        if index < LINE {
            self.first * LINE + index
        } else {
            self.second * LINE + index - LINE
        }
    }

    fn bits(&self, index: usize) -> u128 {
        self.words.get(index).copied().unwrap_or_default()
    }
}

impl Held {
    #[inline(always)]
    fn among(words: &[u128; 2 * LINE], key: Key, limits: &Limits, now: Tick) -> Held {
        let mut copies = 0u32;
        for (index, bits) in words.iter().enumerate() {
            copies |= u32::from((bits >> 64) as u64 == key.get()) << index;
        }
        if copies == 0 {
            return Held::Nowhere;
        }
        if !copies.is_power_of_two() {
            copies = 1 << best(words, copies, limits, now);
        }
        let index = copies.trailing_zeros() as usize % words.len();
        let session = Word::from_bits(words[index]).session();
        if limits.is_live(&session, now) {
            Held::Live(index, session)
        } else {
            Held::Over
        }
    }
}

/// The index of the highest ranking of several copies of a key.
#[cold]
fn best(words: &[u128; 2 * LINE], copies: u32, limits: &Limits, now: Tick) -> usize {
    let copies = words
        .iter()
        .enumerate()
        .filter(|(index, _)| copies >> index & 1 == 1);
    let ranked = copies.max_by_key(|(_, bits)| rank(Word::from_bits(**bits), limits, now));
    ranked.map_or(0, |(index, _)| index)
}

/// Orders the copies of one key; the highest is the session. The bits decide what nothing else
/// does, so that the order does not depend on the places, which may change.
fn rank(word: Word, limits: &Limits, now: Tick) -> (bool, bool, Tick, u128) {
    let live = limits.is_live(&word.session(), now);
    (live, word.is_confirmed(), word.seen(), word.bits())
}

fn places(first: usize, second: usize) -> impl Iterator<Item = usize> {
    [first, second]
        .into_iter()
        .flat_map(|line| line * LINE..(line + 1) * LINE)
}
