//! From what this node has noted to what it tells others.

use crate::table::{Change, Fingerprint, Key, Note, Session};

use super::fold::Held;
use super::record::{Record, Seconds};
use super::target::Target;

/// Stands in a record that says nothing.
const NOBODY: Option<Fingerprint> = Fingerprint::from_bits(1);

impl Target<'_, '_> {
    /// The record of a note, sent at the second `now`. Of a note that was taken back, or of a server
    /// that nothing is known of any more, one that changes nothing: each position has a record.
    pub fn record_of(&self, scope: u64, note: &Note, now: Seconds) -> Option<Record> {
        let said = match note.is_taken_back {
            true => None,
            false => self.said(scope, note, now),
        };
        // Long over wherever it comes.
        let lasts = u64::from(self.liveness.limits.expires).saturating_mul(4);
        let over = now.saturating_sub(lasts);
        Some(said.unwrap_or(Record {
            change: Change::Alive,
            key: note.key,
            scope,
            server: NOBODY?,
            from: None,
            seen: over,
            created: over,
            confirmed: false,
        }))
    }

    /// The record of a session that this node has, for a store that has lost it. `None`: there is
    /// nothing to tell.
    pub fn known(&self, scope: u64, key: Key, session: &Session) -> Option<Record> {
        let held = self.held(self.table, session)?;
        Some(record(Change::Known, key, scope, &held))
    }

    pub(super) fn said(&self, scope: u64, note: &Note, now: Seconds) -> Option<Record> {
        let change = note.change;
        let server = self.server_of(note.server)?;
        let there = self.look_up(note.key, now);
        let there = there.filter(|there| there.server == server);
        let seen = match (change, there) {
            (Change::Moved, Some(there)) => there.seen,
            (Change::Moved, None) => now,
            _ => note.second_until(now),
        };
        let held = Held {
            server,
            seen,
            created: there.map_or(seen, |there| there.created.min(seen)),
            confirmed: there.is_some_and(|there| there.confirmed),
        };
        let from = match change {
            Change::Moved => Some(self.server_of(note.from)?),
            _ => None,
        };
        Some(Record {
            from,
            ..record(change, note.key, scope, &held)
        })
    }
}

fn record(change: Change, key: Key, scope: u64, held: &Held) -> Record {
    Record {
        change,
        key,
        scope,
        server: held.server,
        from: None,
        seen: held.seen,
        created: held.created,
        confirmed: held.confirmed,
    }
}
