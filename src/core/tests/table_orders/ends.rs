//! The end of a session.

use sticky_core::table::{Claim, PeerId, Word};

use crate::pair::*;

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
