//! From a session id to the 64-bit key that the table stores instead of it. Without the secret
//! SipHash key, nobody can find out the ids from the keys in a zone or core file, or choose ids that
//! share a line of the table.

use std::hash::Hasher;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher13;

use super::siphash::State;

/// What the table stores for a session id; never 0.
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

/// Makes the keys of one zone, with its secret.
///
/// ```
/// use sticky_core::table::Keyer;
///
/// let keyer = Keyer::new(0x0706050403020100, 0x0f0e0d0c0b0a0908);
/// let (shop, blog) = (keyer.scope(b"shop"), keyer.scope(b"blog"));
/// let key = shop.key(b"0123456789abcdef0123456789abcdef");
/// assert_eq!(key.get(), 0x8b70255e7e94e66e);
/// assert_ne!(blog.key(b"0123456789abcdef0123456789abcdef"), key);
/// assert_eq!(keyer.shown(key), 0x6dea11a0);
/// ```
#[derive(Clone)]
pub struct Keyer {
    hasher: SipHasher13,
}

impl Keyer {
    /// `k0` and `k1` are the SipHash key in the header of the zone.
    pub fn new(k0: u64, k1: u64) -> Keyer {
        Keyer {
            hasher: SipHasher13::new_with_keys(k0, k1),
        }
    }

    /// What logs show of a session: the same for all requests with its id. Neither the id nor the
    /// key can be found out from it without the secret, not even by who knows other ids and what is
    /// shown of them.
    ///
    /// The low half of SipHash-1-3 of: 2^64 - 1, which is the length of no scope; the key.
    pub fn shown(&self, key: Key) -> u32 {
        let mut hasher = self.hasher;
        hasher.write(&u64::MAX.to_le_bytes());
        hasher.write(&key.get().to_le_bytes());
        hasher.finish() as u32
    }

    /// The keyer of one upstream of the zone: one id has another key in each upstream.
    pub fn scope(&self, upstream: &[u8]) -> ScopedKeyer {
        let (k0, k1) = self.hasher.keys();
        let mut state = State::new(k0, k1).with(&(upstream.len() as u64).to_le_bytes());
        // Padded to a multiple of 8 bytes, so that each id begins on a block of the hash. The length
        // in front distinguishes scopes that differ in trailing zeros.
        for part in upstream.chunks(8) {
            let mut block = [0; 8];
            for (byte, own) in block.iter_mut().zip(part) {
                *byte = *own;
            }
            state = state.with(&block);
        }
        ScopedKeyer { state }
    }
}

/// Makes the keys of one upstream. The scope is hashed once, an id costs only its own bytes.
#[derive(Clone)]
pub struct ScopedKeyer {
    state: State,
}

impl ScopedKeyer {
    /// SipHash-1-3 of: length of the scope as 8 bytes, little-endian; the scope; zeros up to a
    /// multiple of 8 bytes; the id.
    #[inline(always)]
    pub fn key(&self, id: &[u8]) -> Key {
        Key::new(self.state.hash(id))
    }
}
