//! When a session begins at a peer or moves there: the one rule for the shared and the local table.

use super::limits::Limits;
use super::session::{PeerId, Session, Stage};
use super::tick::Tick;

/// The claim of a response to the session whose id it contains, or of a request (`learn=request`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Its request did not carry the id.
    ResponseOnly,
    /// Its request carried the id, was balanced to the peer, and that peer answered.
    RequestCarried {
        /// The holder that the look-up of the request found, `None` when the id was unknown.
        holder: Option<PeerId>,
    },
    /// A request with the id goes to the peer: enters the session if there is none.
    Request {
        /// The peer that the session had, and that has failed for this request: if it still has it,
        /// and no answer has kept it, it moves. `None`: the look-up found no session.
        from: Option<PeerId>,
    },
    /// An answer of the peer to a request that has entered the session, or has found it entered,
    /// keeps it.
    Answer,
    /// The table has it under another key, which the same id had before the zone's SipHash key was
    /// changed.
    Rekeyed(Session),
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

    /// The session that begins.
    pub(super) fn begun(&self, peer: PeerId, now: Tick) -> Session {
        match self {
            Claim::ResponseOnly | Claim::RequestCarried { .. } => {
                Session::new(peer, now, self.confirms())
            }
            Claim::Request { .. } => Session::entered(peer, now, Stage::Entered),
            Claim::Answer => Session::entered(peer, now, Stage::Kept),
            Claim::Rekeyed(session) => Session { peer, ..*session },
        }
    }

    /// What becomes of a live session, if it changes, and the result.
    pub(super) fn change(
        &self,
        session: &Session,
        peer: PeerId,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> (Option<Session>, Learned) {
        let holder = session.peer;
        let stays = match holder == peer {
            true => Learned::Same,
            false => Learned::Kept { holder },
        };
        match *self {
            Claim::ResponseOnly | Claim::RequestCarried { .. } => {
                let handed_out = || Some(session.handed_out(peer, now, self.confirms()));
                if holder != peer {
                    return match self.moves(session, is_unusable) {
                        true => (handed_out(), Learned::Moved { from: holder }),
                        false => (None, stays),
                    };
                }
                let new = match session.stage {
                    Stage::Settled => limits.refreshed(session, now, self.confirms()),
                    Stage::Entered | Stage::Kept => handed_out(),
                };
                (new, stays)
            }
            // Another request has just entered it: this is the second one.
            Claim::Request { from: None } => (limits.refreshed(session, now, true), stays),
            Claim::Request { from } => {
                if from == Some(holder) && holder != peer && session.stage == Stage::Entered {
                    let moved = session.moved(peer, now, false);
                    return (Some(moved), Learned::Moved { from: holder });
                }
                (None, stays)
            }
            Claim::Answer => (session.kept(now), stays),
            Claim::Rekeyed(_) => (None, stays),
        }
    }

    /// Whether a live session that another peer holds moves to this one, whose response has the id.
    /// If no request carried the id, only the loss of the holder moves it: a page may contain an id
    /// of any client. Otherwise the request must have seen the current holder, so the first of
    /// parallel responses wins. A session that a request has entered moves to a peer that hands its
    /// id out, as long as no second request has brought the id.
    fn moves(&self, session: &Session, is_unusable: &mut dyn FnMut(PeerId) -> bool) -> bool {
        let is_fresh = !session.confirmed && session.stage != Stage::Settled;
        match *self {
            Claim::RequestCarried { holder } => {
                holder == Some(session.peer) || !session.confirmed || is_unusable(session.peer)
            }
            _ => is_fresh || is_unusable(session.peer),
        }
    }
}
