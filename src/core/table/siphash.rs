//! SipHash-1-3 of what begins with the same blocks again and again: these are hashed once.
//!
//! Written out here because every request with an id pays for it: crate siphasher takes 40
//! instructions more for an id of 26 bytes. The tests compare the two.

/// Bytes of a block.
const BLOCK: usize = size_of::<u64>();

/// The state of the hash after some whole blocks.
#[derive(Clone, Copy)]
pub struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
    /// Bytes so far.
    length: usize,
}

impl State {
    /// Before the first block.
    pub fn new(k0: u64, k1: u64) -> State {
        State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
            length: 0,
        }
    }

    /// The state after another block.
    #[inline(always)]
    pub fn with(mut self, block: &[u8; BLOCK]) -> State {
        self.length += BLOCK;
        self.compressed(u64::from_le_bytes(*block))
    }

    /// The hash of the blocks, and of these bytes behind them.
    #[inline(always)]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = self;
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk() {
            state = state.compressed(u64::from_le_bytes(*block));
            rest = after;
        }
        // Those of the last block that is not whole, the first one in the lowest bits.
        let tail = match bytes.last_chunk() {
            // Without a shift by 64 bits, where there are none.
            Some(last) => u64::from_le_bytes(*last) >> 1 >> (63 - 8 * rest.len()),
            None => rest
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | u64::from(*byte)),
        };
        let length = (self.length + bytes.len()) as u64;
        let mut state = state.compressed(length << 56 | tail);
        state.v2 ^= 0xff;
        let State { v0, v1, v2, v3, .. } = state.round().round().round();
        v0 ^ v1 ^ v2 ^ v3
    }

    #[inline(always)]
    fn compressed(mut self, block: u64) -> State {
        self.v3 ^= block;
        self = self.round();
        self.v0 ^= block;
        self
    }

    #[inline(always)]
    fn round(self) -> State {
        let State {
            mut v0,
            mut v1,
            mut v2,
            mut v3,
            length,
        } = self;
        v0 = v0.wrapping_add(v1);
        v2 = v2.wrapping_add(v3);
        v1 = v1.rotate_left(13) ^ v0;
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v1);
        v0 = v0.wrapping_add(v3);
        v1 = v1.rotate_left(17) ^ v2;
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.rotate_left(32);
        State {
            v0,
            v1,
            v2,
            v3,
            length,
        }
    }
}
