//! One session as one 128-bit number, so that one atomic instruction reads or writes it and no worker
//! sees it half changed. This file only packs and unpacks.
//!
//! ```text
//!   127                              64 63        44 43           16 15    12 11     1  0
//!  +-----------------------------------+------------+---------------+--------+--------+---+
//!  | key, 0 = empty                    | peer no 20 | seen 28       | exp  4 | age 11 | c |
//!  +-----------------------------------+------------+---------------+--------+--------+---+
//! ```
//!
//! exp and age hold `created`: time since the zone's epoch is divided into periods of 2^exp seconds,
//! and age is the low 11 bits of the number of the period in which `created` lies. The full number
//! is that of the latest such period that does not begin after `seen`.
//!
//! exp is the smallest exponent whose periods reach from `seen` back to `created`, so it depends on
//! the session alone: a later change of `lifetime` cannot make a word mean something else. The error
//! stays below 1/1000 of the session's age (1/250 beyond a year). Because periods are aligned to the
//! epoch, rewriting a word many times adds no error.
//!
//! So with an exp of 1 to 14, `created` lies at least 1024 periods before `seen`: for less, a smaller
//! exponent would do. Words with fewer periods are of sessions that a request has entered
//! (`learn=request`):
//!
//! | c | exp | periods | stage | created |
//! |---|---|---|---|---|
//! | 0 | 1 | 0 | entered | = seen |
//! | 0 | 2 | 0 | kept | = seen |
//! | 1 | 1 to 14 | below 1024 | entered, and a second request has brought the id | to 1/500 of the age, 2 s at least |
//!
//! That needs no bit, and a version of the module that does not know it reads a session like any
//! other. The word of a later stage is the higher number, as [ranks](super) need it.

use super::key::Key;
use super::session::{PeerId, Session, Stage, PEER_BITS};
use super::tick::{Tick, LAST_TICK, TICK_BITS};

const SEEN_BITS: u32 = TICK_BITS;
const AGE_BITS: u32 = 11;

const CONFIRMED: u64 = 1;
const AGE_SHIFT: u32 = 1;
const EXPONENT_SHIFT: u32 = AGE_SHIFT + AGE_BITS;
const SEEN_SHIFT: u32 = EXPONENT_SHIFT + 4;
const PEER_SHIFT: u32 = SEEN_SHIFT + SEEN_BITS;

/// exp and age together, which are next to each other.
const CREATED_MASK: u64 = (1 << (SEEN_SHIFT - AGE_SHIFT)) - 1;
const AGE_MASK: u32 = (1 << AGE_BITS) - 1;
const EXPONENT_MASK: u32 = 15;

/// The exponents of words that a request has entered.
const ENTERED_EXPONENT: u32 = 1;
const KEPT_EXPONENT: u32 = 2;
const LAST_MARKED_EXPONENT: u32 = EXPONENT_MASK - 1;

const PEER_MASK: u128 = (1 << PEER_BITS) - 1;

/// Only such words have an exponent other than 0 and fewer periods.
const MARKED_BELOW: u32 = 1 << (AGE_BITS - 1);

const _: () = assert!(PEER_SHIFT + PEER_BITS == 64);
const _: () = assert!(AGE_BITS + period_bits(EXPONENT_MASK) == SEEN_BITS);

/// A session and its key in 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(u128);

impl Word {
    /// The word of a place that holds no session.
    pub const EMPTY: Word = Word(0);

    /// Packs a session. Ticks beyond [`LAST_TICK`] become it, and `created` is at most `seen`.
    #[inline(always)]
    pub fn new(key: Key, session: &Session) -> Word {
        let seen = session.seen.min(LAST_TICK);
        let created = session.created.min(seen);
        // As in session(): most are such.
        let (exponent, created) = match session.stage {
            Stage::Settled if seen - created <= AGE_MASK => (0, created),
            _ => exponent_and_created(session, seen, created),
        };
        let age = (created >> period_bits(exponent)) & AGE_MASK;

        let low = u64::from(session.peer.get()) << PEER_SHIFT
            | u64::from(seen) << SEEN_SHIFT
            | u64::from(exponent) << EXPONENT_SHIFT
            | u64::from(age) << AGE_SHIFT
            | u64::from(session.confirmed);
        Word::with_key(key, low)
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

    /// The word of a key with the lower 64 bits of another.
    #[inline]
    pub fn with_key(key: Key, low: u64) -> Word {
        Word(u128::from(key.get()) << 64 | u128::from(low))
    }

    /// The same session at another peer.
    #[inline]
    pub fn with_peer(self, peer: PeerId) -> Word {
        let others = self.0 & !(PEER_MASK << PEER_SHIFT);
        Word(others | u128::from(peer.get()) << PEER_SHIFT)
    }

    /// The key, or `None` when the place is empty.
    #[inline]
    pub fn key(self) -> Option<Key> {
        Key::from_bits((self.0 >> 64) as u64)
    }

    /// Whether there is no session.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 >> 64 == 0
    }

    /// Unpacks the session; of an empty or a meaningless word, an arbitrary one.
    #[inline(always)]
    pub fn session(self) -> Session {
        let (created, stage) = match self.exponent() {
            // Younger than half an hour, and no request has entered it: most are.
            0 => (self.created_to_the_second(), Stage::Settled),
            _ => self.created_and_stage(),
        };
        Session {
            peer: self.peer(),
            seen: self.seen(),
            created,
            confirmed: self.is_confirmed(),
            stage,
        }
    }

    /// `Session::created` where the exponent is 0.
    #[inline]
    fn created_to_the_second(self) -> Tick {
        let age = (self.0 >> AGE_SHIFT) as u32 & AGE_MASK;
        let seen = self.seen();
        seen.saturating_sub(seen.wrapping_sub(age) & AGE_MASK)
    }

    /// `Session::created` and `Session::stage` with any exponent.
    #[inline(never)]
    fn created_and_stage(self) -> (Tick, Stage) {
        let seen = self.seen();
        let period = period_bits(self.exponent());
        let age = (self.0 >> AGE_SHIFT) as u32 & AGE_MASK;
        let last = seen >> period;
        let periods_back = last.wrapping_sub(age) & AGE_MASK;
        let created = last.saturating_sub(periods_back) << period;
        let is_marked = periods_back < MARKED_BELOW && self.is_markable();
        match (is_marked, self.is_confirmed(), self.exponent()) {
            (false, ..) => (created, Stage::Settled),
            // As `is_in_use` says.
            (true, true, _) => (created.min(seen.saturating_sub(1)), Stage::Entered),
            (true, false, KEPT_EXPONENT) => (seen, Stage::Kept),
            (true, false, _) => (seen, Stage::Entered),
        }
    }

    /// Whether the exponent is one that a word of a session has that a request has entered.
    #[inline]
    fn is_markable(self) -> bool {
        (ENTERED_EXPONENT..=LAST_MARKED_EXPONENT).contains(&self.exponent())
    }

    #[inline]
    fn exponent(self) -> u32 {
        (self.0 >> EXPONENT_SHIFT) as u32 & EXPONENT_MASK
    }

    /// `Session::created` is known to so many seconds.
    pub(super) fn coarseness(self) -> Tick {
        1 << period_bits(self.exponent())
    }

    /// `Session::peer` alone.
    #[inline]
    pub fn peer(self) -> PeerId {
        PeerId::new((self.0 >> PEER_SHIFT) as u32)
    }

    /// `Session::seen` alone.
    #[inline]
    pub fn seen(self) -> Tick {
        (self.0 >> SEEN_SHIFT) as u32 & LAST_TICK
    }

    /// [`Session::is_in_use`] of the session in the word.
    #[inline]
    pub fn is_in_use(self) -> bool {
        // Not unpacked, since it is asked of every word that might make room for another: `created` is
        // `seen` exactly if exp is 0 and age is the low bits of `seen`.
        let low = self.0 as u64;
        let seen = low >> SEEN_SHIFT & u64::from(AGE_MASK);
        self.is_confirmed() && low >> AGE_SHIFT & CREATED_MASK != seen
    }

    /// Whether it holds a session that is not in use.
    #[inline]
    pub fn is_newcomer(self) -> bool {
        !self.is_empty() && !self.is_in_use()
    }

    /// `Session::confirmed` alone.
    #[inline]
    pub fn is_confirmed(self) -> bool {
        self.0 as u64 & CONFIRMED != 0
    }
}

/// The exponent of any session, and `created` as its word has it.
#[inline(never)]
fn exponent_and_created(session: &Session, seen: Tick, created: Tick) -> (u32, Tick) {
    let reaches = |exponent: &u32| {
        let period = period_bits(*exponent);
        (seen >> period) - (created >> period) <= AGE_MASK
    };
    match (session.stage, session.confirmed) {
        (Stage::Settled, _) | (Stage::Kept, true) => {
            let exponent = (0..=EXPONENT_MASK).find(reaches);
            (exponent.unwrap_or(EXPONENT_MASK), created)
        }
        (Stage::Entered, false) => (ENTERED_EXPONENT, seen),
        (Stage::Kept, false) => (KEPT_EXPONENT, seen),
        (Stage::Entered, true) => marked(seen, created),
    }
}

/// The exponent and `created` of a session that was entered and brought a second time. Of one that
/// stays so for half a year, `created` follows.
fn marked(seen: Tick, created: Tick) -> (u32, Tick) {
    let periods = |exponent: u32| (seen >> exponent) - (created >> exponent);
    let fits = |exponent: &u32| periods(*exponent) < MARKED_BELOW;
    match (ENTERED_EXPONENT..=LAST_MARKED_EXPONENT).find(fits) {
        Some(exponent) => (exponent, created),
        None => {
            let longest = (MARKED_BELOW - 1) << LAST_MARKED_EXPONENT;
            (LAST_MARKED_EXPONENT, seen.saturating_sub(longest))
        }
    }
}

/// Length of a period in seconds, as an exponent of 2. The last one is larger than the sequence
/// would have it, so that 11 bits of age cover all of `seen`.
const fn period_bits(exponent: u32) -> u32 {
    if exponent == EXPONENT_MASK {
        SEEN_BITS - AGE_BITS
    } else {
        exponent
    }
}
