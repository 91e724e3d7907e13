//! One session as one 128-bit number, so that it is read and written by one atomic instruction
//! and never seen half changed. This file knows nothing of tables; it only packs and unpacks,
//! and says when a session is over.
//!
//! ```text
//!   127                              64 63        44 43           16 15    12 11     1  0
//!  +-----------------------------------+------------+---------------+--------+--------+---+
//!  | key, 0 = empty                    | peer id 20 | seen 28       | exp  4 | age 11 | c |
//!  +-----------------------------------+------------+---------------+--------+--------+---+
//! ```
//!
//! `created` is the 15 bits exp and age: the start of a period of 2^exp seconds, counted from the
//! zone's epoch, of which the low 11 bits are kept. It is the latest such period that does not
//! lie after `seen`. The exponent is the smallest one that reaches back from `seen` to `created`,
//! so it depends on the session alone: no later change of `lifetime` can misread a word, the
//! error stays below 1/1000 of the session's age (1/250 beyond a year), and because periods are
//! aligned to the epoch, rewriting a word again and again adds no error to that.

use crate::table::key::Key;
use crate::table::tick::{Tick, LAST_TICK, TICK_BITS};

const PEER_BITS: u32 = 20;
const SEEN_BITS: u32 = TICK_BITS;
const AGE_BITS: u32 = 11;

const CONFIRMED: u64 = 1;
const AGE_SHIFT: u32 = 1;
const EXPONENT_SHIFT: u32 = AGE_SHIFT + AGE_BITS;
const SEEN_SHIFT: u32 = EXPONENT_SHIFT + 4;
const PEER_SHIFT: u32 = SEEN_SHIFT + SEEN_BITS;

const AGE_MASK: u32 = (1 << AGE_BITS) - 1;
const EXPONENT_MASK: u32 = 15;

const _: () = assert!(PEER_SHIFT + PEER_BITS == 64);
const _: () = assert!(AGE_BITS + period_bits(EXPONENT_MASK) == SEEN_BITS);

/// A peer as the session table knows it: 20 bits made from its name, see
/// [`crate::peer_id::peer_ids`].
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

/// What is remembered of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// The peer that holds it.
    pub peer: PeerId,
    /// When it was last used, in steps of [`Limits::touch_after`].
    pub seen: Tick,
    /// When it was learned; coarse, see the top of this file.
    pub created: Tick,
    /// Whether a request is known to have carried the id, see also [`Session::is_in_use`].
    pub confirmed: bool,
}

/// How long a session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Idle limit in seconds, greater than 0.
    pub expires: Tick,
    /// Absolute limit in seconds, from the moment of learning.
    pub lifetime: Option<Tick>,
}

impl Limits {
    /// Whether the session is still found at `now`. A session is over exactly `expires` seconds
    /// after it was last seen. A clock that lags behind `seen` makes nothing expire.
    #[inline]
    pub fn is_live(&self, session: &Session, now: Tick) -> bool {
        let now = now.min(LAST_TICK);
        now.saturating_sub(session.seen) < self.expires
            && self
                .lifetime
                .is_none_or(|lifetime| now.saturating_sub(session.created) < lifetime)
    }

    /// The least advance of `seen` for which a word is rewritten: a 64th of the idle limit, so
    /// that a busy session is read and not written.
    #[inline]
    pub fn touch_after(&self) -> Tick {
        (self.expires / 64).max(1)
    }

    /// [`Limits::refreshed`] by a request that has brought the id. In a crowded table, where the
    /// order of last use decides who has to go, it is written in every other second: whoever uses
    /// invented ids must not get ahead of busy sessions because theirs stands still.
    #[inline]
    pub fn touched(&self, session: &Session, now: Tick, is_crowded: bool) -> Option<Session> {
        let is_later = is_crowded && now > session.seen;
        self.refreshed(session, now, true).or_else(|| {
            is_later.then_some(Session {
                seen: now,
                ..*session
            })
        })
    }

    /// Limits under which a session lives as long as under either: what a zone that several
    /// upstreams share must grant before it gives away somebody's word.
    pub fn longer(self, other: Limits) -> Limits {
        Limits {
            expires: self.expires.max(other.expires),
            lifetime: self.lifetime.zip(other.lifetime).map(|(a, b)| a.max(b)),
        }
    }

    /// Limits under which a session that is over is remembered for as long again, an hour at least,
    /// so that who comes back late is told that it is over. Newcomers do not wait for that.
    pub fn remembered(self) -> Limits {
        const AT_LEAST: Tick = 3600;
        let longer = self.expires.max(AT_LEAST);
        Limits {
            expires: self.expires.saturating_add(longer),
            lifetime: self
                .lifetime
                .map(|lifetime| lifetime.saturating_add(longer)),
        }
    }

    /// `session` as a request or a response at `now` leaves it, or `None` when the change is too
    /// small to be written.
    #[inline]
    pub fn refreshed(&self, session: &Session, now: Tick, confirm: bool) -> Option<Session> {
        let in_use = session.is_in_use();
        let confirms = confirm && !session.confirmed;
        let returns = confirm && !in_use && now > session.created;
        // Where nobody has returned, `seen` stays, or the session would pass for one in use.
        let may_advance = confirm || session.confirmed == in_use;
        let due = may_advance && now.saturating_sub(session.seen) >= self.touch_after();
        // Not below 1: in the first second of all there is none before it.
        let seen = session.seen.max(now).max(Tick::from(confirms));
        (due || returns || confirms).then_some(Session {
            seen,
            // A request that comes back in the second of learning counts, too.
            created: match confirms {
                true => session.created.min(seen.saturating_sub(1)),
                false => session.created,
            },
            confirmed: session.confirmed || confirm,
            ..*session
        })
    }
}

impl Session {
    /// Whether a request has brought the id back since it was learned. Confirmed alone does not
    /// tell: many an application writes any id that it is sent into its links, and the answer to
    /// such a request begins a session that is confirmed. One in use has been seen after that.
    #[inline]
    pub fn is_in_use(&self) -> bool {
        self.confirmed && self.seen > self.created
    }

    /// A session that begins at `now`.
    pub(crate) fn begun(peer: PeerId, now: Tick, confirmed: bool) -> Session {
        Session {
            peer,
            seen: now,
            created: now,
            confirmed,
        }
    }

    /// The session at another peer. `seen` always advances, so that a copy made of the word
    /// before this change, by a relocation under way, can never outrank it.
    pub(crate) fn moved(&self, to: PeerId, now: Tick, confirm: bool) -> Session {
        Session {
            peer: to,
            seen: now.max(self.seen.saturating_add(1)),
            created: self.created,
            confirmed: self.confirmed || confirm,
        }
    }
}

/// A session and its key in 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(u128);

impl Word {
    /// The word of a place that holds no session.
    pub const EMPTY: Word = Word(0);

    /// Packs a session. Ticks beyond [`LAST_TICK`] are cut to it, and `created` to `seen`.
    pub fn new(key: Key, session: &Session) -> Word {
        let seen = session.seen.min(LAST_TICK);
        let created = session.created.min(seen);
        let reaches = |exponent: &u32| {
            let period = period_bits(*exponent);
            (seen >> period) - (created >> period) <= AGE_MASK
        };
        let exponent = (0..=EXPONENT_MASK).find(reaches).unwrap_or(EXPONENT_MASK);
        let age = (created >> period_bits(exponent)) & AGE_MASK;

        let low = u64::from(session.peer.get()) << PEER_SHIFT
            | u64::from(seen) << SEEN_SHIFT
            | u64::from(exponent) << EXPONENT_SHIFT
            | u64::from(age) << AGE_SHIFT
            | u64::from(session.confirmed);
        Word(u128::from(key.get()) << 64 | u128::from(low))
    }

    /// The word with these bits; every value is valid.
    #[inline]
    pub const fn from_bits(bits: u128) -> Word {
        Word(bits)
    }

    /// The bits of the word.
    #[inline]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The key, or `None` when the place is empty.
    #[inline]
    pub fn key(self) -> Option<Key> {
        Key::from_bits((self.0 >> 64) as u64)
    }

    /// Whether no session stands here.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 >> 64 == 0
    }

    /// Unpacks the session; of an empty or a meaningless word, some session.
    #[inline]
    pub fn session(self) -> Session {
        let seen = self.seen();
        let period = period_bits((self.0 >> EXPONENT_SHIFT) as u32 & EXPONENT_MASK);
        let age = (self.0 >> AGE_SHIFT) as u32 & AGE_MASK;
        let last = seen >> period;
        let periods_back = last.wrapping_sub(age) & AGE_MASK;
        Session {
            peer: PeerId::new((self.0 >> PEER_SHIFT) as u32),
            seen,
            created: last.saturating_sub(periods_back) << period,
            confirmed: self.is_confirmed(),
        }
    }

    /// `Session::seen` alone.
    #[inline]
    pub fn seen(self) -> Tick {
        (self.0 >> SEEN_SHIFT) as u32 & LAST_TICK
    }

    /// [`Session::is_in_use`] of the session.
    #[inline]
    pub fn is_in_use(self) -> bool {
        self.session().is_in_use()
    }

    /// `Session::confirmed` alone.
    #[inline]
    pub fn is_confirmed(self) -> bool {
        self.0 as u64 & CONFIRMED != 0
    }
}

/// Seconds in a period, as a power of two. The last exponent skips ahead, so that 11 bits reach
/// back over all of `seen`.
const fn period_bits(exponent: u32) -> u32 {
    if exponent == EXPONENT_MASK {
        SEEN_BITS - AGE_BITS
    } else {
        exponent
    }
}
