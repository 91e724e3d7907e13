//! What happens to a session, as the journal and the stream of a cluster have it.

/// What has happened to a session, or to a server. The numbers are those of the journal and of the
/// stream, and never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Change {
    /// It began at the server: changes nothing where a live one is.
    Learned = 1,
    /// It went to the server from the one that is named: changes nothing where another has it.
    Moved = 2,
    /// The server that is named had it, and it has ended.
    Forgotten = 3,
    /// It is in use: advances its last use, and begins where it has expired or is unknown.
    Alive = 4,
    /// What a node has, of old, after the store has lost it.
    Known = 5,
    /// An operator has ordered that the server gets no new sessions, or gets them again. Not of a
    /// session.
    Drained = 6,
    /// What a node has of that, of old, after the store has lost it.
    DrainKnown = 7,
}

impl Change {
    /// All, in the order of their numbers.
    pub const ALL: [Change; 7] = [
        Change::Learned,
        Change::Moved,
        Change::Forgotten,
        Change::Alive,
        Change::Known,
        Change::Drained,
        Change::DrainKnown,
    ];

    /// Whether it is of a session, as all of the journal are.
    pub fn is_of_session(self) -> bool {
        !matches!(self, Change::Drained | Change::DrainKnown)
    }

    /// The one with that number.
    pub fn of_number(number: u8) -> Option<Change> {
        let index = usize::from(number).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}
