//! Any bytes as the manifest of a snapshot, as the store hands it out, and as one that has the right
//! seal: it is refused, or read, and what is read is written as the same bytes. The same bytes as a
//! piece are that alone, of its own name. First byte: 0 for no seal, 1 for that of the old key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_core::cluster::keys::Sealed;
use sticky_core::cluster::manifest::{open_piece, seal_piece, Manifest, ManifestError, PIECE};
use sticky_fuzz::seals::{Sent, SEALS};

fuzz_target!(|input: &[u8]| {
    let Some(sent) = Sent::of(Sealed::Manifest, input) else {
        return;
    };
    piece(sent.body);
    let (manifest, of) = match Manifest::decode(&sent.bytes, &SEALS) {
        Ok(read) => read,
        Err(ManifestError::Sealed) => return assert!(sent.seal.is_none()),
        Err(ManifestError::Newer(version)) => return assert_ne!(version, 1),
        Err(ManifestError::Malformed) => return assert!(sent.seal.is_some()),
    };
    assert_eq!(Some(of), sent.age(), "no seal is guessed");
    // What tells a joining node how much to fetch is not more than the store can have.
    for zone in &manifest.zones {
        let pieces = u64::from(zone.pieces);
        assert!(zone.bytes <= pieces * PIECE as u64 && (pieces == 0) == (zone.bytes == 0));
    }
    let (seal, _) = sent.seal.expect("it has a seal");
    assert_eq!(manifest.encode(seal), sent.bytes, "one form for each");
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
