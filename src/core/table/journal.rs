//! The journal: what the workers of one nginx change in their tables, in an order that all agree on,
//! until other nodes have it. A ring in memory that several processes share, each of which may die at
//! any instruction.
//!
//! A note is one 128-bit word, changed by compare-and-swap, so a place in the ring is reserved and
//! filled at once: a worker that dies before has done nothing, and one that dies after that, before
//! it has moved the tail on, is helped by the next one.
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
use super::sync::{self, AtomicU128, AtomicU64};
use super::{test_points, ATTEMPTS};

mod kept;
mod note;
mod scoped;

pub use kept::Kept;
pub use note::{Note, MOST_SCOPES};
pub use scoped::JournalOf;

use note::{lap_of, mask, LAP_BITS, SCOPE_BITS, TAKEN_BACK};

/// Places of the ring in a zone.
pub const SLOTS: usize = 1 << 16;

/// A clock that differs by less from what is known of it has not changed: milliseconds.
const CLOCK_PLAY: u64 = 1000;

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
#[cfg(not(feature = "model"))]
const LATEST: usize = 4096;

/// Loom keeps an account of each atomic.
#[cfg(feature = "model")]
const LATEST: usize = 2;

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
    #[inline(always)]
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
    #[inline(always)]
    pub fn note(&self, note: &Note) -> Option<Noted> {
        let change = note.change;
        let position = match note.is_writable() {
            true => self.append(note.key, note.low())?,
            false => self.drop_one()?,
        };
        Some(Noted { position, change })
    }

    /// Adds the note of a key with that lower half, without its lap, and returns where.
    // No part of a learn: it would take more registers there than it saves instructions.
    #[inline(never)]
    fn append(&self, key: Key, low: u64) -> Option<u64> {
        match self.try_to_append(key, low) {
            Some(position) => Some(position),
            None => self.append_later(key, low),
        }
    }

    /// The further attempts, after a lost race or where there seems to be no place.
    #[cold]
    #[inline(never)]
    fn append_later(&self, key: Key, low: u64) -> Option<u64> {
        let mut attempts = (1..ATTEMPTS).take_while(|_| self.has_room(self.tail()));
        let position = attempts.find_map(|_| self.try_to_append(key, low));
        position.or_else(|| self.drop_one())
    }

    /// Few instructions: a learn has none to spare.
    #[inline(always)]
    fn try_to_append(&self, key: Key, low: u64) -> Option<u64> {
        let position = self.tail();
        if !self.has_room(position) {
            return None;
        }
        let lap = self.lap(position);
        let slot = self.slot(position)?;
        let before = sync::read(&slot.note);
        test_points::at("journal: a place read");
        if lap_of(before) == lap {
            // Whoever has filled it may have died before it has moved the tail on.
            self.move_tail(position);
            return None;
        }
        if self.tail() != position {
            return None;
        }
        let new = u128::from(key.get()) << 64 | u128::from(low | lap);
        if !sync::swap(&slot.note, before, new) {
            return None;
        }
        test_points::at("journal: noted");
        self.move_tail(position);
        test_points::at("journal: tail moved");
        Some(position)
    }

    #[inline(always)]
    fn has_room(&self, position: u64) -> bool {
        position.wrapping_sub(self.returned()) < self.capacity()
    }

    /// There is no place for a note.
    #[cold]
    #[inline(never)]
    fn drop_one(&self) -> Option<u64> {
        self.head.dropped.fetch_add(1, Relaxed);
        self.head.overflowed.store(1, Release);
        None
    }

    #[inline(always)]
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

    #[inline(always)]
    fn slot(&self, position: u64) -> Option<&'a Slot> {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(position as usize & mask)
    }

    /// The round over the ring that a position is in. New memory is of the one before the first.
    #[inline(always)]
    fn lap(&self, position: u64) -> u64 {
        let rounds = position >> self.slots.len().max(1).trailing_zeros();
        rounds.wrapping_add(1) & mask(LAP_BITS)
    }
}
