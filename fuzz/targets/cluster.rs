//! Any bytes as an entry of the stream, as the store hands it out, and as one that has the right seal:
//! it is refused, or read, and then written and read as the same. First byte: 0 for no seal, 1 for that
//! of the old key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_core::cluster::keys::Sealed;
use sticky_core::cluster::wire::{DecodeError, Entry, MOST_RECORDS};
use sticky_fuzz::seals::{Sent, SEALS};

fuzz_target!(|input: &[u8]| {
    let Some(sent) = Sent::of(Sealed::Entry, input) else {
        return;
    };
    let (entry, of) = match Entry::decode(&sent.bytes, &SEALS) {
        Ok(read) => read,
        // One that is too long, too.
        Err(DecodeError::Sealed) => return,
        Err(DecodeError::Newer(version)) => return assert_ne!(version, 1),
        Err(DecodeError::Malformed) => return assert!(sent.seal.is_some()),
    };
    assert_eq!(Some(of), sent.age(), "no seal is guessed");
    assert!((1..=MOST_RECORDS).contains(&entry.records.len()));
    let (seal, _) = sent.seal.expect("it has a seal");
    let Ok(again) = entry.encode(seal) else {
        // The times of a node that is broken may be further apart than they can be written.
        return;
    };
    assert_eq!(Entry::decode(&again, &SEALS), Ok((entry, of)));
});
