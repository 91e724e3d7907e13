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
    /// Whether a request is known to have carried the id, see also [`Session::is_in_use`].
    pub confirmed: bool,
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
        }
    }

    /// The session at another peer. `seen` always advances, so that a copy of the word before this
    /// change, made by a relocation under way, can never outrank it.
    pub(super) fn moved(&self, to: PeerId, now: Tick, confirm: bool) -> Session {
        Session {
            peer: to,
            seen: now.max(self.seen.saturating_add(1)),
            created: self.created,
            confirmed: self.confirmed || confirm,
        }
    }
}
