//! The journal: what the workers of one nginx change in their tables, in an order that all agree on,
//! until other nodes have it. A ring in memory that several processes share, each of which may die at
//! any instruction.
//!
//! A note is one 128-bit word, changed by compare-and-swap, so a place in the ring is reserved and
//! filled at once: a worker that dies before has done nothing, and one that dies after that, before
//! it has moved the tail on, is helped by the next one.
//!
//! ```text
//!   127           64 63       50 49     36 35     33 32      19 18        8 7       6       0
//!  +----------------+-----------+---------+---------+----------+-----------+-------+---------+
//!  | key            | server 14 | from 14 | change 3| scope 14 | period 11 | taken | lap   7 |
//!  |                |           |         |         |          |           | back  |         |
//!  +----------------+-----------+---------+---------+----------+-----------+-------+---------+
//! ```
//!
//! "from" is of a move; else it is when this was: the lowest bits of the second.
//!
//! A position counts notes from 0 on. The lap says of which round over the ring a note is, so that
//! whoever was stopped writes over no newer one. A worker takes a note back when another one was
//! faster; what it tells of the session before it still holds.
//!
//! `returned <= sent <= tail`: before `sent`, all is on its way to other nodes; before `returned`, the
//! follower has seen it in the stream. A place is used again when its note has returned; until then a
//! full ring drops what comes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::change::Change;
use super::clock_settings::ClockSettings;
use super::key::Key;
use super::registry::Numbers;
use super::session::{PeerId, Session, Stage};
use super::sync::{AtomicU128, AtomicU64};
use super::tick::{tick_at, Tick, LAST_TICK};
use super::{test_points, ATTEMPTS};

/// Places of the ring in a zone.
pub const SLOTS: usize = 1 << 16;

/// Bits of a server's number here. A registry has no more.
const NUMBER_BITS: u32 = 14;
const SCOPE_BITS: u32 = 14;
const CHANGE_BITS: u32 = 3;
const PERIOD_BITS: u32 = 11;
const LAP_BITS: u32 = 7;

const TAKEN_BACK: u64 = 1 << LAP_BITS;
const PERIOD_SHIFT: u32 = LAP_BITS + 1;
const SCOPE_SHIFT: u32 = PERIOD_SHIFT + PERIOD_BITS;
const CHANGE_SHIFT: u32 = SCOPE_SHIFT + SCOPE_BITS;
const FROM_SHIFT: u32 = CHANGE_SHIFT + CHANGE_BITS;
const SERVER_SHIFT: u32 = FROM_SHIFT + NUMBER_BITS;

const _: () = assert!(SERVER_SHIFT + NUMBER_BITS == 64);

/// Scopes that a journal can tell apart.
pub const MOST_SCOPES: usize = 1 << SCOPE_BITS;

/// A clock that differs by less from what is known of it has not changed: milliseconds.
const CLOCK_PLAY: u64 = 1000;

/// By so many seconds the clock may be set back.
const CLOCK_SET: u64 = 1024;

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// What workers and threads must agree on of the journal.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct JournalHead {
    tail: AtomicU64,
    dropped: AtomicU64,
    /// Not 0: notes were dropped since that was last asked.
    overflowed: AtomicU64,
    /// See [`Journal::ahead`].
    ahead: AtomicU64,
    /// What workers change often is in another cache line than what threads do.
    spare: [AtomicU64; 4],
    sent: AtomicU64,
    returned: AtomicU64,
    /// How many sessions were left in `latest`.
    left: AtomicU64,
    clock: ClockSettings,
    more: [AtomicU64; 4],
    /// What the follower has made of sessions lately, see [`Journal::remember`].
    latest: [Slot; LATEST],
}

/// Sessions that a follower leaves to the next one: as many as a busy tenth of a second has.
const LATEST: usize = 4096;

impl Default for JournalHead {
    fn default() -> JournalHead {
        JournalHead {
            tail: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            spare: Default::default(),
            sent: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            left: AtomicU64::new(0),
            clock: ClockSettings::default(),
            more: Default::default(),
            latest: std::array::from_fn(|_| Slot::default()),
        }
    }
}

/// A place of the ring.
#[repr(C)]
#[derive(Debug)]
pub struct Slot {
    note: AtomicU128,
    /// What the follower keeps with it, see [`Journal::keep`].
    kept: AtomicU128,
}

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            note: AtomicU128::new(0),
            kept: AtomicU128::new(0),
        }
    }
}

/// A change of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// What has happened.
    pub change: Change,
    /// Or has not: another worker was faster.
    pub is_taken_back: bool,
    /// Which session.
    pub key: Key,
    /// Whose session, by the number of this node.
    pub scope: u16,
    /// Its server; the one that had it, if it has ended.
    pub server: PeerId,
    /// The server that it has left, of [`Change::Moved`] alone.
    pub from: PeerId,
    /// When this was, but for [`Change::Moved`]: the lowest bits of the second by the store's clock.
    pub second: u16,
    /// In which period it was last used before: the lowest bits of the period's number.
    pub period: u16,
    /// By how many seconds the clock was set forward since then. `second` is by the clock of now,
    /// `period` is not. No part of a place.
    pub set: i64,
}

impl Note {
    fn bits(&self) -> u128 {
        let number = |peer: PeerId| u64::from(peer.get()) & mask(NUMBER_BITS);
        let low = number(self.server) << SERVER_SHIFT
            | self.origin() << FROM_SHIFT
            | (self.change as u64) << CHANGE_SHIFT
            | if self.is_taken_back { TAKEN_BACK } else { 0 }
            | (u64::from(self.scope) & mask(SCOPE_BITS)) << SCOPE_SHIFT
            | (u64::from(self.period) & mask(PERIOD_BITS)) << PERIOD_SHIFT;
        u128::from(self.key.get()) << 64 | u128::from(low)
    }

    fn of_bits(bits: u128) -> Option<Note> {
        let low = bits as u64;
        let part = |shift: u32, bits: u32| low >> shift & mask(bits);
        let change = Change::of_number(part(CHANGE_SHIFT, CHANGE_BITS) as u8);
        let change = change.filter(|change| change.is_of_session())?;
        let from = part(FROM_SHIFT, NUMBER_BITS);
        let (from, second) = match change {
            Change::Moved => (from as u32, 0),
            _ => (0, from as u16),
        };
        Some(Note {
            change,
            is_taken_back: low & TAKEN_BACK != 0,
            key: Key::from_bits((bits >> 64) as u64)?,
            scope: part(SCOPE_SHIFT, SCOPE_BITS) as u16,
            server: PeerId::new(part(SERVER_SHIFT, NUMBER_BITS) as u32),
            from: PeerId::new(from),
            second,
            period: part(PERIOD_SHIFT, PERIOD_BITS) as u16,
            set: 0,
        })
    }

    /// What stands in the place of `from`.
    fn origin(&self) -> u64 {
        match self.change {
            Change::Moved => u64::from(self.from.get()) & mask(NUMBER_BITS),
            _ => u64::from(self.second) & mask(NUMBER_BITS),
        }
    }

    /// When this was, as seen at the second `now`, which is hours later at most. The clock may have
    /// been set meanwhile.
    pub fn second_until(&self, now: u64) -> u64 {
        let latest = now.saturating_add(CLOCK_SET);
        let back = latest.wrapping_sub(u64::from(self.second)) & mask(NUMBER_BITS);
        latest.saturating_sub(back).min(now)
    }

    /// When the period began in which it was last used before, as seen at the second `now`. A period
    /// has so many seconds.
    pub fn used_before(&self, period: u64, now: u64) -> u64 {
        let last = now.saturating_add_signed(-self.set) / period.max(1);
        let back = last.wrapping_sub(u64::from(self.period)) & mask(PERIOD_BITS);
        let began = last.saturating_sub(back).saturating_mul(period);
        began.saturating_add_signed(self.set).min(now)
    }

    /// The same after the clock was set forward by so many seconds.
    fn by_clock(self, set: i64) -> Note {
        let second = match self.change {
            Change::Moved => 0,
            _ => u64::from(self.second).wrapping_add_signed(set) & mask(NUMBER_BITS),
        };
        Note {
            second: second as u16,
            set,
            ..self
        }
    }
}

fn lap_of(bits: u128) -> u64 {
    bits as u64 & mask(LAP_BITS)
}

/// The journal, in memory that it does not own.
#[derive(Clone, Copy)]
pub struct Journal<'a> {
    head: &'a JournalHead,
    slots: &'a [Slot],
}

/// That something was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noted {
    /// Where.
    pub position: u64,
    /// What.
    pub change: Change,
}

impl<'a> Journal<'a> {
    /// The journal with these places, of which it uses a power of two.
    pub fn new(head: &'a JournalHead, slots: &'a [Slot]) -> Journal<'a> {
        let used = match slots.len() {
            0 => 0,
            length => 1 << length.ilog2(),
        };
        let slots = slots.get(..used).unwrap_or_default();
        Journal { head, slots }
    }

    /// As new memory is.
    pub fn clear(&self) {
        for slot in self.slots.iter().chain(&self.head.latest) {
            slot.note.store(0, Relaxed);
            slot.kept.store(0, Relaxed);
        }
        let head = self.head;
        for cell in [
            &head.tail,
            &head.dropped,
            &head.overflowed,
            &head.sent,
            &head.returned,
            &head.left,
        ] {
            cell.store(0, SeqCst);
        }
        head.clock.clear();
    }

    /// Where the next note will be.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.head.tail.load(Acquire)
    }

    /// Notes before this are on their way to other nodes.
    pub fn sent(&self) -> u64 {
        self.head.sent.load(Acquire)
    }

    /// Sets what [`Journal::sent`] returns. For the one sender.
    pub fn set_sent(&self, position: u64) {
        self.head.sent.store(position, Release);
    }

    /// What has not returned may have been lost on its way: it is to be sent again. For the one sender,
    /// while it does not send.
    pub fn send_unreturned(&self) {
        self.set_sent(self.returned().min(self.sent()));
    }

    /// Notes before this have been seen in the stream.
    #[inline]
    pub fn returned(&self) -> u64 {
        self.head.returned.load(Acquire)
    }

    /// Sets what [`Journal::returned`] returns. For the one follower.
    pub fn set_returned(&self, position: u64) {
        self.head.returned.store(position, Release);
    }

    /// How many notes there was no place for.
    pub fn dropped(&self) -> u64 {
        self.head.dropped.load(Relaxed)
    }

    /// Whether notes were dropped since this was last asked: then all is to be sent as
    /// [`Change::Known`].
    pub fn take_overflow(&self) -> bool {
        self.head.overflowed.load(Relaxed) != 0 && self.head.overflowed.swap(0, AcqRel) != 0
    }

    /// How many notes there is room for.
    pub fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// How many notes have not been sent.
    pub fn unsent(&self) -> u64 {
        self.tail().wrapping_sub(self.sent()).min(self.capacity())
    }

    /// Whether more than half of it waits for its return: whoever changes many sessions is to wait.
    pub fn is_crowded(&self) -> bool {
        self.tail().wrapping_sub(self.returned()) > self.capacity() / 2
    }

    /// By how many whole seconds the store's clock is ahead of the monotonic one.
    #[inline]
    pub fn ahead(&self) -> i64 {
        self.head.ahead.load(Relaxed) as i64
    }

    /// The store's clock is so many milliseconds ahead of the monotonic one. A small difference to what
    /// is known does not count: if the second changed with each question, so would the period of
    /// sessions.
    pub fn see_clock(&self, milliseconds: i64) {
        let known = self.ahead().saturating_mul(1000).saturating_add(500);
        if known.abs_diff(milliseconds) > CLOCK_PLAY {
            let seconds = milliseconds.div_euclid(1000);
            let set = seconds.saturating_sub(self.ahead());
            self.head.ahead.store(seconds as u64, Release);
            self.head.clock.note(self.tail(), set);
        }
    }

    /// The note at that position. `None`: it is not there yet, or not any more.
    pub fn at(&self, position: u64) -> Option<Note> {
        let bits = self.slot(position)?.note.load(Acquire);
        let note = (lap_of(bits) == self.lap(position)).then(|| Note::of_bits(bits))??;
        Some(note.by_clock(self.head.clock.since(position)))
    }

    /// Adds a note. `None`: there is no place for it.
    #[inline]
    pub fn note(&self, note: &Note) -> Option<Noted> {
        let change = note.change;
        let bits = note.bits();
        let is_small = |peer: PeerId| u64::from(peer.get()) <= mask(NUMBER_BITS);
        if is_small(note.server) && is_small(note.from) {
            for _ in 0..ATTEMPTS {
                let position = self.tail();
                if position.wrapping_sub(self.returned()) >= self.capacity() {
                    break;
                }
                let lap = self.lap(position);
                let Some(slot) = self.slot(position) else {
                    break;
                };
                let before = slot.note.load(Acquire);
                test_points::at("journal: a place read");
                if lap_of(before) == lap {
                    // Whoever has filled it may have died before it has moved the tail on.
                    self.move_tail(position);
                    continue;
                }
                if self.tail() != position {
                    continue;
                }
                let new = bits | u128::from(lap);
                if slot
                    .note
                    .compare_exchange(before, new, SeqCst, Acquire)
                    .is_ok()
                {
                    test_points::at("journal: noted");
                    self.move_tail(position);
                    test_points::at("journal: tail moved");
                    return Some(Noted { position, change });
                }
            }
        }
        self.drop_one();
        None
    }

    #[cold]
    fn drop_one(&self) {
        self.head.dropped.fetch_add(1, Relaxed);
        self.head.overflowed.store(1, Release);
    }

    fn move_tail(&self, position: u64) {
        let next = position.wrapping_add(1);
        // Else another worker has done so.
        let _ = self
            .head
            .tail
            .compare_exchange(position, next, SeqCst, Relaxed);
    }

    /// Takes a note back that has not been sent: what it says has not happened.
    #[cold]
    pub fn take_back(&self, noted: &Noted) {
        if self.sent() > noted.position {
            return;
        }
        let Some(slot) = self.slot(noted.position) else {
            return;
        };
        let bits = slot.note.load(Acquire);
        if lap_of(bits) == self.lap(noted.position) {
            let nothing = bits | u128::from(TAKEN_BACK);
            // Else it is another's already.
            let _ = slot.note.compare_exchange(bits, nothing, SeqCst, Relaxed);
        }
    }

    /// Keeps something with the note at that position, for the follower that comes after this one.
    pub fn keep(&self, position: u64, what: Kept) {
        if let Some(slot) = self.slot(position) {
            let lap = u128::from(self.lap(position));
            slot.kept
                .store(what.bits() | lap << Kept::LAP_SHIFT, SeqCst);
        }
    }

    /// What was kept with the note at that position.
    pub fn kept(&self, position: u64) -> Option<Kept> {
        let bits = self.slot(position)?.kept.load(Acquire);
        let is_of_lap = (bits >> Kept::LAP_SHIFT) as u64 & mask(LAP_BITS) == self.lap(position);
        is_of_lap.then(|| Kept::of_bits(bits))?
    }

    /// Leaves what a session is in the stream to the follower that comes after this one.
    pub fn remember(&self, scope: u16, key: Key, what: Kept) {
        let turn = self.head.left.load(Relaxed);
        if let Some(slot) = self.head.latest.get(turn as usize % LATEST) {
            // Of a follower that dies before the last line, nothing is left here.
            slot.kept.store(0, SeqCst);
            slot.note.store(u128::from(key.get()), SeqCst);
            let scope = u128::from(scope) << Kept::SCOPE_SHIFT;
            slot.kept.store(what.bits() | scope, SeqCst);
        }
        self.head.left.store(turn.wrapping_add(1), Release);
    }

    /// What was left, the latest last.
    pub fn remembered(&self) -> impl Iterator<Item = (u16, Key, Kept)> + 'a {
        let oldest = self.head.left.load(Acquire) as usize % LATEST;
        let (young, old) = self.head.latest.split_at(oldest);
        old.iter().chain(young).filter_map(|slot| {
            let bits = slot.kept.load(Acquire);
            let key = Key::from_bits(slot.note.load(Acquire) as u64)?;
            let scope = (bits >> Kept::SCOPE_SHIFT) as u64 & mask(SCOPE_BITS);
            Some((scope as u16, key, Kept::of_bits(bits)?))
        })
    }

    /// Adds the numbers of servers that stand in notes that have not returned.
    pub fn numbers(&self, seen: &mut Numbers) {
        let (from, tail) = (self.returned(), self.tail());
        let count = tail.wrapping_sub(from).min(self.capacity());
        for position in (0..count).map(|index| from.wrapping_add(index)) {
            if let Some(note) = self.at(position) {
                seen.add(note.server);
                if note.change == Change::Moved {
                    seen.add(note.from);
                }
            }
        }
    }

    fn slot(&self, position: u64) -> Option<&'a Slot> {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(position as usize & mask)
    }

    /// The round over the ring that a position is in. New memory is of the one before the first.
    fn lap(&self, position: u64) -> u64 {
        let rounds = position >> self.slots.len().max(1).trailing_zeros();
        rounds.wrapping_add(1) & mask(LAP_BITS)
    }
}

/// A session as the stream has it, while the table may have it otherwise: what the follower keeps with
/// the first of its notes that has not returned.
///
/// ```text
///   127  126        125 118    112 111 77    64 63                    0
///  +----+-----------+---+--------+---+----------+-----------------------+
///  | set| a session | 0 | lap  7 | 0 | scope 14 | the session, see Word |
///  +----+-----------+---+--------+---+----------+-----------------------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// There is none.
    None,
    /// The lower 64 bits of its [`Word`](super::Word).
    Session(u64),
}

impl Kept {
    const SCOPE_SHIFT: u32 = 64;
    const LAP_SHIFT: u32 = 112;
    const IS_SET: u128 = 1 << 127;
    const IS_SESSION: u128 = 1 << 126;

    fn bits(self) -> u128 {
        match self {
            Kept::None => Self::IS_SET,
            Kept::Session(low) => Self::IS_SET | Self::IS_SESSION | u128::from(low),
        }
    }

    fn of_bits(bits: u128) -> Option<Kept> {
        let is_session = bits & Self::IS_SESSION != 0;
        (bits & Self::IS_SET != 0).then_some(match is_session {
            true => Kept::Session(bits as u64),
            false => Kept::None,
        })
    }
}

/// The journal for the sessions of one scope in a table.
#[derive(Clone, Copy)]
pub struct JournalOf<'a> {
    journal: Journal<'a>,
    scope: u16,
    /// The second of the monotonic clock that is tick 0 of the table.
    epoch: u64,
    /// See [`JournalOf::period_of`].
    period: Tick,
}

impl<'a> JournalOf<'a> {
    /// For the scope with that number, in a table of that epoch. Other nodes are told once in each
    /// period of so many seconds that a session is in use.
    pub fn new(journal: Journal<'a>, scope: u16, epoch: u64, period: Tick) -> JournalOf<'a> {
        JournalOf {
            journal,
            scope,
            epoch,
            period: period.max(1),
        }
    }

    /// The journal of all scopes.
    pub fn journal(&self) -> Journal<'a> {
        self.journal
    }

    /// The number of the scope.
    pub fn scope(&self) -> u16 {
        self.scope
    }

    /// The second by the store's clock at a tick.
    #[inline]
    pub fn second_of(&self, tick: Tick) -> u64 {
        self.epoch
            .wrapping_add_signed(self.journal.ahead())
            .wrapping_add(u64::from(tick))
    }

    /// The number of the period in which a tick lies, the same at all nodes.
    #[inline]
    pub fn period_of(&self, tick: Tick) -> u64 {
        self.second_of(tick) / u64::from(self.period)
    }

    /// The tick at a second by the store's clock.
    pub fn tick_of(&self, second: u64) -> Tick {
        let first = self.second_of(0);
        tick_at(first, second).min(LAST_TICK)
    }

    /// Notes what becomes of a session, where other nodes are to know.
    #[inline]
    pub(super) fn note_change(&self, key: Key, old: &Session, new: &Session) -> Option<Noted> {
        if new.stage == Stage::Entered {
            return None;
        }
        let change = if old.stage == Stage::Entered {
            Change::Learned
        } else if old.peer != new.peer {
            Change::Moved
        } else if old.confirmed != new.confirmed || self.has_period_ended(old.seen, new.seen) {
            Change::Alive
        } else {
            return None;
        };
        self.note(change, key, (new.peer, old.peer), (old.seen, new.seen))
    }

    /// Notes that a session has begun.
    #[inline]
    pub(super) fn note_begin(&self, key: Key, session: &Session) -> Option<Noted> {
        let (server, seen) = (session.peer, session.seen);
        self.note(Change::Learned, key, (server, server), (seen, seen))
    }

    /// Notes that a session has ended.
    pub(super) fn note_end(&self, key: Key, session: &Session, now: Tick) -> Option<Noted> {
        let (server, seen) = (session.peer, session.seen);
        self.note(Change::Forgotten, key, (server, server), (seen, now))
    }

    // Once, and with `Journal::note` in it: a learn has few instructions to spare.
    #[inline(never)]
    fn note(
        &self,
        change: Change,
        key: Key,
        (server, from): (PeerId, PeerId),
        (before, after): (Tick, Tick),
    ) -> Option<Noted> {
        self.journal.note(&Note {
            change,
            is_taken_back: false,
            key,
            scope: self.scope,
            server,
            from,
            second: (self.second_of(after) & mask(NUMBER_BITS)) as u16,
            period: (self.period_of(before) & mask(PERIOD_BITS)) as u16,
            set: 0,
        })
    }

    fn has_period_ended(&self, before: Tick, after: Tick) -> bool {
        before != after && self.period_of(before) != self.period_of(after)
    }

    /// `seen`, so early that the next use is written if it is in another period: a use that comes
    /// sooner after the last one than `interval` is not written, and other nodes must not miss it.
    pub(super) fn early_enough(&self, seen: Tick, interval: Tick) -> Tick {
        let second = self.second_of(seen);
        let end = (self.period_of(seen) + 1).saturating_mul(u64::from(self.period));
        let early = end.saturating_sub(u64::from(interval));
        seen.saturating_sub(second.saturating_sub(early) as Tick)
    }
}
