//! Tests for the peer of a session: it changes only when the peer is unusable, or when another peer
//! has answered a request that carried the id. Without this, a page that contains the id of another
//! client could move its session.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::{Claim, Learned, Limits, LocalTable, LookUp, PeerId, Stage};

use table_zone::{key, none_unusable, peer, Sessions, Zone, HOUR};

const NEW: Learned = Learned::New { evicted: None };
const ID_UNKNOWN: Claim = Claim::RequestCarried { holder: None };

fn on_both(test: impl Fn(&dyn Sessions)) {
    test(&Zone::new(64).table());
    test(&LocalTable::new(64));
}

fn learn(table: &dyn Sessions, to: u32, claim: Claim, now: u32) -> Learned {
    table.learn(key(1), peer(to), claim, &HOUR, now, &mut none_unusable)
}

fn found(table: &dyn Sessions, now: u32) -> (u32, bool) {
    match table.look_up(key(1), &HOUR, now) {
        LookUp::Found(held) => (held.peer.get(), held.confirmed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_with_the_id_of_another_client_changes_nothing() {
    on_both(|table| {
        assert_eq!(learn(table, 1, Claim::ResponseOnly, 0), NEW);
        assert_eq!(
            learn(table, 2, Claim::ResponseOnly, 10),
            Learned::Kept { holder: peer(1) }
        );
        table.touch(key(1), &HOUR, 20);
        assert_eq!(
            learn(table, 2, Claim::ResponseOnly, 3619),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(found(table, 3619), (1, true));
        // The response does not keep it alive.
        assert_eq!(table.look_up(key(1), &HOUR, 3620), LookUp::Expired);
    });
}

#[test]
fn a_response_alone_moves_a_session_only_from_an_unusable_peer() {
    on_both(|table| {
        learn(table, 1, ID_UNKNOWN, 0);
        let mut asked = Vec::new();
        let mut is_unusable = |who: PeerId| {
            asked.push(who.get());
            true
        };
        let moved = table.learn(
            key(1),
            peer(2),
            Claim::ResponseOnly,
            &HOUR,
            5,
            &mut is_unusable,
        );
        assert_eq!(moved, Learned::Moved { from: peer(1) });
        assert_eq!(asked, [1]);
        assert_eq!(found(table, 5), (2, true));
    });
}

#[test]
fn the_response_to_a_request_that_saw_the_holder_moves_it() {
    on_both(|table| {
        learn(table, 1, ID_UNKNOWN, 0);
        let saw = |from| Claim::RequestCarried {
            holder: Some(peer(from)),
        };
        assert_eq!(
            learn(table, 2, saw(3), 1),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(learn(table, 2, saw(1), 1), Learned::Moved { from: peer(1) });
        // A second response at the same time comes too late.
        assert_eq!(
            learn(table, 3, saw(1), 1),
            Learned::Kept { holder: peer(2) }
        );
        assert_eq!(found(table, 1), (2, true));
    });
}

#[test]
fn of_parallel_requests_with_an_unknown_id_the_first_response_wins() {
    on_both(|table| {
        assert_eq!(learn(table, 1, ID_UNKNOWN, 0), NEW);
        assert_eq!(
            learn(table, 2, ID_UNKNOWN, 0),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(learn(table, 1, ID_UNKNOWN, 0), Learned::Same);
        assert_eq!(found(table, 0), (1, true));
    });
}

#[test]
fn an_answered_request_outweighs_a_page_that_contains_the_id() {
    on_both(|table| {
        learn(table, 1, Claim::ResponseOnly, 0);
        assert_eq!(found(table, 0), (1, false));
        assert_eq!(
            learn(table, 2, ID_UNKNOWN, 1),
            Learned::Moved { from: peer(1) }
        );
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
        table.learn(key(1), peer(1), ID_UNKNOWN, &limits, 0, &mut none_unusable);
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
        learn(table, 1, ID_UNKNOWN, 0);
        assert!(!table.reassign(key(1), peer(2), peer(3), &HOUR, 1));
        assert!(table.reassign(key(1), peer(1), peer(3), &HOUR, 1));
        assert!(!table.reassign(key(1), peer(1), peer(2), &HOUR, 1));
        assert_eq!(found(table, 1), (3, true));
        assert!(!table.reassign(key(2), peer(1), peer(2), &HOUR, 1));
    });
}

const REQUEST: Claim = Claim::Request { from: None };

fn failed(from: u32) -> Claim {
    Claim::Request {
        from: Some(peer(from)),
    }
}

/// The peer, the stage, and whether a second request has brought the id.
fn entered(table: &dyn Sessions, now: u32) -> Option<(u32, Stage, bool)> {
    match table.look_up(key(1), &HOUR, now) {
        LookUp::Found(held) => Some((held.peer.get(), held.stage, held.is_in_use())),
        _ => None,
    }
}

#[test]
fn the_first_request_enters_a_session_and_the_second_follows() {
    on_both(|table| {
        assert_eq!(learn(table, 1, REQUEST, 10), NEW);
        assert_eq!(entered(table, 10), Some((1, Stage::Entered, false)));
        assert_eq!(
            learn(table, 2, REQUEST, 10),
            Learned::Kept { holder: peer(1) }
        );
        // In the same second, too.
        assert_eq!(entered(table, 10), Some((1, Stage::Entered, true)));
        assert_eq!(
            learn(table, 2, Claim::Answer, 10),
            Learned::Kept { holder: peer(1) }
        );
        assert_eq!(entered(table, 10), Some((1, Stage::Settled, true)));
    });
}

#[test]
fn a_session_that_no_answer_keeps_is_removed() {
    on_both(|table| {
        learn(table, 1, REQUEST, 10);
        assert!(table.forget_entered(key(1), &HOUR, 20));
        assert_eq!(entered(table, 20), None);
        assert!(!table.forget_entered(key(1), &HOUR, 20));
        // Nor one that was brought again.
        learn(table, 1, REQUEST, 20);
        table.touch(key(1), &HOUR, 21);
        assert!(table.forget_entered(key(1), &HOUR, 22));
        assert_eq!(entered(table, 22), None);
    });
}

#[test]
fn a_session_that_an_answer_has_kept_stays() {
    on_both(|table| {
        learn(table, 1, REQUEST, 10);
        assert_eq!(learn(table, 1, Claim::Answer, 12), Learned::Same);
        assert_eq!(entered(table, 12), Some((1, Stage::Kept, false)));
        assert!(!table.forget_entered(key(1), &HOUR, 12));
        // A newcomer, until the second request comes.
        table.touch(key(1), &HOUR, 10);
        assert_eq!(entered(table, 12), Some((1, Stage::Settled, true)));
        // What was removed or evicted before its answer begins with it.
        assert!(table.forget(key(1)));
        assert_eq!(learn(table, 3, Claim::Answer, 13), NEW);
        assert_eq!(entered(table, 13), Some((3, Stage::Kept, false)));
    });
}

#[test]
fn an_entered_session_goes_along_on_a_retry_and_a_kept_one_does_not() {
    on_both(|table| {
        learn(table, 1, REQUEST, 10);
        let moved = Learned::Moved { from: peer(1) };
        assert_eq!(learn(table, 2, failed(1), 10), moved);
        assert_eq!(entered(table, 10), Some((2, Stage::Entered, false)));
        // Another request that has failed there follows.
        assert_eq!(
            learn(table, 3, failed(1), 10),
            Learned::Kept { holder: peer(2) }
        );
        assert_eq!(entered(table, 10), Some((2, Stage::Entered, false)));
        // The same server once more.
        assert_eq!(learn(table, 2, failed(2), 10), Learned::Same);
        learn(table, 2, Claim::Answer, 11);
        assert_eq!(
            learn(table, 3, failed(2), 11),
            Learned::Kept { holder: peer(2) }
        );
        // One that was removed meanwhile begins anew.
        table.forget(key(1));
        assert_eq!(learn(table, 3, failed(2), 11), NEW);
    });
}

#[test]
fn a_server_that_hands_an_entered_id_out_has_it_until_a_second_request() {
    for is_kept in [false, true] {
        on_both(|table| {
            learn(table, 1, REQUEST, 10);
            if is_kept {
                learn(table, 1, Claim::Answer, 10);
            }
            let moved = Learned::Moved { from: peer(1) };
            assert_eq!(learn(table, 2, Claim::ResponseOnly, 10), moved);
            assert_eq!(entered(table, 11), Some((2, Stage::Settled, false)));
            // The answer of the first server, which comes later, changes nothing.
            let kept = Learned::Kept { holder: peer(2) };
            assert_eq!(learn(table, 1, Claim::Answer, 11), kept);
            assert!(!table.forget_entered(key(1), &HOUR, 11));
            assert_eq!(learn(table, 3, Claim::ResponseOnly, 11), kept);
        });
        on_both(|table| {
            learn(table, 1, REQUEST, 10);
            if is_kept {
                learn(table, 1, Claim::Answer, 10);
            }
            table.touch(key(1), &HOUR, 10);
            let kept = Learned::Kept { holder: peer(1) };
            assert_eq!(learn(table, 2, Claim::ResponseOnly, 10), kept);
        });
    }
}

#[test]
fn a_server_that_hands_out_what_was_entered_there_keeps_it() {
    on_both(|table| {
        learn(table, 1, REQUEST, 10);
        assert_eq!(learn(table, 1, Claim::ResponseOnly, 10), Learned::Same);
        assert_eq!(entered(table, 11), Some((1, Stage::Settled, false)));
        assert!(!table.forget_entered(key(1), &HOUR, 11));
    });
}

#[test]
fn requests_create_no_session() {
    on_both(|table| {
        table.touch(key(1), &HOUR, 0);
        assert_eq!(table.look_up(key(1), &HOUR, 0), LookUp::Unknown);
        assert!(!table.forget(key(1)));
    });
}

#[test]
fn a_busy_session_is_read_and_not_written() {
    let zone = Zone::new(8);
    learn(&zone.table(), 1, ID_UNKNOWN, 0);
    let place = zone.places_of(key(1))[0];
    let bits = || zone.words[place].load(Relaxed);
    zone.table().touch(key(1), &HOUR, 1);
    let before = bits();
    zone.table().touch(key(1), &HOUR, 56);
    assert_eq!(
        learn(&zone.table(), 1, Claim::ResponseOnly, 56),
        Learned::Same
    );
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
        // The application writes every id that it receives into its links, and sends them to others.
        assert_eq!(learn(table, 1, ID_UNKNOWN, 10), NEW);
        assert_eq!(learn(table, 1, Claim::ResponseOnly, 10), Learned::Same);
        assert_eq!(learn(table, 1, Claim::ResponseOnly, 500), Learned::Same);
        assert!(!in_use(500));
        // A request with the id does, but not in the second in which the id was first sent.
        table.touch(key(1), &HOUR, 10);
        assert!(!in_use(500));
        table.touch(key(1), &HOUR, 11);
        assert!(in_use(500));
        assert_eq!(learn(table, 1, Claim::ResponseOnly, 500), Learned::Same);
        assert!(in_use(500));
    });
    // An id that a response has sent is in use with any request.
    for now in [0, 1, 10] {
        on_both(|table| {
            learn(table, 1, Claim::ResponseOnly, now);
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
    learn(&table, 1, ID_UNKNOWN, 0);
    learn(&table, 2, ID_UNKNOWN, 0);
    learn(
        &table,
        2,
        Claim::RequestCarried {
            holder: Some(peer(1)),
        },
        0,
    );
    table.reassign(key(1), peer(2), peer(1), &HOUR, 0);
    let counters = &zone.counters;
    assert_eq!(counters.learned.load(Relaxed), 1);
    assert_eq!(counters.moved.load(Relaxed), 2);
    assert_eq!(counters.refused.load(Relaxed), 0);
    assert_eq!(counters.last_eviction.load(Relaxed), 0);
}
