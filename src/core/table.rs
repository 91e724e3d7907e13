//! The session table: a cuckoo hash table in memory that several processes share, each of which may
//! die at any instruction. It has no lock, no list, no allocation and no clock.
//!
//! A session is one [`Word`], changed by one 128-bit compare-and-swap. Four words are a line. The
//! key alone selects two lines, so a session has eight possible places; if all are taken, an
//! insertion relocates other words to their other lines. Everything follows from three rules:
//!
//! 1. **Copies are ranked.** A key may be in several places: a relocation is under way, its worker
//!    died, or two workers learned one id at once. All workers take the same copy for the session
//!    (`rank`: live, confirmed, last seen), and every change of a session raises its rank, so a
//!    stale copy never becomes current again. The next change of the session removes it, or its own
//!    idle limit does.
//! 2. **Copy before clearing.** A relocation writes the copy, counts it in [`Counters::relocated`],
//!    then replaces the source. If the source has changed meanwhile, it removes its own copy
//!    instead. So it removes at most one copy of a key, and only after it has added one of the same
//!    value. However many relocations cross each other, one copy remains, as fresh as the freshest
//!    was.
//! 3. **Check before reporting a miss.** A reader that passes the target before the copy is written
//!    and the source after it was replaced misses a session. So a reader that finds nothing reads
//!    again until that counter is the same before and after. Then whatever was removed in between
//!    had its copy, or the word that outranks it, written before: there were more copies than
//!    removals, so one of them was in its place throughout.
//!
//! An insertion reads its lines again. Of two workers that insert one key at once, at least one
//! sees both words, and their rank decides which one is removed.

use std::ops::Range;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};

use look_up::{places, rank, Current, View};
use sync::{fence, AtomicU128};

mod at_once;
pub mod bulk;
mod census;
mod change;
mod claim;
mod clock_settings;
mod copy;
mod eviction;
mod fingerprint;
mod journal;
mod key;
mod layout;
mod learn;
mod limits;
mod lines;
mod local;
mod look_up;
mod moving;
mod noting;
mod parts;
mod placement;
mod predecessor;
mod put;
mod registry;
mod relocation;
mod restore;
mod session;
pub(crate) mod siphash;
mod sweep;
pub mod sync;
mod tally;
pub mod test_points;
mod tick;
mod translation;
mod usable;
mod victim;
mod word;

pub use at_once::Due;
pub use census::Census;
pub use change::Change;
pub use claim::{Claim, Evicted, Learned};
pub use copy::Merged;
pub use fingerprint::Fingerprint;
pub use journal::{Journal, JournalHead, JournalOf, Kept, Note, Noted, Slot, MOST_SCOPES, SLOTS};
pub use key::{Key, Keyer, ScopedKeyer};
pub use layout::{Counters, Notes, PreviousKey, ZoneHeader, ZoneIdentity};
pub use limits::{Fresh, Limits};
pub use local::LocalTable;
pub use look_up::{Asked, FirstLook, Held, Look, LookUp};
pub use predecessor::Predecessor;
pub(crate) use put::{Found, Put};
pub use registry::{entries_of, Epoch, Numbers, Registration, Registry, RegistryHead};
pub use session::{PeerId, Session, Stage};
pub use sweep::{Progress, Swept, Turn};
pub use tally::{Tallies, Tally};
pub use tick::{tick_at, Tick, LAST_TICK};
pub use translation::Translation;
pub use usable::UsableServers;
pub use word::Word;

/// Words in a line; with lines of 64 bytes, one cache line.
pub const LINE: usize = 4;

/// Attempts at an operation that lost a race. Each lost race means that another worker succeeded.
const ATTEMPTS: usize = 16;

/// Whether the processor has instructions for 128-bit atomics. Otherwise they are emulated by locks
/// of the process, which is useless in shared memory; `zone=off` works without them.
pub fn is_lock_free() -> bool {
    AtomicU128::is_lock_free()
}

/// The session table, in memory that it does not own.
///
/// ```
/// use portable_atomic::AtomicU128;
/// use sticky_core::table::{Claim, Counters, Keyer, Learned, Limits, LookUp, PeerId, Table};
///
/// let words: Vec<AtomicU128> = (0..1024).map(|_| AtomicU128::new(0)).collect();
/// let counters = Counters::default();
/// let table = Table::new(&words, &counters);
/// let limits = Limits { expires: 3600, lifetime: None };
/// let key = Keyer::new(1, 2).scope(b"shop").key(b"5f3a9c");
///
/// // At second 100, a response of peer 7 contains the id.
/// let peer = PeerId::new(7);
/// let learned = table.learn(key, peer, Claim::ResponseOnly, &limits, 100, &mut |_| false);
/// assert_eq!(learned, Learned::New { evicted: None });
///
/// // At second 160, a request brings it.
/// let LookUp::Found(session) = table.look_up(key, &limits, 160) else {
///     panic!("not found");
/// };
/// assert_eq!(session.peer, peer);
/// table.touch(key, &limits, 160);
///
/// // An hour later it has expired.
/// assert_eq!(table.look_up(key, &limits, 160 + 3600), LookUp::Expired);
/// ```
#[derive(Clone, Copy)]
pub struct Table<'a> {
    words: &'a [AtomicU128],
    counters: &'a Counters,
    lines: &'a [[AtomicU128; LINE]],
    zone_limits: Option<Limits>,
    registry: Option<Registry<'a>>,
    usable: Option<&'a UsableServers>,
    journal: Option<JournalOf<'a>>,
}

impl<'a> Table<'a> {
    /// A table on `words`, of which it uses a whole number of lines. With less than two lines it
    /// learns and finds nothing.
    pub fn new(words: &'a [AtomicU128], counters: &'a Counters) -> Table<'a> {
        let (lines, _) = words.as_chunks();
        let lines = if lines.len() < 2 { &[] } else { lines };
        let words = lines.as_flattened();
        Table {
            words,
            counters,
            lines,
            zone_limits: None,
            registry: None,
            usable: None,
            journal: None,
        }
    }

    /// The same table, in a zone whose registry says what the numbers of its peers mean.
    pub fn with_registry(self, registry: Registry<'a>) -> Table<'a> {
        Table {
            registry: Some(registry),
            ..self
        }
    }

    /// The registry, if it has one.
    pub fn registry(&self) -> Option<Registry<'a>> {
        self.registry
    }

    /// The same table, for a zone that several upstreams share: a word is reused only when its
    /// session has expired under `limits`, the longest of all upstreams (see [`Limits::longer`]).
    /// Without this, the limits of each call decide about all words.
    pub fn with_zone_limits(self, limits: Limits) -> Table<'a> {
        Table {
            zone_limits: Some(limits),
            ..self
        }
    }

    /// The same table, for [`Table::merge`] by an nginx that can use these servers.
    pub fn with_usable_servers(self, usable: &'a UsableServers) -> Table<'a> {
        Table {
            usable: Some(usable),
            ..self
        }
    }

    /// See [`Counters::is_unused`].
    pub fn is_unused(&self) -> bool {
        self.counters.is_unused()
    }

    /// Number of words in use by the table.
    pub fn capacity(&self) -> usize {
        self.words.len()
    }

    /// Records that a request has brought the id at `now`: the session is confirmed, and `seen`
    /// advances when that is due. An unknown or expired session stays so.
    pub fn touch(&self, key: Key, limits: &Limits, now: Tick) {
        let due = self.due_at_once(&self.look(key), key, limits, now);
        if due.is_some_and(|due| self.touch_at_once(&due)) {
            return;
        }
        let is_crowded = || self.counters.is_crowded(now);
        self.update(key, limits, now, |session| {
            let touched = limits.touched(session, now, is_crowded)?;
            Some(match &self.journal {
                Some(journal) if !is_crowded() => early(journal, session, touched, limits),
                _ => touched,
            })
        });
    }

    /// Whether [`Table::touch`] would write this session: mostly not.
    #[inline(always)]
    pub fn is_due(&self, session: &Session, limits: &Limits, now: Tick) -> bool {
        let is_crowded = || self.counters.is_crowded(now);
        limits.is_due(session, now, is_crowded)
    }

    /// Moves the session to another peer if it is live and its holder still is `from`. Returns
    /// whether it was moved.
    pub fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits, now: Tick) -> bool {
        let done = self.update(key, limits, now, |session| {
            (session.peer == from).then(|| session.moved(to, now, false))
        });
        if done {
            Counters::count(&self.counters.moved);
        }
        done
    }

    /// [`Table::reassign`] to a registered peer. False also when its number is another's by now.
    pub fn reassign_to(
        &self,
        key: Key,
        from: PeerId,
        to: &Registration,
        limits: &Limits,
        now: Tick,
    ) -> bool {
        self.may_note(to)
            && self.reassign(key, from, to.number, limits, now)
            && self.keep_if_held(to, || {
                self.reassign(key, to.number, from, limits, now);
            })
    }

    /// Rule 4 of the registry, after a word was written: undoes that if its number is another
    /// server's by now.
    #[inline(always)]
    fn keep_if_held(&self, registration: &Registration, undo: impl FnOnce()) -> bool {
        let Some(registry) = &self.registry else {
            return true;
        };
        // Between write and look, as in a sweep between its marks and the next one's look.
        fence(SeqCst);
        let is_held = registry.hold(registration);
        if !is_held {
            undo();
        }
        is_held
    }

    /// Removes the session, live or not, and returns whether there was one. A copy survives if a
    /// worker that is relocating the session dies before it has checked the source again.
    pub fn forget(&self, key: Key) -> bool {
        let mut forgotten = false;
        let (first, second) = self.lines_of(key);
        for _ in 0..ATTEMPTS {
            // Rule 3: finding nothing counts only if nothing was relocated meanwhile.
            let before = self.counters.relocated.load(Acquire);
            let mut clean = true;
            for place in places(first, second) {
                let Some(word) = self.words.get(place) else {
                    continue;
                };
                let bits = word.load(SeqCst);
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

    /// Ends the session if it is live and `holder` holds it, and returns whether it did. One that
    /// has moved meanwhile stays, and so does one that is learned at once after the end. A copy
    /// survives as in [`Table::forget`]; then the session lives on.
    pub fn end(&self, key: Key, holder: PeerId, limits: &Limits, now: Tick) -> bool {
        let mut ended = None;
        let mut is_any_removed = false;
        let mut noted: Option<(Noted, u128)> = None;
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            let Current::Live(index, session) = view.current else {
                // Or the follower has removed it, as was noted.
                return is_any_removed || noted.is_some();
            };
            let bits = view.bits(index);
            // After the end, only a copy that a relocation has made is of the same session.
            if session.peer != holder || ended.is_some_and(|ended| ended != bits) {
                break;
            }
            // Once more if it has changed: the first note may have returned, and be over.
            if noted.is_none_or(|(_, of)| of != bits) {
                self.take_back(noted.map(|(noted, _)| noted));
                noted = self.note_end(key, &session, now).map(|noted| (noted, bits));
            }
            // First: without the highest one, another copy would be the session.
            for (other, copy) in view.words.iter().enumerate() {
                if other != index && Word::from_bits(*copy).key() == Some(key) {
                    self.count_relocation();
                    let is_removed = self.swap(view.place(other), *copy, Word::EMPTY.bits());
                    is_any_removed |= is_removed && *copy == bits;
                }
            }
            test_points::at("end: copies removed");
            if self.swap(view.place(index), bits, Word::EMPTY.bits()) {
                is_any_removed = true;
                ended = Some(bits);
            }
        }
        if ended.is_none() {
            self.take_back(noted.map(|(noted, _)| noted));
        }
        ended.is_some()
    }

    /// Removes a live session that no answer has kept ([`Stage::Entered`]), and returns whether there
    /// was one. One that is kept meanwhile stays.
    pub fn forget_entered(&self, key: Key, limits: &Limits, now: Tick) -> bool {
        let mut forgotten = false;
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            let Current::Live(index, session) = view.current else {
                break;
            };
            if session.stage != Stage::Entered {
                break;
            }
            test_points::at("forget entered: found");
            // The copies first: the highest ranking one says whether it may go.
            let ours = rank(Word::from_bits(view.bits(index)), limits, now);
            forgotten |= self.remove_copies(&view, key, |other_index, other| {
                other_index != index && rank(other, limits, now) <= ours
            });
            self.count_relocation();
            forgotten |= self.swap(view.place(index), view.bits(index), Word::EMPTY.bits());
        }
        forgotten
    }

    /// All sessions, live or not, in no order. A session that is relocated during the walk may
    /// come twice or not at all.
    pub fn sessions(&self) -> impl Iterator<Item = (Key, Session)> + 'a {
        let words = self.words_in(0..self.words.len());
        words.map(|found| (found.key, found.word.session()))
    }

    /// The words of sessions in some places.
    fn words_in(&self, places: Range<usize>) -> impl Iterator<Item = FoundWord> + 'a {
        let table = *self;
        let first_place = places.start;
        let words = self.words.get(places).unwrap_or_default().iter();
        words.enumerate().filter_map(move |(number, word)| {
            let word = Word::from_bits(word.load(Acquire));
            let key = word.key()?;
            let (first, second) = table.lines_of(key);
            let line = (first_place + number) / LINE;
            (line == first || line == second).then_some(FoundWord {
                key,
                word,
                is_second: line == second,
            })
        })
    }

    /// Replaces the live session of `key` by what `change` returns, which may be called several
    /// times. False when there is no live session, or nothing to change.
    fn update(
        &self,
        key: Key,
        limits: &Limits,
        now: Tick,
        change: impl Fn(&Session) -> Option<Session>,
    ) -> bool {
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            let Current::Live(index, session) = view.current else {
                return false;
            };
            let Some(new) = change(&session) else {
                return false;
            };
            let noted = self.note_change(key, &session, &new);
            if self.replace(&view, key, index, &new, limits, now).is_some() {
                return true;
            }
            if noted.is_some_and(|noted| self.is_done(key, noted, new.peer, limits, now)) {
                return true;
            }
        }
        false
    }

    /// After a lost race: whether the session is where a note says, since the follower has written
    /// that. Else the note is taken back.
    #[cold]
    fn is_done(&self, key: Key, noted: Noted, peer: PeerId, limits: &Limits, now: Tick) -> bool {
        let is_moved = noted.change != Change::Alive;
        let current = self.find(key, limits, now).current;
        let is_done =
            is_moved && matches!(current, Current::Live(_, session) if session.peer == peer);
        if !is_done {
            self.take_back(Some(noted));
        }
        is_done
    }

    /// Writes `new` over the current copy, the word at `index` of `view`, and removes the other
    /// copies in `view`. `None` when the word has changed meanwhile, else whether there were other
    /// copies.
    fn replace(
        &self,
        view: &View,
        key: Key,
        index: usize,
        new: &Session,
        limits: &Limits,
        now: Tick,
    ) -> Option<bool> {
        let word = Word::new(key, new);
        if !self.swap(view.place(index), view.bits(index), word.bits()) {
            return None;
        }
        test_points::at("replace: written");
        let ours = rank(word, limits, now);
        Some(self.remove_copies(view, key, |other_index, other| {
            other_index != index && rank(other, limits, now) < ours
        }))
    }

    /// Removes copies of a key that a higher ranking word in the table outranks, and returns
    /// whether there was one. Only relocations of that word itself could remove it, and they follow
    /// rule 2, so the session stays. Counted first, as a relocation is: a reader may have passed
    /// the place of the higher one before it was written.
    fn remove_copies(
        &self,
        view: &View,
        key: Key,
        is_outranked: impl Fn(usize, Word) -> bool,
    ) -> bool {
        let mut removed = false;
        for (index, bits) in view.words.iter().enumerate() {
            let word = Word::from_bits(*bits);
            if word.key() == Some(key) && is_outranked(index, word) {
                self.count_relocation();
                test_points::at("remove copies: counted");
                removed |= self.swap(view.place(index), *bits, Word::EMPTY.bits());
            }
        }
        removed
    }

    /// Replaces a word that has not changed. Sequentially consistent: two workers that insert one
    /// key in two places and then read must not both miss the other's word.
    #[inline(always)]
    fn swap(&self, place: usize, old: u128, new: u128) -> bool {
        let is_swapped = self.exchange(place, old, new);
        if is_swapped {
            self.counters
                .note_swap(Word::from_bits(old), Word::from_bits(new));
        }
        is_swapped
    }

    /// [`Table::swap`] of a word without a session.
    #[inline(always)]
    fn fill(&self, place: usize, old: u128, word: Word) -> bool {
        let is_filled = self.exchange(place, old, word.bits());
        if is_filled {
            self.counters.note_filled(word);
        }
        is_filled
    }

    #[inline(always)]
    fn exchange(&self, place: usize, old: u128, new: u128) -> bool {
        let word = self.words.get(place);
        word.is_some_and(|word| exchange(word, old, new))
    }

    /// Called between writing a word in one place and removing it, or one that it outranks, in
    /// another.
    fn count_relocation(&self) {
        self.counters.relocated.fetch_add(1, AcqRel);
    }
}

/// Replaces a word that has not changed.
#[inline(always)]
fn exchange(word: &AtomicU128, old: u128, new: u128) -> bool {
    test_points::at("swap");
    let is_swapped = sync::swap(word, old, new);
    if is_swapped {
        test_points::at("swap: done");
    }
    is_swapped
}

/// A word of a session, found on a walk through a table.
#[derive(Clone, Copy)]
struct FoundWord {
    key: Key,
    word: Word,
    /// In which of the two lines of its key.
    is_second: bool,
}

/// A session that was touched, last used so early that no use in the next period is missed.
fn early(journal: &JournalOf<'_>, before: &Session, touched: Session, limits: &Limits) -> Session {
    let seen = journal.early_enough(touched.seen, limits.touch_interval());
    let is_possible = seen > before.seen.max(touched.created);
    Session {
        seen: if is_possible { seen } else { touched.seen },
        ..touched
    }
}
