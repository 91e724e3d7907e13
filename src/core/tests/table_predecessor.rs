//! Tests for two tables of which one replaces the other while workers use both: without them a
//! reload that changes the size of a zone loses the sessions that begin or move around it.

mod predecessor;
mod table_zone;

use std::collections::BTreeMap;
use std::thread;

use sticky_core::table::{Claim, Key, Limits, LookUp, Tick};

use predecessor::{Alone, Both, Worker, Zone, LATE, SERVERS};
use table_zone::{key, none_unusable, rounds, HOUR};

/// Parallel first answers with one id, at workers with one table and with both: all agree
/// afterwards, and no answer was told that the session is another's than it is.
#[test]
fn of_two_at_once_the_old_table_decides() {
    for round in 0..rounds(300) {
        let (old, new) = (Zone::new(1024, 0), Zone::new(2048, 2));
        let ids = 8;
        thread::scope(|scope| {
            for worker in 0..4u32 {
                let (old, new) = (&old, &new);
                scope.spawn(move || {
                    let alone = Alone(old);
                    let both = Both::new(&[new, old]);
                    let worker_sees: &dyn Worker = if worker % 2 == 0 { &alone } else { &both };
                    for id in 0..ids {
                        let key = key(u64::from(round * 100 + id));
                        match id % 2 {
                            0 => worker_sees.learns(key, worker, None, None, 20),
                            _ => worker_sees.enters(key, worker, None, 20),
                        };
                    }
                });
            }
        });
        let (alone, both) = (Alone(&old), Both::new(&[&new, &old]));
        for id in 0..ids {
            let key = key(u64::from(round * 100 + id));
            let holder = alone.holder(key, 20);
            assert!(holder.is_some());
            assert_eq!(both.holder(key, 20), holder);
        }
        assert!(both.1.move_into(&new.table(), &HOUR, 20, &|| false));
        for id in 0..ids {
            let key = key(u64::from(round * 100 + id));
            assert_eq!(Alone(&new).holder(key, 20), alone.holder(key, 20));
        }
    }
}

/// One worker ends a session while another one writes it into the new table: it is in neither
/// afterwards, unless it has begun anew.
#[test]
fn what_has_ended_is_in_no_table() {
    for round in 0..rounds(300) {
        let (old, new) = (Zone::new(1024, 0), Zone::new(2048, 2));
        let keys: Vec<Key> = (0..16).map(|id| key(u64::from(round * 100 + id))).collect();
        for key in &keys {
            Alone(&old).learns(*key, 1, None, None, 10);
        }
        let (learned, ended) = thread::scope(|scope| {
            let learned = scope.spawn(|| {
                let both = Both::new(&[&new, &old]);
                let all = keys.iter();
                all.map(|key| both.learns(*key, 1, None, None, 20).0)
                    .collect::<Vec<_>>()
            });
            let ended = scope.spawn(|| {
                let both = Both::new(&[&new, &old]);
                let all = keys.iter();
                all.map(|key| both.ends(*key, 1, 20)).collect::<Vec<_>>()
            });
            (learned.join().unwrap(), ended.join().unwrap())
        });
        assert!(ended.iter().all(|ended| *ended), "{ended:?}");
        let both = Both::new(&[&new, &old]);
        for (key, learned) in keys.iter().zip(learned) {
            let expected = (learned == "new").then_some(1);
            assert_eq!(both.holder(*key, 20), expected, "{learned}");
            assert_eq!(Alone(&old).holder(*key, 20), expected, "{learned}");
        }
    }
}

/// The same, with the end right between what the other one reads and writes.
#[cfg(feature = "steps")]
#[test]
fn what_ends_while_it_is_copied_is_in_no_table() {
    use std::rc::Rc;
    use sticky_core::table::test_points;

    let zones: &'static [Zone; 2] = Box::leak(Box::new([Zone::new(1024, 0), Zone::new(2048, 2)]));
    let [old, new] = zones;
    let key = key(1);
    Alone(old).learns(key, 1, None, None, 10);
    test_points::hook(Some(Rc::new(move |point| {
        if point == "follow: read" {
            test_points::hook(None);
            assert!(Both::new(&[new, old]).ends(key, 1, 20));
        }
    })));
    let both = Both::new(&[new, old]);
    assert_eq!(both.learns(key, 1, None, None, 20).0, "same");
    assert_eq!(both.holder(key, 20), None);
    assert_eq!(Alone(new).holder(key, 20), None);
}

/// A zone that was made larger because it was full: who has no room in the old table is in the new
/// one.
#[test]
fn a_full_table_is_replaced_by_a_larger_one() {
    let (old, new) = (Zone::new(256, 0), Zone::new(8192, 3));
    let both = Both::new(&[&new, &old]);
    let mut homes = BTreeMap::new();
    for id in 0..2000u64 {
        let now = 10 + id as Tick / 100;
        let server = (id % 5) as u32;
        assert_eq!(both.learns(key(id), server, None, None, now).0, "new");
        homes.insert(id, server);
        // Others answer with ids that they know.
        let earlier = id / 2;
        let other = (server + 1) % SERVERS;
        let kept = both.learns(key(earlier), other, None, None, now);
        if homes[&earlier] != other {
            assert_eq!(kept, ("kept", Some(homes[&earlier])), "{id}");
        }
    }
    for (id, server) in &homes {
        assert_eq!(both.holder(key(*id), 40), Some(*server));
        both.touch(key(*id), 40);
    }
    assert!(both.1.move_into(&new.table(), &HOUR, 40, &|| false));
    for (id, server) in &homes {
        assert_eq!(Alone(&new).holder(key(*id), 40), Some(*server));
    }
}

/// The registry of an older table is full: a session that moves to a server that has no number
/// there is found where it has moved to, by all who can know that server.
#[test]
fn a_session_moves_to_a_server_that_the_old_table_has_no_number_for() {
    // From the newest to the oldest: whether the registry is full.
    let chains: [&[bool]; 4] = [
        &[false, true],
        &[false, false, true],
        &[false, true, false],
        &[false, true, true],
    ];
    type Move = fn(&Both<'_>, Key) -> bool;
    let moves: [(&str, Move); 4] = [
        ("its server is gone", |both, key| {
            both.moves(key, 1, LATE, 20)
        }),
        ("its request was answered there", |both, key| {
            both.learns(key, LATE, Some(Some(1)), None, 20) == ("moved", Some(1))
        }),
        ("found in a page, its server is gone", |both, key| {
            both.learns(key, LATE, None, Some(1), 20) == ("moved", Some(1))
        }),
        ("moved once more", |both, key| {
            both.moves(key, 1, LATE, 20)
                && both.moves(key, LATE, 2, 20)
                && both.moves(key, 2, LATE, 21)
        }),
    ];
    for (chain, (what, moves)) in chains.iter().flat_map(|chain| moves.map(|it| (chain, it))) {
        let what = format!("{chain:?}: {what}");
        let zones: Vec<Zone> = (0..chain.len() as u32)
            .map(|first| Zone::new(1024, first))
            .collect();
        let oldest = Alone(&zones[chain.len() - 1]);
        for id in 0..3 {
            oldest.learns(key(id), 1, None, None, 10);
        }
        for (new, old) in zones.iter().zip(&zones[1..]).rev() {
            new.table().copy_from(&old.table());
        }
        for (zone, _) in zones.iter().zip(*chain).filter(|(_, is_full)| **is_full) {
            zone.fill_registry();
        }
        let zones: Vec<&Zone> = zones.iter().collect();
        let (one, other) = (Both::new(&zones), Both::new(&zones));

        assert!(moves(&one, key(1)), "{what}");
        for both in [&one, &other] {
            assert_eq!(both.holder(key(1), 21), Some(LATE), "{what}");
            both.touch(key(1), 22);
        }
        assert_eq!(oldest.holder(key(1), 22), None, "{what}");
        // What does not move, stays.
        let kept = ("kept", Some(1));
        assert_eq!(other.learns(key(2), LATE, None, None, 22), kept, "{what}");
        assert!(!other.moves(key(2), 3, LATE, 22), "{what}");
        assert_eq!(one.holder(key(2), 22), Some(1), "{what}");
        assert_eq!(oldest.holder(key(2), 22), Some(1), "{what}");
        // New ones are known to all who can know them.
        assert_eq!(one.learns(key(9), LATE, None, None, 22).0, "new", "{what}");
        assert_eq!(other.holder(key(9), 22), Some(LATE), "{what}");

        assert!(other.1.move_into(&zones[0].table(), &HOUR, 23, &|| false));
        let alone = Alone(zones[0]);
        for (id, server) in [(0, 1), (1, LATE), (2, 1), (9, LATE)] {
            assert_eq!(alone.holder(key(id), 23), Some(server), "{what}, {id}");
        }
    }
}

/// A smaller one: nobody has to go for those who had no room in it.
#[test]
fn a_table_is_replaced_by_a_smaller_one() {
    let (old, new) = (Zone::new(8192, 0), Zone::new(512, 1));
    for id in 0..2000u64 {
        Alone(&old).learns(key(id), 1, None, None, 10);
    }
    new.table().copy_from(&old.table());
    let both = Both::new(&[&new, &old]);
    for id in 0..100u64 {
        assert_eq!(both.holder(key(id), 20), Some(1));
        assert!(both.moves(key(id), 1, 2, 20));
    }
    assert!(both.1.move_into(&new.table(), &HOUR, 21, &|| false));
    let alone = Alone(&new);
    for id in 0..100u64 {
        assert_eq!(alone.holder(key(id), 21), Some(2));
    }
    assert!(
        (0..2000)
            .filter(|id| alone.holder(key(*id), 21).is_some())
            .count()
            > 300
    );
}

#[test]
fn what_has_expired_is_not_moved() {
    let short = Limits {
        expires: 10,
        lifetime: None,
    };
    let (old, new) = (Zone::new(1024, 0), Zone::new(1024, 1));
    let peer = old.server(1);
    let claim = Claim::ResponseOnly;
    let mut usable = none_unusable;
    old.table()
        .learn_of(key(1), &peer, claim, &short, 10, &mut usable);
    let before = old.predecessor(None);
    let new = new.table();
    assert!(matches!(
        before.look_up(&new, key(1), &short, 19),
        LookUp::Found(_)
    ));
    assert_eq!(before.look_up(&new, key(1), &short, 30), LookUp::Expired);
    assert!(before.move_into(&new, &short, 30, &|| false));
    assert_eq!(new.look_up(key(1), &short, 30), LookUp::Unknown);
}

#[test]
fn a_move_that_is_stopped_is_not_done() {
    let (old, new) = (Zone::new(1024, 0), Zone::new(1024, 1));
    Alone(&old).learns(key(1), 1, None, None, 10);
    let before = old.predecessor(None);
    assert!(!before.move_into(&new.table(), &HOUR, 10, &|| true));
}
