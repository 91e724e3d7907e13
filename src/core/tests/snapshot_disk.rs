//! Tests for a state file on its way from and to the disk, which comes in pieces, or fails, and into a
//! table of whatever size. Without this, a slow or a full disk costs sessions.

mod state_file;
mod table_zone;

use std::io::{self, Read, Write};

use sticky_core::snapshot::{check, Checked, Record, SnapshotError, SnapshotReader};
use sticky_core::table::{Key, Limits, LookUp, Session, Table, Word};

use state_file::*;
use table_zone::{Random, Zone};

const LONG: Limits = Limits {
    expires: 100_000,
    lifetime: None,
};

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
