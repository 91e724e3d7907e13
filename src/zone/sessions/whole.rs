//! What finds sessions in one look, as those of nearly all zones are found: there is one key, and one
//! table.

use sticky_core::table::{
    tick_at, Asked, Claim, Due, FirstLook, Fresh, Key, Limits, Look, PeerId, Registration,
    ScopedKeyer, Table, Tick,
};

use crate::ngx::clock::monotonic_seconds;

use super::Sessions;

/// What finds the sessions of a zone where there is one key and one table.
pub struct Whole<'c> {
    keyer: ScopedKeyer,
    table: Table<'c>,
    epoch: u64,
    fresh: Fresh,
}

impl<'c> Whole<'c> {
    /// See [`Sessions::key`].
    #[inline(always)]
    pub fn key(&self, id: &[u8]) -> Key {
        self.keyer.key(id)
    }

    /// See [`Table::ask_at_once`].
    #[inline(always)]
    pub fn ask(&self, key: Key) -> FirstLook {
        let clock = || (monotonic_seconds().wrapping_sub(self.epoch), self.fresh);
        self.table.ask_at_once(key, clock)
    }

    /// After a look that did not tell.
    pub fn ask_after(&self, look: Look, key: Key, limits: &Limits) -> Asked {
        let (table, now) = self.table();
        table.ask_after(look, key, limits, now)
    }

    /// See [`Table::due_at_once`].
    #[inline(always)]
    pub fn due_at_once(&self, look: &Look, key: Key, limits: &Limits) -> Option<Due> {
        let (table, now) = self.table();
        table.due_at_once(look, key, limits, now)
    }

    /// See [`Table::touch_at_once`].
    #[inline(always)]
    pub fn touch_at_once(&self, due: &Due) -> bool {
        self.table.touch_at_once(due)
    }

    /// See [`Table::is_unchanged_at`].
    #[inline(always)]
    pub fn is_unchanged_at(&self, key: Key, peer: PeerId, limits: &Limits) -> bool {
        let (table, now) = self.table();
        table.is_unchanged_at(key, peer, limits, now)
    }

    /// See [`Table::begin_of`]; of a response whose request has not carried the id.
    #[inline(always)]
    pub fn begin(&self, key: Key, peer: &Registration, limits: &Limits) -> Option<bool> {
        let (table, now) = self.table();
        table.begin_of(key, peer, &Claim::ResponseOnly, limits, now)
    }

    /// The table, and the time now as it has it.
    #[inline(always)]
    pub(super) fn table(&self) -> (&Table<'c>, Tick) {
        (&self.table, tick_at(self.epoch, monotonic_seconds()))
    }
}

impl<'c> Sessions<'c> {
    /// What finds sessions in one look. `None`: there is more than one key or table, or no zone, or
    /// none was asked for by now.
    #[inline(always)]
    pub fn whole(&self) -> Option<&Whole<'c>> {
        self.whole.get()
    }

    /// Prepares that from the first use on: what there is stays as it is then.
    pub(super) fn prepare(&self) {
        let (Some(keys), Some(opened)) = (self.keys(), self.opened.get()) else {
            return;
        };
        if keys.previous.is_empty() && opened.predecessor.is_none() {
            self.whole.get_or_init(|| Whole {
                keyer: keys.keyer(),
                table: opened.table,
                epoch: opened.epoch,
                fresh: self.limits().fresh(),
            });
        }
    }
}
