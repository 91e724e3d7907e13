//! What an operator does with all sessions of a server, or with a part of them.

use super::key::Key;
use super::limits::Limits;
use super::look_up::LookUp;
use super::predecessor::Predecessor;
use super::registry::Registration;
use super::session::PeerId;
use super::tick::Tick;
use super::Table;

/// Walks over the tables: a session that is relocated during one of them may be missed.
const WALKS: usize = 3;

/// After so many words the work may be stopped.
const WORDS_AT_ONCE: usize = 4096;

/// Some sessions of a server.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The server.
    pub of: PeerId,
    /// How many of 100 of its sessions.
    pub percent: u8,
    /// Any number: another one means others of its sessions.
    pub salt: u64,
}

impl Part {
    /// Whether the session of `key` is among them, if it is the server's.
    pub fn has(&self, key: Key) -> bool {
        // An odd factor mixes all bits of the key into the upper ones.
        let mixed = (key.get() ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(mixed) * 100) >> 64 < u128::from(self.percent)
    }
}

/// What becomes of sessions.
#[derive(Clone, Copy, Debug)]
pub enum Bulk {
    /// They move to a server.
    Move(Registration),
    /// They end.
    End,
}

/// A table, with what it has replaced.
#[derive(Clone, Copy)]
struct Tables<'t, 'a> {
    table: &'t Table<'a>,
    before: Option<&'t Predecessor<'a>>,
}

impl Tables<'_, '_> {
    fn holder(&self, key: Key, limits: &Limits, now: Tick) -> Option<PeerId> {
        let found = match self.before {
            Some(before) => before.look_up(self.table, key, limits, now),
            None => self.table.look_up(key, limits, now),
        };
        match found {
            LookUp::Found(session) => Some(session.peer),
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    fn change(&self, key: Key, of: PeerId, bulk: &Bulk, limits: &Limits, now: Tick) -> bool {
        let table = self.table;
        match (bulk, self.before) {
            (Bulk::Move(to), None) => table.reassign_to(key, of, to, limits, now),
            (Bulk::Move(to), Some(before)) => before.reassign_to(table, key, of, to, limits, now),
            (Bulk::End, None) => table.end(key, of, limits, now),
            (Bulk::End, Some(before)) => before.end(table, key, of, limits, now),
        }
    }
}

/// Changes a part of a server's live sessions in a table, and in what it has replaced, while workers
/// go on. Returns how many were changed. May take long; `is_stopped` ends it.
pub fn change_part(
    table: &Table<'_>,
    before: Option<&Predecessor<'_>>,
    part: &Part,
    bulk: &Bulk,
    (limits, now): (&Limits, Tick),
    is_stopped: &dyn Fn() -> bool,
) -> usize {
    let tables = Tables { table, before };
    let mut changed = 0;
    for _ in 0..WALKS {
        let before_walk = changed;
        let mut visited = 0;
        let mut visit = |key: Key| {
            let is_one = part.has(key) && tables.holder(key, limits, now) == Some(part.of);
            if is_one && tables.change(key, part.of, bulk, limits, now) {
                changed += 1;
            }
        };
        for (key, session) in table.sessions() {
            if session.peer == part.of {
                visit(key);
            }
            visited += 1;
            if visited % WORDS_AT_ONCE == 0 && is_stopped() {
                return changed;
            }
        }
        if let Some(before) = before {
            // There it may have another number.
            before.for_keys(&mut |key| {
                visit(key);
                visited += 1;
                visited % WORDS_AT_ONCE != 0 || !is_stopped()
            });
        }
        if changed == before_walk || is_stopped() {
            break;
        }
    }
    changed
}
