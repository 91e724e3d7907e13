//! Tests for an nginx that has not heard of the store's clock yet: what it has noted by its own, it
//! tells by the store's. Without them, a system whose clock is late ends the sessions of before early,
//! at other nodes and in its own table.

mod cluster_node;
mod table_zone;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use sticky_core::table::{Change, Claim, Limits, LookUp, Tick};

use cluster_node::{Memory, Store};
use table_zone::{key, none_unusable};

/// So short that a clock that is wrong by half a minute is by more than all of it.
const LIMITS: Limits = Limits {
    expires: 20,
    lifetime: None,
};
const NOW: u64 = 1_000_000;

fn learn(node: &Memory, number: u64) {
    let (peer, claim) = (node.registered(1), Claim::ResponseOnly);
    let (table, limits) = (node.table(), &node.liveness.limits);
    table.learn_of(
        key(number),
        &peer,
        claim,
        limits,
        node.tick(),
        &mut none_unusable,
    );
}

fn seen(node: &Memory, number: u64) -> Option<u64> {
    match node.look_up(key(number)) {
        LookUp::Found(session) => Some(node.second(session.seen)),
        _ => None,
    }
}

/// The clock of the store as the node knows it, so many seconds ahead of what it is.
fn take_for(node: &Memory, ahead: i64) {
    node.journal()
        .see_clock((node.ahead as i64 + ahead) * 1000 + 500);
}

#[test]
fn what_was_noted_before_the_first_contact_ends_in_time_at_all_nodes() {
    for wrong in [30, -30, 7, -7, 5000, -5000, 86_400 * 365] {
        let store = Arc::new(Store::new(NOW));
        let nodes: Vec<_> = (0..2)
            .map(|name| Memory::new(name, 2, (256, 256), &LIMITS, &store))
            .collect();
        take_for(&nodes[0], wrong);
        learn(&nodes[0], 1);
        store.clock.fetch_add(10, SeqCst);
        learn(&nodes[0], 2);
        nodes[0]
            .table()
            .touch(key(1), &nodes[0].liveness.limits, nodes[0].tick());
        store.clock.fetch_add(5, SeqCst);
        let before = [1, 2].map(|number| seen(&nodes[0], number));
        // The store tells the time, and then it gets what was noted.
        take_for(&nodes[0], 0);
        learn(&nodes[0], 3);
        while nodes[0].send(9, &|| {}) {}
        for node in &nodes {
            node.follow(usize::MAX);
        }
        for number in [1, 2] {
            let is = seen(&nodes[0], number);
            assert_eq!(
                is,
                before[number as usize - 1],
                "id {number}, wrong by {wrong}"
            );
            assert_eq!(seen(&nodes[1], number), is, "id {number}, wrong by {wrong}");
        }
        assert_eq!(
            [0, 1].map(|node| seen(&nodes[node], 3)),
            [Some(NOW + 15); 2]
        );
    }
}

#[test]
fn a_note_is_by_the_clock_of_now_whenever_it_is_read() {
    let store = Arc::new(Store::new(NOW));
    let node = Memory::new(0, 1, (256, 64), &LIMITS, &store);
    let mut wrong = 0;
    let mut numbers = 0;
    for set in [30, -4, 1000, -7] {
        wrong += set;
        take_for(&node, wrong);
        numbers += 1;
        learn(&node, numbers);
        for position in 0..numbers {
            let note = node.journal().at(position).unwrap();
            assert_eq!(note.change, Change::Learned);
            let now = NOW.saturating_add_signed(wrong);
            assert_eq!(note.second_until(now), now, "{position} of {numbers}");
        }
    }
    // A small difference is none.
    let tail = node.journal().tail();
    node.journal()
        .see_clock(node.journal().ahead() * 1000 + 900);
    learn(&node, 50);
    let note = node.journal().at(tail).unwrap();
    assert_eq!(note.set, 0);
}

#[test]
fn when_it_was_used_before_is_by_the_clock_of_now_as_well() {
    let period = 100;
    for wrong in [0i64, 30, -30, 250, -250] {
        let store = Arc::new(Store::new(NOW));
        let limits = Limits {
            expires: 1600,
            lifetime: None,
        };
        let node = Memory::new(0, 1, (256, 64), &limits, &store);
        take_for(&node, wrong);
        learn(&node, 1);
        store.clock.fetch_add(450, SeqCst);
        let now: Tick = node.tick();
        node.table().touch(key(1), &node.liveness.limits, now);
        take_for(&node, 0);
        let note = node.journal().at(1).unwrap();
        assert_eq!(note.change, Change::Alive);
        let used = note.used_before(period, store.now());
        assert!(
            used <= NOW && NOW - used < period,
            "{used}, wrong by {wrong}"
        );
    }
}
