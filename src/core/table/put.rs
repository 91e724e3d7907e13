//! What the follower of a cluster writes: whatever the stream says, be it less than what is there.
//!
//! Unlike other changes of a session, these may lower its rank: what the stream says is the same at
//! all nodes, to the second. So the follower removes other copies first, and looks again.

use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::look_up::{Current, View};
use super::session::{PeerId, Session};
use super::tick::Tick;
use super::word::Word;
use super::{test_points, Table};

/// A session as it was found.
pub(crate) struct Found {
    view: View,
    limits: Limits,
    now: Tick,
}

/// The result of writing a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    Done,
    /// Another worker has changed it meanwhile.
    Raced,
    /// There is no place.
    Full,
}

impl Found {
    /// When it was found.
    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// The live session.
    pub(crate) fn session(&self) -> Option<Session> {
        match self.view.current {
            Current::Live(_, session) => Some(session),
            Current::Expired | Current::Absent => None,
        }
    }
}

impl Table<'_> {
    /// Finds a session, to write it.
    pub(crate) fn find_to_put(&self, key: Key, limits: &Limits, now: Tick) -> Found {
        Found {
            view: self.find(key, limits, now),
            limits: *limits,
            now,
        }
    }

    /// Replaces the session that was found, or that there was none.
    pub(crate) fn put(&self, key: Key, found: &Found, new: Option<&Session>) -> Put {
        let view = &found.view;
        let is_written = match (view.current, new) {
            (Current::Live(index, _), new) => {
                let bits = new.map_or(Word::EMPTY, |new| Word::new(key, new)).bits();
                self.remove_copies(view, key, |other, _| other != index);
                test_points::at("put: copies removed");
                bits == view.bits(index) || self.swap(view.place(index), view.bits(index), bits)
            }
            (_, None) => true,
            (_, Some(new)) => {
                let policy = EvictionPolicy::Learn {
                    limits: self.zone_limits.unwrap_or(found.limits),
                    now: found.now,
                };
                match self.insert(view, Word::new(key, new), &policy, false) {
                    Placed::Inserted(_) => true,
                    Placed::Raced => false,
                    Placed::Full => return Put::Full,
                }
            }
        };
        test_points::at("put: written");
        let holder = |found: &Found| found.session().map(|session| session.peer);
        let wanted: Option<PeerId> = new.map(|new| new.peer);
        let again = || self.find_to_put(key, &found.limits, found.now);
        // A copy that was not there before, or one that a worker has inserted.
        match is_written && holder(&again()) == wanted {
            true => Put::Done,
            false => Put::Raced,
        }
    }
}
