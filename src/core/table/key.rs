//! From a session id to the 64 bits that stand for it. The id itself is not kept anywhere; who
//! can read the zone or a core file cannot tell the ids from the keys without the SipHash key,
//! and who does not know that key cannot aim ids at one line of the table.

use std::hash::Hasher;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher13;

/// What stands for a session id in a table; never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(NonZeroU64);

impl Key {
    /// The key with these bits; 0, which marks an empty place, becomes 1.
    #[inline]
    pub const fn new(bits: u64) -> Key {
        match NonZeroU64::new(bits) {
            Some(bits) => Key(bits),
            None => Key(NonZeroU64::MIN),
        }
    }

    /// The key with these bits, `None` for 0.
    #[inline]
    pub const fn from_bits(bits: u64) -> Option<Key> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Key(bits)),
            None => None,
        }
    }

    /// The key as a number, not 0.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Makes the keys of one zone, from its secret.
#[derive(Clone)]
pub struct Keyer {
    hasher: SipHasher13,
}

impl Keyer {
    /// `k0` and `k1` are the SipHash key, as the zone's header holds it.
    pub fn new(k0: u64, k1: u64) -> Keyer {
        Keyer {
            hasher: SipHasher13::new_with_keys(k0, k1),
        }
    }

    /// The keyer of one upstream of the zone: the same id of two upstreams has two keys.
    pub fn scope(&self, upstream: &[u8]) -> ScopedKeyer {
        let mut hasher = self.hasher;
        hasher.write(&(upstream.len() as u64).to_le_bytes());
        hasher.write(upstream);
        // Up to a whole number of 8 bytes, so that hashing an id starts on a block of its own.
        // The length in front keeps scopes that differ in trailing zeros apart.
        let odd = upstream.len() % 8;
        if odd != 0 {
            hasher.write(&[0; 8][odd..]);
        }
        ScopedKeyer { hasher }
    }
}

/// Makes the keys of one upstream; prepared once, so that an id costs its own bytes only.
#[derive(Clone)]
pub struct ScopedKeyer {
    hasher: SipHasher13,
}

impl ScopedKeyer {
    /// SipHash-1-3 of: length of the scope as 8 bytes, little-endian; the scope; zeros up to a
    /// multiple of 8 bytes; the id.
    #[inline]
    pub fn key(&self, id: &[u8]) -> Key {
        Key::new(self.hasher.hash(id))
    }
}
