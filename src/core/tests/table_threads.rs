//! Tests for several workers on one table, with threads instead of processes, which is the same to
//! the table. Without the second look of a look-up and of an insertion, these fail.

mod table_zone;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use sticky_core::table::{Claim, Key, Learned, Limits, LookUp, PeerId, Table};

use table_zone::{key, none_unusable, peer, rounds, Random, Zone, HOUR};

const ID_UNKNOWN: Claim = Claim::RequestCarried { holder: None };

fn learn(table: Table, key: Key, to: PeerId, claim: Claim) -> Learned {
    table.learn(key, to, claim, &HOUR, 0, &mut none_unusable)
}

/// Ids that stay in the table; the rest of it is for guests, which are learned and forgotten.
const RESIDENTS: u64 = 100;
const WORDS: usize = 128;

/// Runs `threads` of `work` until they are told to stop, after `span`.
fn for_a_while(span: Duration, work: &[&(dyn Fn(&AtomicBool) + Sync)]) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = work
            .iter()
            .map(|work| scope.spawn(|| work(&stop)))
            .collect();
        thread::sleep(span);
        stop.store(true, Relaxed);
        threads.into_iter().for_each(joined);
    });
}

/// ThreadSanitizer notices the end of a thread when it is joined, not when its scope ends.
fn joined(thread: thread::ScopedJoinHandle<()>) {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

/// So full of residents that insertions keep relocating them.
fn crowded() -> Zone {
    let zone = Zone::new(WORDS);
    for number in 0..RESIDENTS {
        let new = learn(zone.table(), key(number), peer(number as u32), ID_UNKNOWN);
        assert_eq!(new, Learned::New { evicted: None });
    }
    zone
}

/// Learns a few new ids and forgets them, over and over.
fn come_and_go(table: Table, seed: u64, stop: &AtomicBool) {
    let mut random = Random(seed);
    while !stop.load(Relaxed) {
        let guests: Vec<Key> = (0..4).map(|_| random.key()).collect();
        for guest in &guests {
            learn(table, *guest, peer(500), Claim::ResponseOnly);
        }
        for guest in &guests {
            table.forget(*guest);
        }
    }
}

#[test]
fn a_reader_never_misses_a_session_that_is_being_relocated() {
    let zone = crowded();
    let table = zone.table();
    let reads = AtomicU64::new(0);
    let read = |stop: &AtomicBool| {
        let mut random = Random(51);
        while !stop.load(Relaxed) {
            let number = random.below(RESIDENTS as u32);
            match table.look_up(key(u64::from(number)), &HOUR, 0) {
                LookUp::Found(held) => assert_eq!(held.peer, peer(number)),
                other => panic!("{other:?} for session {number} after {reads:?} reads"),
            }
            reads.fetch_add(1, Relaxed);
        }
    };
    let span = Duration::from_micros(u64::from(rounds(1_500_000)));
    for_a_while(span, &[&read, &|stop| come_and_go(table, 52, stop)]);
    for_a_while(
        span,
        &[&read, &|stop| come_and_go(table, 53, stop), &|stop| {
            come_and_go(table, 54, stop)
        }],
    );
    assert_eq!(zone.evicted(), (0, 0), "no space: the test shows nothing");
    assert!(
        cfg!(miri) || zone.counters.relocated.load(Relaxed) > 1000,
        "hardly anything was relocated"
    );
}

#[test]
fn sessions_that_are_used_and_relocated_at_once_are_kept() {
    let zone = crowded();
    let table = zone.table();
    // Every touch is due, so sources change while they are relocated.
    let limits = Limits {
        expires: 1 << 20,
        lifetime: None,
    };
    let step = limits.touch_interval();
    let clock = AtomicU32::new(0);
    let last_seen = [const { AtomicU32::new(0) }; RESIDENTS as usize];
    let touch = |stop: &AtomicBool| {
        let mut random = Random(55);
        for now in 1.. {
            if stop.load(Relaxed) {
                break;
            }
            // Slow enough that ticks do not reach their end and nothing expires.
            let now = (now / 50_000).min(1000) * step;
            clock.store(now, Relaxed);
            let number = random.below(RESIDENTS as u32);
            let key = key(u64::from(number));
            table.touch(key, &limits, now);
            let LookUp::Found(held) = table.look_up(key, &limits, now) else {
                panic!("lost session {number}")
            };
            assert_eq!(held.peer, peer(number));
            let last = &last_seen[number as usize];
            last.store(last.load(Relaxed).max(held.seen), Relaxed);
        }
    };
    let churn = |seed| {
        move |stop: &AtomicBool| {
            come_and_go(table, seed, stop);
        }
    };
    for_a_while(
        Duration::from_micros(u64::from(rounds(2_500_000))),
        &[&touch, &churn(56), &churn(57)],
    );
    assert_eq!(zone.evicted(), (0, 0));
    let now = clock.load(Relaxed);
    for (number, last) in (0..).zip(&last_seen) {
        let LookUp::Found(held) = table.look_up(key(number), &limits, now) else {
            panic!("lost session {number}")
        };
        // It may be a second ahead: removing one of two copies advances it.
        let last = last.load(Relaxed);
        assert!(held.seen >= last, "session {number} is an older copy");
    }
}

/// Runs `work(thread, round)` in two threads at once, then `check(round)` in one of them.
fn in_step(rounds: u64, work: impl Fn(u64, u64) + Sync, check: impl Fn(u64)) {
    let ready = [AtomicU64::new(0), AtomicU64::new(0)];
    let wait = |flag: &AtomicU64, round| {
        let mut spins = 0;
        while flag.load(SeqCst) < round {
            // Short enough that both threads start together if there are two processors.
            spins += 1;
            if spins % 500 == 0 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            for round in 1..=rounds {
                wait(&ready[0], round);
                work(1, round);
                ready[1].store(round, SeqCst);
            }
        });
        // Releases the other thread, even after a panic in this one.
        struct Release<'a>(&'a AtomicU64);
        impl Drop for Release<'_> {
            fn drop(&mut self) {
                self.0.store(u64::MAX, SeqCst);
            }
        }
        let release = Release(&ready[0]);
        for round in 1..=rounds {
            release.0.store(round, SeqCst);
            work(0, round);
            wait(&ready[1], round);
            check(round);
        }
        drop(release);
        joined(other);
    });
}

#[test]
fn two_workers_that_learn_one_id_agree_on_its_peer() {
    // Tables of two full lines, in which each thread first frees a word of its own, so they see
    // different free places and both insert. Many tables, so that the threads, which run at their
    // own speed, often meet.
    const TABLES: usize = if cfg!(miri) { 4 } else { 256 };
    let zones: Vec<Zone> = (0..TABLES).map(|_| Zone::new(8)).collect();
    let outcomes: Vec<[AtomicU64; 2]> = (0..TABLES).map(|_| Default::default()).collect();
    let both_new = AtomicU64::new(0);
    let guest = |thread: u64| key(1000 + thread);
    let refill = |table: Table, round: u64| {
        table.forget(key(round));
        for filler in 0..6 {
            learn(table, key(2000 + filler), peer(4), ID_UNKNOWN);
        }
        // The guests have the lower place in turn.
        for thread in [round % 2, 1 - round % 2] {
            learn(table, guest(thread), peer(3), ID_UNKNOWN);
        }
    };
    for zone in &zones {
        refill(zone.table(), 0);
    }
    in_step(
        u64::from(rounds(1000)),
        |thread, round| {
            for (zone, outcomes) in zones.iter().zip(&outcomes) {
                let table = zone.table();
                table.forget(guest(thread));
                let to = peer(1 + thread as u32);
                let outcome = match learn(table, key(3000 + round), to, Claim::ResponseOnly) {
                    Learned::New { .. } => 0,
                    Learned::Kept { holder } => u64::from(holder.get()),
                    other => panic!("{other:?}"),
                };
                outcomes[thread as usize].store(outcome, SeqCst);
            }
        },
        |round| {
            let id = key(3000 + round);
            for (zone, outcomes) in zones.iter().zip(&outcomes) {
                let LookUp::Found(held) = zone.table().look_up(id, &HOUR, 0) else {
                    panic!("no session in round {round}")
                };
                let holder = u64::from(held.peer.get());
                assert_eq!(zone.places_of(id).len(), 1, "round {round}");
                let told = [outcomes[0].load(SeqCst), outcomes[1].load(SeqCst)];
                // The holder was told so; the other worker saw it, or had finished before.
                assert_eq!(told[holder as usize - 1], 0, "{told:?}, holder {holder}");
                let other = told[2 - holder as usize];
                assert!(other == 0 || other == holder, "{told:?}, holder {holder}");
                both_new.fetch_add(u64::from(other == 0), Relaxed);
                zone.table().forget(id);
                refill(zone.table(), round);
            }
        },
    );
    println!("both were told that it was new {both_new:?} times");
}

#[test]
fn two_workers_that_learn_one_id_of_the_same_peer_agree() {
    let zone = Zone::new(64);
    let table = zone.table();
    in_step(
        u64::from(rounds(20_000)),
        |_, round| {
            let learned = learn(table, key(round), peer(1), ID_UNKNOWN);
            assert!(
                matches!(learned, Learned::New { .. } | Learned::Same),
                "{learned:?}"
            );
        },
        |round| {
            let LookUp::Found(held) = table.look_up(key(round), &HOUR, 0) else {
                panic!("lost")
            };
            assert_eq!(held.peer, peer(1));
            assert!(table.forget(key(round)));
            assert_eq!(table.look_up(key(round), &HOUR, 0), LookUp::Unknown);
        },
    );
}

#[test]
fn of_two_workers_that_reassign_a_session_one_succeeds() {
    let zone = Zone::new(64);
    let table = zone.table();
    let done = [AtomicBool::new(false), AtomicBool::new(false)];
    learn(table, key(0), peer(9), ID_UNKNOWN);
    in_step(
        u64::from(rounds(20_000)),
        |thread, _| {
            let to = peer(1 + thread as u32);
            let success = table.reassign(key(0), peer(9), to, &HOUR, 0);
            done[thread as usize].store(success, SeqCst);
        },
        |_| {
            let LookUp::Found(held) = table.look_up(key(0), &HOUR, 0) else {
                panic!("lost")
            };
            let done = [done[0].load(SeqCst), done[1].load(SeqCst)];
            assert_eq!(done, [held.peer == peer(1), held.peer == peer(2)]);
            table.forget(key(0));
            learn(table, key(0), peer(9), ID_UNKNOWN);
        },
    );
}
