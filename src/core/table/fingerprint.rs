//! What the registry of a zone knows a server by.

use std::fmt;

use siphasher::sip128::SipHasher13;

/// Bits of a [`Fingerprint`].
const BITS: u32 = 72;

/// A server of one upstream, in 72 bits, never 0. Two servers of a zone with 16,384 of them have the
/// same one with a probability of 2^-45.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// SipHash-1-3 with 128 bits, of which the low 72 count, of: length of the scope as 8 bytes,
    /// little-endian; the scope; the server. Its key is that of the zone.
    pub fn new((k0, k1): (u64, u64), scope: &[u8], server: &[u8]) -> Fingerprint {
        let bytes = [&(scope.len() as u64).to_le_bytes(), scope, server].concat();
        let hash = SipHasher13::new_with_keys(k0, k1).hash(&bytes).as_u128();
        Fingerprint::from_bits(hash).unwrap_or(Fingerprint(1))
    }

    /// The fingerprint in the low 72 bits; `None` when they are 0.
    pub const fn from_bits(bits: u128) -> Option<Fingerprint> {
        match bits & ((1 << BITS) - 1) {
            0 => None,
            bits => Some(Fingerprint(bits)),
        }
    }

    /// As a number below 2^72, not 0.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:018x})", self.0)
    }
}
