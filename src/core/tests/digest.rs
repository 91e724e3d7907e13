//! Tests for cookie values and peer ids. Without this, an upgrade could silently send every client
//! and every stored session to another server.

use std::collections::HashSet;

use sticky_core::digest::{Algorithm, Recipe};
use sticky_core::peer_id::{peer_id, peer_ids};
use sticky_core::table::PeerId;
use Algorithm::{Md5, Sha1, Sha256};

fn value(recipe: Recipe, index: usize, name: &str) -> String {
    String::from_utf8(recipe.value(index, name.as_bytes())).expect("ASCII")
}

/// Expected: `printf %s NAME | md5sum`, `sha1sum`, `sha256sum`.
#[test]
fn hashes_are_the_plain_ones_of_the_name() {
    let cases = [
        ("127.0.0.1:8080", Md5, "5958c386bf5e9109ac10d2a628645aea"),
        (
            "127.0.0.1:8080",
            Sha1,
            "56852a5456d1b09e1eb11c0ca39d8fbce6480106",
        ),
        (
            "127.0.0.1:8080",
            Sha256,
            "b678fa77dde442f6b0ba2fa3a0f4af238df5790666bfb2414405f2efc01c92c6",
        ),
        ("[::1]:8080", Md5, "1c2e56fe441d2a91a692b6e4ac8b5c9b"),
        (
            "[::1]:8080",
            Sha1,
            "508d190732e5eb7f523a3f3519567862bbba32fa",
        ),
        (
            "[::1]:8080",
            Sha256,
            "10bfd616ce7c90d6452b644ad9ba99ddbc248014a10bea9cc4ea445313c54640",
        ),
        (
            "unix:/run/app.sock",
            Md5,
            "939db79304b0f599c2c20969650359ab",
        ),
        (
            "unix:/run/app.sock",
            Sha1,
            "2849ba0649537b5b5ef64fbadcdaff6396408df5",
        ),
        (
            "unix:/run/app.sock",
            Sha256,
            "4755556e7abda61e8ce6b062e9cd275b36a7accb6f850984743184485fd5bddd",
        ),
    ];
    for (name, algorithm, expected) in cases {
        assert_eq!(
            value(Recipe::Hash(algorithm), 7, name),
            expected,
            "{name} {algorithm:?}"
        );
    }
}

/// Expected: `printf %s 127.0.0.1:8080 | openssl dgst -md5 -hmac KEY`, likewise `-sha1`, `-sha256`.
/// Keys longer than a block of 64 bytes are hashed first; 64 bytes are not.
#[test]
fn keyed_hashes_are_those_of_rfc_2104_for_keys_of_any_length() {
    let cases = [
        ("secret".to_owned(), Md5, "f1a509b7b99e3981e2fe72fd146d5f6b"),
        (
            "secret".to_owned(),
            Sha1,
            "644a294226c5aac4330a0a96c6ee0256b95631db",
        ),
        (
            "secret".to_owned(),
            Sha256,
            "f2c88e2d122d30ce28219cb0b15ac7b4c08ef6201bc038e0e11d1bd83151a8cd",
        ),
        ("k".repeat(64), Md5, "235c3d0ddbbf96c5a2eb25140db3d705"),
        (
            "k".repeat(64),
            Sha1,
            "8f95abbb8b5a26c93ad2d54173a255df02e3d6a2",
        ),
        (
            "k".repeat(64),
            Sha256,
            "333f5388c8c6e3b5f09c6103d5cecf11c387d74e1b890ec7b0b70ffd19673c6d",
        ),
        ("k".repeat(65), Md5, "e0925e8c8621ebe98716f3e116f8f4c0"),
        (
            "k".repeat(65),
            Sha1,
            "360b82ff495bbd2204aca58b305239a51f475f8e",
        ),
        (
            "k".repeat(65),
            Sha256,
            "071ea421f09c507b34f1d01712fab13de08446514e56a66518ddb76afd57581b",
        ),
        ("k".repeat(100), Md5, "a35a6ceb74429def83918fc549884e0a"),
        (
            "k".repeat(100),
            Sha1,
            "729fcb7fcda3a97e19d15ce1597d952198d1ec07",
        ),
        (
            "k".repeat(100),
            Sha256,
            "12be7ac57e1b26d4f6ef479297324eb28f0fbff16526b6a523c25c9fda41bcc6",
        ),
    ];
    for (key, algorithm, expected) in cases {
        let recipe = Recipe::Hmac(algorithm, key.as_bytes().into());
        let length = key.len();
        assert_eq!(
            value(recipe, 7, "127.0.0.1:8080"),
            expected,
            "{algorithm:?}, {length} bytes"
        );
    }
}

#[test]
fn index_and_raw_values() {
    for (index, expected) in [(0, "0"), (9, "9"), (10, "10"), (1234, "1234")] {
        assert_eq!(value(Recipe::Index, index, "127.0.0.1:8080"), expected);
    }
    assert_eq!(value(Recipe::Raw, 3, "127.0.0.1:8080"), "127.0.0.1:8080");
    assert_eq!(Recipe::Raw.value(3, b"\xff\x00"), b"\xff\x00");
}

#[test]
fn a_key_does_not_show_in_debug_output() {
    let shown = format!("{:?}", Recipe::Hmac(Sha1, b"tops3cret".as_slice().into()));
    assert_eq!(shown, "Hmac(Sha1)");
}

/// Expected: SipHash-1-3 with the key bytes `sticky-rs peerid`, low 20 bits, by an independent
/// implementation, checked against the vector of the SipHash paper (appendix A).
#[test]
fn peer_ids_never_change() {
    let cases: &[(&str, u32)] = &[
        ("127.0.0.1:8080", 0x99073),
        ("127.0.0.1:8081", 0x85358),
        ("[::1]:8080", 0xc95f2),
        ("unix:/run/app.sock", 0xdd497),
        ("", 0x4539c),
    ];
    for (name, expected) in cases {
        assert_eq!(peer_id(name.as_bytes()), PeerId::new(*expected), "{name:?}");
    }
    let names: Vec<&[u8]> = cases.iter().map(|(name, _)| name.as_bytes()).collect();
    let expected: Vec<PeerId> = cases.iter().map(|(_, id)| PeerId::new(*id)).collect();
    assert_eq!(peer_ids(&names), expected);
}

#[test]
fn of_two_names_with_one_id_the_first_in_order_gets_it() {
    let (one, other): (&[u8], &[u8]) = (b"10.0.2.68:8080", b"10.0.5.234:8080");
    assert_eq!(peer_id(one), peer_id(other), "this pair no longer collides");

    let expected = [PeerId::new(0x382da), PeerId::new(0x953ef)];
    assert_eq!(peer_ids(&[one, other]), expected);
    assert_eq!(peer_ids(&[other, one]), [expected[1], expected[0]]);
    assert_eq!(
        peer_ids(&[other, one, other]),
        [expected[1], expected[0], expected[1]]
    );
    // Without that one, it gets its first choice.
    assert_eq!(peer_ids(&[other, b"127.0.0.1:8080"])[0], expected[0]);
}

#[test]
fn equal_names_share_an_id_and_none_is_lost() {
    assert_eq!(peer_ids(&[]), []);
    let ids = peer_ids(&[b"a", b"b", b"a"]);
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
}

/// Of 100,000 names in 2^20 ids, about 4,600 do not get their first choice, and of these about ten
/// do not get their second one because of each other.
#[test]
fn ids_of_many_names_differ_in_any_order() {
    let names: Vec<String> = (0..100_000)
        .map(|n| format!("10.{}.{}.{}:80", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    let forward: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let ids = peer_ids(&forward);
    assert_eq!(
        ids.iter().copied().collect::<HashSet<_>>().len(),
        names.len()
    );

    let changed = forward
        .iter()
        .zip(&ids)
        .filter(|(name, id)| peer_id(name) != **id)
        .count();
    assert!(
        (4_200..5_000).contains(&changed),
        "{changed} names without their first choice"
    );

    let backward: Vec<&[u8]> = forward.iter().rev().copied().collect();
    assert!(peer_ids(&backward).iter().rev().eq(&ids));
}

#[test]
fn a_name_that_collides_with_none_keeps_its_id_whatever_joins_it() {
    let many: Vec<String> = (0..3_000).map(|n| format!("host-{n}:80")).collect();
    let many: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let firsts: Vec<PeerId> = many.iter().map(|name| peer_id(name)).collect();
    for (n, id) in peer_ids(&many).into_iter().enumerate() {
        if firsts.iter().filter(|first| **first == firsts[n]).count() == 1 {
            assert_eq!(id, firsts[n]);
        }
    }
}
