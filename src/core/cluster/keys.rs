//! What all nodes derive from `key_file=`: the keys of their tables, and a seal by which they know
//! each other's records. Who can write to the store and has no key can forge none.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A key with fewer bytes can be guessed.
pub const LEAST_KEY: usize = 16;

/// Bytes of a [`Tag`].
pub const TAG_SIZE: usize = 16;

/// Proves that a node with the key has made something: the first half of an HMAC-SHA-256.
pub type Tag = [u8; TAG_SIZE];

/// What is derived, as the first bytes of what is hashed. None begins with another one.
const OF_TABLE: &[u8] = b"sticky table\0";
const OF_RECORDS: &[u8] = b"sticky records\0";
const OF_SCOPE: &[u8] = b"sticky scope\0";

/// Why there is no key in a file. `Display` completes "expected …, ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It has so many bytes.
    #[error("it has {0} bytes")]
    Short(usize),
}

/// What is in `key_file=`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(Box<[u8]>);

/// What is sealed: the seal of one kind is worth nothing for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sealed {
    /// An entry of the stream.
    Entry = 1,
    /// A piece of a snapshot.
    Piece = 2,
    /// What tells where the latest snapshot is.
    Manifest = 3,
}

/// Makes and checks seals, for one prefix in the store.
#[derive(Clone)]
pub struct Seal {
    /// What comes before the kind, hashed once.
    begun: Hmac<Sha256>,
}

/// Which of the two keys a seal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAge {
    /// `key_file=`.
    Current,
    /// `old_key_file=`.
    Old,
}

/// The seals of what may come from the store.
#[derive(Clone)]
pub struct Seals {
    /// That of what this node makes.
    pub current: Seal,
    /// That of nodes that still have, or already have, another key.
    pub old: Option<Seal>,
}

impl ClusterKey {
    /// The key in a file: all of it but for the end of its last line.
    ///
    /// # Errors
    /// It has fewer than [`LEAST_KEY`] bytes.
    pub fn of_file(content: &[u8]) -> Result<ClusterKey, KeyError> {
        let line = content.strip_suffix(b"\n").unwrap_or(content);
        let key = line.strip_suffix(b"\r").unwrap_or(line);
        match key.len() {
            length if length < LEAST_KEY => Err(KeyError::Short(length)),
            _ => Ok(ClusterKey(key.into())),
        }
    }

    /// The SipHash key of a zone: the first two numbers, little-endian, of the HMAC-SHA-256 under the
    /// key of `sticky table`, a zero byte and the zone's name.
    pub fn table_key(&self, zone: &[u8]) -> (u64, u64) {
        let made = mac_of(&self.0).chain_update(OF_TABLE).chain_update(zone);
        let made = made.finalize().into_bytes();
        (number(&made, 0), number(&made, 8))
    }

    /// The seal for a prefix. Its key is the HMAC-SHA-256 of `sticky records` and a zero byte.
    pub fn seal(&self, prefix: &[u8]) -> Seal {
        let made = mac_of(&self.0).chain_update(OF_RECORDS).finalize();
        Seal {
            begun: mac_of(&made.into_bytes())
                .chain_update((prefix.len() as u64).to_le_bytes())
                .chain_update(prefix),
        }
    }
}

/// Without the key, which must not get into a log.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

impl Seal {
    /// The tag of something, whose name tells it from others of its kind: the place of a piece in its
    /// snapshot. Of length and bytes of the prefix, the kind, length and bytes of the name, the bytes.
    pub fn tag(&self, kind: Sealed, name: &[u8], bytes: &[u8]) -> Tag {
        let whole = self.over(kind, name, bytes).finalize().into_bytes();
        whole.first_chunk().copied().unwrap_or_default()
    }

    /// Whether it is the tag of that. Takes as long whatever is wrong with it.
    pub fn is_of(&self, tag: &Tag, kind: Sealed, name: &[u8], bytes: &[u8]) -> bool {
        let made = self.over(kind, name, bytes);
        made.verify_truncated_left(tag).is_ok()
    }

    fn over(&self, kind: Sealed, name: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
        self.begun
            .clone()
            .chain_update([kind as u8])
            .chain_update((name.len() as u64).to_le_bytes())
            .chain_update(name)
            .chain_update(bytes)
    }
}

impl Seals {
    /// Which key the tag was made with. `None`: neither.
    pub fn age_of(&self, tag: &Tag, kind: Sealed, name: &[u8], bytes: &[u8]) -> Option<KeyAge> {
        if self.current.is_of(tag, kind, name, bytes) {
            return Some(KeyAge::Current);
        }
        let old = self.old.as_ref()?;
        old.is_of(tag, kind, name, bytes).then_some(KeyAge::Old)
    }
}

/// What scopes travel by: the first number, little-endian, of the SHA-256 of `sticky scope`, a zero
/// byte, the length of the zone's name as 8 bytes, little-endian, and both names. The same whatever
/// the key: it outlives a change of that.
pub fn scope_digest(zone: &[u8], scope: &[u8]) -> u64 {
    let made = Sha256::new_with_prefix(OF_SCOPE)
        .chain_update((zone.len() as u64).to_le_bytes())
        .chain_update(zone)
        .chain_update(scope)
        .finalize();
    number(&made, 0)
}

fn mac_of(key: &[u8]) -> Hmac<Sha256> {
    // A key of any length is valid (RFC 2104 section 2).
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// The number at that place of a digest, which is longer.
fn number(digest: &[u8], at: usize) -> u64 {
    let bytes = digest.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().map_or(0, u64::from_le_bytes)
}
