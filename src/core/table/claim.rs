//! When a response moves a session to its peer: the one rule for the shared and the local table.

use super::session::{PeerId, Session};

/// The claim of a response to the session whose id it contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Its request did not carry the id.
    ResponseOnly,
    /// Its request carried the id, was balanced to the peer, and that peer answered.
    RequestCarried {
        /// The holder that the look-up of the request found, `None` when the id was unknown.
        holder: Option<PeerId>,
    },
}

/// The result of learning a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// The id was unknown, or its session had expired.
    New {
        /// The live session that was evicted for it, if any.
        evicted: Option<Evicted>,
    },
    /// The peer holds the session already.
    Same,
    /// The session was moved from another peer.
    Moved {
        /// The peer that held it.
        from: PeerId,
    },
    /// The session stays at another peer.
    Kept {
        /// The peer that holds it.
        holder: PeerId,
    },
    /// The table has no place for the session, or too many races were lost.
    Refused,
}

/// A live session whose word a new session took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// No request had come back to it.
    Unused,
    /// It was in use, see [`Session::is_in_use`].
    InUse,
}

impl Claim {
    /// Whether the client is known to send the id.
    pub(super) fn confirms(&self) -> bool {
        matches!(self, Claim::RequestCarried { .. })
    }

    /// Whether a live session that another peer holds moves to this one. If no request carried the
    /// id, only the loss of the holder moves it: a page may contain an id of any client. Otherwise
    /// the request must have seen the current holder, so the first of parallel responses wins.
    pub(super) fn moves(
        &self,
        session: &Session,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> bool {
        match *self {
            Claim::ResponseOnly => is_unusable(session.peer),
            Claim::RequestCarried { holder } => {
                holder == Some(session.peer) || !session.confirmed || is_unusable(session.peer)
            }
        }
    }
}
