//! The sessions of a scope at this node, as the stream has sessions: servers by their fingerprints,
//! times by the store's clock.

use crate::table::{
    Change, Fingerprint, Found, JournalOf, Key, LookUp, Note, PeerId, Predecessor, Put,
    Registration, Session, Stage, Table, Tick,
};

use super::fold::Held;
use super::liveness::Liveness;
use super::record::Seconds;

/// The sessions of a scope at this node.
#[derive(Clone, Copy)]
pub struct Target<'t, 'a> {
    /// The table that has them. It has a registry, and the journal.
    pub table: &'t Table<'a>,
    /// What that has replaced.
    pub before: Option<&'t Predecessor<'a>>,
    /// The table whose numbers stand in notes of the scope: that one, or one that it has replaced.
    pub noted: &'t Table<'a>,
    /// How long they live.
    pub liveness: Liveness,
}

impl<'t, 'a> Target<'t, 'a> {
    /// The sessions of a scope in a table that has replaced none.
    pub fn of(table: &'t Table<'a>, liveness: Liveness) -> Target<'t, 'a> {
        Target {
            table,
            before: None,
            noted: table,
            liveness,
        }
    }

    /// For times by the store's clock. `None`: the table has no journal.
    pub(super) fn clock(&self) -> Option<&'t JournalOf<'a>> {
        self.table.journal()
    }

    pub(super) fn tick(&self, at: Seconds) -> Tick {
        self.clock().map_or(0, |clock| clock.tick_of(at))
    }

    /// The table that decides about a session.
    pub(super) fn deciding(&self, key: Key, now: Tick) -> &'t Table<'a> {
        match self.before {
            Some(before) => before.deciding(self.table, key, &self.liveness.limits, now),
            None => self.table,
        }
    }

    /// The live session in one of the tables, as the stream has sessions. One that no answer has kept
    /// is none.
    pub(super) fn held(&self, table: &Table, session: &Session) -> Option<Held> {
        if session.stage == Stage::Entered {
            return None;
        }
        let clock = self.clock()?;
        let server = table.registry()?.registration(session.peer)?;
        Some(Held {
            server: server.fingerprint()?,
            seen: clock.second_of(session.seen),
            created: clock.second_of(session.created),
            confirmed: session.confirmed,
        })
    }

    /// The session in the table, live at that second.
    pub(super) fn look_up(&self, key: Key, at: Seconds) -> Option<Held> {
        let now = self.tick(at);
        let table = self.deciding(key, now);
        match table.look_up(key, &self.liveness.limits, now) {
            LookUp::Found(session) => self.held(table, &session),
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    /// Writes a session in the table that decides about it, and in the others.
    pub(super) fn put(
        &self,
        table: &Table<'a>,
        key: Key,
        found: &Found,
        new: Option<&Session>,
    ) -> Put {
        let put = table.put(key, found, new);
        if let (Some(before), Put::Done) = (self.before, put) {
            let limits = &self.liveness.limits;
            if !std::ptr::eq(table, self.table)
                && !before.spread(self.table, table, key, limits, found.now())
            {
                return Put::Raced;
            }
        }
        put
    }

    /// A session as a table has it, in the place of the one that was found.
    pub(super) fn session(
        &self,
        held: &Held,
        server: &Registration,
        found: &Found,
    ) -> Option<Session> {
        let clock = self.clock()?;
        let new = Session {
            peer: server.number,
            seen: clock.tick_of(held.seen),
            created: clock.tick_of(held.created),
            confirmed: held.confirmed,
            stage: Stage::Settled,
        };
        // One that no answer has kept is another session.
        let is_same = |there: &Session| there.peer == new.peer && there.stage != Stage::Entered;
        let same = found.session().filter(is_same);
        Some(match same {
            Some(there) => Session {
                confirmed: there.confirmed || new.confirmed,
                stage: match there.stage {
                    Stage::Kept if !new.confirmed => Stage::Kept,
                    _ => Stage::Settled,
                },
                ..new
            },
            None => new,
        })
    }

    /// The server of a number in a note.
    pub(super) fn server_of(&self, number: PeerId) -> Option<Fingerprint> {
        self.noted.registry()?.registration(number)?.fingerprint()
    }

    /// What a session was in the stream, as far as the first of its notes tells, at the second `now`.
    pub(super) fn before_note(&self, note: &Note, now: Seconds) -> Option<Held> {
        let server = match note.change {
            Change::Moved => self.server_of(note.from)?,
            Change::Forgotten | Change::Alive => self.server_of(note.server)?,
            _ => return None,
        };
        let period = u64::from(self.liveness.period.max(1));
        let seen = note.used_before(period, now);
        let there = match note.change {
            Change::Forgotten => None,
            _ => self.look_up(note.key, now),
        };
        let there = there.filter(|there| {
            there.server == server || Some(there.server) == self.server_of(note.server)
        });
        Some(Held {
            server,
            seen,
            created: there.map_or(seen, |there| there.created),
            confirmed: there.is_some_and(|there| there.confirmed),
        })
    }
}
