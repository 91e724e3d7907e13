//! What a peer is called where its name may not or need not be seen: the value of its cookie, and
//! the short id under which the session table knows it. Both come from the name alone, so they are
//! the same after a reload, in another order of servers, and on another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac::{EagerHash, Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use crate::word::PeerId;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, 32 hexadecimal digits.
    Md5,
    /// SHA-1, 40 hexadecimal digits.
    Sha1,
    /// SHA-256, 64 hexadecimal digits.
    Sha256,
}

/// How the cookie value of a peer is made.
#[derive(Clone, PartialEq, Eq)]
pub enum Recipe {
    /// The place of the peer in its upstream, from 0: changes when a server is added or moved.
    Index,
    /// The hash of the peer's name.
    Hash(Algorithm),
    /// The keyed hash of the peer's name (RFC 2104), with the key.
    Hmac(Algorithm, Box<[u8]>),
    /// The peer's name itself.
    Raw,
}

impl Recipe {
    /// The cookie value of the peer at `index` of its upstream with the printable name `name`:
    /// lower-case hexadecimal digits, decimal digits, or the name.
    pub fn value(&self, index: usize, name: &[u8]) -> Vec<u8> {
        match self {
            Recipe::Index => index.to_string().into_bytes(),
            Recipe::Hash(Algorithm::Md5) => hex(&Md5::digest(name)),
            Recipe::Hash(Algorithm::Sha1) => hex(&Sha1::digest(name)),
            Recipe::Hash(Algorithm::Sha256) => hex(&Sha256::digest(name)),
            Recipe::Hmac(Algorithm::Md5, key) => keyed::<Md5>(key, name),
            Recipe::Hmac(Algorithm::Sha1, key) => keyed::<Sha1>(key, name),
            Recipe::Hmac(Algorithm::Sha256, key) => keyed::<Sha256>(key, name),
            Recipe::Raw => name.to_vec(),
        }
    }
}

/// Tells the recipe without its key, which must not get into a log.
impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipe::Index => f.write_str("Index"),
            Recipe::Hash(algorithm) => f.debug_tuple("Hash").field(algorithm).finish(),
            Recipe::Hmac(algorithm, _) => f.debug_tuple("Hmac").field(algorithm).finish(),
            Recipe::Raw => f.write_str("Raw"),
        }
    }
}

/// nginx's id of a server without `route=`: the MD5 of its printable address, in hexadecimal digits
/// (`ngx_http_upstream_init_round_robin_sid()`).
pub fn server_id(name: &[u8]) -> Vec<u8> {
    hex(&Md5::digest(name))
}

/// A server's id under Angie's `sticky_secret`: the MD5 of the id with the secret behind it, in
/// hexadecimal digits.
pub fn salted(sid: &[u8], secret: &[u8]) -> Vec<u8> {
    hex(&Md5::new_with_prefix(sid).chain_update(secret).finalize())
}

/// The peer id of a name, as long as no other name of its upstream has the same one.
pub fn peer_id(name: &[u8]) -> PeerId {
    choice(name, 0)
}

/// The peer ids of an upstream's names, in the order of the names.
///
/// The same set of names gives the same ids in every order. Equal names share an id, different ones
/// do not (unless nearly all of the 2^20 ids are in use). When several names have the same first
/// choice, the one that sorts first gets it and the others take their next choice, among the ids
/// that are nobody's first choice: a name that collides with none never depends on the others.
pub fn peer_ids(names: &[&[u8]]) -> Vec<PeerId> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();

    let mut ids = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut later = Vec::new();
    for name in sorted {
        let id = peer_id(name);
        if taken.insert(id) {
            ids.insert(name, id);
        } else {
            later.push(name);
        }
    }
    for name in later {
        let mut choices = (1..=MORE_CHOICES).map(|n| choice(name, n));
        // Without a free one, two peers share an id: a session may then wander between the two.
        let id = choices
            .find(|id| !taken.contains(id))
            .unwrap_or_else(|| peer_id(name));
        taken.insert(id);
        ids.insert(name, id);
    }
    names
        .iter()
        .map(|&name| ids.get(name).copied().unwrap_or_else(|| peer_id(name)))
        .collect()
}

/// How many ids a name tries beyond its first. Of 1000 peers, the first of these is free for all
/// but one in 1000.
const MORE_CHOICES: u64 = 64;

/// The `n`th choice of a name: the low 20 bits of its SipHash-1-3 under a fixed key.
///
/// The key is `sticky-rs peerid` (16 bytes) with `n` added to its second half. It is no secret:
/// ids must agree between machines, and a peer's name comes from the configuration, not from a
/// client. Changing it would send every stored session to another peer.
fn choice(name: &[u8], n: u64) -> PeerId {
    let k0 = u64::from_le_bytes(*b"sticky-r");
    let k1 = u64::from_le_bytes(*b"s peerid").wrapping_add(n);
    let hash = SipHasher13::new_with_keys(k0, k1).hash(name);
    PeerId::new((hash & 0xf_ffff) as u32)
}

fn keyed<D: EagerHash>(key: &[u8], name: &[u8]) -> Vec<u8>
where
    Hmac<D>: KeyInit + Mac,
{
    // A key of any length will do (RFC 2104 section 2), so there is always a value.
    <Hmac<D> as KeyInit>::new_from_slice(key)
        .map(|mac| hex(&mac.chain_update(name).finalize().into_bytes()))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + (n - 10) };
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
