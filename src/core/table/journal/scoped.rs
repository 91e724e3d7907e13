//! The journal as a table has it: what becomes of its sessions, and by which clock.

use super::super::change::Change;
use super::super::key::Key;
use super::super::session::{PeerId, Session, Stage};
use super::super::tick::{tick_at, Tick, LAST_TICK};
use super::note::{mask, NUMBER_BITS, PERIOD_BITS};
use super::{Journal, Note, Noted};

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
    pub(in super::super) fn note_change(
        &self,
        key: Key,
        old: &Session,
        new: &Session,
    ) -> Option<Noted> {
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

    /// Notes that a session has begun. There was none before, so no period is told.
    #[inline(always)]
    pub(in super::super) fn note_begin(&self, key: Key, session: &Session) -> Option<Noted> {
        self.journal.note(&Note {
            change: Change::Learned,
            is_taken_back: false,
            key,
            scope: self.scope,
            server: session.peer,
            from: session.peer,
            second: (self.second_of(session.seen) & mask(NUMBER_BITS)) as u16,
            period: 0,
            set: 0,
        })
    }

    /// Notes that a session has ended.
    pub(in super::super) fn note_end(
        &self,
        key: Key,
        session: &Session,
        now: Tick,
    ) -> Option<Noted> {
        let (server, seen) = (session.peer, session.seen);
        self.note(Change::Forgotten, key, (server, server), (seen, now))
    }

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
    pub(in super::super) fn early_enough(&self, seen: Tick, interval: Tick) -> Tick {
        let second = self.second_of(seen);
        let end = (self.period_of(seen) + 1).saturating_mul(u64::from(self.period));
        let early = end.saturating_sub(u64::from(interval));
        seen.saturating_sub(second.saturating_sub(early) as Tick)
    }
}
