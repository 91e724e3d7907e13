//! A session table as a file, the file of `state=`, so that sessions survive a restart of nginx: its
//! format, and which files are refused.
//!
//! ```text
//!    0  magic      8  version    16  k0   24  k1
//!   32  epoch     40  monotonic  48  wall 56  CRC-32 of everything before it (4 bytes), zero (4 bytes)
//!   64  sections
//! ```
//!
//! Numbers are little-endian. A section is its kind (4 bytes), the CRC-32 of the rest of it with the
//! kind in front (4 bytes), the length of its body (8 bytes), and its body:
//!
//! | kind | body |
//! |---|---|
//! | 1, servers | 16 bytes for each: the number in the words of its sessions (20 bits), zero (4 bits), its fingerprint (72 bits), zero (32 bits) |
//! | 2, sessions | words of live sessions, 16 bytes each, none empty |
//! | 3, drains | 32 bytes for each server that gets no new sessions: digest of upstream and server (16 bytes), its drain (8 bytes), since when, in seconds since 1970 (8 bytes) |
//! | 4, key before | 32 bytes: the SipHash key that the table had before (16 bytes), until when sessions are looked for under it, in seconds since 1970 (8 bytes), zero (8 bytes) |
//! | 0, the end | the number of sections before it (8 bytes) |
//!
//! There may be several of a kind; a body of the kinds above has at most 64 KB. Servers come before
//! their sessions; a session of a server that does not is skipped. Sections of other kinds are those of
//! a newer module: they are skipped, and kept when the file is written again, 64 MB of them in all. A file of a newer *version*
//! is left alone.
//!
//! Reading and writing go once from start to end, in pieces, whatever the number of sessions. Whether
//! a file is complete and undamaged is known only at its end: call [`check`] before anything of it
//! goes into a table.
//!
//! ```
//! use sticky_core::snapshot::{check, Moment, Record, SnapshotHeader, SnapshotReader, SnapshotWriter};
//! use sticky_core::table::{Fingerprint, Key, PeerId, Session, Stage, Word};
//!
//! let header = SnapshotHeader {
//!     sip_keys: (1, 2),
//!     epoch: 1000,
//!     written: Moment { monotonic: 5000, wall: 1_800_000_000 },
//! };
//! let server = Fingerprint::new(header.sip_keys, b"shop", b"10.0.0.1:8080");
//! let session = Session { peer: PeerId::new(7), seen: 3900, created: 3000, confirmed: true, stage: Stage::Settled };
//! let word = Word::new(Key::new(5), &session);
//!
//! let mut writer = SnapshotWriter::new(Vec::new(), &header).unwrap();
//! writer.server(PeerId::new(7), server).unwrap();
//! writer.session(word).unwrap();
//! let file = writer.finish().unwrap();
//! assert_eq!(check(&file[..]).unwrap().header, header);
//!
//! // An hour later, after a reboot: the session was last seen 100 + 3600 seconds ago.
//! let now = Moment { monotonic: 20, wall: 1_800_003_600 };
//! let (_, shift) = header.resume(now);
//! let mut records = SnapshotReader::open(&file[..]).unwrap().map(Result::unwrap);
//! assert_eq!(records.next(), Some(Record::Server(PeerId::new(7), server)));
//! let Some(Record::Session(word)) = records.next() else { panic!("not there") };
//! assert_eq!(shift.session(word), Some((Key::new(5), session)));
//! assert_eq!(records.next(), None);
//! ```

mod read;
mod time;
mod write;

use std::io::{self, ErrorKind};

use crc32fast::Hasher;
use thiserror::Error;

pub use read::{check, Checked, KeyBefore, Record, SnapshotReader};
pub use time::{Moment, TickShift};
pub use write::{KeepError, SnapshotWriter};

const MAGIC: [u8; 8] = *b"sticky\n\0";

/// Must change with everything that changes the meaning of what is written already: the header, the
/// form of a section, the bodies of the known kinds, the word, how an id becomes a key, how a server
/// becomes a fingerprint. Files of every version from 2 on
/// are to be read; version 1 knew no servers, and no release wrote it.
const VERSION: u64 = 2;

const HEADER_SIZE: usize = 64;
const SECTION_HEAD_SIZE: usize = 16;
const RECORD_SIZE: usize = 16;

/// Longest body of a section of a known kind. Reading or writing needs no more memory than some of
/// them.
const LONGEST_BODY: usize = 1 << 16;

/// Most bytes of all sections of unknown kinds in a file.
const MOST_UNKNOWN: u64 = 64 << 20;

/// The kinds of sections.
mod kind {
    pub const END: u32 = 0;
    pub const SERVERS: u32 = 1;
    pub const SESSIONS: u32 = 2;
    pub const DRAINS: u32 = 3;
    pub const KEY_BEFORE: u32 = 4;
}

/// What a file has in front of its sections.
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
    /// Written by a module with a format that is no longer read.
    #[error("it has format {0} instead of {VERSION}")]
    Version(u64),
    /// Written by a newer module.
    #[error("it has format {0}, this module knows those up to {VERSION}")]
    Newer(u64),
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
        let magic = u64::from_le_bytes(MAGIC);
        let mut bytes = [0; HEADER_SIZE];
        let numbers = [magic, VERSION, k0, k1, self.epoch, monotonic, wall];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = sum_of_header(&bytes);
        if let Some(place) = bytes.last_chunk_mut() {
            *place = u64::from(sum).to_le_bytes();
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
        match next() {
            VERSION => {}
            newer if newer > VERSION => return Err(SnapshotError::Newer(newer)),
            version => return Err(SnapshotError::Version(version)),
        }
        let header = SnapshotHeader {
            sip_keys: (next(), next()),
            epoch: next(),
            written: Moment {
                monotonic: next(),
                wall: next(),
            },
        };
        if next() != u64::from(sum_of_header(bytes)) {
            return Err(SnapshotError::Damaged);
        }
        Ok(header)
    }
}

/// CRC-32 of all of a header but the last eight bytes.
fn sum_of_header(bytes: &[u8; HEADER_SIZE]) -> u32 {
    bytes
        .split_last_chunk::<8>()
        .map_or(0, |(rest, _)| crc32fast::hash(rest))
}

/// What a section begins with.
#[derive(Clone, Copy)]
struct SectionHead {
    kind: u32,
    sum: u32,
    length: u64,
}

impl SectionHead {
    fn bytes(&self) -> [u8; SECTION_HEAD_SIZE] {
        let bits =
            u128::from(self.kind) | u128::from(self.sum) << 32 | u128::from(self.length) << 64;
        bits.to_le_bytes()
    }

    fn from_bytes(bytes: [u8; SECTION_HEAD_SIZE]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        Self {
            kind: bits as u32,
            sum: (bits >> 32) as u32,
            length: (bits >> 64) as u64,
        }
    }

    /// The sum of a section of that kind and length, before its body is added.
    fn sum_before_body(kind: u32, length: u64) -> Hasher {
        let mut sum = Hasher::new();
        sum.update(&kind.to_le_bytes());
        sum.update(&length.to_le_bytes());
        sum
    }
}
