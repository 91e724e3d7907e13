//! Tests for a table that gets full: which sessions are evicted, in what order, and how many fit.
//! Without this, a flood of invented ids could evict sessions in use.

mod table_zone;

use std::mem::size_of;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::{Claim, Evicted, Learned, Limits, LocalTable, LookUp, ZoneHeader};

use table_zone::{key, none_unusable, peer, Random, Sessions, Zone, HOUR};

const CARRIED: Claim = Claim::RequestCarried { holder: None };

/// nginx's slab allocator allocates whole pages; of 1 MB it uses 3 itself (ngx_slab_init).
const WORDS_IN_1MB: usize = (253 * 4096 - size_of::<ZoneHeader>()) / 16;

fn learn(table: &dyn Sessions, number: u64, claim: Claim, limits: &Limits, now: u32) -> Learned {
    table.learn(
        key(number),
        peer(number as u32 % 8),
        claim,
        limits,
        now,
        &mut none_unusable,
    )
}

/// A session to which a request has come back.
fn learn_used(table: &dyn Sessions, number: u64, limits: &Limits, now: u32) -> Learned {
    let learned = learn(table, number, Claim::ResponseOnly, limits, now);
    table.touch(key(number), limits, now);
    learned
}

fn is_found(table: &dyn Sessions, number: u64, limits: &Limits, now: u32) -> bool {
    match table.look_up(key(number), limits, now) {
        LookUp::Found(held) => {
            assert_eq!(held.peer, peer(number as u32 % 8));
            true
        }
        _ => false,
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn one_megabyte_holds_56500_sessions_before_a_live_one_is_evicted() {
    let mut random = Random::seeded(31);
    for _ in 0..3 {
        let zone = Zone::new(WORDS_IN_1MB);
        let first = random.bits() >> 30;
        let mut learned = 0;
        while learn_used(&zone.table(), first + learned, &HOUR, 0)
            == (Learned::New { evicted: None })
        {
            learned += 1;
        }
        assert!(learned >= 56_500, "{learned} of {WORDS_IN_1MB}");
        let found = (0..learned)
            .filter(|n| is_found(&zone.table(), first + n, &HOUR, 0))
            .count();
        // The last one was inserted; one of the others was evicted for it.
        assert_eq!(found as u64, learned - 1);
        assert_eq!(zone.evicted(), (0, 1));
        assert_eq!(zone.counters.last_eviction.load(Relaxed), 1);
    }
}

/// Sessions in use must survive a million invented ones. Each is used once during the flood, which
/// takes a sixth of their idle limit.
fn flood(table: &dyn Sessions, invented: u64, claim: Claim) {
    const IN_USE: u64 = 5000;
    let now_at = |n: u64| (n * 600 / invented) as u32;
    for number in 0..IN_USE {
        learn_used(table, number, &HOUR, 0);
    }
    for number in 0..invented {
        let now = now_at(number);
        learn(table, IN_USE + number, claim, &HOUR, now);
        if number % (invented / IN_USE) == 0 {
            table.touch(key(number / (invented / IN_USE)), &HOUR, now);
        }
    }
    let found = (0..IN_USE)
        .filter(|n| is_found(table, *n, &HOUR, 600))
        .count();
    assert_eq!(found as u64, IN_USE);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_flood_of_invented_ids_evicts_no_session_in_use() {
    // Sent by the server, or sent by the client and reflected in the response.
    for claim in [Claim::ResponseOnly, CARRIED] {
        let zone = Zone::new(65_024);
        flood(&zone.table(), 1_000_000, claim);
        assert_eq!(zone.evicted().1, 0);
        assert!(
            zone.evicted().0 > 900_000,
            "hardly a flood: {:?}",
            zone.evicted()
        );
        assert_eq!(zone.counters.last_eviction.load(Relaxed), 600);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_flood_evicts_no_session_in_use_from_the_local_table() {
    for claim in [Claim::ResponseOnly, CARRIED] {
        flood(&LocalTable::new(65_024), 1_000_000, claim);
    }
}

/// Invented ids come back once each, so they are in use as well, and fill the table several times,
/// in a minute each. Sessions used more often than every sixth of that stay.
fn rush(table: &dyn Sessions, capacity: u64) {
    const PAUSE: u64 = 8;
    let in_use = capacity / 13;
    for number in 0..in_use {
        learn_used(table, number, &HOUR, 0);
    }
    for number in 0..4 * capacity {
        let now = 60 * number / capacity;
        learn_used(table, in_use + number, &HOUR, now as u32);
        let due = (in_use * number * 60 / PAUSE / capacity) % in_use;
        if (in_use * (number + 1) * 60 / PAUSE / capacity) % in_use != due {
            assert!(
                is_found(table, due, &HOUR, now as u32),
                "{due} is lost at {now}"
            );
            table.touch(key(due), &HOUR, now as u32);
        }
    }
}

#[test]
fn ids_that_come_back_once_evict_none_that_come_back_more_often() {
    let zone = Zone::new(16_384);
    rush(&zone.table(), 16_384);
    assert!(zone.evicted().1 > 40_000, "{:?}", zone.evicted());
    rush(&LocalTable::new(16_384), 16_384);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn no_session_in_use_is_evicted_while_an_unused_one_can_be_reached() {
    // So many sessions in use that most pairs of lines have no others.
    let zone = Zone::new(4096);
    for number in 0..3600 {
        learn_used(&zone.table(), number, &HOUR, 0);
    }
    for number in 3600..20_000 {
        learn(&zone.table(), number, Claim::ResponseOnly, &HOUR, 1);
    }
    assert_eq!(zone.evicted().1, 0);
    assert!((0..3600).all(|number| is_found(&zone.table(), number, &HOUR, 1)));
}

/// For a table of eight places, where every key may be in any, and the local one.
fn evicts_in_order(table: &dyn Sessions) {
    let limits = Limits {
        expires: 100,
        lifetime: None,
    };
    // Learned at 1, 2 … 8; 1 to 4 are in use.
    for number in 1..=8 {
        let now = number as u32;
        match number {
            1..=4 => learn_used(table, number, &limits, now),
            5 | 6 => learn(table, number, CARRIED, &limits, now),
            _ => learn(table, number, Claim::ResponseOnly, &limits, now),
        };
    }
    let mut next = 9;
    let mut learn_next = |now| {
        next += 1;
        learn_used(table, next, &limits, now)
    };

    // Session 1 expires at 101, and is replaced first.
    assert_eq!(learn_next(101), Learned::New { evicted: None });
    assert!(!is_found(table, 1, &limits, 0));
    // Then those not in use, the oldest first.
    for oldest in 5..=8 {
        assert!(is_found(table, oldest, &limits, 101));
        assert_eq!(
            learn_next(101),
            Learned::New {
                evicted: Some(Evicted::Unused)
            }
        );
        assert!(!is_found(table, oldest, &limits, 101));
    }
    // Then the least recently seen.
    for oldest in 2..=4 {
        assert!(is_found(table, oldest, &limits, 101));
        assert_eq!(
            learn_next(101),
            Learned::New {
                evicted: Some(Evicted::InUse)
            }
        );
        assert!(!is_found(table, oldest, &limits, 101));
    }
}

#[test]
fn expired_go_first_then_the_oldest_not_in_use_then_the_least_recently_seen() {
    let zone = Zone::new(8);
    evicts_in_order(&zone.table());
    assert_eq!(zone.evicted(), (4, 3));
    assert_eq!(zone.counters.expired_reused.load(Relaxed), 1);
    evicts_in_order(&LocalTable::new(8));
}

#[test]
fn an_expired_session_that_is_learned_again_reuses_its_word() {
    let zone = Zone::new(8);
    learn(&zone.table(), 1, CARRIED, &HOUR, 0);
    assert_eq!(zone.table().look_up(key(1), &HOUR, 3600), LookUp::Expired);
    let again = learn(&zone.table(), 1, Claim::ResponseOnly, &HOUR, 3600);
    assert_eq!(again, Learned::New { evicted: None });
    assert_eq!(zone.places_of(key(1)).len(), 1);
    let LookUp::Found(held) = zone.table().look_up(key(1), &HOUR, 3600) else {
        panic!("lost")
    };
    assert_eq!((held.created, held.confirmed), (3600, false));
}

#[test]
fn in_a_shared_zone_the_longest_limits_count() {
    let (short, long) = (
        Limits {
            expires: 10,
            lifetime: None,
        },
        HOUR,
    );
    for (shared, kept) in [(true, true), (false, false)] {
        let zone = Zone::new(8);
        let table = match shared {
            true => zone.table().with_zone_limits(short.longer(long)),
            false => zone.table(),
        };
        learn_used(&table, 1, &long, 0);
        for number in 2..=8 {
            learn(&table, number, Claim::ResponseOnly, &long, 0);
        }
        learn(&table, 9, Claim::ResponseOnly, &short, 20);
        for number in 10..=16 {
            learn(&table, number, Claim::ResponseOnly, &short, 20);
        }
        assert_eq!(is_found(&table, 1, &long, 20), kept);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_copy_into_a_larger_table_keeps_every_session() {
    let small = Zone::new(4096);
    for number in 0..3500 {
        let claim = if number % 2 == 0 {
            CARRIED
        } else {
            Claim::ResponseOnly
        };
        learn(&small.table(), number, claim, &HOUR, number as u32);
    }
    for words in [4096, 5000, 65_536] {
        let large = Zone::new(words);
        assert_eq!(large.table().copy_from(&small.table()), 3500);
        for number in 0..3500 {
            let session = small.table().look_up(key(number), &HOUR, 3599);
            assert!(matches!(session, LookUp::Found(_)));
            assert_eq!(large.table().look_up(key(number), &HOUR, 3599), session);
        }
        assert_eq!(large.table().sessions().count(), 3500);
        assert_eq!(large.table().copy_from(&small.table()), 0, "nothing is new");
        assert_eq!(large.evicted(), (0, 0));
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_copy_into_a_smaller_table_keeps_those_seen_last() {
    let large = Zone::new(65_536);
    let mut random = Random::seeded(32);
    let long = Limits {
        expires: 1 << 20,
        lifetime: None,
    };
    let seen: Vec<u32> = (0..8000).map(|_| random.below(100_000)).collect();
    for (number, seen) in (0..).zip(&seen) {
        learn(&large.table(), number, CARRIED, &long, *seen);
    }
    let small = Zone::new(4096);
    let copied = small.table().copy_from(&large.table());
    assert_eq!(small.table().sessions().count(), copied);
    assert!(copied > 4000, "{copied}");

    let kept = |range: std::ops::Range<u32>| {
        let all = (0..).zip(&seen).filter(|(_, seen)| range.contains(seen));
        let (mut kept, mut total) = (0, 0);
        for (number, _) in all {
            total += 1;
            kept += u32::from(is_found(&small.table(), number, &long, 100_000));
        }
        f64::from(kept) / f64::from(total)
    };
    // Half of them fit: nearly all of the newest, hardly any of the oldest.
    assert!(kept(70_000..100_000) > 0.99, "{}", kept(70_000..100_000));
    assert!(kept(0..25_000) < 0.1, "{}", kept(0..25_000));
}

#[test]
fn a_copy_does_not_undo_what_is_newer() {
    let (old, new) = (Zone::new(64), Zone::new(32));
    learn(&old.table(), 1, CARRIED, &HOUR, 10);
    new.table()
        .learn(key(1), peer(5), CARRIED, &HOUR, 20, &mut none_unusable);
    assert_eq!(new.table().copy_from(&old.table()), 0);
    let LookUp::Found(held) = new.table().look_up(key(1), &HOUR, 20) else {
        panic!("lost")
    };
    assert_eq!((held.peer, held.seen), (peer(5), 20));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_local_table_stays_within_its_bound() {
    let table = LocalTable::new(100);
    let mut random = Random::seeded(33);
    for now in 0..20_000 {
        learn(
            &table,
            u64::from(random.below(5000)),
            Claim::ResponseOnly,
            &HOUR,
            now / 10,
        );
        if now % 3 == 0 {
            table.forget(key(u64::from(random.below(5000))));
        }
    }
    let held = (0..5000).filter(|n| table.look_up(key(*n), &HOUR, 2000) != LookUp::Unknown);
    assert!((1..=100).contains(&held.count()));
    assert_eq!(
        learn(&LocalTable::new(0), 1, CARRIED, &HOUR, 0),
        Learned::Refused
    );
}
