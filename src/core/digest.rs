//! Values that identify a peer to clients: the cookie values of `sticky` and the ids of `sticky
//! cookie` and `sticky route`. Except for [`Recipe::Index`] they depend on the peer's name alone, so
//! they stay the same after a reload, in another order of servers, and on another machine.

use std::fmt;

use hmac::{EagerHash, Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

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
///
/// ```
/// use sticky_core::digest::{Algorithm, Recipe};
///
/// let recipe = Recipe::Hash(Algorithm::Md5);
/// assert_eq!(recipe.value(0, b"127.0.0.1:8080"), b"5958c386bf5e9109ac10d2a628645aea");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Recipe {
    /// The position of the peer in its upstream, from 0: changes when a server is added or moved.
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
    /// lower-case hexadecimal digits, decimal digits, or the name itself.
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

/// Without the key, which must not get into a log.
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

/// The id that nginx gives a server without `route=`: the MD5 of its printable address, in
/// hexadecimal digits (`ngx_http_upstream_init_round_robin_sid()`).
pub fn server_id(name: &[u8]) -> Vec<u8> {
    hex(&Md5::digest(name))
}

/// The id of a server with Angie's `sticky_secret`: the MD5 of the id followed by the secret, in
/// hexadecimal digits.
pub fn salted(sid: &[u8], secret: &[u8]) -> Vec<u8> {
    hex(&Md5::new_with_prefix(sid).chain_update(secret).finalize())
}

fn keyed<D: EagerHash>(key: &[u8], name: &[u8]) -> Vec<u8>
where
    Hmac<D>: KeyInit + Mac,
{
    // A key of any length is valid (RFC 2104 section 2), so there is always a value.
    <Hmac<D> as KeyInit>::new_from_slice(key)
        .map(|mac| hex(&mac.chain_update(name).finalize().into_bytes()))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    base16ct::lower::encode_string(bytes).into_bytes()
}
