//! Tests for whom a session belongs to: never stolen, moved only when its peer is gone or a
//! request that carried the id was answered elsewhere.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::local::LocalTable;
use sticky_core::table::word::{Limits, PeerId};
use sticky_core::table::{Claim, Evicted, Learned, LookUp};

use table_zone::{key, nobody, peer, Sessions, Zone, HOUR};

const NEW: Learned = Learned::New {
    evicted: Evicted::Nothing,
};
const BLIND: Claim = Claim::Carried { from: None };

fn on_both(test: impl Fn(&dyn Sessions)) {
    test(&Zone::new(64).table());
    test(&LocalTable::new(64));
}

fn learn(table: &dyn Sessions, to: u32, claim: Claim, now: u32) -> Learned {
    table.learn(key(1), peer(to), claim, &HOUR, now, &mut nobody)
}

fn found(table: &dyn Sessions, now: u32) -> (u32, bool) {
    match table.look_up(key(1), &HOUR, now) {
        LookUp::Found(held) => (held.peer.get(), held.confirmed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_that_shows_somebody_elses_id_changes_nothing() {
    on_both(|table| {
        assert_eq!(learn(table, 1, Claim::Stranger, 0), NEW);
        assert_eq!(
            learn(table, 2, Claim::Stranger, 10),
            Learned::Kept { holder: peer(1) }
        );
        table.touch(key(1), &HOUR, 20);
        assert_eq!(
            learn(table, 2, Claim::Stranger, 3619),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(found(table, 3619), (1, true));
        // That it was shown does not keep it alive.
        assert_eq!(table.look_up(key(1), &HOUR, 3620), LookUp::Expired);
    });
}

#[test]
fn a_stranger_takes_over_only_from_a_peer_that_is_gone() {
    on_both(|table| {
        learn(table, 1, BLIND, 0);
        let mut asked = Vec::new();
        let mut gone = |who: PeerId| {
            asked.push(who.get());
            true
        };
        let moved = table.learn(key(1), peer(2), Claim::Stranger, &HOUR, 5, &mut gone);
        assert_eq!(moved, Learned::Moved { from: peer(1) });
        assert_eq!(asked, [1]);
        assert_eq!(found(table, 5), (2, true));
    });
}

#[test]
fn the_answer_to_a_request_that_knew_the_holder_moves_it() {
    on_both(|table| {
        learn(table, 1, BLIND, 0);
        let knew = |from| Claim::Carried {
            from: Some(peer(from)),
        };
        assert_eq!(
            learn(table, 2, knew(3), 1),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(
            learn(table, 2, knew(1), 1),
            Learned::Moved { from: peer(1) }
        );
        // A second answer that was under way at the same time comes too late.
        assert_eq!(
            learn(table, 3, knew(1), 1),
            Learned::Kept { holder: peer(2) }
        );
        assert_eq!(found(table, 1), (2, true));
    });
}

#[test]
fn of_parallel_requests_with_an_unknown_id_the_first_answer_wins() {
    on_both(|table| {
        assert_eq!(learn(table, 1, BLIND, 0), NEW);
        assert_eq!(learn(table, 2, BLIND, 0), Learned::Kept { holder: peer(1) });
        assert_eq!(learn(table, 1, BLIND, 0), Learned::Same);
        assert_eq!(found(table, 0), (1, true));
    });
}

#[test]
fn an_answered_request_outweighs_a_page_that_showed_the_id() {
    on_both(|table| {
        learn(table, 1, Claim::Stranger, 0);
        assert_eq!(found(table, 0), (1, false));
        assert_eq!(learn(table, 2, BLIND, 1), Learned::Moved { from: peer(1) });
        assert_eq!(found(table, 1), (2, true));
    });
}

#[test]
fn moving_a_session_does_not_prolong_its_lifetime() {
    on_both(|table| {
        let limits = Limits {
            expires: 600,
            lifetime: Some(1000),
        };
        table.learn(key(1), peer(1), BLIND, &limits, 0, &mut nobody);
        table.touch(key(1), &limits, 500);
        assert!(table.reassign(key(1), peer(1), peer(2), &limits, 900));
        assert!(matches!(
            table.look_up(key(1), &limits, 999),
            LookUp::Found(_)
        ));
        assert_eq!(table.look_up(key(1), &limits, 1000), LookUp::Expired);
        table.touch(key(1), &limits, 1000);
        assert_eq!(table.look_up(key(1), &limits, 1000), LookUp::Expired);
        assert!(!table.reassign(key(1), peer(2), peer(1), &limits, 1000));
    });
}

#[test]
fn a_session_is_reassigned_only_from_its_holder() {
    on_both(|table| {
        learn(table, 1, BLIND, 0);
        assert!(!table.reassign(key(1), peer(2), peer(3), &HOUR, 1));
        assert!(table.reassign(key(1), peer(1), peer(3), &HOUR, 1));
        assert!(!table.reassign(key(1), peer(1), peer(2), &HOUR, 1));
        assert_eq!(found(table, 1), (3, true));
        assert!(!table.reassign(key(2), peer(1), peer(2), &HOUR, 1));
    });
}

#[test]
fn requests_create_nothing() {
    on_both(|table| {
        table.touch(key(1), &HOUR, 0);
        assert_eq!(table.look_up(key(1), &HOUR, 0), LookUp::Unknown);
        assert!(!table.forget(key(1)));
    });
}

#[test]
fn a_busy_session_is_read_and_not_written() {
    let zone = Zone::new(8);
    learn(&zone.table(), 1, BLIND, 0);
    let place = zone.places_of(key(1))[0];
    let bits = || zone.words[place].load(Relaxed);
    zone.table().touch(key(1), &HOUR, 1);
    let before = bits();
    zone.table().touch(key(1), &HOUR, 56);
    assert_eq!(learn(&zone.table(), 1, Claim::Stranger, 56), Learned::Same);
    assert_eq!(bits(), before);
    zone.table().touch(key(1), &HOUR, 57);
    assert_ne!(bits(), before);
}

#[test]
fn a_session_is_in_use_when_a_request_has_come_back() {
    on_both(|table| {
        let in_use = |now| match table.look_up(key(1), &HOUR, now) {
            LookUp::Found(held) => held.is_in_use(),
            other => panic!("{other:?}"),
        };
        // The application writes any id that it is sent into its links, and shows it to others.
        assert_eq!(learn(table, 1, BLIND, 10), NEW);
        assert_eq!(learn(table, 1, Claim::Stranger, 10), Learned::Same);
        assert_eq!(learn(table, 1, Claim::Stranger, 500), Learned::Same);
        assert!(!in_use(500));
        // Its own request, unless it is of the second in which the id was sent at first.
        table.touch(key(1), &HOUR, 10);
        assert!(!in_use(500));
        table.touch(key(1), &HOUR, 11);
        assert!(in_use(500));
        assert_eq!(learn(table, 1, Claim::Stranger, 500), Learned::Same);
        assert!(in_use(500));
    });
    // Of an id that was shown, any request is.
    for now in [0, 1, 10] {
        on_both(|table| {
            learn(table, 1, Claim::Stranger, now);
            table.touch(key(1), &HOUR, now);
            let LookUp::Found(held) = table.look_up(key(1), &HOUR, now) else {
                panic!("lost at {now}");
            };
            assert!(held.is_in_use());
            assert_eq!(held.seen, now.max(1));
        });
    }
}

#[test]
fn what_happened_is_counted() {
    let zone = Zone::new(64);
    let table = zone.table();
    learn(&table, 1, BLIND, 0);
    learn(&table, 2, BLIND, 0);
    learn(
        &table,
        2,
        Claim::Carried {
            from: Some(peer(1)),
        },
        0,
    );
    table.reassign(key(1), peer(2), peer(1), &HOUR, 0);
    let counters = &zone.counters;
    assert_eq!(counters.learned.load(Relaxed), 1);
    assert_eq!(counters.moved.load(Relaxed), 2);
    assert_eq!(counters.refused.load(Relaxed), 0);
    assert_eq!(counters.last_forced.load(Relaxed), 0);
}
