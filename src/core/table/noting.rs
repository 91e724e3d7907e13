//! What a table notes in the journal of a cluster, before it writes it.
//!
//! A note is of what its worker is about to do. When another worker was faster, the worker takes it
//! back, unless it finds what it wanted: the follower may have written that, which reads the journal.

use super::claim::Learned;
use super::journal::{JournalOf, Noted};
use super::key::Key;
use super::limits::Limits;
use super::look_up::Current;
use super::registry::Registration;
use super::session::{PeerId, Session, Stage};
use super::tick::Tick;
use super::{Change, Table};

/// What earlier attempts at learning have left.
pub(super) struct Earlier {
    /// A word was inserted, and removed or overtaken; what it has evicted.
    pub entered: Option<Option<super::Evicted>>,
    /// What was noted.
    pub noted: Option<Noted>,
    /// The result that it stands for.
    pub learned: Learned,
}

impl Earlier {
    /// There was none.
    pub const NONE: Earlier = Earlier {
        entered: None,
        noted: None,
        learned: Learned::New { evicted: None },
    };
}

impl<'a> Table<'a> {
    /// The same table, which notes its changes for other nodes. Of two tables of one session it is the
    /// one that decides which does so, see [`Predecessor`](super::Predecessor). It must have a
    /// registry.
    pub fn with_journal(self, journal: Option<JournalOf<'a>>) -> Table<'a> {
        Table { journal, ..self }
    }

    /// The journal, if it has one.
    pub fn journal(&self) -> Option<&JournalOf<'a>> {
        self.journal.as_ref()
    }

    /// The same table, for what another table has decided, and noted.
    pub(super) fn without_journal(&self) -> Table<'a> {
        Table {
            journal: None,
            ..*self
        }
    }

    /// Before notes with the number of a server are made: it is not to be given to another one before
    /// they have returned. False: that has happened already.
    ///
    /// Not before a session begins, which has no instructions to spare: whoever has written its word
    /// looks whether the number is still the server's, and else notes its end. Until then no client
    /// knows the id, so it does not matter that other nodes have it at another server for that moment.
    #[inline]
    pub(super) fn may_note(&self, server: &Registration) -> bool {
        match (&self.journal, &self.registry) {
            (Some(_), Some(registry)) => registry.hold(server),
            _ => true,
        }
    }

    /// Notes what becomes of a live session.
    #[inline]
    pub(super) fn note_change(&self, key: Key, old: &Session, new: &Session) -> Option<Noted> {
        self.journal.as_ref()?.note_change(key, old, new)
    }

    /// Notes that a session begins.
    #[inline(always)]
    pub(super) fn note_begin(&self, key: Key, new: &Session) -> Option<Noted> {
        let journal = self.journal.as_ref()?;
        if new.stage == Stage::Entered {
            return None;
        }
        journal.note_begin(key, new)
    }

    /// Notes that a live session ends.
    pub(super) fn note_end(&self, key: Key, session: &Session, now: Tick) -> Option<Noted> {
        let journal = self.journal.as_ref()?;
        if session.stage == Stage::Entered {
            return None;
        }
        journal.note_end(key, session, now)
    }

    /// What was noted has not happened.
    pub(super) fn take_back(&self, noted: Option<Noted>) {
        if let (Some(journal), Some(noted)) = (&self.journal, noted) {
            journal.journal().take_back(&noted);
        }
    }

    /// After a word was inserted: if its note has returned before, the follower has not met the word.
    #[inline(always)]
    pub(super) fn note_late(&self, noted: Option<Noted>, key: Key, new: &Session) {
        if let (Some(journal), Some(noted)) = (&self.journal, noted) {
            if journal.journal().returned() > noted.position {
                self.note_again(key, new);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn note_again(&self, key: Key, new: &Session) {
        self.note_begin(key, new);
    }

    /// Before another attempt at learning: what has become of the note of the one before. The result,
    /// if the session is as it says.
    pub(super) fn settle(
        &self,
        (key, peer): (Key, PeerId),
        earlier: &mut Earlier,
        limits: &Limits,
        now: Tick,
    ) -> Option<Learned> {
        let noted = earlier.noted?;
        match self.find(key, limits, now).current {
            Current::Live(_, session)
                if session.peer == peer && session.stage != Stage::Entered =>
            {
                return Some(earlier.learned);
            }
            Current::Expired | Current::Absent if noted.change == Change::Learned => return None,
            _ => {}
        }
        self.take_back(Some(noted));
        earlier.noted = None;
        None
    }
}
