//! Tests for a store whose place another server takes, which lacks the latest entries. Without them,
//! what was learned in the last moments before a failover may be missing at some nodes for as long as
//! it lives, and those send its requests elsewhere.

mod cluster_node;
mod table_zone;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use sticky_core::cluster::place::{is_told, lost_since};
use sticky_core::cluster::Target;
use sticky_core::table::{Claim, Limits, LookUp};

use cluster_node::{Memory, Store, SCOPE};
use table_zone::{key, none_unusable, Random};

const LIMITS: Limits = Limits {
    expires: 1600,
    lifetime: None,
};
const NOW: u64 = 1_000_000;

fn nodes(count: usize) -> (Arc<Store>, Vec<Memory>) {
    let store = Arc::new(Store::new(NOW));
    let node = |name| Memory::new(name, count, (4096, 4096), &LIMITS, &store);
    let nodes = (0..count).map(node).collect();
    (store, nodes)
}

fn learn(node: &Memory, number: u64, server: u32) {
    let (table, claim) = (node.table(), Claim::ResponseOnly);
    let peer = node.registered(server);
    let limits = &node.liveness.limits;
    table.learn_of(
        key(number),
        &peer,
        claim,
        limits,
        node.tick(),
        &mut none_unusable,
    );
}

/// The server of a session, and in which period it was used last.
fn held(node: &Memory, number: u64) -> Option<(u32, u64)> {
    match node.look_up(key(number)) {
        LookUp::Found(session) => {
            let period = node.second(session.seen) / u64::from(node.liveness.period);
            Some((node.server_of(session.peer), period))
        }
        _ => None,
    }
}

/// The store has lost its latest records, and all nodes find that another server has taken its place.
fn fail_over(store: &Store, count: usize, nodes: &[Memory]) {
    let mut stream = store.stream.lock().unwrap();
    let length = stream.len() - count;
    stream.truncate(length);
    let last = stream.last().map(|it| it.at * 1000);
    drop(stream);
    for node in nodes {
        meet(node, length as u64, last);
    }
}

fn meet(node: &Memory, length: u64, last: Option<u64>) {
    node.journal().send_unreturned();
    if node.position.load(SeqCst) <= length {
        return;
    }
    let applied = node.last_applied.load(SeqCst) * 1000;
    node.position.store(length, SeqCst);
    tell(node, lost_since(applied, last));
}

/// A node tells what it has that was used since then.
fn tell(node: &Memory, since: u64) {
    let table = node.table();
    let target = Target::of(&table, node.liveness);
    let all = table.sessions();
    let records = all.filter_map(|(key, session)| target.known(SCOPE, key, &session));
    let told = records.filter(|record| is_told(record, since, &node.liveness));
    node.store.add(node.name, None, told.collect());
}

fn settle(nodes: &[Memory]) {
    for node in nodes {
        while node.send(u64::MAX, &|| {}) {}
    }
    for node in nodes {
        node.follow(usize::MAX);
    }
}

#[test]
fn what_is_lost_is_told_since_the_last_entry_that_is_there() {
    assert_eq!(lost_since(2_000_000, Some(1_999_000)), 1989);
    // Another one has come meanwhile, by a clock that is ahead.
    assert_eq!(lost_since(2_000_000, Some(3_000_000)), 1990);
    assert_eq!(lost_since(2_000_000, None), 0);
    assert_eq!(lost_since(2_000, Some(1)), 0);
}

#[test]
fn who_has_sent_what_has_not_come_back_sends_it_again() {
    let (store, nodes) = nodes(2);
    learn(&nodes[0], 1, 1);
    settle(&nodes);
    // The old server has taken it, and nobody has read it.
    learn(&nodes[0], 2, 3);
    assert!(nodes[0].send(9, &|| {}));
    fail_over(&store, 1, &nodes);
    settle(&nodes);
    let journal = nodes[0].journal();
    assert_eq!(journal.returned(), journal.tail());
    assert_eq!(held(&nodes[1], 2), held(&nodes[0], 2));
    assert_eq!(held(&nodes[1], 2).map(|(server, _)| server), Some(3));
}

#[test]
fn who_has_applied_what_is_lost_tells_it_also_if_its_sender_has_ended() {
    let (store, mut nodes) = nodes(3);
    learn(&nodes[0], 1, 1);
    store.clock.fetch_add(300, SeqCst);
    learn(&nodes[0], 2, 1);
    settle(&nodes);
    store.clock.fetch_add(100, SeqCst);
    for number in 3..20 {
        learn(&nodes[0], number, 3);
    }
    assert!(nodes[0].send(99, &|| {}));
    // One has read it, the other one not, and the one that has sent it is gone.
    nodes[1].follow(usize::MAX);
    nodes.remove(0);
    fail_over(&store, 17, &nodes);
    settle(&nodes);
    for number in 1..20 {
        let there = held(&nodes[1], number);
        assert!(there.is_some(), "id {number}");
        assert_eq!(there, held(&nodes[0], number));
    }
    // What was known to both long before is not told again.
    let stream = store.stream.lock().unwrap();
    let told = stream.iter().filter(|it| it.position.is_none());
    let told: Vec<_> = told.map(|it| it.record.key).collect();
    assert!(!told.contains(&key(1)) && told.len() == 18, "{told:?}");
}

/// Any number of failovers, of nodes that end and others that are late: what a node that is there
/// knows, all know in the end.
#[test]
fn what_any_node_knows_all_know_in_the_end() {
    let mut random = Random::seeded(143);
    let (mut failed, mut ended) = (0, 0);
    for _ in 0..300 {
        let count = 2 + random.below(4) as usize;
        let (store, mut nodes) = nodes(count);
        let mut ids = 0;
        let mut told: Vec<usize> = Vec::new();
        for _ in 0..random.below(150) {
            let index = random.below(nodes.len() as u32) as usize;
            let node = &nodes[index];
            match random.below(20) {
                0..4 => {
                    ids += 1;
                    learn(node, ids, random.below(5));
                }
                4..7 if ids > 0 => {
                    let number = 1 + u64::from(random.below(ids as u32));
                    node.table()
                        .touch(key(number), &node.liveness.limits, node.tick());
                }
                7..11 => drop(node.send(1 + u64::from(random.below(8)), &|| {})),
                11..17 => drop(node.follow(random.below(8) as usize)),
                17 => {
                    let seconds = u64::from(random.below(60));
                    store.clock.fetch_add(seconds, SeqCst);
                }
                18 => {
                    // A node that fails over has read what it has told after the last time.
                    nodes
                        .iter()
                        .filter(|it| told.contains(&it.name))
                        .for_each(|node| {
                            node.follow(usize::MAX);
                        });
                    let length = store.stream.lock().unwrap().len();
                    let lost = random.below(12).min(length as u32) as usize;
                    let is_lost =
                        |node: &&Memory| node.position.load(SeqCst) > (length - lost) as u64;
                    told = nodes.iter().filter(is_lost).map(|node| node.name).collect();
                    fail_over(&store, lost, &nodes);
                    failed += 1;
                }
                _ if nodes.len() > 1 => {
                    nodes.remove(index);
                    ended += 1;
                }
                _ => {}
            }
        }
        let known = |number| nodes.iter().filter_map(|node| held(node, number)).max();
        let all: Vec<_> = (1..=ids).map(known).collect();
        settle(&nodes);
        for (number, known) in (1..).zip(all) {
            let held = nodes.iter().map(|node| held(node, number));
            let held: Vec<_> = held.collect();
            // What a node has sent before it ended may be in the stream still.
            let first = held.first().copied().flatten();
            assert!(first >= known, "id {number}: {held:?}, known {known:?}");
            assert!(held.iter().all(|it| *it == first), "id {number}: {held:?}");
        }
    }
    assert!(failed > 300 && ended > 300, "{failed} {ended}");
}
