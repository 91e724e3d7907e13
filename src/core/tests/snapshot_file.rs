//! Tests for the bytes of a state file: a file is read as it was written, and any other is refused.
//! Without this, a bad disk sends sessions to the wrong servers.

mod state_file;
mod table_zone;

use sticky_core::snapshot::{check, KeyBefore, Record, SnapshotError, SnapshotWriter};
use sticky_core::table::{Fingerprint, Key, Session, Stage, Tick, Word};

use state_file::*;
use table_zone::peer;

/// Built without this crate, field by field.
#[test]
fn the_bytes_of_a_file() {
    let session = Session {
        peer: peer(0x12345),
        seen: 4000,
        created: 4000,
        confirmed: true,
        stage: Stage::Settled,
    };
    let word = Word::new(Key::new(0x1122_3344_5566_7788), &session);
    let server = Fingerprint::from_bits(0xab_0102_0304_0506_0708).unwrap();
    let mut writer = SnapshotWriter::new(Vec::new(), &HEADER).unwrap();
    writer.server(peer(0x12345), server).unwrap();
    writer.session(word).unwrap();

    // Number, fingerprint, zero.
    let servers = [
        &[0x45, 0x23, 0x01][..],
        &[8, 7, 6, 5, 4, 3, 2, 1, 0xab],
        &[0; 4],
    ];
    let sessions = [
        (word.bits() as u64).to_le_bytes(),
        0x1122_3344_5566_7788u64.to_le_bytes(),
    ];
    let expected = built(&[
        section(1, &servers.concat()),
        section(2, &sessions.concat()),
    ]);
    assert_eq!(writer.finish().unwrap(), expected);
}

#[test]
fn a_file_is_read_as_it_was_written() {
    for count in [0, 1, 2, 4095, 4096, 4097, 10_000] {
        let all: Vec<Word> = (0..count)
            .map(|n| word(n, 3000 + n as Tick % 900))
            .collect();
        let bytes = file(all.iter().copied());
        let sections = 1 + (count as usize).div_ceil(4096);
        let records = 7 + count as usize;
        assert_eq!(bytes.len(), 64 + 16 * (sections + records) + 24);
        assert_eq!(check(&bytes[..]).unwrap(), checked(count));
        assert_eq!(words(&bytes), all);
        let servers = (0..7).map(|n| Record::Server(peer(n), server(n)));
        assert_eq!(records_of(&bytes, 7), servers.collect::<Vec<_>>());
    }
}

#[test]
fn drains_are_read_as_they_were_written() {
    // Digest, by hand until 5000, since 4000.
    let body = [7u64, 8, 5000 << 2 | 1, 4000]
        .map(u64::to_le_bytes)
        .concat();
    let bytes = built(&[section(3, &body)]);
    let Some(Record::Drain(drain)) = records(&bytes).pop() else {
        panic!("no drain");
    };
    let mut writer = SnapshotWriter::new(Vec::new(), &HEADER).unwrap();
    writer.drain(&drain).unwrap();
    assert_eq!(writer.finish().unwrap(), bytes);
    assert!(!check(&bytes[..]).unwrap().has_unknown);

    // Many are in several sections.
    let mut writer = SnapshotWriter::new(Vec::new(), &HEADER).unwrap();
    (0..5000).for_each(|_| writer.drain(&drain).unwrap());
    let all = records(&writer.finish().unwrap());
    assert_eq!(all, vec![Record::Drain(drain); 5000]);

    // Whatever is there, it is read; half of one is not.
    records(&built(&[section(3, &[0xff; 64])]));
    let half = check(&built(&[section(3, &body[..16])])[..]);
    assert!(matches!(half, Err(SnapshotError::Damaged)), "{half:?}");
}

#[test]
fn a_key_of_before_is_read_as_it_was_written() {
    let body = [7u64, 8, 5000, 0].map(u64::to_le_bytes).concat();
    let bytes = built(&[section(4, &body)]);
    let key = KeyBefore {
        sip_keys: (7, 8),
        until: 5000,
    };
    assert_eq!(records(&bytes), [Record::KeyBefore(key)]);
    let mut writer = SnapshotWriter::new(Vec::new(), &HEADER).unwrap();
    writer.key_before(&key).unwrap();
    assert_eq!(writer.finish().unwrap(), bytes);
    assert!(!check(&bytes[..]).unwrap().has_unknown);

    records(&built(&[section(4, &[0xff; 64])]));
    let half = check(&built(&[section(4, &body[..16])])[..]);
    assert!(matches!(half, Err(SnapshotError::Damaged)), "{half:?}");
}

fn records_of(bytes: &[u8], first: usize) -> Vec<Record> {
    let mut all = records(bytes);
    all.truncate(first);
    all
}

#[test]
fn empty_words_are_skipped() {
    let some = [Word::EMPTY, word(1, 10), Word::from_bits(77), word(2, 20)];
    let bytes = file(some.into_iter());
    assert_eq!(words(&bytes), [word(1, 10), word(2, 20)]);
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let bytes = file((1..20).map(|n| word(n, 3000)));
    for length in 0..bytes.len() {
        let result = check(&bytes[..length]);
        assert!(matches!(result, Err(SnapshotError::Truncated)), "{length}");
    }
}

#[test]
fn a_file_with_any_bit_flipped_is_refused() {
    let bytes = file((1..20).map(|n| word(n, 3000)));
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match (bit / 64, check(&bytes[..])) {
            (0, Err(SnapshotError::Foreign)) => {}
            (1, Err(SnapshotError::Version(_) | SnapshotError::Newer(_))) => {}
            (2.., Err(SnapshotError::Damaged | SnapshotError::Truncated)) => {}
            (field, other) => panic!("bit {bit}, field {field}: {other:?}"),
        }
    }
}

#[test]
fn a_file_with_other_bytes_is_refused() {
    let good = file((1..5).map(|n| word(n, 3000)));
    let (header, rest) = good.split_at(64);
    let (servers, rest) = rest.split_at(16 * 8);
    let (sessions, last) = rest.split_at(16 * 5);
    let word = |n| word(n, 3000).bits().to_le_bytes();
    let cases: [(&str, Vec<u8>); 15] = [
        ("one more byte", [&good[..], b"x"].concat()),
        ("everything twice", [&good[..], &good[..]].concat()),
        ("two ends", [&good[..], last].concat()),
        ("no sessions", [header, servers, last].concat()),
        ("the end alone", [header, last].concat()),
        (
            "sessions twice",
            [header, servers, sessions, sessions, last].concat(),
        ),
        ("no end", [header, servers, sessions, &[0; 24]].concat()),
        (
            "a word less",
            [header, servers, &sessions[..64], last].concat(),
        ),
        ("a word without a key", built(&[section(2, &[0; 16])])),
        (
            "half a word",
            built(&[section(2, &[word(1), word(2)].concat()[..24])]),
        ),
        ("a server without a fingerprint", {
            built(&[section(1, &word(0)[..3])])
        }),
        ("a server of zeros", built(&[section(1, &[0; 16])])),
        (
            "a number that is too large",
            built(&[section(1, &[0xff; 16])]),
        ),
        ("a longer section than any", {
            built(&[section(2, &[1; 65_552])])
        }),
        ("a wrong count of sections", {
            let bytes = built(&[]);
            [&bytes[..bytes.len() - 24], &end(1)[..]].concat()
        }),
    ];
    for (what, bytes) in cases {
        let result = check(&bytes[..]);
        assert!(
            matches!(result, Err(SnapshotError::Damaged)),
            "{what}: {result:?}"
        );
    }
    for foreign in [&b"sticky\r\n"[..], &[0; 4096], b"server 10.0.0.1;"] {
        assert!(matches!(check(foreign), Err(SnapshotError::Foreign)));
    }
}
