//! Tests for the number of sessions of each server: without them, an operator waits for sessions that
//! are gone, or takes a server away that has some.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;

use sticky_core::table::{
    Claim, Limits, Numbers, PeerId, Swept, Table, Tallies, Tally, Tick, Word,
};

use table_zone::{key, none_unusable, peer, Random, Zone, HOUR};

fn learn(zone: &Zone, number: u64, to: u32, now: Tick) {
    let table = zone.table();
    table.learn(
        key(number),
        peer(to),
        Claim::ResponseOnly,
        &HOUR,
        now,
        &mut none_unusable,
    );
}

/// A look at the whole table in pieces of `count` words.
fn tallied(table: &Table, count: usize, limits: &Limits, now: Tick) -> Tallies {
    let mut tallies = Tallies::default();
    let mut from = 0;
    loop {
        from = table.tally(from, count, limits, now, &mut tallies);
        if from == 0 {
            return tallies;
        }
    }
}

/// What a sweep counts meanwhile.
fn swept(table: &Table, count: usize, limits: &Limits, now: Tick) -> Tallies {
    let (mut seen, mut tallies) = (Numbers::default(), Tallies::default());
    let mut swept = Swept::default();
    loop {
        swept += table.sweep_and_note(swept.next, count, limits, now, &mut seen, &mut tallies);
        if swept.next == 0 {
            return tallies;
        }
    }
}

#[test]
fn each_server_has_its_own_number() {
    let zone = Zone::new(512);
    for number in 0..200 {
        learn(&zone, number, (number % 3) as u32, 100 + number as Tick);
    }
    // Requests bring back those of server 0 below 60.
    for number in (0..60).step_by(3) {
        zone.table()
            .touch(key(number), &HOUR, 1000 + number as Tick);
    }
    let tally = |in_use, not_in_use, last_seen| Tally {
        in_use,
        not_in_use,
        last_seen,
    };
    let before: Vec<_> = zone.words.iter().map(|word| word.load(Relaxed)).collect();
    for count in [1, 100, 256, 512, usize::MAX] {
        for tallies in [
            tallied(&zone.table(), count, &HOUR, 2000),
            swept(&zone.table(), count, &HOUR, 2000),
        ] {
            assert_eq!(tallies.of(peer(0)), tally(20, 47, 1057));
            assert_eq!(tallies.of(peer(1)), tally(0, 67, 299));
            assert_eq!(tallies.of(peer(2)), tally(0, 66, 297));
            assert!(tallies.of(peer(3)).is_empty());
            assert!(tallies.of(PeerId::new(1 << 19)).is_empty());
        }
    }
    let after: Vec<_> = zone.words.iter().map(|word| word.load(Relaxed)).collect();
    assert_eq!(before, after);
    // 101 to 150 have expired, whatever server they are of.
    let tallies = tallied(&zone.table(), 64, &HOUR, 3750);
    let left: u32 = (0..3).map(|at| tallies.of(peer(at)).not_in_use).sum();
    assert_eq!(left + 20, 149 + 17);
    // In a zone of others with a longer limit, they are live.
    let longer = Limits {
        expires: 7200,
        lifetime: None,
    };
    let table = zone.table().with_zone_limits(longer);
    let tallies = tallied(&table, 64, &HOUR, 3750);
    assert_eq!(tallies.of(peer(1)), tally(0, 67, 299));
}

#[test]
fn a_server_with_two_numbers_has_the_sessions_of_both() {
    let zone = Zone::new(128);
    (0..10).for_each(|number| learn(&zone, number, 4, 50));
    (10..13).for_each(|number| learn(&zone, number, 7, 60));
    let tallies = tallied(&zone.table(), 50, &HOUR, 100);
    let mut both = tallies.of(peer(4));
    both.add(tallies.of(peer(7)));
    assert_eq!((both.not_in_use, both.last_seen), (13, 60));
    let mut cleared = tallies;
    cleared.clear();
    assert!(cleared.of(peer(4)).is_empty());
}

#[test]
fn whatever_bytes_a_table_has_they_are_counted_without_panic() {
    let mut random = Random::seeded(13);
    let words: Vec<_> = (0..4096).map(|_| AtomicU128::new(0)).collect();
    let zone = Zone {
        words,
        ..Zone::new(0)
    };
    for _ in 0..20 {
        for word in &zone.words {
            let low = random.bits();
            word.store(Word::with_key(random.key(), low).bits(), Relaxed);
        }
        let now = random.below(1 << 28);
        let tallies = tallied(&zone.table(), 1000, &HOUR, now);
        let numbers = (0..1 << 20).map(|at| tallies.of(PeerId::new(at)));
        let all: u64 = numbers
            .map(|tally| u64::from(tally.in_use) + u64::from(tally.not_in_use))
            .sum();
        assert!(all <= 4096);
        // Beyond the end, and in a table of nothing.
        let mut tallies = Tallies::default();
        assert_eq!(
            zone.table()
                .tally(5000, usize::MAX, &HOUR, now, &mut tallies),
            0
        );
        assert_eq!(
            Zone::new(0).table().tally(0, 1, &HOUR, now, &mut tallies),
            0
        );
        assert!(tallies.of(peer(1)).is_empty());
    }
}
