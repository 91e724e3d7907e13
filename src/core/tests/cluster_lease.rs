//! Who speaks to the store: one at a time, and another one soon where the holder is gone.

use sticky_core::cluster::lease::{Lease, LeaseCells, LEASE_LASTS};

const NEVER: fn(u32) -> bool = |_| false;

fn take(cells: &LeaseCells, generation: u64, pid: u32, now: u64) -> Option<Lease> {
    cells.take(generation, pid, now, NEVER)
}

#[test]
fn one_holds_it() {
    let cells = LeaseCells::default();
    assert_eq!(cells.holder(), None);
    let lease = take(&cells, 1, 100, 5000).expect("nobody has it");
    assert_eq!((lease.pid(), lease.term()), (100, 1));
    assert_eq!(cells.holder(), Some(lease));
    assert!(cells.is_held(lease));
    assert_eq!(take(&cells, 1, 101, 5000), None);
    assert_eq!(take(&cells, 1, 101, 5000 + LEASE_LASTS), None);
}

#[test]
fn it_is_lost_in_silence() {
    let cells = LeaseCells::default();
    let old = take(&cells, 1, 100, 5000).expect("nobody has it");
    assert!(cells.beat(old, 5500));
    assert_eq!(take(&cells, 1, 101, 5500 + LEASE_LASTS), None);
    let new = take(&cells, 1, 101, 5501 + LEASE_LASTS).expect("the holder is silent");
    assert!(!cells.is_held(old));
    assert!(!cells.beat(old, 9000));
    assert_ne!(old.term(), new.term());
    // The one that comes back is not heard.
    assert_eq!(take(&cells, 1, 100, 5502 + LEASE_LASTS), None);
}

#[test]
fn the_dead_have_lost_it() {
    let cells = LeaseCells::default();
    take(&cells, 1, 100, 5000).expect("nobody has it");
    assert_eq!(cells.take(1, 101, 5001, |pid| pid == 99), None);
    let new = cells.take(1, 101, 5001, |pid| pid == 100);
    assert_eq!(new.map(Lease::pid), Some(101));
}

#[test]
fn a_newer_configuration_gets_it() {
    let cells = LeaseCells::default();
    take(&cells, 7, 100, 5000).expect("nobody has it");
    assert_eq!(take(&cells, 7, 101, 5001), None);
    assert_eq!(take(&cells, 6, 101, 5001), None);
    assert!(take(&cells, 8, 102, 5001).is_some());
    // An older one does not get it back as long as the holder is there.
    assert_eq!(take(&cells, 7, 100, 5002), None);
    // Numbers begin anew.
    let cells = LeaseCells::default();
    take(&cells, (1 << 20) - 1, 100, 5000).expect("nobody has it");
    assert!(take(&cells, 1 << 20, 101, 5001).is_some());
    assert_eq!(take(&cells, (1 << 20) - 1, 102, 5002), None);
}

#[test]
fn it_is_given_back() {
    let cells = LeaseCells::default();
    let old = take(&cells, 1, 100, 5000).expect("nobody has it");
    cells.give_back(old);
    let new = take(&cells, 1, 101, 5001).expect("it was given back");
    // Not that of another one.
    cells.give_back(old);
    assert_eq!(take(&cells, 1, 102, 5002), None);
    assert!(cells.is_held(new));
}

#[test]
fn terms_differ_as_long_as_anybody_may_remember() {
    let cells = LeaseCells::default();
    let mut last = None;
    for round in 0..5000 {
        let now = 5000 + round * 1000;
        let lease = take(&cells, 1, 4_194_303, now).expect("the holder is silent");
        assert_ne!(last, Some(lease));
        assert_eq!(lease.pid(), 4_194_303);
        last = Some(lease);
    }
}

#[test]
fn of_many_one_gets_it() {
    let cells = LeaseCells::default();
    for round in 1..200u64 {
        let taken: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|pid| {
                    scope.spawn({
                        let cells = &cells;
                        move || take(cells, 1, 100 + pid, round * 2000).is_some()
                    })
                })
                .collect();
            all.into_iter()
                .map(|one| usize::from(one.join().expect("no panic")))
                .sum()
        });
        assert_eq!(taken, 1, "round {round}");
    }
}
