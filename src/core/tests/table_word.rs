//! Tests for the 128-bit word and the key: a zone keeps their bits over a reload, so they must not
//! change without the version of the zone. The golden values were computed independently, by the
//! formulas beside them.

mod table_zone;

use sticky_core::table::{Key, Keyer, Limits, PeerId, Session, Stage, Word, LAST_TICK};

use table_zone::{rounds, Random, STAGES};

/// The age from which `created` may be stored in periods of 2^17 seconds.
const WIDE: u32 = 2047 << 14;

fn session(peer: u32, seen: u32, created: u32, confirmed: bool) -> Session {
    Session {
        peer: PeerId::new(peer),
        seen,
        created,
        confirmed,
        stage: Stage::Settled,
    }
}

#[test]
// Grouped as the fields are: key, peer, seen, the rest.
#[allow(clippy::unusual_byte_groupings)]
fn golden_words() {
    // key << 64 | peer << 44 | seen << 16 | e << 12 | ((created >> p) & 2047) << 1 | confirmed, with
    // p = 17 for e = 15 and else e, which is the smallest with (seen >> p) - (created >> p) < 2048.
    let cases = [
        (1, session(0, 0, 0, false), 0x1_00000_0000000_0000),
        (
            0xfedcba9876543210,
            session(0xabcde, 100, 100, true),
            0xfedcba9876543210_abcde_0000064_00c9,
        ),
        (7, session(1, 3600, 1553, true), 0x7_00001_0000e10_0c23),
        (7, session(1, 3600, 1552, true), 0x7_00001_0000e10_1611),
        (
            7,
            session(1, 30 * 86400, 1000, false),
            0x7_00001_0278d00_b000,
        ),
        (
            u64::MAX,
            session(0xfffff, LAST_TICK, 0, true),
            0xffffffffffffffff_fffff_fffffff_f001,
        ),
    ];
    for (key, session, bits) in cases {
        let word = Word::new(Key::new(key), &session);
        assert_eq!(word.bits(), bits, "{:032x} for {session:?}", word.bits());
    }
}

#[test]
#[allow(clippy::unusual_byte_groupings)]
fn golden_words_of_entered_sessions() {
    // As above, with p = e, which is the smallest from 1 on with (seen >> p) - (created >> p) < 1024;
    // e = 1 if it was not brought again, and 2 once it is kept.
    let entered = |seen, created, confirmed, stage| Session {
        stage,
        ..session(1, seen, created, confirmed)
    };
    let cases = [
        (
            entered(3601, 3601, false, Stage::Entered),
            0x7_00001_0000e11_1e10,
        ),
        (
            entered(3601, 3601, false, Stage::Kept),
            0x7_00001_0000e11_2708,
        ),
        (
            entered(3601, 3600, true, Stage::Entered),
            0x7_00001_0000e11_1e11,
        ),
        (
            entered(3601, 1554, true, Stage::Entered),
            0x7_00001_0000e11_1613,
        ),
        (
            entered(3601, 1553, true, Stage::Entered),
            0x7_00001_0000e11_2309,
        ),
    ];
    for (session, bits) in cases {
        let word = Word::new(Key::new(7), &session);
        assert_eq!(word.bits(), bits, "{:032x} for {session:?}", word.bits());
        assert_eq!(word.session().stage, session.stage);
    }
}

#[test]
fn each_stage_of_an_entered_session_outranks_the_one_before() {
    let mut random = Random::seeded(13);
    for _ in 0..rounds(100_000) {
        let at = random.below(LAST_TICK);
        let bits = |confirmed, stage| {
            let session = Session {
                stage,
                ..session(random.0 as u32, at + 1, at, confirmed)
            };
            Word::new(Key::new(9), &session).bits()
        };
        let [first, kept] = [Stage::Entered, Stage::Kept].map(|stage| bits(false, stage));
        assert!(first < kept);
        // Those that a second request has confirmed rank higher anyway.
        assert!(!Word::from_bits(first).is_confirmed() && !Word::from_bits(kept).is_confirmed());
        assert!(Word::from_bits(first).is_newcomer() && Word::from_bits(kept).is_newcomer());
        assert!(Word::from_bits(bits(true, Stage::Entered)).is_in_use());
        random.bits();
    }
}

#[test]
fn a_word_returns_the_entered_session_packed() {
    let mut random = Random::seeded(14);
    for _ in 0..rounds(200_000) {
        let seen = (random.below(LAST_TICK) + 1) >> random.below(27);
        let seen = seen.max(1);
        let age = 1 + ((random.below(LAST_TICK + 1) >> random.below(28)).min(seen - 1));
        let confirmed = random.below(2) == 1;
        let given = Session {
            stage: STAGES[random.below(3) as usize],
            ..session(random.below(1 << 20), seen, seen - age, confirmed)
        };
        let word = Word::new(random.key(), &given);
        let read = word.session();
        assert_eq!(
            (read.peer, read.seen, read.confirmed),
            (given.peer, seen, confirmed)
        );
        assert_eq!((word.is_in_use(), read.is_in_use()), (confirmed, confirmed));
        assert_eq!(Word::new(word.key().unwrap(), &read), word, "{given:?}");
        match (given.stage, confirmed) {
            (Stage::Settled, _) | (Stage::Kept, true) => assert_eq!(read.stage, Stage::Settled),
            (stage, false) => assert_eq!((read.stage, read.created), (stage, seen)),
            (stage, true) => {
                assert_eq!(read.stage, stage);
                let early = given.created.abs_diff(read.created);
                let is_old = age > 1023 << 14;
                assert!(
                    is_old || early <= 2 + age / 500,
                    "{given:?} is {early} s off"
                );
            }
        }
    }
}

#[test]
fn golden_keys() {
    // SipHash-1-3 with key (k0, k1) of: length of the scope, 8 bytes little-endian; the scope; zeros
    // up to a multiple of 8; the id.
    let (k0, k1) = (0x0706050403020100, 0x0f0e0d0c0b0a0908);
    let hex = b"0123456789abcdef0123456789abcdef".as_slice();
    type Case<'a> = (u64, u64, &'a [u8], &'a [u8], u64);
    let cases: [Case; 4] = [
        (0, 0, b"", b"a", 0x0c9972277e54d711),
        (k0, k1, b"shop", hex, 0x8b70255e7e94e66e),
        (k0, k1, b"backends", &[b'x'; 512], 0xf834631432311659),
        (1, 2, b"shop", b"jsessionid-7", 0x98322a8396aeecca),
    ];
    for (k0, k1, scope, id, bits) in cases {
        let key = Keyer::new(k0, k1).scope(scope).key(id);
        assert_eq!(key.get(), bits, "{:016x}", key.get());
    }
}

#[test]
fn scope_and_id_are_kept_apart() {
    let keyer = Keyer::new(1, 2);
    let key = |scope: &[u8], id: &[u8]| keyer.scope(scope).key(id);
    assert_ne!(key(b"a", b"bc"), key(b"ab", b"c"));
    assert_ne!(key(b"a", b"\0b"), key(b"a\0", b"b"));
    assert_ne!(key(b"", b"a"), key(b"a", b""));
    assert_ne!(key(b"a", b"b"), Keyer::new(1, 3).scope(b"a").key(b"b"));
}

#[test]
fn no_key_is_zero_and_no_session_is_an_empty_word() {
    assert_eq!(Key::new(0), Key::new(1));
    assert_eq!(Key::from_bits(0), None);
    assert!(!Word::new(Key::new(0), &session(0, 0, 0, false)).is_empty());
    assert!(Word::EMPTY.is_empty());
    assert!(!Word::EMPTY.is_newcomer());
    assert_eq!(Word::EMPTY.key(), None);
}

#[test]
fn a_word_returns_the_session_packed() {
    let mut random = Random::seeded(11);
    for _ in 0..rounds(200_000) {
        let seen = random.below(LAST_TICK + 1) >> random.below(28);
        let age = (random.below(LAST_TICK + 1) >> random.below(28)).min(seen);
        let given = session(
            random.below(1 << 20),
            seen,
            seen - age,
            random.below(2) == 1,
        );
        let key = random.key();
        let word = Word::new(key, &given);
        let read = word.session();

        assert_eq!(word.key(), Some(key));
        assert_eq!(
            (read.peer, read.seen, read.confirmed),
            (given.peer, seen, given.confirmed)
        );
        assert_eq!((word.seen(), word.is_confirmed()), (seen, given.confirmed));
        assert_eq!(word.is_in_use(), given.is_in_use());
        assert_eq!(word.is_newcomer(), !given.is_in_use());
        let early = given
            .created
            .checked_sub(read.created)
            .expect("created never gets later");
        let allowed = match age {
            0..=2047 => 0,
            2048..WIDE => age / 1000,
            _ => age / 250,
        };
        assert!(early <= allowed, "{given:?} comes back {early} s early");
        assert_eq!(
            Word::new(key, &read),
            word,
            "reading and writing again changes {given:?}"
        );
    }
}

/// As a copy of a table writes it, in which servers have other numbers.
#[test]
fn a_word_at_another_peer_is_that_of_the_same_session_there() {
    let mut random = Random::seeded(7);
    for _ in 0..rounds(20_000) {
        let word = Word::from_bits(u128::from(random.bits()) << 64 | u128::from(random.bits()));
        let (Some(key), peer) = (word.key(), PeerId::new(random.below(1 << 20))) else {
            continue;
        };
        let moved = word.with_peer(peer);
        let there = Session {
            peer,
            ..word.session()
        };
        assert_eq!((moved.key(), moved.session()), (Some(key), there));
        assert_eq!(moved.with_peer(word.peer()), word);
    }
}

#[test]
fn created_stays_exact_while_a_session_is_used_for_years() {
    for created in [0, 1, 1_234_567, 77_777_777] {
        let mut held = session(1, created, created, true);
        while held.seen < LAST_TICK - 400_000 {
            // The busier, the more often it is written: errors would add up.
            held.seen += 1 + (held.seen - created) / 500;
            held = Word::new(Key::new(1), &held).session();
            let (age, early) = (held.seen - created, created - held.created);
            assert!(
                early <= age / if age < WIDE { 1000 } else { 250 },
                "{early} of {age}"
            );
        }
    }
}

#[test]
fn a_changed_lifetime_changes_no_word() {
    let limits = |lifetime| Limits {
        expires: 1000,
        lifetime,
    };
    let word = Word::new(Key::new(1), &session(1, 1500, 1000, true));
    for lifetime in [
        None,
        Some(501),
        Some(2000),
        Some(10_000_000),
        Some(u32::MAX),
    ] {
        assert!(
            limits(lifetime).is_live(&word.session(), 1500),
            "{lifetime:?}"
        );
    }
    assert!(!limits(Some(500)).is_live(&word.session(), 1500));
}

#[test]
fn ticks_beyond_the_last_stay_at_the_last() {
    let read = Word::new(Key::new(1), &session(1, u32::MAX, u32::MAX - 5, true)).session();
    assert_eq!((read.seen, read.created), (LAST_TICK, LAST_TICK));
    let read = Word::new(Key::new(1), &session(1, 50, 60, true)).session();
    assert_eq!(
        (read.seen, read.created),
        (50, 50),
        "created cannot be after seen"
    );
}

#[test]
fn a_session_expires_exactly_at_its_limit() {
    let limits = Limits {
        expires: 60,
        lifetime: Some(100),
    };
    let held = session(1, 80, 10, true);
    for (now, live) in [
        (0, true),
        (80, true),
        (109, true),
        (110, false),
        (139, false),
    ] {
        assert_eq!(limits.is_live(&held, now), live, "at {now}");
    }
    let idle = Limits {
        lifetime: None,
        ..limits
    };
    for (now, live) in [(110, true), (139, true), (140, false), (u32::MAX, false)] {
        assert_eq!(idle.is_live(&held, now), live, "at {now}");
    }
}

#[test]
fn under_the_longer_limits_a_session_lives_as_long_as_under_either() {
    let (a, b) = (
        Limits {
            expires: 60,
            lifetime: Some(100),
        },
        Limits {
            expires: 50,
            lifetime: Some(200),
        },
    );
    assert_eq!(
        a.longer(b),
        Limits {
            expires: 60,
            lifetime: Some(200)
        }
    );
    assert_eq!(
        a.longer(Limits {
            lifetime: None,
            ..b
        })
        .lifetime,
        None
    );
}

#[test]
fn seen_is_due_after_a_64th_of_the_idle_limit() {
    let due = |expires| {
        Limits {
            expires,
            lifetime: None,
        }
        .touch_interval()
    };
    assert_eq!(
        [due(1), due(64), due(127), due(128), due(3600)],
        [1, 1, 1, 2, 56]
    );
}

#[test]
fn all_bits_are_a_valid_session() {
    let mut random = Random::seeded(12);
    for _ in 0..rounds(100_000) {
        let bits = (u128::from(random.bits()) << 64) | u128::from(random.bits());
        let read = Word::from_bits(bits).session();
        assert!(read.created <= read.seen && read.seen <= LAST_TICK);
    }
}
