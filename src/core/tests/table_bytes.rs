//! Tests for a zone with bytes that this table has not written, or not completely: no operation may
//! panic, loop, or find what is not there.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::{
    is_lock_free, Claim, Learned, Limits, LookUp, Session, Stage, Table, Word, ZoneHeader,
};

use table_zone::{key, none_unusable, peer, rounds, Random, Zone, HOUR};

const CARRIED: Claim = Claim::RequestCarried { holder: None };

#[test]
fn random_words_neither_panic_nor_loop() {
    let mut random = Random::seeded(41);
    for round in 0..rounds(300) as usize {
        let zone = Zone::new(8 + round % 90);
        let known: Vec<_> = (0..4).map(|_| random.key()).collect();
        for slot in &zone.words {
            // Some keys are frequent, so that copies and words in wrong lines occur; some are empty.
            let key = match random.below(4) {
                0 => known[random.below(4) as usize].get(),
                1 => 0,
                _ => random.bits(),
            };
            slot.store((u128::from(key) << 64) | u128::from(random.bits()), Relaxed);
        }
        let (table, other) = (zone.table(), Zone::new(40));
        for _ in 0..200 {
            let key = if random.below(2) == 0 {
                random.key()
            } else {
                known[random.below(4) as usize]
            };
            let now = random.bits() as u32;
            let limits = Limits {
                expires: random.below(1 << 28) + 1,
                lifetime: Some(1 << 20),
            };
            table.look_up(key, &limits, now);
            table.touch(key, &limits, now);
            table.reassign(key, peer(1), peer(2), &limits, now);
            if random.below(8) == 0 {
                table.end(key, peer(2), &limits, now);
            }
            if random.below(8) == 0 {
                table.forget(key);
                assert_eq!(table.look_up(key, &limits, now), LookUp::Unknown);
            }
            let learned = table.learn(key, peer(3), CARRIED, &limits, now, &mut |_| true);
            assert!(learned != Learned::Refused);
            assert!(matches!(table.look_up(key, &limits, now), LookUp::Found(_)));
        }
        assert!(table.sessions().count() <= table.capacity());
        other.table().copy_from(&table);
        table.copy_from(&other.table());
    }
}

#[test]
fn a_table_of_less_than_two_lines_holds_nothing() {
    for words in 0..8 {
        let zone = Zone::new(words);
        let table = zone.table();
        assert_eq!(table.capacity(), 0);
        assert_eq!(
            table.learn(key(1), peer(1), CARRIED, &HOUR, 0, &mut none_unusable),
            Learned::Refused
        );
        assert_eq!(table.look_up(key(1), &HOUR, 0), LookUp::Unknown);
        table.touch(key(1), &HOUR, 0);
        assert!(!table.reassign(key(1), peer(1), peer(2), &HOUR, 0));
        assert!(!table.forget(key(1)));
        assert_eq!(table.sessions().count(), 0);
        assert_eq!(table.copy_from(&table), 0);
        assert_eq!(zone.counters.refused.load(Relaxed), 1);
    }
}

#[test]
fn words_beyond_the_last_whole_line_are_left_alone() {
    let zone = Zone::new(15);
    for number in 0..100 {
        zone.table()
            .learn(key(number), peer(1), CARRIED, &HOUR, 0, &mut none_unusable);
    }
    assert_eq!(zone.table().capacity(), 12);
    assert_eq!(zone.table().sessions().count(), 12);
    assert!(zone.words[12..].iter().all(|word| word.load(Relaxed) == 0));
}

#[test]
fn a_header_is_valid_only_as_it_was_made() {
    let header = ZoneHeader::default();
    let identity = &header.identity;
    assert!(!identity.is_valid_for(0), "zeros are no header");
    identity.init(64_760, 1, 2, 3);
    assert!(identity.is_valid_for(64_760));
    assert!(!identity.is_valid_for(64_756));
    assert_eq!((identity.sip_keys(), identity.epoch()), ((1, 2), 3));
}

#[test]
fn this_platform_can_share_a_table() {
    assert!(is_lock_free() || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")));
}

/// Two copies of session 1, as a worker leaves them that dies between copying a word and clearing
/// its source, if the source has changed meanwhile. In a table of two lines every key may be in any
/// of the eight places.
fn with_copies(places: [usize; 2], old: Session, new: Session) -> Zone {
    let zone = Zone::new(8);
    zone.put(places[0], Word::new(key(1), &old));
    zone.put(places[1], Word::new(key(1), &new));
    zone
}

fn holder(table: &Table, now: u32) -> u32 {
    match table.look_up(key(1), &HOUR, now) {
        LookUp::Found(held) => held.peer.get(),
        other => panic!("{other:?}"),
    }
}

fn session(number: u32, seen: u32, confirmed: bool) -> Session {
    Session {
        peer: peer(number),
        seen,
        created: 0,
        confirmed,
        stage: Stage::Settled,
    }
}

#[test]
fn of_two_copies_the_fresher_counts_wherever_it_is() {
    for places in [[0, 1], [1, 0], [2, 6], [6, 2]] {
        for (old, new) in [
            (session(1, 100, true), session(2, 101, true)),
            (session(9, 100, false), session(2, 100, true)),
            (session(9, 500, false), session(2, 100, true)),
        ] {
            let zone = with_copies(places, old, new);
            let table = zone.table();
            assert_eq!(holder(&table, 600), 2);

            table.touch(key(1), &HOUR, 700);
            assert_eq!(holder(&table, 700), 2);
            let learned = table.learn(
                key(1),
                peer(3),
                Claim::ResponseOnly,
                &HOUR,
                700,
                &mut none_unusable,
            );
            assert_eq!(learned, Learned::Kept { holder: peer(2) });

            assert!(!table.reassign(key(1), old.peer, peer(4), &HOUR, 700));
            assert!(table.reassign(key(1), peer(2), peer(4), &HOUR, 700));
            assert_eq!(holder(&table, 700), 4);

            // The stale copy expires, though the session is in use.
            table.touch(key(1), &HOUR, 4000);
            assert_eq!(holder(&table, 4200), 4);
            for number in 2..=8 {
                let taken = table.learn(
                    key(number),
                    peer(1),
                    CARRIED,
                    &HOUR,
                    4200,
                    &mut none_unusable,
                );
                assert_eq!(taken, Learned::New { evicted: None });
            }
            assert_eq!(holder(&table, 4200), 4);
            assert_eq!(zone.places_of(key(1)).len(), 1);
        }
    }
}

#[test]
fn a_move_outranks_a_copy_made_just_before_it() {
    for places in [[0, 5], [5, 0]] {
        // Peers with a higher number would win a tie.
        let zone = with_copies(places, session(9, 100, true), session(9, 100, true));
        let table = zone.table();
        assert!(table.reassign(key(1), peer(9), peer(1), &HOUR, 100));
        // The relocation that was under way writes its copy only now.
        let late = Word::new(key(1), &session(9, 100, true));
        zone.put(7, late);
        assert_eq!(zone.places_of(key(1)).len(), 2);
        assert_eq!(holder(&table, 100), 1);
        table.touch(key(1), &HOUR, 200);
        assert_eq!(zone.places_of(key(1)).len(), 1, "a change removes copies");
        assert_eq!(holder(&table, 200), 1);
    }
}

#[test]
fn of_a_session_with_two_copies_one_is_removed_before_another_session_is_evicted() {
    // Two relocations at once may leave equal copies.
    for places in [[0, 1], [0, 5], [6, 7]] {
        let zone = with_copies(places, session(1, 100, true), session(1, 100, true));
        for number in 2..=8 {
            let new = zone.table().learn(
                key(number),
                peer(1),
                CARRIED,
                &HOUR,
                100,
                &mut none_unusable,
            );
            assert_eq!(new, Learned::New { evicted: None });
        }
        assert_eq!(zone.places_of(key(1)).len(), 1);
        assert_eq!(zone.table().sessions().count(), 8);
        assert_eq!(holder(&zone.table(), 100), 1);
    }
}

/// As if a worker had died in a relocation, and another server was chosen for the session after it.
#[test]
fn of_two_copies_the_fresher_is_copied_into_a_table_that_is_too_small() {
    let entered = |number, seen| Session {
        stage: Stage::Entered,
        created: seen,
        ..session(number, seen, false)
    };
    for (places, old, new) in [
        ([0, 5], entered(1, 100), entered(2, 110)),
        ([5, 0], entered(1, 100), entered(2, 110)),
        ([0, 5], session(1, 100, false), entered(2, 110)),
        ([0, 5], entered(2, 100), session(2, 110, false)),
    ] {
        let zone = with_copies(places, old, new);
        for (number, place) in (2..).zip([1, 2, 3, 4, 6, 7]) {
            zone.put(place, Word::new(key(number), &session(3, 200, true)));
        }
        let smaller = Zone::new(8);
        smaller.table().copy_from(&zone.table());
        for table in [zone.table(), smaller.table()] {
            assert_eq!(table.look_up(key(1), &HOUR, 200), LookUp::Found(new));
        }
    }
}

#[test]
fn a_live_copy_outranks_an_expired_one() {
    let zone = with_copies([0, 5], session(1, 100, true), session(2, 3000, false));
    assert_eq!(holder(&zone.table(), 3800), 2);
}

#[test]
fn learning_again_leaves_one_of_several_expired_copies() {
    let zone = with_copies([0, 5], session(1, 100, true), session(2, 101, true));
    let learned = zone.table().learn(
        key(1),
        peer(3),
        Claim::ResponseOnly,
        &HOUR,
        9000,
        &mut none_unusable,
    );
    assert_eq!(learned, Learned::New { evicted: None });
    assert_eq!(zone.places_of(key(1)).len(), 1);
    assert_eq!(holder(&zone.table(), 9000), 3);
}

#[test]
fn forgetting_removes_every_copy() {
    let zone = with_copies([0, 5], session(1, 100, true), session(2, 101, true));
    assert!(zone.table().forget(key(1)));
    assert!(zone.places_of(key(1)).is_empty());
    assert!(!zone.table().forget(key(1)));
}

#[test]
fn an_end_removes_every_copy_of_the_holder_s_session() {
    // The one seen later is the session; without it the other one would be.
    for (copies, holder, is_ended) in [
        ([session(1, 100, true), session(2, 101, true)], 2, true),
        ([session(2, 101, true), session(1, 100, true)], 2, true),
        ([session(2, 101, true), session(2, 101, true)], 2, true),
        ([session(2, 100, false), session(2, 101, true)], 2, true),
        ([session(1, 100, true), session(2, 101, true)], 1, false),
    ] {
        let [one, other] = copies;
        let zone = with_copies([0, 5], one, other);
        let ended = zone.table().end(key(1), peer(holder), &HOUR, 200);
        assert_eq!(ended, is_ended, "{copies:?}");
        assert_eq!(zone.places_of(key(1)).is_empty(), is_ended, "{copies:?}");
        assert!(!zone.table().end(key(1), peer(holder), &HOUR, 200));
    }
    let expired = with_copies([0, 5], session(1, 100, true), session(1, 101, true));
    assert!(!expired.table().end(key(1), peer(1), &HOUR, 9000));
}
