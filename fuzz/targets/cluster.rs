//! Any bytes as an entry of the stream, as the store hands it out, and as one that has the right seal:
//! it is refused, or read, and then written and read as the same. First byte: 0 for the seal.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sticky_core::cluster::keys::{ClusterKey, KeyAge, Sealed, Seals};
use sticky_core::cluster::wire::{DecodeError, Entry, MOST_RECORDS};

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
    let (bytes, seal, age) = match choice {
        0 => (body.to_vec(), &SEALS.current, None),
        1 => (
            with_tag(body, old.tag(Sealed::Entry, &[], body)),
            old,
            Some(KeyAge::Old),
        ),
        _ => {
            let tag = SEALS.current.tag(Sealed::Entry, &[], body);
            (with_tag(body, tag), &SEALS.current, Some(KeyAge::Current))
        }
    };
    let (entry, of) = match Entry::decode(&bytes, &SEALS) {
        Ok(read) => read,
        Err(DecodeError::Sealed) => return,
        Err(DecodeError::Newer(version)) => {
            assert_ne!(version, 1);
            return;
        }
        Err(DecodeError::Malformed) => {
            assert!(age.is_some());
            return;
        }
    };
    assert_eq!(Some(of), age, "no seal is guessed");
    assert!((1..=MOST_RECORDS).contains(&entry.records.len()));
    let Ok(again) = entry.encode(seal) else {
        // The times of a node that is broken may be further apart than they can be written.
        return;
    };
    assert_eq!(Entry::decode(&again, &SEALS), Ok((entry, of)));
});

fn with_tag(body: &[u8], tag: [u8; 16]) -> Vec<u8> {
    [body, &tag].concat()
}
