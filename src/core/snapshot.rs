//! A session table as a file, the file of `state=`, so that sessions survive a restart of nginx: its
//! format, and which files are refused.
//!
//! ```text
//!    0  magic      8  version    16  k0   24  k1
//!   32  epoch     40  monotonic  48  wall 56  zero
//!   64  words of live sessions, 16 bytes each; none is empty
//!  end  number of words (4 bytes), CRC-32 of everything before it (4 bytes), zero (8 bytes)
//! ```
//!
//! Numbers are little-endian, so the closing record is a word without a key. Reading and writing
//! go once from start to end, in pieces, whatever the number of sessions. Whether a file is complete
//! and undamaged is known only at its end: call [`check`] before its words go into a table.
//!
//! ```
//! use sticky_core::snapshot::{check, write, Moment, SnapshotHeader, SnapshotReader};
//! use sticky_core::table::{Key, PeerId, Session, Word};
//!
//! let header = SnapshotHeader {
//!     sip_keys: (1, 2),
//!     epoch: 1000,
//!     written: Moment { monotonic: 5000, wall: 1_800_000_000 },
//! };
//! let session = Session { peer: PeerId::new(7), seen: 3900, created: 3000, confirmed: true };
//! let word = Word::new(Key::new(5), &session);
//!
//! let mut file = Vec::new();
//! write(&mut file, &header, [word].into_iter()).unwrap();
//! assert_eq!(check(&file[..]).unwrap(), (header, 1));
//!
//! // An hour later, after a reboot: the session was last seen 100 + 3600 seconds ago.
//! let now = Moment { monotonic: 20, wall: 1_800_003_600 };
//! let (_, shift) = header.resume(now);
//! for word in SnapshotReader::open(&file[..]).unwrap() {
//!     assert_eq!(shift.session(word.unwrap()), Some((Key::new(5), session)));
//! }
//! ```

mod time;

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};

use crc32fast::Hasher;
use thiserror::Error;

use crate::table::{test_points, Word};

pub use time::{Moment, TickShift};

const MAGIC: [u8; 8] = *b"sticky\n\0";

/// Must change with everything that changes the meaning of the bytes of a file: this file, the word,
/// how an id becomes a key.
const VERSION: u64 = 1;

const HEADER_SIZE: usize = 64;
const WORD_SIZE: usize = 16;

/// Bytes that are read or written at once; reading or writing needs no more memory than this.
const BUFFER_SIZE: usize = 1 << 16;

/// What a file has in front of the words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotHeader {
    /// The SipHash key of the table.
    pub sip_keys: (u64, u64),
    /// The second of the monotonic clock that is tick 0, see [`crate::table::ZoneIdentity::epoch`].
    pub epoch: u64,
    /// When the file was written.
    pub written: Moment,
}

/// Why a file is refused or cannot be read. `Display` completes "the file is refused, …".
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Not a file of this module.
    #[error("it is no state file")]
    Foreign,
    /// Written by a module with another format.
    #[error("it has format {0} instead of {VERSION}")]
    Version(u64),
    /// Its end is missing.
    #[error("it is cut short")]
    Truncated,
    /// Its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// It could not be read.
    #[error(transparent)]
    Input(io::Error),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => SnapshotError::Truncated,
            _ => SnapshotError::Input(error),
        }
    }
}

impl SnapshotHeader {
    fn bytes(&self) -> [u8; HEADER_SIZE] {
        let (k0, k1) = self.sip_keys;
        let Moment { monotonic, wall } = self.written;
        let numbers = [VERSION, k0, k1, self.epoch, monotonic, wall, 0];
        let mut bytes = [0; HEADER_SIZE];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_SIZE]) -> Result<SnapshotHeader, SnapshotError> {
        let mut numbers = bytes.chunks_exact(8).map(|number| {
            // Every chunk has eight bytes.
            number.try_into().map_or(0, u64::from_le_bytes)
        });
        let mut next = || numbers.next().unwrap_or_default();
        if next() != u64::from_le_bytes(MAGIC) {
            return Err(SnapshotError::Foreign);
        }
        let version = next();
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let header = SnapshotHeader {
            sip_keys: (next(), next()),
            epoch: next(),
            written: Moment {
                monotonic: next(),
                wall: next(),
            },
        };
        if next() != 0 {
            return Err(SnapshotError::Damaged);
        }
        Ok(header)
    }
}

/// Writes a file and returns the number of its words. Skips empty words, and those that exceed what
/// a file can count.
pub fn write(
    out: impl Write,
    header: &SnapshotHeader,
    words: impl Iterator<Item = Word>,
) -> io::Result<u32> {
    let mut out = BufWriter::with_capacity(BUFFER_SIZE, out);
    let mut sum = Hasher::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        out.write_all(bytes)
    };

    put(&header.bytes())?;
    let mut count = 0u32;
    let words = words.filter(|word| !word.is_empty());
    for word in words.take(u32::MAX as usize) {
        put(&word.bits().to_le_bytes())?;
        count += 1;
        test_points::at("state: a word written");
    }
    put(&count.to_le_bytes())?;
    out.write_all(&sum.finalize().to_le_bytes())?;
    out.write_all(&[0; 8])?;
    out.flush()?;
    Ok(count)
}

/// Reads all of a file, and returns its header and the number of its words.
pub fn check(input: impl Read) -> Result<(SnapshotHeader, u32), SnapshotError> {
    let mut reader = SnapshotReader::open(input)?;
    for word in &mut reader {
        word?;
    }
    Ok((reader.header, reader.count))
}

/// The words of a file, until its end or the first error. If [`check`] has not succeeded, they may
/// be anything.
pub struct SnapshotReader<R> {
    input: BufReader<R>,
    header: SnapshotHeader,
    sum: Hasher,
    count: u32,
    is_done: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header.
    pub fn open(input: R) -> Result<SnapshotReader<R>, SnapshotError> {
        let mut input = BufReader::with_capacity(BUFFER_SIZE, input);
        let mut bytes = [0; HEADER_SIZE];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        // First of all, or a short file of another program would be called cut short.
        input.read_exact(magic)?;
        if magic != MAGIC {
            return Err(SnapshotError::Foreign);
        }
        input.read_exact(rest)?;
        let header = SnapshotHeader::from_bytes(&bytes)?;
        let mut sum = Hasher::new();
        sum.update(&bytes);
        Ok(SnapshotReader {
            input,
            header,
            sum,
            count: 0,
            is_done: false,
        })
    }

    fn word(&mut self) -> Result<Option<Word>, SnapshotError> {
        let mut bytes = [0; WORD_SIZE];
        self.input.read_exact(&mut bytes)?;
        let word = Word::from_bits(u128::from_le_bytes(bytes));
        if !word.is_empty() {
            self.sum.update(&bytes);
            self.count = self.count.checked_add(1).ok_or(SnapshotError::Damaged)?;
            return Ok(Some(word));
        }
        let mut sum = self.sum.clone();
        sum.update(&self.count.to_le_bytes());
        let closing = u128::from(self.count) | u128::from(sum.finalize()) << 32;
        if word.bits() != closing {
            return Err(SnapshotError::Damaged);
        }
        match self.input.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Err(SnapshotError::Damaged),
        }
    }
}

impl<R: Read> Iterator for SnapshotReader<R> {
    type Item = Result<Word, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let word = self.word().transpose();
        self.is_done = !matches!(word, Some(Ok(_)));
        word
    }
}
