//! Tests for what a request asks of the table, mostly in one look. Without these, a request may go by a
//! session that has expired, or one that is in use may never be written, so that it ends too early.

mod table_zone;

use sticky_core::table::{Asked, Claim, FirstLook, Held, Learned, Limits, Table, Tick};

use table_zone::{key, none_unusable, peer, rounds, Random, Zone, HOUR};

const STEPS: u32 = rounds(100_000);

/// How often one look told that a session is live, that there is none, and nothing.
type Told = [u32; 3];

/// What a request is told, as it is found out step by step.
fn expected(table: &Table<'_>, number: u64, limits: &Limits, now: Tick) -> Asked {
    let key = key(number);
    Asked::of(key, table.look_up(key, limits, now), |session| {
        table.is_due(session, limits, now)
    })
}

/// What one look tells, and what the next step does where that is nothing.
fn asked(
    table: &Table<'_>,
    number: u64,
    limits: &Limits,
    epoch: u64,
    second: u64,
) -> (Asked, usize) {
    let key = key(number);
    let now = second.saturating_sub(epoch) as Tick;
    match table.ask_at_once(key, || (second.wrapping_sub(epoch), limits.fresh())) {
        FirstLook::Live(held) => (Asked::Live(held), 0),
        FirstLook::Unknown => (Asked::Unknown, 1),
        FirstLook::Untold(look) => (table.ask_after(look, key, limits, now), 2),
    }
}

/// Compares both at random times, of a table that so many keys use, and as many others are asked for.
fn run(words: usize, keys: u32, limits: Limits, epoch: u64) -> Told {
    let zone = Zone::new(words);
    let table = zone.table();
    let mut random = Random::seeded(22);
    let mut told = Told::default();
    let mut now: Tick = 0;
    for step in 0..STEPS {
        if random.below(8) == 0 {
            // Now and then for so long that sessions expire.
            let most = match random.below(100) {
                0 => limits.expires + 2,
                _ => limits.expires / 400 + 2,
            };
            now += random.below(most);
        }
        let number = random.below(2 * keys);
        let is_used = number < keys;
        let number = u64::from(number);
        let second = epoch + u64::from(now);
        let (is, at) = asked(&table, number, &limits, epoch, second);
        let expected = expected(&table, number, &limits, now);
        assert_eq!(is, expected, "step {step}, tick {now}, number {number}");
        told[at] += 1;
        let id = key(number);
        match random.below(8) {
            _ if !is_used => {}
            0 => {
                let to = peer(random.below(4));
                table.learn(
                    id,
                    to,
                    Claim::ResponseOnly,
                    &limits,
                    now,
                    &mut none_unusable,
                );
            }
            1..6 => table.touch(id, &limits, now),
            _ => {}
        }
    }
    told
}

/// What a request that is to touch its session does in short is what [`Table::touch`] does: compared by
/// two tables with the same sessions.
#[test]
fn a_session_is_touched_in_short_as_otherwise() {
    let zones = [Zone::new(512), Zone::new(512)];
    let [short, long] = [zones[0].table(), zones[1].table()];
    let mut random = Random::seeded(23);
    let mut now: Tick = 0;
    let mut touched = 0;
    for step in 0..STEPS {
        now += random.below(4) * random.below(30);
        let number = u64::from(random.below(120));
        let id = key(number);
        if random.below(4) == 0 {
            let to = peer(random.below(4));
            for table in [&short, &long] {
                table.learn(id, to, Claim::ResponseOnly, &HOUR, now, &mut none_unusable);
            }
            continue;
        }
        let look = short.ask_at_once(id, || (u64::from(now), HOUR.fresh()));
        if let FirstLook::Untold(look) = look {
            let expected = short.ask_after(look, id, &HOUR, now);
            match short.due_at_once(&look, id, &HOUR, now) {
                Some(due) => {
                    assert_eq!(expected, Asked::Due(due.held()), "step {step}");
                    assert!(short.touch_at_once(&due), "step {step}");
                    // Its word is another one by now.
                    assert!(!short.touch_at_once(&due), "step {step}");
                    touched += 1;
                }
                None => assert!(!matches!(expected, Asked::Due(_)), "step {step}"),
            }
        }
        long.touch(id, &HOUR, now);
        let looked_up = [&short, &long].map(|table| table.look_up(id, &HOUR, now));
        assert_eq!(looked_up[0], looked_up[1], "step {step}, tick {now}");
    }
    assert!(touched > STEPS / 50, "{touched}");
    let [short, long] = zones;
    assert_eq!(short.newcomers(), short.newcomers_counted());
    assert_eq!(short.newcomers(), long.newcomers());
}

/// A response is told in one look that there is nothing to learn where [`Table::learn`] would change
/// nothing, and only there.
#[test]
fn a_response_that_changes_nothing_is_told_so() {
    let zone = Zone::new(512);
    let table = zone.table();
    let mut random = Random::seeded(24);
    let mut now: Tick = 0;
    let mut told = [0; 2];
    for step in 0..STEPS {
        // Now and then for so long that sessions expire.
        now += match random.below(300) {
            0 => HOUR.expires + 2,
            _ => random.below(4),
        };
        let (id, to) = (key(u64::from(random.below(12))), peer(random.below(2)));
        match random.below(6) {
            0 => table.touch(id, &HOUR, now),
            1 => {
                let entered = Claim::Request { from: None };
                table.learn(id, to, entered, &HOUR, now, &mut none_unusable);
            }
            2 => {
                table.learn(id, to, Claim::Answer, &HOUR, now, &mut none_unusable);
            }
            _ => {
                let is_unchanged = table.is_unchanged_at(id, to, &HOUR, now);
                let before = table.look_up(id, &HOUR, now);
                let claim = Claim::ResponseOnly;
                let learned = table.learn(id, to, claim, &HOUR, now, &mut none_unusable);
                let is_same = learned == Learned::Same && table.look_up(id, &HOUR, now) == before;
                assert_eq!(is_unchanged, is_same, "step {step}, tick {now}");
                told[usize::from(is_same)] += 1;
            }
        }
    }
    assert!(told.iter().all(|count| *count > STEPS / 50), "{told:?}");
}

#[test]
fn one_look_tells_the_same_as_all_steps() {
    let told = run(4096, 40, HOUR, 1_000_000);
    // Else it were no short way.
    assert!(told.iter().all(|count| *count > STEPS / 50), "{told:?}");
}

#[test]
fn one_look_tells_the_same_in_a_table_that_is_full() {
    run(64, 200, HOUR, 0);
}

#[test]
fn where_a_lifetime_ends_sessions_one_look_tells_of_none() {
    let limits = Limits {
        expires: 3600,
        lifetime: Some(7200),
    };
    assert_eq!(run(4096, 40, limits, 7)[0], 0);
}

#[test]
fn short_limits_are_kept() {
    for expires in [1, 2, 63, 64, 65, 128] {
        let limits = Limits {
            expires,
            lifetime: None,
        };
        run(4096, 40, limits, 1);
    }
}

/// The clock may be behind that of who wrote the word, and before the epoch.
#[test]
fn a_session_that_was_seen_later_than_now_is_not_told_of_at_once() {
    let zone = Zone::new(64);
    let table = zone.table();
    let id = key(1);
    table.learn(
        id,
        peer(3),
        Claim::ResponseOnly,
        &HOUR,
        1000,
        &mut none_unusable,
    );
    table.touch(id, &HOUR, 1001);
    let told = |second: u64| asked(&table, 1, &HOUR, 50, second).1;
    assert_eq!([told(1051), told(1052), told(1106)], [0, 0, 0]);
    // One before, and before the epoch.
    assert_eq!([told(1050), told(49), told(0)], [2, 2, 2]);
    // From the 64th part of an hour on it is to be written.
    assert_eq!([told(1051 + 55), told(1051 + 56)], [0, 2]);
    let found = asked(&table, 1, &HOUR, 50, 1051).0;
    assert!(matches!(found, Asked::Live(held) if Held::peer(held) == peer(3)));
}
