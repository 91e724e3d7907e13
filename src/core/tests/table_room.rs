//! Tests for a table that gets full: which sessions are evicted, in what order, and how many fit.
//! Without this, a flood of invented ids could evict sessions in use.

mod table_zone;

use std::mem::size_of;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::{
    Claim, Evicted, Learned, Limits, LocalTable, LookUp, Session, ZoneHeader,
};

use table_zone::{key, none_unusable, peer, rounds, Random, Sessions, Zone, HOUR};

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
#[cfg_attr(miri, ignore = "too long")]
fn ids_that_come_back_once_evict_none_that_come_back_more_often() {
    let zone = Zone::new(16_384);
    rush(&zone.table(), 16_384);
    assert!(zone.evicted().1 > 40_000, "{:?}", zone.evicted());
    rush(&LocalTable::new(16_384), 16_384);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_flood_takes_a_quarter_of_the_table_from_sessions_in_use_and_no_more() {
    let zone = Zone::new(4096);
    for number in 0..3600 {
        learn_used(&zone.table(), number, &HOUR, number as u32 / 4);
    }
    for number in 3600..40_000 {
        learn(&zone.table(), number, Claim::ResponseOnly, &HOUR, 1000);
    }
    let kept = (0..3600).filter(|number| is_found(&zone.table(), *number, &HOUR, 1000));
    let kept: Vec<u64> = kept.collect();
    // A few more go where a new session reaches no newcomer.
    assert!((3000..=3072).contains(&kept.len()), "{}", kept.len());
    assert_eq!(zone.evicted().1, 3600 - kept.len() as u64);
    let later = kept.iter().filter(|number| **number >= 1800).count();
    assert!(later >= 1795, "{later} of the 1,800 seen last");
    assert_eq!(zone.newcomers(), zone.newcomers_counted());

    let table = LocalTable::new(4096);
    for number in 0..3600 {
        learn_used(&table, number, &HOUR, number as u32 / 4);
    }
    for number in 3600..40_000 {
        learn(&table, number, Claim::ResponseOnly, &HOUR, 1000);
    }
    assert!((528..3600).all(|number| is_found(&table, number, &HOUR, 1000)));
    assert!(!(0..528).any(|number| is_found(&table, number, &HOUR, 1000)));
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
    // Then newcomers, the oldest first, until they hold less than a quarter of the table; then
    // whoever was seen longest ago.
    for oldest in [5, 6, 7, 2, 3, 4, 8] {
        assert!(is_found(table, oldest, &limits, 101));
        let evicted = match oldest {
            2..=4 => Evicted::InUse,
            _ => Evicted::Unused,
        };
        let evicted = Some(evicted);
        assert_eq!(learn_next(101), Learned::New { evicted });
        assert!(!is_found(table, oldest, &limits, 101));
    }
}

#[test]
fn expired_go_first_then_newcomers_beyond_their_share_then_the_least_recently_seen() {
    let zone = Zone::new(8);
    evicts_in_order(&zone.table());
    assert_eq!(zone.evicted(), (4, 3));
    assert_eq!(zone.counters.expired_reused.load(Relaxed), 1);
    evicts_in_order(&LocalTable::new(8));
}

/// In a table of eight places, in which every key may be in any, each eviction is of a session that
/// the rule allows.
fn evicts_by_the_rule(table: &dyn Sessions, seed: u64) {
    let limits = Limits {
        expires: 300,
        lifetime: None,
    };
    let mut random = Random::seeded(seed);
    let mut now = 1;
    let mut evictions = [0, 0];
    for _ in 0..rounds(20_000) {
        now += random.below(3) / 2 * random.below(20);
        let number = u64::from(random.below(40));
        let held = || {
            let found = |number| match table.look_up(key(number), &limits, now) {
                LookUp::Found(session) => Some((number, session)),
                _ => None,
            };
            (0..40).filter_map(found).collect::<Vec<_>>()
        };
        match random.below(16) {
            0..11 => table.touch(key(number), &limits, now),
            11 => drop(table.forget(key(number))),
            _ => {
                let before = held();
                let claim = [Claim::ResponseOnly, CARRIED][random.below(2) as usize];
                let Learned::New { evicted } = learn(table, number, claim, &limits, now) else {
                    continue;
                };
                let after = held();
                let gone = before.iter().filter(|held| !after.contains(held));
                let gone: Vec<_> = gone.map(|(_, session)| *session).collect();
                assert_eq!(gone.len(), usize::from(before.len() == 8));
                let kind = |session: &Session| match session.is_in_use() {
                    true => Evicted::InUse,
                    false => Evicted::Unused,
                };
                assert_eq!(evicted, gone.first().map(kind));

                let Some(gone) = gone.first() else { continue };
                evictions[usize::from(gone.is_in_use())] += 1;
                let newcomers = before.iter().filter(|(_, session)| !session.is_in_use());
                // Of more than a quarter of the eight, only newcomers go.
                let is_allowed = match newcomers.count() {
                    0..=1 => |_: &Session| true,
                    _ => |session: &Session| !session.is_in_use(),
                };
                let order = |session: &Session| (session.seen, session.is_in_use());
                let allowed = before.iter().map(|(_, session)| session);
                let first = allowed
                    .filter(|session| is_allowed(session))
                    .map(order)
                    .min();
                assert_eq!(Some(order(gone)), first, "{before:?}");
            }
        }
    }
    assert!(
        cfg!(miri) || evictions.iter().all(|count| *count > 200),
        "{evictions:?}"
    );
}

#[test]
fn eight_places_are_given_up_by_the_rule() {
    let zone = Zone::new(8);
    evicts_by_the_rule(&zone.table(), 34);
    assert_eq!(zone.newcomers(), zone.newcomers_counted());
    evicts_by_the_rule(&LocalTable::new(8), 35);
}

#[test]
fn a_wrong_number_of_newcomers_decides_only_between_them_and_the_least_recent() {
    for (number, expected) in [
        (0, Evicted::InUse),
        (-1, Evicted::InUse),
        (i64::MIN, Evicted::InUse),
        (8, Evicted::Unused),
        (i64::MAX, Evicted::Unused),
    ] {
        let zone = Zone::new(8);
        for number in 1..=8 {
            match number {
                1..=4 => learn_used(&zone.table(), number, &HOUR, number as u32),
                _ => learn(&zone.table(), number, CARRIED, &HOUR, number as u32),
            };
        }
        zone.counters.newcomers.store(number as u64, Relaxed);
        let evicted = Some(expected);
        assert_eq!(
            learn(&zone.table(), 9, CARRIED, &HOUR, 9),
            Learned::New { evicted }
        );
        let gone = (1..=8).find(|number| !is_found(&zone.table(), *number, &HOUR, 9));
        assert_eq!(gone, Some(if expected == Evicted::InUse { 1 } else { 5 }));
    }
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
    for (words, threads) in [(4096, 1), (4096, 3), (5000, 1), (5000, 2), (65_536, 7)] {
        let large = Zone::new(words);
        let copied = large.table().copy_from_in(&small.table(), threads);
        assert_eq!(copied, 3500, "{words} words, {threads} threads");
        for number in 0..3500 {
            let session = small.table().look_up(key(number), &HOUR, 3599);
            assert!(matches!(session, LookUp::Found(_)));
            assert_eq!(large.table().look_up(key(number), &HOUR, 3599), session);
        }
        assert_eq!(large.table().sessions().count(), 3500);
        assert_eq!(large.table().copy_from(&small.table()), 0, "nothing is new");
        assert_eq!(large.evicted(), (0, 0));
        assert_eq!(large.newcomers(), large.newcomers_counted());
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
    for threads in [1, 3] {
        let small = Zone::new(4096);
        let copied = small.table().copy_from_in(&large.table(), threads);
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
        let newest = kept(70_000..100_000);
        assert!(newest > 0.99, "{newest}, {threads} threads");
        let oldest = kept(0..25_000);
        assert!(oldest < 0.1, "{oldest}, {threads} threads");
    }
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
