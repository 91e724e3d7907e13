//! What the store has of the latest snapshot: where its pieces are, and what was applied of the stream
//! when they were written.
//!
//! ```text
//!    0  version 1    1  zero 3      4  zones 4     8  nodes 4     12  drains 4
//!   16  id 8        24  written 8  32  position: ms 8, sequence 8
//!   48  zones, each: length of its name 4, pieces 4, sessions 8, bytes 8, its name
//!    …  nodes, each: id 16, first position that was not applied 8
//!    …  drains, each: server 9, drain 8, when it was ordered 8, when it began 8
//!    …  tag 16
//! ```
//!
//! Numbers are little-endian. A drain is what the key of its record is. A piece is its bytes and a tag, under a name that tells which it is.

use thiserror::Error;

use super::hand_drains::{HandDrain, MOST_DRAINS};
use super::header::{Position, MOST_NODES};
use super::keys::{KeyAge, Seal, Sealed, Seals, Tag, TAG_SIZE};
use super::record::{Change, Record, Seconds};
use super::wire::NodeId;
use crate::table::{Fingerprint, Key};

/// Bytes of a piece without its tag.
pub const PIECE: usize = 512 << 10;

/// Must change with everything that changes the meaning of what is written already.
const VERSION: u8 = 1;

const HEAD_SIZE: usize = 48;
const ZONE_SIZE: usize = 24;
const NODE_SIZE: usize = 24;
const SERVER_SIZE: usize = 9;

/// Zones of a snapshot.
const MOST_ZONES: usize = 1 << 14;

/// What a drain is here, as in records.
const DRAIN: Change = Change::DrainKnown;

/// Bytes of a name.
const LONGEST_NAME: usize = 1 << 10;

/// Where the latest snapshot is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// What tells it from others.
    pub id: u64,
    /// When it was written.
    pub written: Seconds,
    /// What was applied of the stream.
    pub position: Position,
    /// The zones that are in it.
    pub zones: Vec<ZonePieces>,
    /// How far the journal of each node was applied.
    pub nodes: Vec<(NodeId, u64)>,
    /// What operators have ordered of servers.
    pub drains: Vec<(Fingerprint, HandDrain)>,
}

/// The pieces of a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZonePieces {
    /// The zone's name.
    pub name: Vec<u8>,
    /// How many there are.
    pub pieces: u32,
    /// Sessions in all of them.
    pub sessions: u64,
    /// Bytes of all of them, without tags.
    pub bytes: u64,
}

/// Why something of a snapshot is refused. Displays as the end of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
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

impl Manifest {
    /// As bytes, with the seal.
    pub fn encode(&self, seal: &Seal) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0, 0, 0];
        let zones = self.zones.iter().take(MOST_ZONES);
        bytes.extend((zones.len() as u32).to_le_bytes());
        let nodes = self.nodes.iter().take(MOST_NODES);
        let Position { ms, sequence, .. } = self.position;
        let drains = self.drains.iter().take(MOST_DRAINS);
        let drains = drains.filter_map(|(server, drain)| drain.record(*server, DRAIN));
        let drains: Vec<Record> = drains.collect();
        bytes.extend((nodes.len() as u32).to_le_bytes());
        bytes.extend((drains.len() as u32).to_le_bytes());
        let numbers = [self.id, self.written, ms, sequence];
        numbers.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
        for zone in zones {
            bytes.extend((zone.name.len() as u32).to_le_bytes());
            bytes.extend(zone.pieces.to_le_bytes());
            bytes.extend(zone.sessions.to_le_bytes());
            bytes.extend(zone.bytes.to_le_bytes());
            bytes.extend(&zone.name);
        }
        for (node, next) in nodes {
            bytes.extend(node.0);
            bytes.extend(next.to_le_bytes());
        }
        for drain in drains {
            let server = drain.server.bits().to_le_bytes();
            bytes.extend(server.iter().take(SERVER_SIZE));
            let numbers = [drain.key.get(), drain.seen, drain.created];
            numbers.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
        }
        bytes.extend(seal.tag(Sealed::Manifest, &[], &bytes));
        bytes
    }

    /// What is in the bytes, and which key its writer has.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn decode(bytes: &[u8], seals: &Seals) -> Result<(Manifest, KeyAge), ManifestError> {
        let (bytes, age) = opened(bytes, Sealed::Manifest, &[], seals)?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(ManifestError::Newer(other)),
            None => return Err(ManifestError::Malformed),
        }
        let manifest = Reader(bytes).manifest();
        Ok((manifest.ok_or(ManifestError::Malformed)?, age))
    }

    /// What tells a piece from all others, in this or another snapshot.
    pub fn piece_name(id: u64, zone: &[u8], number: u32) -> Vec<u8> {
        let mut name = format!("{id:016x}:").into_bytes();
        name.extend(zone);
        name.extend(format!(":{number}").into_bytes());
        name
    }
}

/// A piece with its seal.
pub fn seal_piece(seal: &Seal, name: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
    let tag = seal.tag(Sealed::Piece, name, &bytes);
    bytes.extend(tag);
    bytes
}

/// What is in a piece of that name.
///
/// # Errors
/// Why it is refused.
pub fn open_piece<'a>(
    bytes: &'a [u8],
    name: &[u8],
    seals: &Seals,
) -> Result<&'a [u8], ManifestError> {
    if bytes.len() > PIECE + TAG_SIZE {
        return Err(ManifestError::Sealed);
    }
    opened(bytes, Sealed::Piece, name, seals).map(|(bytes, _)| bytes)
}

fn opened<'a>(
    bytes: &'a [u8],
    kind: Sealed,
    name: &[u8],
    seals: &Seals,
) -> Result<(&'a [u8], KeyAge), ManifestError> {
    let sealed = bytes.split_last_chunk::<TAG_SIZE>();
    let (bytes, tag): (&[u8], &Tag) = sealed.ok_or(ManifestError::Sealed)?;
    let age = seals.age_of(tag, kind, name, bytes);
    Ok((bytes, age.ok_or(ManifestError::Sealed)?))
}

/// What is left of a manifest.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn manifest(mut self) -> Option<Manifest> {
        let [_, 0, 0, 0] = self.take::<4>()? else {
            return None;
        };
        let zones = u32::from_le_bytes(self.take()?) as usize;
        let nodes = u32::from_le_bytes(self.take()?) as usize;
        let drains = u32::from_le_bytes(self.take()?) as usize;
        if zones > MOST_ZONES || nodes > MOST_NODES || drains > MOST_DRAINS {
            return None;
        }
        let mut manifest = Manifest {
            id: self.long()?,
            written: self.long()?,
            position: Position {
                ms: self.long()?,
                sequence: self.long()?,
                records: Position::WHOLE,
            },
            zones: Vec::new(),
            nodes: Vec::new(),
            drains: Vec::new(),
        };
        for _ in 0..zones {
            let length = u32::from_le_bytes(self.take()?) as usize;
            let zone = ZonePieces {
                pieces: u32::from_le_bytes(self.take()?),
                sessions: self.long()?,
                bytes: self.long()?,
                name: match length {
                    0..=LONGEST_NAME => self.slice(length)?.to_vec(),
                    _ => return None,
                },
            };
            let needed = zone.bytes.div_ceil(PIECE as u64);
            if u64::from(zone.pieces) != needed {
                return None;
            }
            manifest.zones.push(zone);
        }
        for _ in 0..nodes {
            let node = NodeId(self.take()?);
            manifest.nodes.push((node, self.long()?));
        }
        for _ in 0..drains {
            manifest.drains.push(self.drain()?);
        }
        self.0.is_empty().then_some(manifest)
    }

    fn drain(&mut self) -> Option<(Fingerprint, HandDrain)> {
        let mut server = [0; 16];
        let bytes: [u8; SERVER_SIZE] = self.take()?;
        server.first_chunk_mut().map(|place| *place = bytes)?;
        let record = Record {
            change: DRAIN,
            key: Key::from_bits(self.long()?)?,
            scope: 0,
            server: Fingerprint::from_bits(u128::from_le_bytes(server))?,
            from: None,
            seen: self.long()?,
            created: self.long()?,
            confirmed: false,
        };
        Some((record.server, HandDrain::of_record(&record)?))
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

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

const _: () = assert!(HEAD_SIZE == 4 + 4 + 4 + 4 + 4 * 8);
const _: () = assert!(ZONE_SIZE == 4 + 4 + 8 + 8 && NODE_SIZE == 16 + 8);
