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
    /// The server gets no new sessions, or gets them again. Not of a session.
    Drained = 6,
}

impl Change {
    /// All, in the order of their numbers.
    pub const ALL: [Change; 6] = [
        Change::Learned,
        Change::Moved,
        Change::Forgotten,
        Change::Alive,
        Change::Known,
        Change::Drained,
    ];

    /// The one with that number.
    pub fn of_number(number: u8) -> Option<Change> {
        let index = usize::from(number).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}
