//! Keys of sessions, beside another implementation of the hash.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use sticky_core::table::{Key, Keyer};

/// What [`Keyer::scope`] and `ScopedKeyer::key` say.
fn expected((k0, k1): (u64, u64), scope: &[u8], id: &[u8]) -> Key {
    let mut hasher = SipHasher13::new_with_keys(k0, k1);
    hasher.write(&(scope.len() as u64).to_le_bytes());
    hasher.write(scope);
    hasher.write(&[0; 7][..scope.len().next_multiple_of(8) - scope.len()]);
    hasher.write(id);
    Key::new(hasher.finish())
}

#[test]
fn keys_of_scopes_and_ids_of_all_lengths_are_those_of_siphash() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as u8
    });
    for scope in 0..20 {
        let scope: Vec<u8> = bytes.by_ref().take(scope).collect();
        for id in (0..70).chain([255, 256, 257, 1000, 4096]) {
            let id: Vec<u8> = bytes.by_ref().take(id).collect();
            let mut number = || bytes.next().map_or(0, |byte| u64::from(byte) << 56 | 0xa5);
            let keys = (number(), number());
            let key = Keyer::new(keys.0, keys.1).scope(&scope).key(&id);
            assert_eq!(key, expected(keys, &scope, &id), "{scope:?} {id:?}");
        }
    }
}

#[test]
fn bytes_of_zero_at_the_end_of_an_id_count() {
    let keyer = Keyer::new(1, 2).scope(b"shop");
    let keys: Vec<_> = (0..40).map(|length| keyer.key(&vec![0; length])).collect();
    for (length, key) in keys.iter().enumerate() {
        assert!(!keys[..length].contains(key), "{length}");
    }
}
