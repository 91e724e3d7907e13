//! Tests for two nginx that exchange their sessions through a state file, against plain maps, and for
//! the ticks in it. Without this, an upgrade loses sessions, or keeps unused ones forever.

mod table_zone;

use std::collections::HashMap;

use portable_atomic::AtomicU128;
use sticky_core::snapshot::{Moment, SnapshotHeader};
use sticky_core::table::{
    tick_at, Claim, Fingerprint, Key, Limits, LookUp, Merged, Session, Stage, Table, Tick,
    UsableServers, Word, ZoneHeader, LAST_TICK,
};

use table_zone::{key, none_unusable, peer, Random, Zone, HOUR};

const YEAR: u64 = 365 * 86_400;

fn moment(monotonic: u64, wall: u64) -> Moment {
    Moment { monotonic, wall }
}

fn header(epoch: u64, written: Moment) -> SnapshotHeader {
    SnapshotHeader {
        sip_keys: (1, 2),
        epoch,
        written,
    }
}

fn session(peer_number: u32, seen: Tick, created: Tick, confirmed: bool) -> Session {
    Session {
        peer: peer(peer_number),
        seen,
        created,
        confirmed,
        stage: Stage::Settled,
    }
}

#[test]
fn ticks_count_from_an_epoch_before_the_clock_too() {
    assert_eq!(tick_at(10, 10), 0);
    assert_eq!(tick_at(10, 25), 15);
    assert_eq!(tick_at(10, 3), 0, "a clock that lags");
    assert_eq!(tick_at(0u64.wrapping_sub(100), 3), 103);
    assert_eq!(tick_at(0, u64::MAX >> 1), Tick::MAX);
    assert_eq!(tick_at(0, u64::MAX), 0);
}

/// A restart: the tick of `now`, for a file written at tick 5000.
#[test]
fn idle_time_goes_on_while_nginx_is_down() {
    const WALL: u64 = 1_800_000_000;
    let cases = [
        ("at once", moment(6000, WALL), 5000),
        ("a minute later", moment(6060, WALL + 60), 5060),
        ("seconds read late", moment(6060, WALL + 62), 5060),
        ("and early", moment(6060, WALL + 58), 5060),
        ("after a boot", moment(20, WALL + 300), 5300),
        ("after a suspension", moment(6010, WALL + 900), 5900),
        ("the date was set back", moment(6010, WALL - 5000), 5000),
        ("and after a boot", moment(10, WALL - 86_400), 5000),
        (
            "a month later",
            moment(77, WALL + 30 * 86_400),
            5000 + 30 * 86_400,
        ),
    ];
    for (what, now, expected) in cases {
        let header = header(1000, moment(6000, WALL));
        let (epoch, shift) = header.resume(now);
        assert_eq!(tick_at(epoch, now.monotonic), expected, "{what}");
        let old = session(1, 4900, 4000, true);
        let word = Word::new(key(1), &old);
        assert_eq!(
            shift.session(word),
            Some((key(1), word.session())),
            "{what}"
        );
        let is_live = HOUR.is_live(&word.session(), tick_at(epoch, now.monotonic));
        assert_eq!(is_live, expected < 4900 + 3600, "{what}");
        // The epoch stays the same in one boot: both nginx of an upgrade have the same ticks.
        assert_eq!(
            epoch == 1000,
            expected <= 5060 && now.monotonic >= 6000 && now.wall >= WALL,
            "{what}"
        );
    }
}

#[test]
fn no_session_was_seen_after_the_file_was_written() {
    let written = moment(6000, 9000);
    let (_, shift) = header(1000, written).resume(written);
    let word = Word::new(key(1), &session(1, 70_000, 65_000, true));
    let (_, cut) = shift.session(word).unwrap();
    assert_eq!((cut.seen, cut.created), (5000, 5000));
    assert_eq!(shift.session(Word::EMPTY), None);
}

/// A restart every month for a hundred years: a session used shortly before a restart is live after
/// it, one that was not used for an hour has expired.
#[test]
fn restarts_for_years_do_not_reach_the_last_tick() {
    let mut now = moment(50, 1_800_000_000);
    let mut epoch = now.monotonic;
    for _ in 0..1200 {
        now.monotonic += YEAR / 12;
        now.wall += YEAR / 12;
        let tick = tick_at(epoch, now.monotonic);
        assert!(tick < LAST_TICK);
        let words = [
            Word::new(key(1), &session(1, tick - 100, tick - 300, true)),
            Word::new(key(2), &session(1, tick - 3700, tick - 3700, false)),
        ];
        let header = header(epoch, now);
        now = moment(70, now.wall + 60);
        let (next, shift) = header.resume(now);
        let tick = tick_at(next, now.monotonic);
        let [used, unused] = words.map(|word| shift.session(word).unwrap().1);
        assert_eq!(used.seen, tick - 160);
        assert!(used.created.abs_diff(tick - 360) <= 1);
        assert!(HOUR.is_live(&used, tick) && !HOUR.is_live(&unused, tick));
        assert!(used.is_in_use() && !unused.is_in_use());
        epoch = next;
    }
}

#[test]
fn ticks_are_converted_to_those_of_the_other_table() {
    let now = moment(6000, 9000);
    let word = Word::new(key(1), &session(1, 1000, 1000, false));
    let seen = |header: SnapshotHeader, epoch: u64, now: Moment| {
        header.shift_into(epoch, now).session(word).unwrap().1.seen
    };
    assert_eq!(seen(header(500, now), 500, now), 1000, "the same epoch");
    assert_eq!(seen(header(500, now), 200, now), 1300);
    assert_eq!(seen(header(500, now), 700, now), 800);
    assert_eq!(seen(header(500, now), 5000, now), 0, "before tick 0");
    let negative = 0u64.wrapping_sub(700);
    assert_eq!(seen(header(500, now), negative, now), 2200);
    assert_eq!(seen(header(negative, now), 0, now), 300);
    // Another system: by the wall clock, and never younger than it was.
    let theirs = header(100, moment(9100, 9000));
    let there = seen(theirs, 500, now);
    // The tick is 9000 there, and 5500 here.
    assert_eq!(there, 0);
    let later = seen(theirs, 0u64.wrapping_sub(7000), now);
    assert!((4996..=5000).contains(&later), "13,000 here: {later}");
    assert_eq!(seen(header(100, moment(1_000_100, 9000)), 500, now), 0);
}

/// An unused session goes back and forth between two tables: it must expire, whichever clock its ticks
/// are converted by.
#[test]
fn no_session_gets_younger_by_going_back_and_forth() {
    for (their_monotonic, their_epoch) in [(0i64, 0u64), (0, 77), (50_000, 50_500)] {
        let limits = Limits {
            expires: 60,
            lifetime: None,
        };
        let mut random = Random::seeded(3);
        let mut ours = session(1, 1000, 1000, true);
        let our_epoch = 100u64;
        for second in 0..=60u64 {
            let at = |late: u64| second + 1100 + late;
            let there = |at: u64| (at as i64 + their_monotonic) as u64;
            let late = u64::from(random.below(2));
            let file = header(our_epoch, moment(at(0), 5000 + second + late));
            let now = moment(there(at(0)), 5000 + second);
            let into = file.shift_into(their_epoch, now);
            let theirs = into.session(Word::new(key(1), &ours)).unwrap().1;
            let late = u64::from(random.below(2));
            let file = header(their_epoch, moment(there(at(0)), 5000 + second + late));
            let into = file.shift_into(our_epoch, moment(at(0), 5000 + second));
            let back = into.session(Word::new(key(1), &theirs)).unwrap().1;
            ours.seen = ours.seen.max(back.seen);
            let now = tick_at(our_epoch, at(0));
            assert_eq!(
                limits.is_live(&ours, now),
                second < 60,
                "{their_epoch} {second}"
            );
        }
    }
}

/// What becomes of two sessions of one key, implemented once more. `seen` may be later by one for each
/// time that another server has come.
fn joined(a: Session, b: Session) -> Session {
    // They are as old as an hour at most: `created` is known to the second or to two.
    let coarse = |session: &Session| 1 << u32::from(session.seen - session.created > 2047);
    let coarse = coarse(&a).max(coarse(&b));
    let in_use = |session: &Session| session.confirmed && session.seen > session.created;
    let order = |session: &Session| {
        let earlier = match a.created.abs_diff(b.created) >= coarse {
            true => Tick::MAX - session.created,
            false => 0,
        };
        (earlier, in_use(session), session.seen, session.peer)
    };
    let best = if order(&a) > order(&b) { a } else { b };
    Session {
        created: match a.peer == b.peer {
            // It is one session.
            true => a.created.min(b.created),
            false => best.created,
        },
        seen: a.seen.max(b.seen),
        confirmed: a.confirmed || b.confirmed,
        stage: a.stage.max(b.stage),
        peer: best.peer,
    }
}

#[test]
fn two_tables_end_with_the_same_sessions() {
    for seed in 0..40 {
        let mut random = Random::seeded(seed);
        let now = 10_000;
        let mut fill = |zone: &Zone| -> HashMap<Key, Session> {
            let mut map = HashMap::new();
            for _ in 0..600 {
                let number = u64::from(random.below(900));
                let created = now - 60 + random.below(4);
                let created = created - random.below(2) * random.below(3000);
                let seen = created + random.below(now - created);
                let new = session(random.below(5), seen, created, random.below(2) == 1);
                let word = Word::new(key(number), &new);
                if !map.contains_key(&key(number)) && HOUR.is_live(&new, now) {
                    zone.table().merge(key(number), &new, &HOUR, now, true);
                    map.insert(key(number), word.session());
                }
            }
            map
        };
        // The second is smaller, but has space for all.
        let (one, two) = (Zone::new(4096), Zone::new(2048));
        let (first, second) = (fill(&one), fill(&two));

        let give = |from: &Zone, to: &Zone| {
            for (key, session) in from.table().sessions() {
                let merged = to.table().merge(key, &session, &HOUR, now, true);
                assert!(matches!(merged, Merged::New | Merged::Known));
            }
        };
        give(&one, &two);
        give(&two, &one);
        give(&one, &two);
        let mut expected = first.clone();
        for (key, theirs) in &second {
            let both = first
                .get(key)
                .map_or(*theirs, |ours| joined(*ours, *theirs));
            expected.insert(*key, both);
        }
        for zone in [&one, &two] {
            let all: HashMap<_, _> = zone.table().sessions().collect();
            assert_eq!(all.len(), expected.len());
            for (key, wanted) in &expected {
                let got = all[key];
                let what = format!("seed {seed}: {got:?} {wanted:?}");
                assert_eq!(
                    (got.peer, got.confirmed),
                    (wanted.peer, wanted.confirmed),
                    "{what}"
                );
                assert!((0..=2).contains(&(got.seen - wanted.seen)), "{what}");
                // A later use may make it coarser.
                assert!(wanted.created.abs_diff(got.created) <= 2, "{what}");
            }
            assert_eq!(zone.evicted(), (0, 0));
        }
    }
}

#[test]
fn of_two_live_sessions_of_one_id_the_one_that_began_earlier_stays() {
    // Peer, seen, created, confirmed: of this nginx, of the other, and which stays.
    for (ours, theirs, stays) in [
        // Learned anew, and used since: the older one was moved to, or is the client's.
        ((1, 900, 100, true), (2, 990, 500, true), 1),
        ((1, 990, 500, true), (2, 900, 100, true), 2),
        // In the same second: the one in use, or else the one seen later.
        ((1, 100, 100, false), (2, 110, 100, true), 2),
        ((1, 120, 100, true), (2, 110, 100, true), 1),
        ((1, 100, 100, false), (2, 100, 100, false), 2),
        // After an hour, `created` is known to two seconds.
        ((1, 4100, 1001, true), (2, 4200, 1000, true), 2),
        ((1, 4100, 1000, true), (2, 4200, 1002, true), 1),
    ] {
        let make = |(number, seen, created, confirmed)| session(number, seen, created, confirmed);
        let long = Limits {
            expires: 9999,
            lifetime: None,
        };
        for (first, then) in [(ours, theirs), (theirs, ours)] {
            let zone = Zone::new(1024);
            zone.table().merge(key(1), &make(first), &long, 4300, true);
            zone.table().merge(key(1), &make(then), &long, 4300, true);
            let LookUp::Found(found) = zone.table().look_up(key(1), &long, 4300) else {
                panic!("lost");
            };
            assert_eq!(found.peer, peer(stays), "{ours:?} {theirs:?}");
        }
    }
}

/// What this nginx knows of a server: it can be used; it is down, failed or gone, or all of its
/// upstream are another nginx's.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Here {
    Usable,
    Not,
}

#[test]
fn of_two_live_sessions_of_one_id_the_one_whose_server_can_be_used_stays() {
    use Here::{Not, Usable};

    // Seen, created: the first is older, and in use; the second is seen later.
    let (older, younger) = ((900, 100), (990, 500));
    for (ours, theirs, at_ours, at_theirs, ours_stays) in [
        (older, younger, Usable, Usable, true),
        (younger, older, Usable, Usable, false),
        // Of an upstream that only the other nginx has, or of one whose servers are all gone or
        // failed: the rule is the usual one.
        (older, younger, Not, Not, true),
        (younger, older, Not, Not, false),
        (older, younger, Not, Usable, false),
        (younger, older, Not, Usable, false),
        (older, younger, Usable, Not, true),
        (younger, older, Usable, Not, true),
    ] {
        let what = format!("{ours:?} {at_ours:?} {theirs:?} {at_theirs:?}");
        let header = ZoneHeader::default();
        let rest: Vec<_> = (0..4096).map(|_| AtomicU128::new(0)).collect();
        let table = header.table(&rest);
        let registry = table.registry().unwrap();
        let server = |name: &[u8]| Fingerprint::new((1, 2), b"shop", name);
        let servers = [server(b"unrelated"), server(b"theirs"), server(b"ours")];
        let numbers = registry.register(&servers);
        let [_, at_them, at_us] = numbers[..] else {
            panic!("no numbers");
        };
        let (at_them, at_us) = (at_them.unwrap(), at_us.unwrap());
        let make = |(seen, created)| session(0, seen, created, true);
        let merge = |table: &Table, at, session| {
            table.merge_of(key(1), at, &make(session), &HOUR, 1000, true)
        };
        let known = [(servers[1], at_theirs), (servers[2], at_ours)];
        let known = known.iter().filter(|(_, here)| *here == Usable);
        let mut usable: UsableServers = known.map(|(server, _)| *server).collect();
        // Of another upstream.
        usable.extend([servers[0]]);
        assert_eq!(merge(&table, &at_us, ours), Merged::New);
        let table = table.with_usable_servers(&usable);
        assert_eq!(merge(&table, &at_them, theirs), Merged::Known, "{what}");
        let LookUp::Found(found) = table.look_up(key(1), &HOUR, 1000) else {
            panic!("lost");
        };
        let stays = if ours_stays { &at_us } else { &at_them };
        assert_eq!(found.peer, stays.number, "{what}");
        let (_, created) = if ours_stays { ours } else { theirs };
        assert_eq!(found.created, created, "{what}");
        // It comes again and again, and so does the other nginx's.
        merge(&table, &at_us, ours);
        merge(&table, &at_them, theirs);
        let LookUp::Found(again) = table.look_up(key(1), &HOUR, 1000) else {
            panic!("lost");
        };
        assert_eq!(again.peer, stays.number, "{what}, again");
    }
}

#[test]
fn without_known_servers_the_older_session_stays() {
    let header = ZoneHeader::default();
    let rest: Vec<_> = (0..4096).map(|_| AtomicU128::new(0)).collect();
    let none = UsableServers::default();
    assert!(none.is_empty());
    let table = header.table(&rest).with_usable_servers(&none);
    let at = table.registry().unwrap().register(&[
        Fingerprint::new((1, 2), b"shop", b"a"),
        Fingerprint::new((1, 2), b"shop", b"b"),
    ]);
    let [Some(a), Some(b)] = at[..] else {
        panic!("no numbers");
    };
    table.merge_of(key(1), &a, &session(0, 990, 500, true), &HOUR, 1000, true);
    table.merge_of(key(1), &b, &session(0, 900, 100, true), &HOUR, 1000, true);
    let LookUp::Found(found) = table.look_up(key(1), &HOUR, 1000) else {
        panic!("lost");
    };
    assert_eq!(found.peer, b.number);
}

#[test]
fn no_live_session_is_evicted_for_one_of_another_nginx() {
    for is_thorough in [true, false] {
        let zone = Zone::new(1024);
        let table = zone.table();
        for number in 0..3000 {
            table.learn(
                key(number),
                peer(1),
                Claim::ResponseOnly,
                &HOUR,
                100,
                &mut none_unusable,
            );
        }
        let mut before: Vec<_> = table.sessions().collect();
        let mut refused = 0;
        for number in 10_000..11_000 {
            let better = session(2, 200, 150, true);
            let merged = table.merge(key(number), &better, &HOUR, 200, is_thorough);
            refused += u32::from(merged == Merged::Full);
        }
        assert!(refused > 900, "{refused}");
        for (key, session) in before.drain(..) {
            assert_eq!(table.look_up(key, &HOUR, 200), LookUp::Found(session));
        }
        // Expired ones are replaced.
        let late = session(2, 3700, 3700, false);
        assert_eq!(table.merge(key(1), &late, &HOUR, 3700, false), Merged::New);
        let old = session(2, 100, 100, true);
        assert_eq!(
            table.merge(key(2), &old, &HOUR, 3700, true),
            Merged::Expired
        );
    }
}
