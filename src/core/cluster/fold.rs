//! What records make of a session: the one rule of all nodes. Nothing but the session, the record and
//! the time of its entry goes in, so that all nodes that have met the same records agree.

use crate::table::{Change, Fingerprint};

use super::liveness::Liveness;
use super::record::{Record, Seconds};

/// By so many seconds a session may have been seen later than the entry was taken: two moves in a
/// second are a second apart, and the clock of who has noted it may be ahead.
const AHEAD: Seconds = 60;

/// A session as the stream has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its server.
    pub server: Fingerprint,
    /// When it was last used, as far as nodes were told.
    pub seen: Seconds,
    /// When it was created.
    pub created: Seconds,
    /// A request has come back with the id.
    pub confirmed: bool,
}

impl Held {
    /// The session that a record begins, in an entry of that second.
    fn begun(record: &Record, at: Seconds) -> Held {
        let seen = record.seen.min(at.saturating_add(AHEAD));
        Held {
            server: record.server,
            seen,
            created: record.created.min(seen),
            confirmed: record.confirmed,
        }
    }

    /// The session after it was used.
    fn used(self, now: &Held) -> Held {
        let seen = self.seen.max(now.seen);
        let is_confirmed_now = now.confirmed && !self.confirmed;
        Held {
            seen,
            // As in the table: one in use was seen after it was created.
            created: match is_confirmed_now {
                true => self.created.min(seen.saturating_sub(1)),
                false => self.created,
            },
            confirmed: self.confirmed || now.confirmed,
            ..self
        }
    }
}

impl Liveness {
    /// What becomes of a session by a record, in an entry that the store has taken in that second. One
    /// that has expired is none.
    pub fn fold(&self, before: Option<Held>, record: &Record, at: Seconds) -> Option<Held> {
        let is_live = |held: &Held| self.is_live(held.seen, held.created, at);
        let live = before.filter(is_live);
        let now = Held::begun(record, at);
        let Some(held) = live else {
            let begins = record.change != Change::Forgotten && record.change.is_of_session();
            return (begins && is_live(&now)).then_some(now);
        };
        let is_its_server = held.server == record.server;
        match record.change {
            Change::Moved if record.from == Some(held.server) => Some(Held {
                server: record.server,
                ..held.used(&now)
            }),
            Change::Forgotten => (!is_its_server).then_some(held),
            Change::Learned | Change::Moved | Change::Alive if !is_its_server => Some(held),
            Change::Drained | Change::DrainKnown => Some(held),
            _ if !is_live(&now) => Some(held),
            Change::Learned | Change::Moved | Change::Alive => Some(held.used(&now)),
            Change::Known if is_its_server => Some(held.used(&Held {
                created: held.created.min(now.created),
                ..now
            })),
            Change::Known => Some(match self.order(&now) > self.order(&held) {
                true => now,
                false => held,
            }),
        }
    }

    /// Of two sessions of one id that nodes have of old, the greater one stays: as exact as all nodes
    /// know them.
    fn order(&self, held: &Held) -> (Seconds, Fingerprint) {
        (held.seen / u64::from(self.period.max(1)), held.server)
    }
}
