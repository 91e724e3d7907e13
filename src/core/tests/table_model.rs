//! Tests of both session tables against a plain map with a virtual clock: the same operations in the
//! same order must give the same results, to the second. Without this, nothing shows that expiry,
//! refreshing and moving work together.

mod table_zone;

use std::collections::HashMap;

use sticky_core::table::{Claim, Learned, Limits, LocalTable, LookUp, Session, Stage, Tick};

use table_zone::model::Model;
use table_zone::{key, peer, rounds, Random, Sessions, Zone};

const STEPS: u32 = rounds(200_000);

/// `is`, with `created` as expected if that is at most 1/1000 of the session's age too early, or
/// after it was entered and brought again 2 s and 1/500: a word is no more exact.
fn to_the_second(is: LookUp, expected: LookUp) -> LookUp {
    let (LookUp::Found(held), LookUp::Found(model)) = (is, expected) else {
        return is;
    };
    let age = model.seen - model.created;
    let allowed = match model.stage {
        Stage::Entered if model.confirmed => 2 + age / 500,
        _ => age / 1000,
    };
    match model.created.checked_sub(held.created) {
        Some(early) if early <= allowed => LookUp::Found(Session {
            created: model.created,
            ..held
        }),
        _ => is,
    }
}

/// Random operations on so few keys that each is used many times. `may_lose`: the table is too
/// small, so a key may be unknown, but every session found must still be right.
fn run(table: &dyn Sessions, limits: Limits, keys: u32, may_lose: bool, seed: u64) {
    let mut random = Random::seeded(seed);
    let mut model = Model {
        limits,
        held: HashMap::new(),
    };
    let mut now: Tick = 0;
    let mut found = 0;
    for step in 0..STEPS {
        if random.below(4) == 0 {
            now += random.below(limits.expires / 20 + 2);
        }
        let id = key(u64::from(random.below(keys)));
        let told = format!("step {step}, tick {now}, key {id:?}");

        let (is, expected) = (table.look_up(id, &limits, now), model.look_up(id, now));
        if may_lose && is == LookUp::Unknown {
            model.held.remove(&id);
        } else {
            assert_eq!(to_the_second(is, expected), expected, "{told}");
            // Or its errors would add up where it is not exact.
            if let LookUp::Found(held) = is {
                model.held.insert(id, held);
            }
        }
        found += u32::from(matches!(is, LookUp::Found(_)));

        let (from, to) = (peer(random.below(4)), peer(random.below(4)));
        match random.below(100) {
            0..=39 => {
                if let Some(held) = model.live(id, now) {
                    model.refresh(id, held, now, true);
                }
                table.touch(id, &limits, now);
                // A crowded table writes every second, see `Limits::touched`.
                if let (true, Some(held), LookUp::Found(is)) = (
                    may_lose,
                    model.live(id, now),
                    table.look_up(id, &limits, now),
                ) {
                    let seen = if is.seen == now { now } else { held.seen };
                    model.held.insert(id, Session { seen, ..held });
                }
            }
            40..=84 => {
                let claim = match random.below(9) {
                    0 | 1 => Claim::ResponseOnly,
                    2 => Claim::RequestCarried { holder: None },
                    3 => Claim::RequestCarried { holder: Some(from) },
                    4 | 5 => Claim::Request { from: None },
                    6 => Claim::Request { from: Some(from) },
                    _ => Claim::Answer,
                };
                let unusable = random.below(16) & random.below(16);
                let is = table.learn(id, to, claim, &limits, now, &mut |p| {
                    unusable >> p.get() & 1 == 1
                });
                let expected = model.learn(id, to, claim, now, unusable);
                match (is, expected) {
                    (Learned::New { evicted }, Learned::New { .. }) => {
                        assert!(may_lose || evicted.is_none(), "{told}");
                    }
                    _ => assert_eq!(is, expected, "{told}"),
                }
            }
            85..=94 => {
                let held = model.live(id, now).filter(|held| held.peer == from);
                if let Some(held) = held {
                    model.reassign(id, held, to, now, false);
                }
                assert_eq!(
                    table.reassign(id, from, to, &limits, now),
                    held.is_some(),
                    "{told}"
                );
            }
            95..=96 => {
                let expected = model.end(id, from, now);
                assert_eq!(table.end(id, from, &limits, now), expected, "{told}");
            }
            97 => assert_eq!(
                table.forget_entered(id, &limits, now),
                model.forget_entered(id, now),
                "{told}"
            ),
            _ => assert_eq!(table.forget(id), model.held.remove(&id).is_some(), "{told}"),
        }
    }
    assert!(
        found > STEPS / 20,
        "hardly anything was ever found: {found}"
    );
}

fn shared(words: usize, limits: Limits, keys: u32, may_lose: bool, seed: u64) {
    run(&Zone::new(words).table(), limits, keys, may_lose, seed);
}

#[test]
fn the_shared_table_agrees_with_a_map() {
    shared(
        512,
        Limits {
            expires: 600,
            lifetime: None,
        },
        300,
        false,
        21,
    );
}

#[test]
fn the_shared_table_agrees_with_a_map_with_a_lifetime() {
    // Ages up to 2047 s are stored to the second.
    shared(
        512,
        Limits {
            expires: 600,
            lifetime: Some(1500),
        },
        300,
        false,
        22,
    );
}

#[test]
fn a_full_shared_table_forgets_but_finds_nothing_wrong() {
    shared(
        64,
        Limits {
            expires: 600,
            lifetime: Some(1500),
        },
        300,
        true,
        23,
    );
    shared(
        8,
        Limits {
            expires: 600,
            lifetime: Some(1500),
        },
        40,
        true,
        24,
    );
}

#[test]
fn the_local_table_agrees_with_a_map() {
    run(
        &LocalTable::new(512),
        Limits {
            expires: 600,
            lifetime: Some(1500),
        },
        300,
        false,
        25,
    );
}

#[test]
fn a_full_local_table_forgets_but_finds_nothing_wrong() {
    run(
        &LocalTable::new(40),
        Limits {
            expires: 600,
            lifetime: Some(1500),
        },
        300,
        true,
        26,
    );
    run(
        &LocalTable::new(1),
        Limits {
            expires: 60,
            lifetime: None,
        },
        6,
        true,
        27,
    );
}
