//! A session table as a file, so that it outlives nginx: what the bytes are, and what of a file is
//! believed.
//!
//! ```text
//!    0  magic      8  version    16  k0   24  k1
//!   32  epoch     40  monotonic  48  wall 56  zero
//!   64  words of live sessions, 16 bytes each; none is empty
//!  end  number of words (4 bytes), CRC-32 of everything before it (4 bytes), zero (8 bytes)
//! ```
//!
//! Numbers are little-endian, so the closing record is a word without a key. Reading and writing
//! go once from front to end, in pieces, however many sessions there are. Whether a file is whole
//! is known at its end only: let [`check`] go over it before a table is given any of its words.

mod time;

use std::fmt;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};

use crc32fast::Hasher;

use crate::table::test_points;
use crate::table::word::Word;

pub use time::{Moment, Shift};

const MAGIC: [u8; 8] = *b"sticky\n\0";

/// Changes with anything that gives the bytes of a file another meaning: this file, the word, the
/// way from an id to a key.
const VERSION: u64 = 1;

const HEAD: usize = 64;
const RECORD: usize = 16;

/// Memory that reading or writing takes, and what is read or written at once.
const PIECE: usize = 1 << 16;

/// What stands in front of the words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The SipHash key of the table.
    pub sip_keys: (u64, u64),
    /// The second of the monotonic clock that is tick 0, see [`crate::table::Header::epoch`].
    pub epoch: u64,
    /// When the file was written.
    pub written: Moment,
}

/// Why a file is not believed, or not read. `Display` completes "the file is refused, …".
#[derive(Debug)]
pub enum StateError {
    /// Somebody else's file.
    Foreign,
    /// Written by a module with another format.
    Version(u64),
    /// Its end is missing.
    Truncated,
    /// Its bytes are not those that were written.
    Damaged,
    /// It could not be read.
    Input(io::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Foreign => write!(f, "it is no state file"),
            StateError::Version(version) => {
                write!(f, "it has format {version} instead of {VERSION}")
            }
            StateError::Truncated => write!(f, "it is cut short"),
            StateError::Damaged => write!(f, "it is damaged"),
            StateError::Input(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StateError {}

impl From<io::Error> for StateError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => StateError::Truncated,
            _ => StateError::Input(error),
        }
    }
}

impl Head {
    fn bytes(&self) -> [u8; HEAD] {
        let (k0, k1) = self.sip_keys;
        let Moment { monotonic, wall } = self.written;
        let numbers = [VERSION, k0, k1, self.epoch, monotonic, wall, 0];
        let mut bytes = [0; HEAD];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; HEAD]) -> Result<Head, StateError> {
        let mut numbers = bytes.chunks_exact(8).map(|number| {
            // Every chunk has eight bytes.
            number.try_into().map_or(0, u64::from_le_bytes)
        });
        let mut next = || numbers.next().unwrap_or_default();
        if next() != u64::from_le_bytes(MAGIC) {
            return Err(StateError::Foreign);
        }
        let version = next();
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        let head = Head {
            sip_keys: (next(), next()),
            epoch: next(),
            written: Moment {
                monotonic: next(),
                wall: next(),
            },
        };
        if next() != 0 {
            return Err(StateError::Damaged);
        }
        Ok(head)
    }
}

/// Writes a file and returns the number of its words. Empty ones are left out, and what is more
/// than a file can count.
pub fn write(out: impl Write, head: &Head, words: impl Iterator<Item = Word>) -> io::Result<u32> {
    let mut out = BufWriter::with_capacity(PIECE, out);
    let mut sum = Hasher::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        out.write_all(bytes)
    };

    put(&head.bytes())?;
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

/// Reads all of a file, and tells what stands in front and how many words there are.
pub fn check(input: impl Read) -> Result<(Head, u32), StateError> {
    let mut reader = Reader::open(input)?;
    for word in &mut reader {
        word?;
    }
    Ok((reader.head, reader.count))
}

/// The words of a file, until its end or the first error. Of a file that [`check`] has not seen to
/// be whole they may be anything.
pub struct Reader<R> {
    input: BufReader<R>,
    head: Head,
    sum: Hasher,
    count: u32,
    is_done: bool,
}

impl<R: Read> Reader<R> {
    /// Reads what stands in front of the words.
    pub fn open(input: R) -> Result<Reader<R>, StateError> {
        let mut input = BufReader::with_capacity(PIECE, input);
        let mut bytes = [0; HEAD];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        // First, or a short file of somebody else would be called cut short.
        input.read_exact(magic)?;
        if magic != MAGIC {
            return Err(StateError::Foreign);
        }
        input.read_exact(rest)?;
        let head = Head::from_bytes(&bytes)?;
        let mut sum = Hasher::new();
        sum.update(&bytes);
        Ok(Reader {
            input,
            head,
            sum,
            count: 0,
            is_done: false,
        })
    }

    /// What stands in front of the words.
    pub fn head(&self) -> &Head {
        &self.head
    }

    fn word(&mut self) -> Result<Option<Word>, StateError> {
        let mut bytes = [0; RECORD];
        self.input.read_exact(&mut bytes)?;
        let word = Word::from_bits(u128::from_le_bytes(bytes));
        if !word.is_empty() {
            self.sum.update(&bytes);
            self.count = self.count.checked_add(1).ok_or(StateError::Damaged)?;
            return Ok(Some(word));
        }
        let mut sum = self.sum.clone();
        sum.update(&self.count.to_le_bytes());
        let closing = u128::from(self.count) | u128::from(sum.finalize()) << 32;
        if word.bits() != closing {
            return Err(StateError::Damaged);
        }
        match self.input.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Err(StateError::Damaged),
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Word, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let word = self.word().transpose();
        self.is_done = !matches!(word, Some(Ok(_)));
        word
    }
}
