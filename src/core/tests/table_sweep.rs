//! Tests for the sweep: it frees the words of expired sessions and nothing else. Without this, it
//! could remove a live session.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::{
    Claim, Limits, LookUp, Progress, Session, Stage, Swept, Table, Tick, Turn, Word,
};

use table_zone::{key, none_unusable, peer, Zone, HOUR};

const CARRIED: Claim = Claim::RequestCarried { holder: None };

/// A sweep in pieces of `count` words; returns the total, and how many pieces there were.
fn whole(table: &Table, count: usize, limits: &Limits, now: Tick) -> (Swept, usize) {
    let (mut swept, mut pieces) = (Swept::default(), 0);
    loop {
        swept += table.sweep(swept.next, count, limits, now);
        pieces += 1;
        if swept.next == 0 {
            return (swept, pieces);
        }
    }
}

#[test]
fn pieces_cover_the_table_once_and_free_expired_sessions() {
    for (count, pieces) in [(1, 512), (100, 6), (256, 2), (512, 1), (usize::MAX, 1)] {
        let zone = Zone::new(512);
        let table = zone.table();
        for number in 0..300 {
            let claim = if number % 3 == 0 {
                CARRIED
            } else {
                Claim::ResponseOnly
            };
            // 100 sessions begin at 0, 100 at 1000 and 100 at 2000.
            let now = (number / 100 * 1000) as Tick;
            table.learn(key(number), peer(1), claim, &HOUR, now, &mut none_unusable);
        }
        // The first 200 have expired, but their words are kept; the last 100 are live.
        let (swept, _) = whole(&table, count, &HOUR, 5599);
        assert_eq!((swept.live, swept.confirmed, swept.cleared), (100, 33, 0));
        assert_eq!(table.look_up(key(0), &HOUR, 5599), LookUp::Expired);

        let (swept, walked) = whole(&table, count, &HOUR, 8199);
        assert_eq!(walked, pieces);
        let counted = (swept.next, swept.live, swept.confirmed, swept.cleared);
        assert_eq!(counted, (0, 0, 0, 100));
        for number in 0..300 {
            let found = table.look_up(key(number), &HOUR, 8199);
            assert_eq!(found == LookUp::Expired, number >= 100);
            assert_eq!(found == LookUp::Unknown, number < 100);
        }
        table.publish(&swept);
        let counters = &zone.counters;
        assert_eq!(counters.expired_swept.load(Relaxed), 100);
        assert_eq!(counters.live.load(Relaxed), 0);
        assert_eq!(whole(&table, count, &HOUR, 8200).0.cleared, 100);
    }
}

#[test]
fn the_word_of_an_expired_session_is_kept_for_an_hour_at_least() {
    let limits = Limits {
        expires: 60,
        lifetime: Some(100),
    };
    let zone = Zone::new(8);
    zone.table()
        .learn(key(1), peer(1), CARRIED, &limits, 10, &mut none_unusable);
    let swept = |now| {
        let swept = zone.table().sweep(0, 8, &limits, now);
        (swept.live, swept.cleared)
    };
    assert_eq!((swept(69), swept(70)), ((1, 0), (0, 0)));
    assert_eq!(swept(129), (0, 0));
    zone.table().touch(key(1), &limits, 69);
    // Now it expires by its lifetime, at 110.
    assert_eq!((swept(109), swept(110)), ((1, 0), (0, 0)));
    assert_eq!((swept(3709), swept(3710)), ((0, 0), (0, 1)));
}

#[test]
fn the_word_of_a_session_with_a_longer_idle_limit_is_kept_for_that_time() {
    let limits = Limits {
        expires: 7200,
        lifetime: None,
    };
    let zone = Zone::new(8);
    zone.table()
        .learn(key(1), peer(1), CARRIED, &limits, 10, &mut none_unusable);
    assert_eq!(zone.table().sweep(0, 8, &limits, 14_409).cleared, 0);
    assert_eq!(zone.table().sweep(0, 8, &limits, 14_410).cleared, 1);
}

#[test]
fn a_shared_zone_is_swept_under_the_longest_limits() {
    let zone = Zone::new(8);
    let short = Limits {
        expires: 10,
        lifetime: Some(20),
    };
    let table = zone.table().with_zone_limits(short.longer(HOUR));
    table.learn(key(1), peer(1), CARRIED, &HOUR, 0, &mut none_unusable);
    assert_eq!(table.sweep(0, 8, &short, 7199).cleared, 0);
    assert_eq!(table.sweep(0, 8, &short, 7200).cleared, 1);
}

#[test]
fn a_word_in_a_line_that_is_not_its_keys_is_freed() {
    let zone = Zone::new(4096);
    for place in 0..4096 {
        let session = Session {
            peer: peer(1),
            seen: 0,
            created: 0,
            confirmed: true,
            stage: Stage::Settled,
        };
        zone.put(place, Word::new(key(1), &session));
    }
    let swept = zone.table().sweep(0, 4096, &HOUR, 0);
    assert_eq!((swept.live, swept.cleared), (8, 4088));
}

#[test]
fn a_piece_that_starts_beyond_the_end_examines_nothing() {
    let zone = Zone::new(8);
    for from in [8, 9, usize::MAX] {
        assert_eq!(zone.table().sweep(from, 4, &HOUR, 0), Swept::default());
    }
    assert_eq!(Zone::new(0).table().sweep(0, 4, &HOUR, 0), Swept::default());
}

/// Tables of so many words, swept with `allowance` words in each of several seconds: which tables
/// came to their end, in order, and the most words that were read in one second.
fn in_turn(tables: &[usize], allowance: usize, seconds: usize) -> (Vec<usize>, usize) {
    let (mut turn, mut whole, mut most) = (Turn::default(), Vec::new(), 0);
    let mut next = vec![0; tables.len()];
    for _ in 0..seconds {
        let mut read = 0;
        turn.sweep(tables.len(), allowance, |index, count| {
            let words = count.min(tables[index] - next[index]);
            read += words;
            next[index] += words;
            let is_whole = next[index] == tables[index];
            if is_whole {
                next[index] = 0;
                whole.push(index);
            }
            Progress { words, is_whole }
        });
        most = most.max(read);
    }
    (whole, most)
}

#[test]
fn many_tables_share_one_allowance_in_turn() {
    // One table: as much as the allowance in a second, and the next walk in the next one.
    assert_eq!(in_turn(&[2500], 1000, 6), (vec![0, 0], 1000));
    assert_eq!(in_turn(&[100], 1000, 3), (vec![0, 0, 0], 100));
    // Several: each as often as every other, the large one too, and never more in a second.
    let (whole, most) = in_turn(&[300, 5000, 300, 0, 400], 1000, 60);
    assert_eq!(whole[..5], [0, 1, 2, 3, 4]);
    assert!(
        whole.iter().zip((0..5).cycle()).all(|(a, b)| *a == b),
        "{whole:?}"
    );
    assert!((45..=50).contains(&whole.len()), "{whole:?}");
    assert!(most <= 1000, "{most}");
}

#[test]
fn tables_without_a_word_cost_something_too() {
    // 10,000 empty tables are not looked at all in one second.
    let (whole, _) = in_turn(&vec![0; 10_000], 6400, 1);
    assert_eq!(whole, (0..100).collect::<Vec<_>>());
    // And the one behind them gets its turn.
    let mut tables = vec![0; 10_000];
    tables.push(50);
    let (whole, most) = in_turn(&tables, 6400, 101);
    assert_eq!((whole[10_000], most), (10_000, 50));
    // None, and fewer than before.
    let mut turn = Turn::default();
    turn.sweep(0, 100, |_, _| unreachable!());
    let whole = |words| {
        move |_, _| Progress {
            words,
            is_whole: true,
        }
    };
    turn.sweep(5, 300, whole(100));
    let mut first = None;
    turn.sweep(2, 50, |index, _| {
        first = Some(index);
        Progress {
            words: 50,
            is_whole: true,
        }
    });
    assert_eq!(first, Some(1));
}

#[test]
fn a_table_is_unused_until_the_first_word() {
    let zone = Zone::new(512);
    assert!(zone.counters.is_unused());
    // Requests with unknown ids leave it so.
    zone.table().touch(key(1), &HOUR, 5);
    assert_eq!(zone.table().look_up(key(1), &HOUR, 5), LookUp::Unknown);
    assert!(zone.counters.is_unused());
    zone.table()
        .learn(key(1), peer(1), CARRIED, &HOUR, 5, &mut none_unusable);
    assert!(!zone.counters.is_unused());
    // However a word gets in.
    let session = zone.table().sessions().next().unwrap().1;
    let merged = Zone::new(512);
    merged.table().merge(key(1), &session, &HOUR, 5, true);
    assert!(!merged.counters.is_unused());
    let copied = Zone::new(1024);
    copied.table().copy_from(&zone.table());
    assert!(!copied.counters.is_unused());
}

/// Learns ids from `first` on, every third of which comes back.
fn arrive(table: &Table, first: u64, count: u64, now: Tick) {
    for number in first..first + count {
        let claim = Claim::ResponseOnly;
        table.learn(key(number), peer(1), claim, &HOUR, now, &mut none_unusable);
        if number % 3 == 0 {
            table.touch(key(number), &HOUR, now);
        }
    }
}

#[test]
fn a_sweep_corrects_the_number_of_newcomers() {
    // What dead workers have left wrong, also below 0 or absurd.
    for wrong in [0, 1, -1, 700, -4000, i64::MAX / 2, i64::MIN / 2] {
        for count in [100, 512, usize::MAX] {
            let zone = Zone::new(1024);
            let table = zone.table();
            arrive(&table, 0, 600, 0);
            assert_eq!((zone.newcomers(), zone.newcomers_counted()), (400, 400));
            zone.counters.newcomers.fetch_add(wrong as u64, Relaxed);
            // Expired ones count until they are swept, and the sweep may free them.
            for now in [10, 3700, 7300] {
                let (swept, _) = whole(&table, count, &HOUR, now);
                table.publish(&swept);
                assert_eq!(
                    zone.newcomers(),
                    zone.newcomers_counted(),
                    "{wrong} at {now}"
                );
            }
            assert_eq!(zone.newcomers(), 0);
        }
    }
}

#[test]
fn a_sweep_does_not_undo_what_happens_during_it() {
    for wrong in [0, -300, 5000] {
        let zone = Zone::new(65_536);
        let table = zone.table();
        arrive(&table, 0, 6000, 0);
        zone.counters.newcomers.fetch_add(wrong as u64, Relaxed);
        // In 64 pieces. While it is at work, ten times as many come, and the first ones expire.
        let mut swept = Swept::default();
        for piece in 0..64 {
            swept += table.sweep(swept.next, 1024, &HOUR, if piece < 20 { 100 } else { 7300 });
            if (30..50).contains(&piece) {
                arrive(&table, 6000 + piece * 2000, 2000, 7300);
            }
        }
        assert_eq!(swept.next, 0);
        table.publish(&swept);
        let (noted, counted) = (zone.newcomers(), zone.newcomers_counted());
        println!("{wrong}: {noted} noted, {counted} counted");
        assert!((noted - counted).abs() < 1000, "{noted}, {counted}");
        assert!(counted > 25_000);
    }
}
