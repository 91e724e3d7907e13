//! Tests for the follower, and for what records make of a session. Without this, a record that comes
//! between a worker's look and its note could part nodes for good.

mod cluster_node;
mod table_zone;

use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use generator::{Generator, Gn};

use sticky_core::cluster::{Held, Liveness, Record};
use sticky_core::table::{test_points, Change, Claim, Limits, LookUp};

use cluster_node::{server, Fold, Memory, Store, SCOPE};
use table_zone::{key, none_unusable};

const LIMITS: Limits = Limits {
    expires: 1600,
    lifetime: None,
};
const NOW: u64 = 1_000_050;

fn held(of: u32, seen: u64) -> Held {
    Held {
        server: server(of),
        seen,
        created: 999_000,
        confirmed: false,
    }
}

fn record(change: Change, from: Option<u32>, of: u32, seen: u64) -> Record {
    Record {
        change,
        key: key(1),
        scope: SCOPE,
        server: server(of),
        from: from.map(server),
        seen,
        created: seen,
        confirmed: false,
    }
}

#[test]
fn records_make_of_a_session_what_the_rules_say() {
    use Change::{Alive, DrainKnown, Drained, Forgotten, Known, Learned, Moved};
    // A session at server 1, last used at `seen`; then the record; then the server, and when it was
    // last used.
    let (young, old) = (NOW - 200, NOW - 1900);
    let cases = [
        (None, record(Learned, None, 1, NOW), Some((1, NOW))),
        (None, record(Learned, None, 1, old), None),
        (Some(young), record(Learned, None, 2, NOW), Some((1, young))),
        (Some(young), record(Learned, None, 1, NOW), Some((1, NOW))),
        (Some(old), record(Learned, None, 2, NOW), Some((2, NOW))),
        (Some(young), record(Moved, Some(1), 2, NOW), Some((2, NOW))),
        (
            Some(young),
            record(Moved, Some(1), 2, old),
            Some((2, young)),
        ),
        (
            Some(young),
            record(Moved, Some(3), 2, NOW),
            Some((1, young)),
        ),
        (Some(old), record(Moved, Some(3), 2, NOW), Some((2, NOW))),
        (None, record(Moved, Some(3), 2, NOW), Some((2, NOW))),
        (Some(young), record(Forgotten, None, 1, NOW), None),
        (
            Some(young),
            record(Forgotten, None, 2, NOW),
            Some((1, young)),
        ),
        (None, record(Forgotten, None, 1, NOW), None),
        (Some(young), record(Alive, None, 1, NOW), Some((1, NOW))),
        (Some(young), record(Alive, None, 1, old), Some((1, young))),
        (Some(young), record(Alive, None, 2, NOW), Some((1, young))),
        (Some(old), record(Alive, None, 2, NOW), Some((2, NOW))),
        (None, record(Alive, None, 2, NOW), Some((2, NOW))),
        (None, record(Known, None, 2, young), Some((2, young))),
        (Some(young), record(Known, None, 2, NOW), Some((2, NOW))),
        (Some(NOW), record(Known, None, 2, young), Some((1, NOW))),
        // In one period, the greater server, as all nodes see it.
        (
            Some(NOW),
            record(Known, None, 2, NOW - 1),
            Some((2, NOW - 1)),
        ),
        (
            Some(NOW - 1),
            record(Known, None, 0, NOW),
            Some((1, NOW - 1)),
        ),
        (Some(young), record(Drained, None, 1, NOW), Some((1, young))),
        (None, record(Drained, None, 1, NOW), None),
        (
            Some(young),
            record(DrainKnown, None, 2, NOW),
            Some((1, young)),
        ),
        (None, record(DrainKnown, None, 1, NOW), None),
    ];
    let liveness = Liveness::of(&LIMITS);
    for (seen, record, expected) in cases {
        let before = seen.map(|seen| held(1, seen));
        let after = liveness.fold(before, &record, NOW);
        let is = after.map(|held| (held.server, held.seen));
        assert_eq!(
            is,
            expected.map(|(of, seen)| (server(of), seen)),
            "{before:?} {record:?}"
        );
        // Once more changes nothing.
        assert_eq!(
            liveness.fold(after, &record, NOW),
            after,
            "{before:?} {record:?}"
        );
    }
}

type Work = Generator<'static, (), Option<()>>;

/// A worker that stops when it is about to note something.
fn stopped_worker(memory: &Arc<Memory>, act: impl FnOnce(&Memory) + Send + 'static) -> Work {
    let memory = Arc::clone(memory);
    let mut work = Gn::<()>::new_opt(0x4000, move || {
        act(&memory);
        Some(())
    });
    assert_eq!(work.resume(), Some(None), "it notes nothing");
    work
}

fn learn(memory: &Memory, of: u32) {
    let (table, to) = (memory.table(), memory.registered(of));
    let limits = memory.liveness.limits;
    let claim = Claim::ResponseOnly;
    table.learn_of(
        key(1),
        &to,
        claim,
        &limits,
        memory.tick(),
        &mut none_unusable,
    );
}

fn go_to(memory: &Memory, from: u32, to: u32) {
    let (from, to) = (memory.number(from), memory.registered(to));
    let limits = memory.liveness.limits;
    memory
        .table()
        .reassign_to(key(1), from, &to, &limits, memory.tick());
}

fn end(memory: &Memory, of: u32) {
    let limits = memory.liveness.limits;
    memory
        .table()
        .end(key(1), memory.number(of), &limits, memory.tick());
}

fn is_at(memory: &Memory) -> Option<u32> {
    match memory.look_up(key(1)) {
        LookUp::Found(session) => Some(memory.server_of(session.peer)),
        _ => None,
    }
}

fn exchange(nodes: &[Arc<Memory>; 2]) {
    for node in nodes {
        while node.send(9, &|| {}) {}
    }
    for node in nodes {
        node.follow(99);
    }
}

/// What a node does with the session.
type Act = fn(&Memory);

#[test]
fn what_is_applied_between_look_and_note_is_not_forgotten() {
    // Who has the session before; what a worker has looked for; what another node has done; and once
    // more before the note returns.
    let cases: [(Option<u32>, Act, Act, Act); 4] = [
        (
            None,
            |it| learn(it, 1),
            |it| learn(it, 2),
            |it| go_to(it, 2, 3),
        ),
        (None, |it| learn(it, 1), |it| learn(it, 1), |it| end(it, 1)),
        (
            Some(1),
            |it| go_to(it, 1, 2),
            |it| go_to(it, 1, 3),
            |it| end(it, 3),
        ),
        (Some(1), |it| end(it, 1), |it| end(it, 1), |it| learn(it, 4)),
    ];
    test_points::hook(Some(Rc::new(|point| {
        if point == "journal: a place read" && generator::is_generator() {
            // The hook is shared by all.
            #[allow(deprecated)]
            generator::yield_with(None::<()>);
        }
    })));
    for (number, (before, act, other, then)) in cases.into_iter().enumerate() {
        let store = Arc::new(Store::new(NOW));
        let node = |name| Arc::new(Memory::new(name, 2, (32, 16), &LIMITS, &store));
        let nodes = [node(0), node(1)];
        if let Some(before) = before {
            learn(&nodes[1], before);
            exchange(&nodes);
        }
        let mut work = stopped_worker(&nodes[0], act);
        other(&nodes[1]);
        exchange(&nodes);
        let there = is_at(&nodes[1]);
        while work.resume().is_some_and(|it| it.is_none()) {}
        then(&nodes[1]);
        while nodes[1].send(9, &|| {}) {}
        nodes[0].follow(99);
        exchange(&nodes);
        let mut fold = Fold::default();
        fold.go_on(&store, &nodes[0].liveness);
        let expected = fold.held.get(&key(1)).copied().flatten();
        let expected = expected.map(|held| held.server.bits() as u32 - 1);
        for node in &nodes {
            assert_eq!(
                is_at(node),
                expected,
                "case {number}, node {}, {there:?}",
                node.name
            );
        }
        assert_eq!(nodes[0].journal().returned(), nodes[0].journal().tail());
    }
    test_points::hook(None);
}

#[test]
fn a_node_that_was_away_catches_up() {
    let store = Arc::new(Store::new(NOW));
    let node = |name| Arc::new(Memory::new(name, 2, (32, 16), &LIMITS, &store));
    let nodes = [node(0), node(1)];
    learn(&nodes[0], 1);
    // Both have gone on alone for long.
    store.clock.fetch_add(1000, SeqCst);
    learn(&nodes[1], 2);
    assert_eq!((is_at(&nodes[0]), is_at(&nodes[1])), (Some(1), Some(2)));
    exchange(&nodes);
    // Whose record comes first has it.
    assert_eq!((is_at(&nodes[0]), is_at(&nodes[1])), (Some(1), Some(1)));
}
