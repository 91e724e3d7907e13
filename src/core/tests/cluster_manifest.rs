//! What tells where a snapshot is in the store: read as it was written, and nothing of what nobody with
//! the key has written, or what was changed, cut, or put in another place.

use sticky_core::cluster::hand_drains::{HandDrain, MOST_DRAINS};
use sticky_core::cluster::header::Position;
use sticky_core::cluster::keys::{ClusterKey, Seals};
use sticky_core::cluster::manifest::{
    open_piece, seal_piece, Manifest, ManifestError, ZonePieces, PIECE,
};
use sticky_core::cluster::wire::NodeId;
use sticky_core::table::Fingerprint;

fn seals(key: &[u8]) -> Seals {
    let key = ClusterKey::of_file(key).expect("long enough");
    Seals {
        current: key.seal(b"sticky:"),
        old: None,
    }
}

fn manifest() -> Manifest {
    let zone = |name: &[u8], bytes: u64| ZonePieces {
        name: name.to_vec(),
        pieces: bytes.div_ceil(PIECE as u64) as u32,
        sessions: bytes / 16,
        bytes,
    };
    Manifest {
        id: 0x1234_5678_9abc_def0,
        written: 1_800_000_000,
        position: Position {
            ms: 1_800_000_000_123,
            sequence: 7,
            records: Position::WHOLE,
        },
        zones: vec![
            zone(b"shop", 100),
            zone(b"", 0),
            zone(b"other", 3 * PIECE as u64 + 1),
        ],
        nodes: vec![(NodeId([7; 16]), 42), (NodeId([8; 16]), u64::MAX)],
        drains: vec![drain(1, Some(1_800_003_600)), drain(u128::MAX, None)],
    }
}

fn drain(server: u128, until: Option<u64>) -> (Fingerprint, HandDrain) {
    let drain = HandDrain {
        is_drained: until.is_some(),
        until,
        since: 1_799_999_000,
        ordered: 1_799_999_990,
    };
    (Fingerprint::from_bits(server).unwrap(), drain)
}

#[test]
fn it_is_read_as_it_was_written() {
    let seals = seals(b"0123456789abcdef");
    let empty = Manifest {
        zones: Vec::new(),
        nodes: Vec::new(),
        drains: Vec::new(),
        ..manifest()
    };
    let full = Manifest {
        drains: (1..=MOST_DRAINS as u128)
            .map(|it| drain(it, None))
            .collect(),
        ..manifest()
    };
    for manifest in [manifest(), empty, full] {
        let bytes = manifest.encode(&seals.current);
        let decoded = Manifest::decode(&bytes, &seals);
        assert_eq!(decoded.map(|(manifest, _)| manifest), Ok(manifest));
    }
}

#[test]
fn nothing_else_is_read() {
    let (ours, others) = (seals(b"0123456789abcdef"), seals(b"another key of 16"));
    let bytes = manifest().encode(&ours.current);
    let refused = |bytes: &[u8], seals: &Seals| Manifest::decode(bytes, seals).err();
    assert_eq!(refused(&bytes, &others), Some(ManifestError::Sealed));
    for length in 0..bytes.len() {
        assert!(refused(&bytes[..length], &ours).is_some(), "{length} bytes");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(
            refused(&changed, &ours),
            Some(ManifestError::Sealed),
            "{at}"
        );
    }
    let piece = seal_piece(&ours.current, b"", bytes.clone());
    assert_eq!(
        refused(&piece, &ours),
        Some(ManifestError::Sealed),
        "a piece"
    );
}

#[test]
fn with_the_key_it_may_still_be_malformed() {
    use sticky_core::cluster::keys::Sealed;

    let seals = seals(b"0123456789abcdef");
    let whole = manifest().encode(&seals.current);
    let body = &whole[..whole.len() - 16];
    let sealed = |bytes: &[u8]| {
        let tag = seals.current.tag(Sealed::Manifest, &[], bytes);
        [bytes, &tag].concat()
    };
    assert!(Manifest::decode(&sealed(body), &seals).is_ok());
    for length in 1..body.len() {
        let decoded = Manifest::decode(&sealed(&body[..length]), &seals);
        assert_eq!(decoded, Err(ManifestError::Malformed), "{length} bytes");
    }
    let mut newer = body.to_vec();
    newer[0] = 9;
    let decoded = Manifest::decode(&sealed(&newer), &seals);
    assert_eq!(decoded, Err(ManifestError::Newer(9)));
    // Counts that nobody could hold.
    for at in [4, 8, 12] {
        let mut many = body.to_vec();
        many[at..at + 4].fill(0xff);
        let decoded = Manifest::decode(&sealed(&many), &seals);
        assert_eq!(decoded, Err(ManifestError::Malformed));
    }
    // A drain that is none.
    let mut odd = body.to_vec();
    let key = body.len() - 3 * 8;
    odd[key] = 3;
    let decoded = Manifest::decode(&sealed(&odd), &seals);
    assert_eq!(decoded, Err(ManifestError::Malformed));
    let longer = [body, &[0]].concat();
    let decoded = Manifest::decode(&sealed(&longer), &seals);
    assert_eq!(decoded, Err(ManifestError::Malformed));
}

#[test]
fn a_piece_is_of_its_place_alone() {
    let seals = seals(b"0123456789abcdef");
    let name = |number| Manifest::piece_name(1, b"shop", number);
    let piece = seal_piece(&seals.current, &name(0), b"bytes".to_vec());
    assert_eq!(open_piece(&piece, &name(0), &seals), Ok(&b"bytes"[..]));
    assert!(open_piece(&piece, &name(1), &seals).is_err());
    let other = Manifest::piece_name(2, b"shop", 0);
    assert!(open_piece(&piece, &other, &seals).is_err());
    let long = vec![0; PIECE + 17];
    assert!(open_piece(&long, &name(0), &seals).is_err());
}
