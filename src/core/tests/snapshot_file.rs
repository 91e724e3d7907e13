//! Tests for the bytes of a state file: a file is read as it was written, and any other is refused.
//! Without this, a bad disk sends sessions to the wrong servers.

mod table_zone;

use std::io::{self, Read, Write};

use sticky_core::snapshot::{check, write, Moment, SnapshotError, SnapshotHeader, SnapshotReader};
use sticky_core::table::{Key, Limits, LookUp, Session, Table, Tick, Word};

use table_zone::{key, peer, Random, Zone};

const LONG: Limits = Limits {
    expires: 100_000,
    lifetime: None,
};

const HEADER: SnapshotHeader = SnapshotHeader {
    sip_keys: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908),
    epoch: 1000,
    written: Moment {
        monotonic: 5000,
        wall: 1_800_000_000,
    },
};

fn word(number: u64, seen: Tick) -> Word {
    let session = Session {
        peer: peer(number as u32 % 7),
        seen,
        created: seen / 2,
        confirmed: number.is_multiple_of(2),
    };
    Word::new(key(number), &session)
}

fn file(words: impl Iterator<Item = Word>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, &HEADER, words).unwrap();
    bytes
}

fn words(bytes: &[u8]) -> Vec<Word> {
    let reader = SnapshotReader::open(bytes).unwrap();
    reader.map(Result::unwrap).collect()
}

/// Built without this crate, field by field.
#[test]
fn the_bytes_of_a_file() {
    let session = Session {
        peer: peer(1),
        seen: 4000,
        created: 4000,
        confirmed: true,
    };
    let word = Word::new(Key::new(0x1122_3344_5566_7788), &session);
    let mut expected = Vec::new();
    expected.extend(b"sticky\n\0");
    for number in [
        1u64,
        HEADER.sip_keys.0,
        HEADER.sip_keys.1,
        1000,
        5000,
        1_800_000_000,
        0,
    ] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend((word.bits() as u64).to_le_bytes());
    expected.extend(0x1122_3344_5566_7788u64.to_le_bytes());
    expected.extend(1u32.to_le_bytes());
    expected.extend(plain_crc(&expected).to_le_bytes());
    expected.extend([0; 8]);
    assert_eq!(file([word].into_iter()), expected);
}

/// CRC-32 of RFC 1952 (section 8, appendix), bit by bit.
fn plain_crc(bytes: &[u8]) -> u32 {
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

#[test]
fn a_file_is_read_as_it_was_written() {
    for count in [0, 1, 2, 4095, 4096, 4097, 10_000] {
        let all: Vec<Word> = (0..count)
            .map(|n| word(n, 3000 + n as Tick % 900))
            .collect();
        let bytes = file(all.iter().copied());
        assert_eq!(bytes.len(), 64 + 16 * (count as usize + 1));
        assert_eq!(check(&bytes[..]).unwrap(), (HEADER, count as u32));
        assert_eq!(words(&bytes), all);
    }
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
            (0, Err(SnapshotError::Foreign)) | (1, Err(SnapshotError::Version(_))) => {}
            (2.., Err(SnapshotError::Damaged | SnapshotError::Truncated)) => {}
            (field, other) => panic!("bit {bit}, field {field}: {other:?}"),
        }
    }
}

#[test]
fn a_file_with_other_bytes_is_refused() {
    let good = file((1..5).map(|n| word(n, 3000)));
    let (header, rest) = good.split_at(64);
    let (body, end) = rest.split_at(64);
    let cases: [(&str, Vec<u8>); 9] = [
        ("one more byte", [&good[..], b"x"].concat()),
        ("everything twice", [&good[..], &good[..]].concat()),
        ("two ends", [&good[..], end].concat()),
        ("no words", [header, end].concat()),
        ("a word less", [header, &body[16..], end].concat()),
        ("a word twice", [header, &body[..16], body, end].concat()),
        (
            "words exchanged",
            [header, &body[16..32], &body[..16], &body[32..], end].concat(),
        ),
        (
            "zeros for a word",
            [header, &[0; 16], &body[16..], end].concat(),
        ),
        ("zeros for the end", [header, body, &[0; 16]].concat()),
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

/// Reads and writes one byte at a time, and every third call is interrupted.
struct Slow<T>(T, u32);

impl<T> Slow<T> {
    fn is_interrupted(&mut self) -> bool {
        self.1 += 1;
        self.1.is_multiple_of(3)
    }
}

impl<T: Read> Read for Slow<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let end = bytes.len().min(1);
        self.0.read(&mut bytes[..end])
    }
}

impl<T: Write> Write for Slow<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn pieces_and_interruptions_do_not_matter() {
    let all: Vec<Word> = (1..300).map(|n| word(n, 3000)).collect();
    let mut out = Slow(Vec::new(), 0);
    write(&mut out, &HEADER, all.iter().copied()).unwrap();
    assert_eq!(out.0, file(all.iter().copied()));
    assert_eq!(check(Slow(&out.0[..], 0)).unwrap(), (HEADER, 299));
}

/// A disk that is full, or fails, after so many bytes.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let good = file((1..300).map(|n| word(n, 3000)));
        let rest = &good[good.len() - self.0..];
        if rest.len() < 1000 {
            return Err(io::Error::other("bad disk"));
        }
        let count = bytes.len().min(100);
        bytes[..count].copy_from_slice(&rest[..count]);
        self.0 -= count;
        Ok(count)
    }
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let space = self.0.min(bytes.len());
        self.0 -= space;
        if space == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(space)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_the_system_are_not_errors_of_the_file() {
    let length = file((1..300).map(|n| word(n, 3000))).len();
    for space in [0, 1, 64, 4000, length - 1] {
        let error = write(Failing(space), &HEADER, (1..300).map(|n| word(n, 3000)));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    assert!(write(Failing(length), &HEADER, (1..300).map(|n| word(n, 3000))).is_ok());
    assert!(matches!(
        check(Failing(length)),
        Err(SnapshotError::Input(_))
    ));
}

/// Fills a new table from a file.
fn restored(bytes: &[u8], table: &Table) -> usize {
    let (header, _) = check(bytes).unwrap();
    let (_, shift) = header.resume(header.written);
    let all = |take: &mut dyn FnMut(Key, &Session)| -> Result<(), SnapshotError> {
        for word in SnapshotReader::open(bytes)? {
            let (key, session) = shift.session(word?).unwrap();
            take(key, &session);
        }
        Ok(())
    };
    table.restore(all).unwrap()
}

#[test]
fn a_file_can_be_read_into_a_table_of_any_size() {
    let mut random = Random::seeded(7);
    let old = Zone::new(16_384);
    let words: Vec<Word> = (0..12_000)
        .map(|number| word(number, 400 + random.below(3600)))
        .collect();
    for word in &words {
        let session = word.session();
        old.table()
            .restore(|take| -> Result<(), ()> {
                take(word.key().unwrap(), &session);
                Ok(())
            })
            .unwrap();
    }
    let bytes = file(old.table().sessions().map(|(k, s)| Word::new(k, &s)));

    for capacity in [13_400, 16_384, 100_000] {
        let new = Zone::new(capacity);
        assert_eq!(restored(&bytes, &new.table()), 12_000);
        for (key, session) in old.table().sessions() {
            assert_eq!(
                new.table().look_up(key, &LONG, 5000),
                LookUp::Found(session)
            );
        }
    }

    // A third of them fit: those in use, and of these the ones seen last.
    let new = Zone::new(4096);
    let count = restored(&bytes, &new.table());
    assert!(count > 3700, "{count}");
    let kept = |wanted: &dyn Fn(&Session) -> bool| {
        let (mut kept, mut all) = (0u32, 0u32);
        for (key, session) in old.table().sessions().filter(|(_, s)| wanted(s)) {
            all += 1;
            let found = new.table().look_up(key, &LONG, 5000);
            kept += u32::from(found == LookUp::Found(session));
        }
        f64::from(kept) / f64::from(all)
    };
    let recent = kept(&|session| session.is_in_use() && session.seen > 2000);
    assert!(recent > 0.99, "{recent}");
    let unused = kept(&|session| !session.is_in_use());
    assert!(unused < 0.05, "{unused}");
}
