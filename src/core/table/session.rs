//! One session, and the peer that holds it.

use super::tick::Tick;

/// Bits of a [`PeerId`].
pub(super) const PEER_BITS: u32 = 20;

/// A peer as the session table knows it: 20 bits, given to it by the [registry](super::Registry) of the
/// zone, or without a zone made from its name, see [`crate::peer_id::peer_ids`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(u32);

impl PeerId {
    /// The id made of the low 20 bits of `bits`.
    pub const fn new(bits: u32) -> PeerId {
        PeerId(bits & ((1 << PEER_BITS) - 1))
    }

    /// The id as a number below 2^20.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What the table stores of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// The peer that holds it.
    pub peer: PeerId,
    /// When it was last used, in steps of [`Limits::touch_interval`](super::Limits::touch_interval).
    pub seen: Tick,
    /// When it was learned; rounded down for old sessions, see [`Word`](super::Word).
    pub created: Tick,
    /// Whether a request is known to have carried the id, see also [`Session::is_in_use`]. Of a
    /// session that a request has entered: another request than that one.
    pub confirmed: bool,
    /// How firmly the peer has it.
    pub stage: Stage,
}

/// How firmly a peer has a session. Only those that a request has entered (`learn=request`) begin
/// below [`Stage::Settled`], and each goes up at most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// A request has entered it, when its peer was chosen. No answer has kept it so far.
    Entered,
    /// An answer has kept it, and no second request has brought the id: a response of another peer
    /// that hands the id out still moves it.
    Kept,
    /// It is like one that a response has handed out.
    Settled,
}

impl Session {
    /// Whether a request has come back with the id after it was learned. `confirmed` alone does not
    /// prove that: many applications write any id that they receive into their links, and the
    /// response to such a request begins a session that is confirmed. One in use was also seen
    /// after it was created.
    #[inline]
    pub fn is_in_use(&self) -> bool {
        self.confirmed && self.seen > self.created
    }

    /// A session that begins at `now`.
    pub(super) fn new(peer: PeerId, now: Tick, confirmed: bool) -> Session {
        Session {
            peer,
            seen: now,
            created: now,
            confirmed,
            stage: Stage::Settled,
        }
    }

    /// A session that a request begins at `now`, up to `stage`.
    pub(super) fn entered(peer: PeerId, now: Tick, stage: Stage) -> Session {
        Session {
            stage,
            ..Session::new(peer, now, false)
        }
    }

    /// The session at another peer. `seen` always advances, so that a copy of the word before this
    /// change, made by a relocation under way, can never outrank it.
    pub(super) fn moved(&self, to: PeerId, now: Tick, confirm: bool) -> Session {
        let seen = now.max(self.seen.saturating_add(1));
        let confirmed = self.confirmed || confirm;
        // One that was entered and not brought again begins anew, see `Word`.
        let is_settled = confirmed || self.stage == Stage::Settled;
        Session {
            peer: to,
            seen,
            created: if is_settled { self.created } else { seen },
            confirmed,
            stage: self.stage,
        }
    }

    /// The session at a peer that has handed its id out. `seen` advances as when it is
    /// [moved](Session::moved).
    pub(super) fn handed_out(&self, by: PeerId, now: Tick, confirm: bool) -> Session {
        let settled = Session {
            stage: Stage::Settled,
            ..*self
        };
        settled.moved(by, now, confirm)
    }

    /// The session after an answer that keeps it. `None`: it was kept already. With an id that a
    /// second request has brought, it is settled, and `seen` advances as when it is moved.
    pub(super) fn kept(&self, now: Tick) -> Option<Session> {
        match (self.stage, self.confirmed) {
            (Stage::Entered, false) => Some(Session {
                stage: Stage::Kept,
                ..*self
            }),
            (Stage::Entered, true) => Some(self.handed_out(self.peer, now, true)),
            (Stage::Kept | Stage::Settled, _) => None,
        }
    }

    /// Of two live sessions of one id, which two nginx have begun without knowing of each other: whether
    /// this one stays. The one that began earlier; if they did within `coarseness`, the one in use; of
    /// these the one seen later. `None`: nothing of that decides.
    pub(super) fn stays_before(&self, other: &Session, coarseness: Tick) -> Option<bool> {
        if self.created.abs_diff(other.created) >= coarseness {
            return Some(self.created < other.created);
        }
        let order = |session: &Session| (session.is_in_use(), session.seen);
        (order(self) != order(other)).then(|| order(self) > order(other))
    }

    /// This session after `other`, its copy in a table that decides. `seen` advances where the peer
    /// or the stage changes, as when it is [moved](Session::moved). `None`: nothing changes.
    pub(super) fn followed_by(&self, other: &Session) -> Option<Session> {
        let stage = self.stage.max(other.stage);
        let is_moved = self.peer != other.peer || self.stage != stage;
        let after = self.seen.saturating_add(Tick::from(is_moved));
        let new = Session {
            peer: other.peer,
            seen: other.seen.max(after),
            created: other.created,
            confirmed: self.confirmed || other.confirmed,
            stage,
        };
        (new != *self).then_some(new)
    }
}
