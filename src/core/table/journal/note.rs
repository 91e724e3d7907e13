//! A note of the journal, and how it stands in one 128-bit word.
//!
//! ```text
//!   127           64 63       50 49     36 35     33 32      19 18        8 7       6       0
//!  +----------------+-----------+---------+---------+----------+-----------+-------+---------+
//!  | key            | server 14 | from 14 | change 3| scope 14 | period 11 | taken | lap   7 |
//!  |                |           |         |         |          |           | back  |         |
//!  +----------------+-----------+---------+---------+----------+-----------+-------+---------+
//! ```
//!
//! "from" is of a move; else it is when this was: the lowest bits of the second. "period" is of a
//! session that was there before.

use super::super::change::Change;
use super::super::key::Key;
use super::super::session::PeerId;

/// Bits of a server's number here. A registry has no more.
pub(super) const NUMBER_BITS: u32 = 14;
pub(super) const SCOPE_BITS: u32 = 14;
const CHANGE_BITS: u32 = 3;
pub(super) const PERIOD_BITS: u32 = 11;
pub(super) const LAP_BITS: u32 = 7;

pub(super) const TAKEN_BACK: u64 = 1 << LAP_BITS;
const PERIOD_SHIFT: u32 = LAP_BITS + 1;
const SCOPE_SHIFT: u32 = PERIOD_SHIFT + PERIOD_BITS;
const CHANGE_SHIFT: u32 = SCOPE_SHIFT + SCOPE_BITS;
const FROM_SHIFT: u32 = CHANGE_SHIFT + CHANGE_BITS;
const SERVER_SHIFT: u32 = FROM_SHIFT + NUMBER_BITS;

const _: () = assert!(SERVER_SHIFT + NUMBER_BITS == 64);

/// Scopes that a journal can tell apart.
pub const MOST_SCOPES: usize = 1 << SCOPE_BITS;

/// By so many seconds the clock may be set back.
const CLOCK_SET: u64 = 1024;

pub(super) const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// A change of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// What has happened.
    pub change: Change,
    /// Or has not: another worker was faster.
    pub is_taken_back: bool,
    /// Which session.
    pub key: Key,
    /// Whose session, by the number of this node.
    pub scope: u16,
    /// Its server; the one that had it, if it has ended.
    pub server: PeerId,
    /// The server that it has left, of [`Change::Moved`] alone.
    pub from: PeerId,
    /// When this was, but for [`Change::Moved`]: the lowest bits of the second by the store's clock.
    pub second: u16,
    /// In which period it was last used before: the lowest bits of the period's number.
    pub period: u16,
    /// By how many seconds the clock was set forward since then. `second` is by the clock of now,
    /// `period` is not. No part of a place.
    pub set: i64,
}

impl Note {
    /// Whether the numbers of its servers can stand in a place, as those of a registry can.
    #[inline(always)]
    pub(super) fn is_writable(&self) -> bool {
        u64::from(self.server.get() | self.from.get()) <= mask(NUMBER_BITS)
    }

    /// The lower half of its bits, without the lap. The upper one is the key.
    #[inline(always)]
    pub(super) fn low(&self) -> u64 {
        let number = |peer: PeerId| u64::from(peer.get()) & mask(NUMBER_BITS);
        number(self.server) << SERVER_SHIFT
            | self.origin() << FROM_SHIFT
            | (self.change as u64) << CHANGE_SHIFT
            | if self.is_taken_back { TAKEN_BACK } else { 0 }
            | (u64::from(self.scope) & mask(SCOPE_BITS)) << SCOPE_SHIFT
            | (u64::from(self.period) & mask(PERIOD_BITS)) << PERIOD_SHIFT
    }

    pub(super) fn of_bits(bits: u128) -> Option<Note> {
        let low = bits as u64;
        let part = |shift: u32, bits: u32| low >> shift & mask(bits);
        let change = Change::of_number(part(CHANGE_SHIFT, CHANGE_BITS) as u8);
        let change = change.filter(|change| change.is_of_session())?;
        let from = part(FROM_SHIFT, NUMBER_BITS);
        let (from, second) = match change {
            Change::Moved => (from as u32, 0),
            _ => (0, from as u16),
        };
        Some(Note {
            change,
            is_taken_back: low & TAKEN_BACK != 0,
            key: Key::from_bits((bits >> 64) as u64)?,
            scope: part(SCOPE_SHIFT, SCOPE_BITS) as u16,
            server: PeerId::new(part(SERVER_SHIFT, NUMBER_BITS) as u32),
            from: PeerId::new(from),
            second,
            period: part(PERIOD_SHIFT, PERIOD_BITS) as u16,
            set: 0,
        })
    }

    /// What stands in the place of `from`.
    #[inline(always)]
    fn origin(&self) -> u64 {
        match self.change {
            Change::Moved => u64::from(self.from.get()) & mask(NUMBER_BITS),
            _ => u64::from(self.second) & mask(NUMBER_BITS),
        }
    }

    /// When this was, as seen at the second `now`, which is hours later at most. The clock may have
    /// been set meanwhile.
    pub fn second_until(&self, now: u64) -> u64 {
        let latest = now.saturating_add(CLOCK_SET);
        let back = latest.wrapping_sub(u64::from(self.second)) & mask(NUMBER_BITS);
        latest.saturating_sub(back).min(now)
    }

    /// When the period began in which it was last used before, as seen at the second `now`. A period
    /// has so many seconds.
    pub fn used_before(&self, period: u64, now: u64) -> u64 {
        let last = now.saturating_add_signed(-self.set) / period.max(1);
        let back = last.wrapping_sub(u64::from(self.period)) & mask(PERIOD_BITS);
        let began = last.saturating_sub(back).saturating_mul(period);
        began.saturating_add_signed(self.set).min(now)
    }

    /// The same after the clock was set forward by so many seconds.
    pub(super) fn by_clock(self, set: i64) -> Note {
        let second = match self.change {
            Change::Moved => 0,
            _ => u64::from(self.second).wrapping_add_signed(set) & mask(NUMBER_BITS),
        };
        Note {
            second: second as u16,
            set,
            ..self
        }
    }
}

/// The round over the ring that a note is of, in its bits.
#[inline(always)]
pub(super) fn lap_of(bits: u128) -> u64 {
    bits as u64 & mask(LAP_BITS)
}
