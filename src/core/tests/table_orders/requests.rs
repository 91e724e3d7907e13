//! Sessions that requests enter (`learn=request`).

use sticky_core::table::{Claim, Learned, PeerId, Stage, Word};

use crate::pair::*;

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
