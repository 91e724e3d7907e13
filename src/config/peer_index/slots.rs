//! A small hash map of our own, from what peers are called to their positions.

use std::borrow::Borrow;

use sticky_core::table::PeerId;

use crate::ngx::peers::PeerKey;

/// Positions of peers by a key, of which the first peer counts. Mostly the first slot looked at is the
/// right one, however many there are.
///
/// Not std's HashMap, because every hit goes through it: with rustc-hash's hasher a hit of `mode=query`
/// takes 17 instructions more, one of `mode=cookie` 71 (`make bench-instructions`).
pub struct Slots<K> {
    /// At least half of them are empty, so that every search ends.
    slots: Vec<Option<(K, usize)>>,
    /// Shifts a hash to as many bits as the number of a slot has.
    shift: u32,
}

/// A key that a peer is found by.
pub trait Spread {
    /// A number that mostly differs from those of other keys.
    fn spread(&self) -> u64;
}

impl Spread for PeerId {
    #[inline]
    fn spread(&self) -> u64 {
        self.get().into()
    }
}

impl Spread for PeerKey {
    #[inline]
    fn spread(&self) -> u64 {
        self.number() as u64
    }
}

impl Spread for [u8] {
    #[inline]
    fn spread(&self) -> u64 {
        // The first and the last eight bytes, or all of a shorter one.
        let (start, end) = match (self.first_chunk(), self.last_chunk()) {
            (Some(start), Some(end)) => (u64::from_le_bytes(*start), u64::from_le_bytes(*end)),
            _ => (0, self.iter().fold(0, |all, b| all << 8 | u64::from(*b))),
        };
        start.rotate_left(29) ^ end
    }
}

impl Spread for Box<[u8]> {
    fn spread(&self) -> u64 {
        (**self).spread()
    }
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            shift: 0,
        }
    }
}

impl<K: Spread + Eq> Slots<K> {
    /// Room for that many peers.
    pub fn for_peers(peers: usize) -> Self {
        let bits = usize::BITS - peers.leading_zeros() + 1;
        Self {
            slots: std::iter::repeat_with(|| None).take(1 << bits).collect(),
            shift: u64::BITS - bits,
        }
    }

    /// Adds a key, unless it is there already.
    pub fn push(&mut self, key: K, position: usize) {
        let mut at = self.first_slot(key.spread());
        while let Some(slot) = self.slots.get_mut(at) {
            match slot {
                Some((known, _)) if *known == key => return,
                Some(_) => at = self.next_slot(at),
                None => {
                    *slot = Some((key, position));
                    return;
                }
            }
        }
    }

    /// The position of a key.
    #[inline]
    pub fn position<Q: Spread + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let mut at = self.first_slot(key.spread());
        loop {
            match self.slots.get(at)? {
                Some((known, position)) if known.borrow() == key => return Some(*position),
                Some(_) => at = self.next_slot(at),
                None => return None,
            }
        }
    }

    /// A key of this position.
    #[cold]
    pub fn key(&self, position: usize) -> Option<&K> {
        let mut all = self.slots.iter().flatten();
        all.find_map(|(key, at)| (*at == position).then_some(key))
    }

    #[inline]
    fn first_slot(&self, spread: u64) -> usize {
        // The golden ratio (Fibonacci hashing): every bit counts in the high ones.
        (spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline]
    fn next_slot(&self, at: usize) -> usize {
        (at + 1) % self.slots.len()
    }
}
