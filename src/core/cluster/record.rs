//! One change of a session, as it stands in the stream.

use crate::table::{Fingerprint, Key};

/// Seconds since 1970 by the store's clock, the only one that nodes share.
pub type Seconds = u64;

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

/// One change. A number of a node's own registry means nothing to others: servers travel by their
/// fingerprints, under the key that all nodes have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// What has happened.
    pub change: Change,
    /// Which session. Of [`Change::Drained`], the server's drain as a number.
    pub key: Key,
    /// Whose session it is: digest of zone and scope, as each node derives it from their names.
    pub scope: u64,
    /// Its server; the one that had it, if it has ended.
    pub server: Fingerprint,
    /// The server that it has left, if it was moved.
    pub from: Option<Fingerprint>,
    /// When this happened, or when the session was last used.
    pub seen: Seconds,
    /// When it was created, to the word's coarseness.
    pub created: Seconds,
    /// A request has come back with the id.
    pub confirmed: bool,
}
