//! Tests for state files of other versions of the module: what is not known is kept, and what cannot be
//! read is told apart from damage. Without this, going back to an older module for an hour costs what
//! the newer one had written.

mod state_file;
mod table_zone;

use std::io::{self, Read};

use sticky_core::snapshot::{check, SnapshotError, SnapshotReader, SnapshotWriter};
use sticky_core::table::Tick;

use state_file::*;

/// What a later version may put in.
#[test]
fn unknown_sections_are_skipped_and_kept() {
    let one = word(3, 30).bits().to_le_bytes();
    let long = vec![7; 200_000];
    let strange = [
        section(77, b"counters"),
        section(1 << 31, &long),
        section(78, b""),
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
