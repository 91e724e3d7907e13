//! When a session goes to another peer, and when it stays: the one rule for the shared table and
//! the local one.

use crate::table::word::{PeerId, Session};

/// How a response stands to the id that it hands out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Its request did not carry this id.
    Stranger,
    /// Its request carried the id, was balanced to the peer, and that peer answered.
    Carried {
        /// The holder that the request's look-up had seen, `None` when the id was unknown.
        from: Option<PeerId>,
    },
}

/// What learning a session came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// The id was unknown, or its session over.
    New {
        /// Who had to go for it.
        evicted: Evicted,
    },
    /// The session is at this peer already.
    Same,
    /// A live session came over from another peer.
    Moved {
        /// The peer that had it.
        from: PeerId,
    },
    /// A live session stays where it is.
    Kept {
        /// The peer that has it.
        holder: PeerId,
    },
    /// The table could not take the session.
    Refused,
}

/// Whose word a new session took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// Nobody's: a free one, or that of a session that was over.
    Nothing,
    /// That of a live session to which no request has come back yet.
    Unconfirmed,
    /// That of a live session in use.
    Confirmed,
}

impl Claim {
    /// Whether the client is known to send the id.
    pub(crate) fn confirms(&self) -> bool {
        matches!(self, Claim::Carried { .. })
    }

    /// Whether a live session that another peer holds comes over. Without a request that carried
    /// the id, only the loss of its holder moves it: a page may show anybody's id. With one, the
    /// answer counts that was given on what the table still says, so of parallel answers the
    /// first one wins.
    pub(crate) fn moves(&self, held: &Session, gone: &mut dyn FnMut(PeerId) -> bool) -> bool {
        match *self {
            Claim::Stranger => gone(held.peer),
            Claim::Carried { from } => {
                from == Some(held.peer) || !held.confirmed || gone(held.peer)
            }
        }
    }
}
