//! The token in the forms of a page: whoever has it has seen the page, which other sites cannot.

use siphasher::sip128::SipHasher13;
use std::hash::Hasher;

use siphasher::sip128::Hasher128;

/// A token is another one each hour.
const PERIOD: u64 = 3600;

/// A page may be open for so many of them.
const PERIODS: u64 = 12;

/// The token at `now`, in seconds since 1970, of who has this secret, for one page and one visitor of
/// it: `scope` says which.
pub fn token(secret: (u64, u64), scope: &[u8], now: u64) -> String {
    of_period(secret, scope, now / PERIOD)
}

/// Whether a token was given out for that page and visitor within the last hours.
pub fn is_valid(secret: (u64, u64), scope: &[u8], token: &[u8], now: u64) -> bool {
    let now = now / PERIOD;
    let periods = now.saturating_sub(PERIODS)..=now;
    // All of them, and all bytes of each: how long it takes says nothing.
    let mut is_valid = false;
    for period in periods {
        is_valid |= is_same(of_period(secret, scope, period).as_bytes(), token);
    }
    is_valid
}

fn of_period((k0, k1): (u64, u64), scope: &[u8], period: u64) -> String {
    let mut hasher = SipHasher13::new_with_keys(k0, k1);
    hasher.write(b"sticky_status");
    hasher.write(&period.to_le_bytes());
    hasher.write(scope);
    format!("{:032x}", hasher.finish128().as_u128())
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differing == 0
}
