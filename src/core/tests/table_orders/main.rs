//! Tests for two workers on one small table, in every order of their memory accesses with up to a
//! number of switches between them, and with every value that one may see of the other's writes in
//! the memory model of Rust, which allows more than most processors do. Without this, an order that
//! loses a session could stay unnoticed until it happens on a busy site.
//!
//! `LOOM_MAX_PREEMPTIONS` sets the number of switches, see `make test-long`.

mod pair;

use sticky_core::table::{Claim, Evicted, Learned, LookUp, Merged, PeerId, Stage, Word};

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

/// Two workers have entered one id, for requests to peers 1 and 2: both requests go to the same.
fn together(zone: &Zone, here: Learned, there: Learned) {
    let held = zone.session(MOBILE, SEEN).peer;
    for (learned, own) in [(here, 1), (there, 2)] {
        match learned {
            Learned::Kept { holder } => assert_eq!(holder, held),
            learned => {
                assert_eq!(learned, NEW);
                assert_eq!(held.get(), own);
            }
        }
    }
    assert_eq!(zone.copies(MOBILE), 1);
}

const REQUEST: Claim = Claim::Request { from: None };

#[test]
fn two_first_requests_go_to_one_server() {
    race(
        4,
        || Zone::with(|_| Word::EMPTY),
        |zone| zone.learn(MOBILE, 1, REQUEST, SEEN),
        |zone| zone.learn(MOBILE, 2, REQUEST, SEEN),
        together,
    );
}

#[test]
fn two_first_requests_that_are_entered_in_two_places_go_to_one_server() {
    race(
        3,
        || Zone::with(|place| Id(100 + place as u64, [2, 0]).word(SEEN, true)),
        |zone| {
            zone.table().forget(Id(101, [2, 0]).key());
            zone.learn(MOBILE, 1, REQUEST, SEEN)
        },
        |zone| {
            zone.table().forget(Id(109, [2, 0]).key());
            zone.learn(MOBILE, 2, REQUEST, SEEN)
        },
        together,
    );
}

#[test]
fn of_two_requests_whose_server_has_failed_one_moves_the_session() {
    fn from(zone: &Zone, to: u32) -> Learned {
        let claim = Claim::Request {
            from: Some(PeerId::new(1)),
        };
        zone.learn(MOBILE, to, claim, SEEN)
    }
    race(
        4,
        || Zone::with(|place| [Word::EMPTY, entered(MOBILE)][usize::from(place == 1)]),
        |zone| from(zone, 2),
        |zone| from(zone, 3),
        |zone, here, there| {
            let moved = Learned::Moved {
                from: PeerId::new(1),
            };
            let kept = |holder| Learned::Kept {
                holder: PeerId::new(holder),
            };
            let holder = zone.session(MOBILE, SEEN).peer.get();
            let expected = match holder {
                2 => (moved, kept(2)),
                _ => (kept(3), moved),
            };
            assert_eq!((here, there), expected);
            assert_eq!(zone.copies(MOBILE), 1);
        },
    );
}

/// A table in which the mobile session was entered.
fn crowded_with_entered() -> Zone {
    Zone::with(|place| match place {
        1 => entered(MOBILE),
        0..8 => resident(place).word(SEEN, true),
        _ => Word::EMPTY,
    })
}

#[test]
fn a_session_that_an_answer_keeps_is_not_removed_after_another_one() {
    race(
        4,
        crowded_with_entered,
        |zone| zone.learn(MOBILE, 1, Claim::Answer, SEEN),
        |zone| zone.table().forget_entered(MOBILE.key(), &LIMITS, SEEN),
        |zone, _, _| {
            // Or it was removed before, and has begun again.
            let held = zone.session(MOBILE, SEEN);
            assert_eq!((held.peer.get(), held.stage), (1, Stage::Kept));
            assert_eq!(zone.copies(MOBILE), 1);
        },
    );
}

#[test]
fn an_answer_keeps_a_session_that_is_being_relocated() {
    race(
        3,
        crowded_with_entered,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.learn(MOBILE, 1, Claim::Answer, SEEN),
        |zone, (), learned| {
            assert_eq!(learned, Learned::Same);
            assert_eq!(zone.session(MOBILE, SEEN).stage, Stage::Kept);
            zone.expect_residents();
        },
    );
}

#[test]
fn removing_an_entered_session_that_is_being_relocated_removes_no_other() {
    race(
        3,
        crowded_with_entered,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.table().forget_entered(MOBILE.key(), &LIMITS, SEEN),
        |zone, (), forgotten| {
            assert!(forgotten);
            zone.expect(NEWCOMER);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_second_request_keeps_a_session_from_another_server_or_comes_too_late() {
    race(
        4,
        || Zone::with(|place| [Word::EMPTY, entered(MOBILE)][usize::from(place == 1)]),
        |zone| zone.learn(MOBILE, 9, Claim::ResponseOnly, SEEN),
        |zone| zone.table().touch(MOBILE.key(), &LIMITS, SEEN),
        |zone, learned, ()| {
            let held = zone.session(MOBILE, SEEN);
            let expected = match learned {
                Learned::Moved { .. } => (9, Stage::Settled),
                _ => (1, Stage::Entered),
            };
            assert_eq!((held.peer.get(), held.stage), expected);
            assert!(held.is_in_use());
        },
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

/// The older of two newcomers beside residents, in the lines of a third one.
const OLDER: Id = Id(1, [0, 1]);
const YOUNGER: Id = Id(5, [0, 1]);

/// Of the residents and both newcomers, exactly one has made room: what became of the older one, and
/// how many residents are left.
fn one_has_gone(zone: &Zone, learned: Learned, evicted: Evicted) -> (LookUp, usize) {
    let evicted = Some(evicted);
    assert_eq!(learned, Learned::New { evicted });
    zone.expect(NEWCOMER);
    let residents = (0..8).filter(|place| ![1, 2].contains(place));
    let left = residents.filter(|place| zone.copies(resident(*place)) == 1);
    let (left, others) = (left.count(), zone.copies(OLDER) + zone.copies(YOUNGER));
    assert_eq!(left + others, 7);
    (zone.table().look_up(OLDER.key(), &LIMITS, DUE), left)
}

#[test]
fn among_many_newcomers_one_that_is_confirmed_makes_no_room_for_another() {
    race(
        4,
        || {
            Zone::with(|place| match place {
                1 => OLDER.word(SEEN, false),
                2 => YOUNGER.word(SEEN + 1, false),
                0..8 => resident(place).word(SEEN, true),
                // With these there are enough of them.
                10.. => Id(200 + place as u64, [2, 0]).word(DUE, false),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.learn(NEWCOMER, 2, Claim::ResponseOnly, DUE),
        |zone| zone.table().touch(OLDER.key(), &LIMITS, DUE),
        |zone, learned, ()| {
            // The younger one has gone if the older one was confirmed before.
            let (older, residents) = one_has_gone(zone, learned, Evicted::Unused);
            assert_eq!(residents, 6);
            match older {
                LookUp::Found(held) => assert_eq!((held.confirmed, held.seen), (true, DUE)),
                other => assert_eq!(other, LookUp::Unknown),
            }
        },
    );
}

#[test]
fn among_few_newcomers_one_that_is_confirmed_is_not_the_least_recently_seen() {
    race(
        4,
        || {
            Zone::with(|place| match place {
                1 => OLDER.word(SEEN, false),
                2 => YOUNGER.word(SEEN + 1, false),
                0..8 => resident(place).word(SEEN, true),
                _ => Word::EMPTY,
            })
        },
        |zone| zone.learn(NEWCOMER, 2, Claim::ResponseOnly, DUE),
        |zone| zone.table().touch(OLDER.key(), &LIMITS, DUE),
        |zone, learned, ()| {
            // A resident has gone if the older one was confirmed before.
            zone.expect(YOUNGER);
            match zone.table().look_up(OLDER.key(), &LIMITS, DUE) {
                LookUp::Found(held) => {
                    assert_eq!((held.confirmed, held.seen), (true, DUE));
                    let (_, residents) = one_has_gone(zone, learned, Evicted::InUse);
                    assert_eq!(residents, 5);
                }
                other => {
                    assert_eq!(other, LookUp::Unknown);
                    let (_, residents) = one_has_gone(zone, learned, Evicted::Unused);
                    assert_eq!(residents, 6);
                }
            }
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

#[test]
fn forgetting_a_session_removes_no_other() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.table().forget(MOBILE.key()),
        |zone, (), forgotten| {
            assert!(forgotten);
            zone.expect(NEWCOMER);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_ends_while_it_is_being_relocated() {
    race(
        3,
        Zone::crowded,
        |zone| zone.arrive(NEWCOMER),
        |zone| zone.end(MOBILE, 1),
        |zone, (), ended| {
            assert!(ended);
            assert_eq!(zone.copies(MOBILE), 0);
            zone.expect(NEWCOMER);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_ends_whatever_a_request_does_with_it() {
    race(
        4,
        Zone::crowded,
        |zone| zone.table().touch(MOBILE.key(), &LIMITS, DUE),
        |zone| zone.end(MOBILE, 1),
        |zone, (), ended| {
            assert!(ended);
            assert_eq!(zone.copies(MOBILE), 0);
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_that_has_moved_does_not_end() {
    race(
        4,
        Zone::crowded,
        |zone| {
            zone.table()
                .reassign(MOBILE.key(), PeerId::new(1), PeerId::new(9), &LIMITS, SEEN)
        },
        |zone| zone.end(MOBILE, 1),
        |zone, moved, ended| {
            assert!(moved != ended);
            assert_eq!(zone.copies(MOBILE), usize::from(moved));
            zone.expect_residents();
        },
    );
}

#[test]
fn a_session_that_begins_after_the_end_stays() {
    race(
        4,
        || {
            Zone::with(|place| {
                if place == 0 {
                    MOBILE.word(SEEN, true)
                } else {
                    Word::EMPTY
                }
            })
        },
        |zone| zone.learn(MOBILE, 2, Claim::ResponseOnly, DUE),
        |zone| zone.end(MOBILE, 1),
        |zone, learned, ended| {
            assert!(ended);
            assert_eq!(zone.copies(MOBILE), usize::from(learned == NEW));
        },
    );
}

/// One of them at most has the number, and its session is its own.
fn told_apart(zone: &Zone, here: bool, there: bool) {
    let expected = (here && !there).then_some(1);
    assert_eq!(zone.server_of(MOBILE), expected);
    assert_eq!(zone.server_of(NEWCOMER), there.then_some(2));
}

fn learn_of_server(zone: &Zone, id: Id, server: u64) -> bool {
    let server = zone.register(server);
    server.is_some_and(|server| zone.learn_of(id, &server))
}

#[test]
fn a_number_is_not_reused_while_a_session_is_learned_with_it() {
    race(
        3,
        Zone::with_idle_server,
        |zone| learn_of_server(zone, MOBILE, 1),
        |zone| {
            zone.sweep();
            learn_of_server(zone, NEWCOMER, 2)
        },
        told_apart,
    );
}

#[test]
fn a_session_is_not_learned_with_a_number_that_is_reused_meanwhile() {
    race(
        2,
        || {
            let zone = Zone::with(|_| Word::EMPTY);
            assert!(zone.register(1).is_some());
            zone
        },
        |zone| learn_of_server(zone, MOBILE, 1),
        |zone| {
            for _ in 0..3 {
                zone.sweep();
            }
            learn_of_server(zone, NEWCOMER, 2)
        },
        told_apart,
    );
}

#[test]
fn two_workers_that_register_a_server_agree() {
    race(
        4,
        || Zone::with(|_| Word::EMPTY),
        |zone| zone.register(1).map(|server| server.number),
        |zone| {
            let numbers = [zone.register(1), zone.register(2)];
            numbers.map(|server| server.map(|server| server.number))
        },
        |_, here, there| assert_eq!([here, None], there),
    );
}
