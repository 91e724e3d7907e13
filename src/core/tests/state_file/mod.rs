//! State files for the tests: written by the crate, and built without it, byte by byte.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{self, Write};

use sticky_core::snapshot::{
    Checked, Moment, Record, SnapshotHeader, SnapshotReader, SnapshotWriter,
};
use sticky_core::table::{Fingerprint, Session, Stage, Tick, Word};

use super::table_zone::{key, peer};

pub const HEADER: SnapshotHeader = SnapshotHeader {
    sip_keys: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908),
    epoch: 1000,
    written: Moment {
        monotonic: 5000,
        wall: 1_800_000_000,
    },
};

pub fn word(number: u64, seen: Tick) -> Word {
    let session = Session {
        peer: peer(number as u32 % 7),
        seen,
        created: seen / 2,
        confirmed: number.is_multiple_of(2),
        stage: Stage::Settled,
    };
    Word::new(key(number), &session)
}

pub fn server(number: u32) -> Fingerprint {
    Fingerprint::from_bits(u128::from(number) << 40 | 5).unwrap()
}

/// Writes a file with a server, if `out` can take it, and some sessions.
pub fn write<W: Write>(out: W, words: impl Iterator<Item = Word>) -> io::Result<W> {
    let mut writer = SnapshotWriter::new(out, &HEADER)?;
    for number in 0..7 {
        writer.server(peer(number), server(number))?;
    }
    for word in words {
        writer.session(word)?;
    }
    writer.finish()
}

pub fn file(words: impl Iterator<Item = Word>) -> Vec<u8> {
    write(Vec::new(), words).unwrap()
}

pub fn records(bytes: &[u8]) -> Vec<Record> {
    let reader = SnapshotReader::open(bytes).unwrap();
    reader.map(Result::unwrap).collect()
}

pub fn words(bytes: &[u8]) -> Vec<Word> {
    let words = records(bytes)
        .into_iter()
        .filter_map(|record| match record {
            Record::Session(word) => Some(word),
            Record::Server(..) | Record::Drain(_) | Record::KeyBefore(_) => None,
        });
    words.collect()
}

pub fn checked(sessions: u64) -> Checked {
    Checked {
        header: HEADER,
        sessions,
        has_unknown: false,
    }
}

/// A section, built without this crate.
pub fn section(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u64).to_le_bytes();
    let summed = [&kind.to_le_bytes()[..], &length, body].concat();
    let sum = plain_crc(&summed).to_le_bytes();
    [&kind.to_le_bytes()[..], &sum, &length, body].concat()
}

pub fn end(sections: u64) -> Vec<u8> {
    section(0, &sections.to_le_bytes())
}

/// A file of these sections.
pub fn built(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"sticky\n\0".to_vec();
    for number in [
        2u64,
        HEADER.sip_keys.0,
        HEADER.sip_keys.1,
        1000,
        5000,
        1_800_000_000,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(u64::from(plain_crc(&bytes)).to_le_bytes());
    bytes.extend(sections.concat());
    bytes.extend(end(sections.len() as u64));
    bytes
}

/// CRC-32 of RFC 1952 (section 8, appendix), bit by bit.
pub fn plain_crc(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}
