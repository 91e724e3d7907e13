//! An entry of the stream: some records of one node, with the seal of who has the key.
//!
//! ```text
//!    0  version 1     1  positions: 1, none: 0     2  records 2   4  scopes 2   6  servers 2
//!    8  node 16      24  term 8                    32  position of the first record 8
//!   40  base second 8
//!   48  scopes, 8 bytes each; servers, 9 bytes each; records, 23 bytes each; tag 16
//! ```
//!
//! Numbers are little-endian. A record is its change (bits 0 to 2) and whether it is confirmed (bit 3)
//! in a byte, its key (8 bytes), the places of its scope, of its server and of the one that it has left
//! in the two lists (2 bytes each, 65535 for none), when it was seen, in seconds from the base (4 bytes,
//! signed), and how many seconds before that it was created (4 bytes).
//!
//! What the store hands out is from outside: the tag is looked at first, and what is not as it says
//! here is refused as a whole.

use std::collections::BTreeMap;

use thiserror::Error;

use super::keys::{KeyAge, Seal, Sealed, Seals, Tag, TAG_SIZE};
use super::record::{Change, Record, Seconds};
use crate::table::{Fingerprint, Key};

/// Records of an entry.
pub const MOST_RECORDS: usize = 256;

/// Bytes of an entry.
pub const LONGEST_ENTRY: usize =
    HEAD_SIZE + MOST_RECORDS * (SCOPE_SIZE + 2 * SERVER_SIZE + RECORD_SIZE) + TAG_SIZE;

/// Must change with everything that changes the meaning of what is written already.
const VERSION: u8 = 1;

const HEAD_SIZE: usize = 48;
const SCOPE_SIZE: usize = 8;
const SERVER_SIZE: usize = 9;
const RECORD_SIZE: usize = 23;

const CHANGE_MASK: u8 = 7;
const CONFIRMED: u8 = 8;

/// No place in the list of servers.
const NONE: u16 = u16::MAX;

/// Times from this second on are none: the store's clock is far from it for 8 million years.
const LAST_SECOND: Seconds = 1 << 48;

const _: () = assert!(2 * MOST_RECORDS < NONE as usize);

/// A node, by random bytes that its zone is made with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub [u8; 16]);

/// Some records of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Whose they are.
    pub node: NodeId,
    /// The node's lease under which they were sent.
    pub term: u64,
    /// Where the first of them stands in the node's journal; the others follow. `None`: they come from
    /// no journal ([`Change::Known`]).
    pub first: Option<u64>,
    /// The records, 1 to [`MOST_RECORDS`].
    pub records: Vec<Record>,
}

/// Why an entry cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// There are no records, or too many.
    #[error("it has {0} records")]
    Count(usize),
    /// Of this record a time is no time, or too far from that of the first one.
    #[error("the times of record {0} cannot be written")]
    Time(usize),
}

/// Why an entry is refused. `Display` completes "an entry is refused, …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Nobody with the key has written it.
    #[error("its seal is not of this key")]
    Sealed,
    /// A newer module has written it.
    #[error("it has format {0}, this module knows {VERSION}")]
    Newer(u8),
    /// It is not as it should be, although the key is right.
    #[error("it is malformed")]
    Malformed,
}

impl Entry {
    /// The entry as bytes.
    ///
    /// # Errors
    /// What cannot be written. Creation after the last use is written as at the same time.
    pub fn encode(&self, seal: &Seal) -> Result<Vec<u8>, EncodeError> {
        let count = self.records.len();
        let Some(base) = self.records.first().map(|record| record.seen) else {
            return Err(EncodeError::Count(0));
        };
        if count > MOST_RECORDS {
            return Err(EncodeError::Count(count));
        }
        let (mut scopes, mut servers) = (List::default(), List::default());
        let mut records = Vec::with_capacity(count * RECORD_SIZE);
        for (at, record) in self.records.iter().enumerate() {
            let times = times_of(record, base).ok_or(EncodeError::Time(at))?;
            records.push(record.change as u8 | if record.confirmed { CONFIRMED } else { 0 });
            records.extend(record.key.get().to_le_bytes());
            records.extend(scopes.place_of(record.scope).to_le_bytes());
            records.extend(servers.place_of(record.server).to_le_bytes());
            let from = record.from.map(|server| servers.place_of(server));
            records.extend(from.unwrap_or(NONE).to_le_bytes());
            records.extend(times.0.to_le_bytes());
            records.extend(times.1.to_le_bytes());
        }
        let lists = scopes.all.len() * SCOPE_SIZE + servers.all.len() * SERVER_SIZE;
        let mut bytes = Vec::with_capacity(HEAD_SIZE + lists + records.len() + TAG_SIZE);
        bytes.extend([VERSION, u8::from(self.first.is_some())]);
        for length in [count, scopes.all.len(), servers.all.len()] {
            // At most twice the records.
            bytes.extend((length as u16).to_le_bytes());
        }
        bytes.extend(self.node.0);
        for number in [self.term, self.first.unwrap_or_default(), base] {
            bytes.extend(number.to_le_bytes());
        }
        scopes
            .all
            .iter()
            .for_each(|it| bytes.extend(it.to_le_bytes()));
        for server in &servers.all {
            let server = server.bits().to_le_bytes();
            bytes.extend(
                server
                    .first_chunk::<SERVER_SIZE>()
                    .unwrap_or(&[0; SERVER_SIZE]),
            );
        }
        bytes.append(&mut records);
        bytes.extend(seal.tag(Sealed::Entry, &[], &bytes));
        Ok(bytes)
    }

    /// The entry in these bytes, and which key its writer has.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn decode(bytes: &[u8], seals: &Seals) -> Result<(Entry, KeyAge), DecodeError> {
        if bytes.len() > LONGEST_ENTRY {
            return Err(DecodeError::Sealed);
        }
        let sealed = bytes.split_last_chunk::<TAG_SIZE>();
        let (bytes, tag): (&[u8], &Tag) = sealed.ok_or(DecodeError::Sealed)?;
        let age = seals.age_of(tag, Sealed::Entry, &[], bytes);
        let age = age.ok_or(DecodeError::Sealed)?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(DecodeError::Newer(other)),
            None => return Err(DecodeError::Malformed),
        }
        let entry = Reader(bytes).entry().ok_or(DecodeError::Malformed)?;
        Ok((entry, age))
    }
}

/// When it was seen, from the base, and how long before that it was created.
fn times_of(record: &Record, base: Seconds) -> Option<(i32, u32)> {
    if record.seen >= LAST_SECOND || base >= LAST_SECOND {
        return None;
    }
    let seen = record.seen.wrapping_sub(base) as i64;
    let age = record.seen.saturating_sub(record.created);
    Some((i32::try_from(seen).ok()?, u32::try_from(age).ok()?))
}

/// Things that records name by their place.
struct List<T> {
    all: Vec<T>,
    places: BTreeMap<T, u16>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List {
            all: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<T: Copy + Ord> List<T> {
    fn place_of(&mut self, one: T) -> u16 {
        let next = self.all.len() as u16;
        let place = *self.places.entry(one).or_insert(next);
        if place == next {
            self.all.push(one);
        }
        place
    }
}

/// What is left of an entry.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(mut self) -> Option<Entry> {
        let [_, has_positions] = self.take()?;
        let [count, scopes, servers] = [self.short()?, self.short()?, self.short()?];
        if !(1..=MOST_RECORDS).contains(&count) || scopes > count || servers > 2 * count {
            return None;
        }
        let node = NodeId(self.take()?);
        let [term, first, base] = [self.long()?, self.long()?, self.long()?];
        let first = match (has_positions, first) {
            (0, 0) => None,
            (1, first) => Some(first),
            _ => return None,
        };
        if base >= LAST_SECOND {
            return None;
        }
        let scopes = self.slice(scopes * SCOPE_SIZE)?;
        let servers = self.slice(servers * SERVER_SIZE)?;
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            records.push(self.record(base, scopes, servers)?);
        }
        self.0.is_empty().then_some(Entry {
            node,
            term,
            first,
            records,
        })
    }

    fn record(&mut self, base: Seconds, scopes: &[u8], servers: &[u8]) -> Option<Record> {
        let [flags] = self.take()?;
        let change = Change::of_number(flags & CHANGE_MASK)?;
        if flags & !(CHANGE_MASK | CONFIRMED) != 0 {
            return None;
        }
        let key = Key::from_bits(self.long()?)?;
        let scope = scopes.chunks_exact(SCOPE_SIZE).nth(self.short()?)?;
        let server = server_at(servers, self.short()?)?;
        let from = match self.short()? {
            none if none == usize::from(NONE) => None,
            place => Some(server_at(servers, place)?),
        };
        let seen = base.checked_add_signed(i32::from_le_bytes(self.take()?).into())?;
        let created = seen.checked_sub(u32::from_le_bytes(self.take()?).into())?;
        Some(Record {
            change,
            key,
            scope: u64::from_le_bytes(scope.try_into().ok()?),
            server,
            from,
            seen,
            created,
            confirmed: flags & CONFIRMED != 0,
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<usize> {
        self.take().map(u16::from_le_bytes).map(usize::from)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

fn server_at(servers: &[u8], place: usize) -> Option<Fingerprint> {
    let bytes = servers.chunks_exact(SERVER_SIZE).nth(place)?;
    let mut bits = [0; 16];
    bits.get_mut(..SERVER_SIZE)?.copy_from_slice(bytes);
    Fingerprint::from_bits(u128::from_le_bytes(bits))
}
