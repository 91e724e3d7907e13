//! Tests for how many sessions a server has by now, and for the mark of upstreams with servers that may
//! get none. Without them, a server gets more sessions than it may, or none although it has room.

mod counters_zone;

use std::sync::atomic::Ordering::Relaxed;

use sticky_core::counters::{DrainedBy, SessionLimit};

use counters_zone::{places, Zone};

fn limit(number: u32) -> SessionLimit {
    SessionLimit::new(number).expect("not 0")
}

#[test]
fn what_comes_is_added_to_what_was_counted() {
    let zone = Zone::new();
    let counters = zone.counters();
    let (_, a, b) = places(&counters, 1);
    let room = counters.room(a).unwrap();
    assert_eq!(room.now(), 0);
    (0..7).for_each(|_| room.come());
    assert_eq!(room.now(), 7);
    // A count begins, and two come before it ends: one of them is in it.
    let before = room.come_so_far();
    (0..2).for_each(|_| room.come());
    room.set(5, before, 100);
    assert_eq!(room.now(), 7);
    // Those that have ended make room.
    room.set(0, room.come_so_far(), 102);
    assert_eq!(room.now(), 0);
    room.come();
    assert_eq!(room.now(), 1);
    assert_eq!(counters.room(b).unwrap().now(), 0);
    // With sessions from a state file, which never came.
    room.set(1000, room.come_so_far(), 104);
    assert_eq!(room.now(), 1000);
}

#[test]
fn of_two_counts_the_one_that_began_later_stays() {
    let zone = Zone::new();
    let counters = zone.counters();
    let (_, a, _) = places(&counters, 1);
    let room = counters.room(a).unwrap();
    room.set(10, 0, 200);
    // A sweep that began before and ends now.
    room.set(99, 0, 150);
    assert_eq!(room.now(), 10);
    room.set(11, 0, 200);
    assert_eq!(room.now(), 11);
    // The system was started anew.
    room.set(12, 0, 5000);
    room.set(13, 0, 3);
    assert_eq!(room.now(), 13);
}

#[test]
fn a_server_at_its_limit_is_full() {
    let zone = Zone::new();
    let counters = zone.counters();
    let (_, a, _) = places(&counters, 1);
    let room = counters.room(a).unwrap();
    for count in [0, 1, 99] {
        room.set(count, room.come_so_far(), 1);
        assert!(!room.is_full(limit(100)), "{count}");
    }
    room.come();
    assert!(room.is_full(limit(100)));
    assert!(room.is_full(limit(1)) && !room.is_full(limit(101)) && !room.is_full(limit(u32::MAX)));
}

#[test]
fn sessions_are_counted_often_where_they_near_the_limit() {
    let zone = Zone::new();
    let counters = zone.counters();
    let (_, a, _) = places(&counters, 1);
    let room = counters.room(a).unwrap();
    let limit = limit(100);
    assert!(room.is_due(limit, 0, 50), "it never was");
    room.set(90, 0, 50);
    assert!(!room.is_due(limit, 10, 51));
    assert!(!room.is_due(limit, 10, 79));
    assert!(room.is_due(limit, 10, 80), "half a minute ago");
    assert!(room.is_due(limit, 50, 51), "under another configuration");
    assert!(room.is_due(limit, 10, 49), "under another boot");
    room.come();
    assert!(room.is_due(limit, 10, 51), "more than 90 %");
}

#[test]
fn arbitrary_words_do_no_harm() {
    for word in [u64::MAX, 1 << 63, u64::MAX / 100, 1, 0] {
        let zone = Zone::new();
        let counters = zone.counters();
        let (upstream, a, _) = places(&counters, 1);
        zone.words.iter().for_each(|it| it.store(word, Relaxed));
        let room = counters.room(a).unwrap();
        room.come();
        for (since, now) in [(0, 0), (word, word), (word, 0), (0, word)] {
            // Neither overflows.
            let _ = (
                room.is_full(limit(5)),
                room.is_due(limit(u32::MAX), since, now),
            );
        }
        // The next count puts it right.
        room.set(4, room.come_so_far(), 5000);
        assert_eq!(room.now(), 4, "{word}");
        let mark = counters.mark(upstream).unwrap();
        mark.see_full(|| false);
        mark.clear_drains_unless(|| false);
        mark.set_full();
        assert!(mark.is_set());
    }
}

#[test]
fn drains_and_limits_have_a_mark_each() {
    let zone = Zone::new();
    let counters = zone.counters();
    let (upstream, a, _) = places(&counters, 1);
    let (mark, drain) = (counters.mark(upstream).unwrap(), counters.drain(a).unwrap());
    assert!(!mark.is_set() && !mark.may_have_drains());
    mark.set_full();
    assert!(mark.is_set() && !mark.may_have_drains());
    drain.begin_by_hand(None, 10, mark);
    assert_eq!(drain.drain().map(|it| it.by), Some(DrainedBy::Hand));
    assert!(mark.is_set() && mark.may_have_drains());
    mark.see_full(|| false);
    assert!(mark.is_set() && mark.may_have_drains(), "the drain goes on");
    mark.see_full(|| true);
    assert!(drain.end_by_hand().is_some());
    mark.clear_drains_unless(|| drain.drain().is_some());
    assert!(mark.is_set() && !mark.may_have_drains(), "it is full still");
    // One that comes while the mark is taken away.
    let asked = std::cell::Cell::new(0);
    mark.see_full(|| asked.replace(asked.get() + 1) > 0);
    assert!(mark.is_set());
    mark.see_full(|| false);
    assert!(!mark.is_set());
}
