//! Tests for the bytes of a state file: a file is read as it was written, and any other is refused.
//! Without this, a bad disk sends sessions to the wrong servers.

mod table_zone;

use std::io::{self, Read, Write};

use sticky_core::snapshot::{
    check, Checked, Moment, Record, SnapshotError, SnapshotHeader, SnapshotReader, SnapshotWriter,
};
use sticky_core::table::{Fingerprint, Key, Limits, LookUp, Session, Table, Tick, Word};

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

fn server(number: u32) -> Fingerprint {
    Fingerprint::from_bits(u128::from(number) << 40 | 5).unwrap()
}

/// Writes a file with a server, if `out` can take it, and some sessions.
fn write<W: Write>(out: W, words: impl Iterator<Item = Word>) -> io::Result<W> {
    let mut writer = SnapshotWriter::new(out, &HEADER)?;
    for number in 0..7 {
        writer.server(peer(number), server(number))?;
    }
    for word in words {
        writer.session(word)?;
    }
    writer.finish()
}

fn file(words: impl Iterator<Item = Word>) -> Vec<u8> {
    write(Vec::new(), words).unwrap()
}

fn records(bytes: &[u8]) -> Vec<Record> {
    let reader = SnapshotReader::open(bytes).unwrap();
    reader.map(Result::unwrap).collect()
}

fn words(bytes: &[u8]) -> Vec<Word> {
    let words = records(bytes)
        .into_iter()
        .filter_map(|record| match record {
            Record::Session(word) => Some(word),
            Record::Server(..) => None,
        });
    words.collect()
}

fn checked(sessions: u64) -> Checked {
    Checked {
        header: HEADER,
        sessions,
        has_unknown: false,
    }
}

/// A section, built without this crate.
fn section(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u64).to_le_bytes();
    let summed = [&kind.to_le_bytes()[..], &length, body].concat();
    let sum = plain_crc(&summed).to_le_bytes();
    [&kind.to_le_bytes()[..], &sum, &length, body].concat()
}

fn end(sections: u64) -> Vec<u8> {
    section(0, &sections.to_le_bytes())
}

/// A file of these sections.
fn built(sections: &[Vec<u8>]) -> Vec<u8> {
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

/// Built without this crate, field by field.
#[test]
fn the_bytes_of_a_file() {
    let session = Session {
        peer: peer(0x12345),
        seen: 4000,
        created: 4000,
        confirmed: true,
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
        let sections = 1 + (count as usize).div_ceil(4096);
        let records = 7 + count as usize;
        assert_eq!(bytes.len(), 64 + 16 * (sections + records) + 24);
        assert_eq!(check(&bytes[..]).unwrap(), checked(count));
        assert_eq!(words(&bytes), all);
        let servers = (0..7).map(|n| Record::Server(peer(n), server(n)));
        assert_eq!(records_of(&bytes, 7), servers.collect::<Vec<_>>());
    }
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

/// What a later version may put in.
#[test]
fn unknown_sections_are_skipped_and_kept() {
    let one = word(3, 30).bits().to_le_bytes();
    let long = vec![7; 200_000];
    let strange = [
        section(77, b"counters"),
        section(1 << 31, &long),
        section(3, b""),
    ];
    let bytes = built(&[
        strange[0].clone(),
        section(2, &one),
        strange[1].clone(),
        section(2, &one),
        strange[2].clone(),
    ]);
    let found = check(&bytes[..]).unwrap();
    assert!(found.has_unknown);
    assert_eq!(words(&bytes), [word(3, 30), word(3, 30)]);

    // Those, and nothing else of it, are in the file that takes its place.
    let mut writer = SnapshotWriter::new(Vec::new(), &HEADER).unwrap();
    writer.session(word(4, 40)).unwrap();
    writer
        .keep(SnapshotReader::open(&bytes[..]).unwrap())
        .unwrap();
    writer.session(word(5, 50)).unwrap();
    let next = writer.finish().unwrap();
    let [four, five] = [4, 5].map(|n| section(2, &word(n, n as Tick * 10).bits().to_le_bytes()));
    let [first, second, third] = strange;
    assert_eq!(next, built(&[four, first, second, third, five]));
    assert!(check(&next[..]).unwrap().has_unknown);

    // A flipped bit in one of them counts as any other.
    let mut bad = bytes;
    let at = bad.len() - 100_000;
    bad[at] ^= 1;
    assert!(matches!(check(&bad[..]), Err(SnapshotError::Damaged)));
}

/// As a sparse file has them, for a terabyte, until somebody has read it all.
#[test]
fn unknown_sections_have_a_bound() {
    let mut bytes = built(&[]);
    bytes.truncate(64);
    bytes.extend(7u32.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend((1u64 << 40).to_le_bytes());
    let endless = (&bytes[..]).chain(io::repeat(0));
    assert!(matches!(check(endless), Err(SnapshotError::Damaged)));
}

#[test]
fn files_of_other_versions_are_told_apart() {
    let mut old = file([].into_iter());
    old[8] = 1;
    assert!(matches!(check(&old[..]), Err(SnapshotError::Version(1))));
    // Of a newer one nothing else is known: not even how long its header is.
    let mut new = b"sticky\n\0".to_vec();
    new.extend(3u64.to_le_bytes());
    let error = check(&new[..]).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer(3)));
    assert_eq!(
        error.to_string(),
        "it has format 3, this module knows those up to 2"
    );
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
    write(&mut out, all.iter().copied()).unwrap();
    assert_eq!(out.0, file(all.iter().copied()));
    assert_eq!(check(Slow(&out.0[..], 0)).unwrap(), checked(299));
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
        let error = write(Failing(space), (1..300).map(|n| word(n, 3000))).err();
        assert_eq!(error.unwrap().kind(), io::ErrorKind::StorageFull);
    }
    assert!(write(Failing(length), (1..300).map(|n| word(n, 3000))).is_ok());
    assert!(matches!(
        check(Failing(length)),
        Err(SnapshotError::Input(_))
    ));
}

/// Fills a new table from a file.
fn restored(bytes: &[u8], table: &Table) -> usize {
    let Checked { header, .. } = check(bytes).unwrap();
    let (_, shift) = header.resume(header.written);
    let all = |take: &mut dyn FnMut(Key, &Session)| -> Result<(), SnapshotError> {
        for record in SnapshotReader::open(bytes)? {
            if let Record::Session(word) = record? {
                let (key, session) = shift.session(word).unwrap();
                take(key, &session);
            }
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
