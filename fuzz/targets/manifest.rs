//! Any bytes as the manifest of a snapshot, as the store hands it out, and as one that has the right
//! seal: it is refused, or read, and what is read is written as the same bytes. The same bytes as a
//! piece are that alone, of its own name. First byte: 0 for the seal, 1 for that of the old key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sticky_core::cluster::keys::{ClusterKey, KeyAge, Sealed, Seals};
use sticky_core::cluster::manifest::{open_piece, seal_piece, Manifest, ManifestError, PIECE};

static SEALS: LazyLock<Seals> = LazyLock::new(|| {
    let key = ClusterKey::of_file(b"0123456789abcdef\n").expect("16 bytes");
    let old = ClusterKey::of_file(b"fedcba9876543210").expect("16 bytes");
    Seals {
        current: key.seal(b"sticky:"),
        old: Some(old.seal(b"sticky:")),
    }
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else {
        return;
    };
    let old = SEALS.old.as_ref().expect("it has one");
    let (seal, age) = match choice {
        0 => (None, None),
        1 => (Some(old), Some(KeyAge::Old)),
        _ => (Some(&SEALS.current), Some(KeyAge::Current)),
    };
    let bytes = match seal {
        Some(seal) => [body, &seal.tag(Sealed::Manifest, &[], body)].concat(),
        None => body.to_vec(),
    };
    piece(body);
    let (manifest, of) = match Manifest::decode(&bytes, &SEALS) {
        Ok(read) => read,
        Err(ManifestError::Sealed) => return assert!(age.is_none()),
        Err(ManifestError::Newer(version)) => return assert_ne!(version, 1),
        Err(ManifestError::Malformed) => return assert!(age.is_some()),
    };
    assert_eq!(Some(of), age, "no seal is guessed");
    // What tells a joining node how much to fetch is not more than the store can have.
    for zone in &manifest.zones {
        let pieces = u64::from(zone.pieces);
        assert!(zone.bytes <= pieces * PIECE as u64 && (pieces == 0) == (zone.bytes == 0));
    }
    let seal = seal.expect("it has a seal");
    assert_eq!(manifest.encode(seal), bytes, "one form for each");
});

fn piece(body: &[u8]) {
    let (name, other) = (
        Manifest::piece_name(1, body, 0),
        Manifest::piece_name(1, body, 1),
    );
    let sealed = seal_piece(&SEALS.current, &name, body.to_vec());
    assert_eq!(open_piece(&sealed, &name, &SEALS), Ok(body));
    assert!(open_piece(&sealed, &other, &SEALS).is_err());
    assert!(Manifest::decode(&sealed, &SEALS).is_err());
}
