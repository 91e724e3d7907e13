//! Compressed bodies that cost much to read and unpack to little or nothing, as an attacker could
//! make them.

/// The least significant bit first, as in DEFLATE and in Brotli.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(&mut self, value: u32, count: usize) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> bit) & 1) as u8) << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// A Huffman code of DEFLATE, which starts with its most significant bit.
    fn put_code(&mut self, code: u32, count: usize) {
        for bit in (0..count).rev() {
            self.put(code >> bit, 1);
        }
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.used = self.used.next_multiple_of(8) + 8 * bytes.len();
        self.bytes.extend_from_slice(bytes);
    }
}

/// A Brotli stream of this length (RFC 7932) and what follows it, uncompressed: meta-blocks of one
/// byte, each of which has 64 prefix codes for literals.
pub fn brotli(len: usize, then: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    // A window of 64 KB.
    bits.put(0, 1);
    while bits.bytes.len() < len {
        // Not the last, of one byte, compressed; one type of blocks each.
        bits.put(0, 1 + 2);
        bits.put(0, 16);
        bits.put(0, 1 + 3);
        // No postfix bits, no direct distances, context mode 0.
        bits.put(0, 2 + 4 + 2);
        // 33 + 31 trees.
        bits.put(1 | 5 << 1 | 31 << 4, 1 + 3 + 5);
        // A context map of 64 times the one symbol 0, without run lengths.
        bits.put(0, 1);
        bits.put(1, 2 + 2 + 6);
        bits.put(0, 1);
        // One tree for distances.
        bits.put(0, 1);
        for literal in 0..64 {
            bits.put(1 | (32 + literal) << 4, 2 + 2 + 8);
        }
        // One literal, and a copy that the end of the meta-block cuts off.
        bits.put(1 | 8 << 4, 2 + 2 + 10);
        bits.put(1, 2 + 2 + 6);
    }
    if !then.is_empty() {
        bits.put(0, 1 + 2);
        bits.put(then.len() as u32 - 1, 16);
        bits.put(1, 1);
        bits.put_bytes(then);
    }
    bits.put(3, 2);
    bits.bytes
}

/// The same for DEFLATE (RFC 1951): empty blocks with codes of their own.
pub fn deflate(len: usize, then: &[u8]) -> Vec<u8> {
    // For the lengths of codes: 16 repeats the one before.
    const REPEAT: (u32, usize) = (0, 1);
    const EIGHT: (u32, usize) = (0b10, 2);
    const ONE: (u32, usize) = (0b110, 3);
    const NINE: (u32, usize) = (0b111, 3);

    let mut bits = Bits::default();
    while bits.bytes.len() < len {
        bits.put(0b10 << 1, 3);
        // 286 codes for literals and lengths, one for distances, 18 lengths of codes for these.
        bits.put(29, 5);
        bits.put(0, 5);
        bits.put(14, 4);
        // In this order: 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1.
        for length in [1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3] {
            bits.put(length, 3);
        }
        for ((code, size), count) in [(EIGHT, 226), (NINE, 60), (ONE, 1)] {
            bits.put_code(code, size);
            let mut left: u32 = count - 1;
            while left > 0 {
                // Not so many that one or two remain, which cannot be repeated.
                let repeated = match left {
                    7 | 8 => left - 3,
                    left => left.min(6),
                };
                bits.put_code(REPEAT.0, REPEAT.1);
                bits.put(repeated - 3, 2);
                left -= repeated;
            }
        }
        // The end of the block: the thirty-first code of nine bits.
        bits.put_code(226 * 2 + 30, 9);
    }
    // Not compressed.
    bits.put(1, 3);
    let size = then.len() as u16;
    bits.put_bytes(&[&size.to_le_bytes()[..], &(!size).to_le_bytes(), then].concat());
    bits.bytes
}

/// The same for gzip (RFC 1952): empty members.
pub fn gzip(len: usize, then: &[u8]) -> Vec<u8> {
    const EMPTY: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0";
    let mut bytes = EMPTY.repeat(len / EMPTY.len());
    bytes.extend_from_slice(b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
    // The check at the end of the member is left out.
    bytes.extend_from_slice(&deflate(0, then));
    bytes
}

/// The same for zstd (RFC 8878): empty blocks.
pub fn zstd(len: usize, then: &[u8]) -> Vec<u8> {
    // A frame without a size, and with a window of 1 KB.
    let mut bytes = b"\x28\xb5\x2f\xfd\0\0".to_vec();
    bytes.extend(b"\0\0\0".repeat(len / 3));
    let header = (then.len() as u32) << 3 | 1;
    bytes.extend_from_slice(&header.to_le_bytes()[..3]);
    bytes.extend_from_slice(then);
    bytes
}
