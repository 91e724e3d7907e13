//! Tests for two workers on one small table, in every order of their memory accesses with up to a
//! number of switches between them, and with every value that one may see of the other's writes in
//! the memory model of Rust, which allows more than most processors do. Without this, an order that
//! loses a session could stay unnoticed until it happens on a busy site.
//!
//! `LOOM_MAX_PREEMPTIONS` sets the number of switches, see `make test-long`.

mod ends;
mod journal;
mod newcomers;
mod pair;
mod registry;
mod requests;

use sticky_core::table::{Claim, Learned, Merged, PeerId, Word};

use pair::*;

/// Two workers have learned one id, of peers 1 and 2.
fn agreed(zone: &Zone, here: Learned, there: Learned) {
    let held = zone.session(MOBILE, SEEN).peer.get();
    let told = |learned, own: u32| match learned {
        Learned::Kept { holder } => holder.get(),
        learned => {
            assert_eq!(learned, NEW);
            own
        }
    };
    let told = [told(here, 1), told(there, 2)];
    assert!(told.contains(&held), "{told:?}, but {held} holds it");
    assert_eq!(zone.copies(MOBILE), 1);
}

#[test]
fn two_workers_that_learn_one_id_agree() {
    race(
        4,
        || Zone::with(|_| Word::EMPTY),
        |zone| zone.learn(MOBILE, 1, Claim::ResponseOnly, SEEN),
        |zone| zone.learn(MOBILE, 2, Claim::ResponseOnly, SEEN),
        agreed,
    );
}

#[test]
fn two_workers_that_learn_one_id_in_two_places_agree() {
    // Each frees a place of its own, and may not see the other's. Of two words that differ in
    // nothing else, the one with the higher peer counts; a reader reads it first.
    race(
        3,
        || Zone::with(|place| Id(100 + place as u64, [2, 0]).word(SEEN, true)),
        |zone| {
            zone.table().forget(Id(101, [2, 0]).key());
            let learned = zone.learn(MOBILE, 1, Claim::ResponseOnly, SEEN);
            zone.session(MOBILE, SEEN);
            learned
        },
        |zone| {
            zone.table().forget(Id(109, [2, 0]).key());
            let learned = zone.learn(MOBILE, 2, Claim::ResponseOnly, SEEN);
            zone.session(MOBILE, SEEN);
            learned
        },
        agreed,
    );
}

#[test]
fn a_look_up_finds_a_session_that_is_being_relocated() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.expect(MOBILE),
        |zone, (), ()| {
            zone.expect(MOBILE);
            zone.expect(NEWCOMER);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_request_confirms_a_session_that_is_being_relocated() {
    race(
        3,
        || {
            Zone::with(|place| match place {
                1 => MOBILE.word(SEEN, false),
                0..8 => resident(place).word(SEEN, true),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.table().touch(MOBILE.key(), &LIMITS, DUE),
        |zone, (), ()| {
            let held = zone.session(MOBILE, DUE);
            assert_eq!((held.peer.get(), held.seen, held.confirmed), (1, DUE, true));
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_moves_to_another_peer_while_it_is_being_relocated() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| {
            zone.table()
                .reassign(MOBILE.key(), PeerId::new(1), PeerId::new(9), &LIMITS, SEEN)
        },
        |zone, (), moved| {
            assert!(moved);
            assert_eq!(zone.session(MOBILE, SEEN).peer.get(), 9);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_response_moves_no_session_that_is_being_relocated() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.learn(MOBILE, 9, Claim::ResponseOnly, SEEN),
        |zone, (), learned| {
            assert_eq!(
                learned,
                Learned::Kept {
                    holder: PeerId::new(1)
                }
            );
            zone.expect(MOBILE);
            zone.expect_residents();
        },
    );
}

#[test]
fn two_relocations_at_once_lose_no_session() {
    race(
        3,
        || {
            Zone::with(|place| match place {
                1 => MOBILE.word(SEEN, true),
                4 => Id(104, [1, 2]).word(SEEN, true),
                0..8 => resident(place).word(SEEN, true),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.arrive(RIVAL),
        |zone, (), ()| {
            zone.expect(MOBILE);
            zone.expect(NEWCOMER);
            zone.expect(RIVAL);
            zone.expect(Id(104, [1, 2]));
            (0..8)
                .filter(|place| ![1, 4].contains(place))
                .for_each(|place| zone.expect(resident(place)));
        },
    );
}

#[test]
fn of_two_copies_one_remains_when_it_is_relocated_at_once() {
    // The newcomer removes one of two equal copies, wherever they are by then; the rival has found
    // the place in line 2 before.
    race(
        2,
        || {
            Zone::with(|place| match place {
                1 | 8 => MOBILE.word(SEEN, true),
                4 => Id(104, [1, 2]).word(SEEN, true),
                0..8 => resident(place).word(SEEN, true),
                11 => Word::EMPTY,
                _ => Id(200 + place as u64, [2, 1]).word(SEEN, true),
            })
        },
        |zone| zone.learn(NEWCOMER, 2, Claim::ResponseOnly, SEEN),
        |zone| zone.learn(RIVAL, 3, Claim::ResponseOnly, SEEN),
        |zone, here, there| {
            assert_eq!((here, there), (NEW, NEW));
            zone.expect(MOBILE);
            zone.expect(NEWCOMER);
            zone.expect(RIVAL);
            zone.expect(Id(104, [1, 2]));
            (0..8)
                .filter(|place| ![1, 4].contains(place))
                .for_each(|place| zone.expect(resident(place)));
            (9..11).for_each(|place| zone.expect(Id(200 + place, [2, 1])));
        },
    );
}

#[test]
fn a_sweep_never_removes_a_session_that_was_just_learned_again() {
    race(
        4,
        || {
            Zone::with(|place| match place {
                1 | 9 => MOBILE.word(SEEN, true),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.table().sweep(0, 12, &LIMITS, OVER),
        |zone| zone.learn(MOBILE, 9, Claim::ResponseOnly, OVER),
        |zone, _, learned| {
            assert_eq!(learned, NEW);
            assert_eq!(zone.session(MOBILE, OVER).peer.get(), 9);
            zone.table().sweep(0, 12, &LIMITS, OVER);
            assert_eq!(zone.copies(MOBILE), 1);
        },
    );
}

#[test]
fn a_sweep_never_removes_a_session_that_is_being_relocated() {
    race(
        3,
        || {
            Zone::with(|place| match place {
                1 => MOBILE.word(OVER, true),
                0..8 => resident(place).word(OVER, true),
                // A stale copy, left by a worker that died.
                8 => MOBILE.word(SEEN, true),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.arrive_at(NEWCOMER, OVER),
        |zone| zone.table().sweep(0, 12, &LIMITS, OVER),
        |zone, (), swept| {
            assert_eq!(zone.session(MOBILE, OVER).seen, OVER);
            assert!(swept.cleared <= 1);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_merged_and_learned_at_once_is_one() {
    // The session of the other nginx is in use, so it counts.
    race(
        3,
        || Zone::with(|_| Word::EMPTY),
        |zone| {
            let theirs = MOBILE.word(SEEN, true).session();
            zone.table()
                .merge(MOBILE.key(), &theirs, &LIMITS, SEEN, true)
        },
        |zone| zone.learn(MOBILE, 9, Claim::ResponseOnly, SEEN),
        |zone, _, learned| {
            let kept = Learned::Kept {
                holder: PeerId::new(1),
            };
            assert!(learned == NEW || learned == kept, "{learned:?}");
            zone.expect(MOBILE);
            assert_eq!(zone.copies(MOBILE), 1);
        },
    );
}

#[test]
fn a_session_that_is_being_relocated_is_known_to_a_merge() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| {
            let theirs = MOBILE.word(DUE, true).session();
            zone.table()
                .merge(MOBILE.key(), &theirs, &LIMITS, SEEN, true)
        },
        |zone, (), merged| {
            assert_eq!(merged, Merged::Known);
            assert_eq!(zone.session(MOBILE, SEEN).seen, DUE);
            zone.expect_residents();
        },
    );
}
