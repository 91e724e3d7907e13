//! One change of a session, as it stands in the stream.

use crate::table::{Fingerprint, Key};

pub use crate::table::Change;

/// Seconds since 1970 by the store's clock, the only one that nodes share.
pub type Seconds = u64;

/// One change. A number of a node's own registry means nothing to others: servers travel by their
/// fingerprints, under the key that all nodes have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// What has happened.
    pub change: Change,
    /// Which session. Of a drain, that as a number, see [`HandDrain`](super::hand_drains::HandDrain).
    pub key: Key,
    /// Whose session it is: digest of zone and scope, as each node derives it from their names. Of a
    /// drain, 0.
    pub scope: u64,
    /// Its server; the one that had it, if it has ended. Of a drain, the server in its upstream, not
    /// in its scope.
    pub server: Fingerprint,
    /// The server that it has left, if it was moved.
    pub from: Option<Fingerprint>,
    /// When this happened, or when the session was last used.
    pub seen: Seconds,
    /// When it was created, to the word's coarseness. Of a drain, when it began.
    pub created: Seconds,
    /// A request has come back with the id.
    pub confirmed: bool,
}
