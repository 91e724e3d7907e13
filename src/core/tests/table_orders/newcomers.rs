//! Newcomers that make room.

use sticky_core::table::{Claim, Evicted, Learned, LookUp, Word};

use crate::pair::*;

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
