//! What an entry is found by.

use siphasher::sip128::SipHasher13;

/// What an entry stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// An upstream.
    Upstream,
    /// A server of an upstream.
    Server,
    /// A zone of sessions.
    Zone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Upstream, Kind::Server, Kind::Zone];
}

/// What an entry stands for, in 128 bits: names come from the configuration alone, so nobody looks for
/// two that have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest([u64; 2]);

impl Digest {
    /// Of an upstream.
    pub fn of_upstream(name: &[u8]) -> Digest {
        Digest::new(Kind::Upstream, name, b"")
    }

    /// Of a server, by what the configuration calls it.
    pub fn of_server(upstream: &[u8], label: &[u8]) -> Digest {
        Digest::new(Kind::Server, upstream, label)
    }

    /// Of a zone of sessions.
    pub fn of_zone(name: &[u8]) -> Digest {
        Digest::new(Kind::Zone, name, b"")
    }

    /// SipHash-1-3 with 128 bits and a key of 0 of: the kind as a byte; length of the first name as 8
    /// bytes, little-endian; the first name; the second one. The low half is never 0.
    fn new(kind: Kind, first: &[u8], second: &[u8]) -> Digest {
        let length = (first.len() as u64).to_le_bytes();
        let bytes = [&[kind as u8][..], &length, first, second].concat();
        let hash = SipHasher13::new().hash(&bytes);
        Digest([hash.h1.max(1), hash.h2])
    }

    /// `None`: there is no entry.
    pub(super) fn from_words(words: [u64; 2]) -> Option<Digest> {
        (words[0] != 0).then_some(Digest(words))
    }

    /// Of words, whatever they are.
    pub(super) fn of_words(words: [u64; 2]) -> Digest {
        Digest(words)
    }

    pub(super) fn words(self) -> [u64; 2] {
        self.0
    }
}
