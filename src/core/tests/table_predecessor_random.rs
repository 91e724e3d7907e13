//! Tests for tables of which one replaces the other while workers do at random what requests do: without
//! them a reload loses sessions in an order of events that nobody has thought of.

mod predecessor;
mod table_zone;

use sticky_core::table::{Claim, Tick};

use predecessor::{Alone, Both, Worker, Zone, SERVERS};
use table_zone::{key, rounds, Random, HOUR};

/// What requests do, at one of these workers each, and at one with one table. All is the same.
fn do_at_random(
    workers: &[&dyn Worker],
    one: &dyn Worker,
    (round, ids): (u32, u32),
    random: &mut Random,
    now: &mut Tick,
) {
    for _ in 0..400 {
        let worker = workers[random.below(workers.len() as u32) as usize];
        let key = key(u64::from(round * 1000 + random.below(ids)));
        *now += random.below(2);
        let (here, there) = (worker.holder(key, *now), one.holder(key, *now));
        assert_eq!(here, there, "round {round} of {ids} ids");
        let server = random.below(SERVERS);
        let holder = here.unwrap_or_else(|| random.below(SERVERS));
        match random.below(12) {
            // What a worker without the newest table ends lives on in that.
            8 => {
                let newest = workers[workers.len() - 1];
                let ended = newest.ends(key, server, *now);
                assert_eq!(ended, one.ends(key, server, *now));
                if ended {
                    assert!(workers.iter().all(|of| of.holder(key, *now).is_none()));
                }
            }
            4 => {
                let failed = (random.below(2) == 0).then_some(holder);
                assert_eq!(
                    worker.enters(key, server, failed, *now),
                    one.enters(key, server, failed, *now)
                );
            }
            5 => assert_eq!(
                worker.claims(key, server, Claim::Answer, None, *now),
                one.claims(key, server, Claim::Answer, None, *now)
            ),
            6 => assert_eq!(
                worker.forget_entered(key, *now),
                one.forget_entered(key, *now)
            ),
            0 => {
                worker.touch(key, *now);
                one.touch(key, *now);
            }
            1 => assert_eq!(
                worker.moves(key, holder, server, *now),
                one.moves(key, holder, server, *now)
            ),
            _ => {
                let carried = (random.below(2) == 0).then_some(here);
                let unusable = (random.below(4) == 0).then(|| random.below(SERVERS));
                assert_eq!(
                    worker.learns(key, server, carried, unusable, *now),
                    one.learns(key, server, carried, unusable, *now)
                );
            }
        }
    }
}

/// One after the other, of sizes at random.
fn zones_of_sizes(count: u32, random: &mut Random) -> Vec<Zone> {
    let mut words = || 1024 + 64 * random.below(20) as usize;
    (0..count)
        .map(|number| Zone::new(words(), number))
        .collect()
}

/// Workers with one, two or three tables do at random what workers with one table do beside them,
/// and have the same outcome each time. When the older ones have gone, the newest table alone has
/// it all.
#[test]
fn workers_of_all_configurations_see_the_same() {
    let mut random = Random::seeded(0x5743);
    for round in 0..rounds(60) {
        let zones = zones_of_sizes(3, &mut random);
        let reference = Zone::new(4096, 4);
        let one = Alone(&reference);
        let oldest = Alone(&zones[0]);
        let ids = 1 + random.below(300);
        let mut now = 10;
        let run = |workers: &[&dyn Worker], random: &mut Random, now: &mut Tick| {
            do_at_random(workers, &one, (round, ids), random, now);
        };
        run(&[&oldest], &mut random, &mut now);
        zones[1].table().copy_from(&zones[0].table());
        let middle = Both::new(&[&zones[1], &zones[0]]);
        run(&[&oldest, &middle], &mut random, &mut now);
        zones[2].table().copy_from(&zones[1].table());
        let newest = Both::new(&[&zones[2], &zones[1], &zones[0]]);
        run(&[&oldest, &middle, &newest], &mut random, &mut now);
        run(&[&newest], &mut random, &mut now);

        let new = zones[2].table();
        assert!(newest.1.move_into(&new, &HOUR, now, &|| false));
        // The memory of the others has been freed by now: zeroes.
        for zone in &zones[..2] {
            for word in &zone.rest {
                word.store(0, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let alone = Alone(&zones[2]);
        run(&[&alone], &mut random, &mut now);
        for id in 0..ids {
            let key = key(u64::from(round * 1000 + id));
            assert_eq!(alone.holder(key, now), one.holder(key, now));
        }
    }
}

/// Workers with the oldest table alone go on while the table in between is passed over, by those
/// that have had it and by those that have never seen it, and all see the same.
#[test]
fn a_table_in_between_is_passed_over() {
    let mut random = Random::seeded(0x5744);
    for round in 0..rounds(60) {
        let zones = zones_of_sizes(4, &mut random);
        let reference = Zone::new(4096, 4);
        let one = Alone(&reference);
        let oldest = Alone(&zones[0]);
        let ids = 1 + random.below(300);
        let mut now = 10;
        let run = |workers: &[&dyn Worker], random: &mut Random, now: &mut Tick| {
            do_at_random(workers, &one, (round, ids), random, now);
        };
        let middle = Both::new(&[&zones[1], &zones[0]]);
        run(&[&oldest, &middle], &mut random, &mut now);
        zones[2].table().copy_from(&zones[1].table());
        // Of a session that only workers with the middle table know, nobody else has heard.
        let hidden = key(u64::from(round * 1000 + 999));
        Alone(&zones[1]).learns(hidden, 2, None, None, now);

        // Those with the middle table as their latest are gone.
        let newer = Both::new(&[&zones[2], &zones[1], &zones[0]]);
        run(&[&oldest, &newer], &mut random, &mut now);
        let new = zones[2].table();
        let between = zones[1].predecessor(Some(zones[0].predecessor(None)));
        assert!(between.move_own_into(&new, &HOUR, now, &|| false));
        assert!(!zones[1].header.identity.skip());
        let middle = Alone(&zones[1]);
        for id in 0..ids {
            middle
                .zone()
                .table()
                .forget(key(u64::from(round * 1000 + id)));
        }
        middle.zone().table().forget(hidden);
        run(&[&oldest, &newer], &mut random, &mut now);
        zones[3].table().copy_from(&zones[2].table());
        zones[2].header.identity.set_whole(false);
        let newest = Both(
            &zones[3],
            zones[2].predecessor(Some(zones[0].predecessor(None))),
        );
        run(&[&oldest, &newer, &newest], &mut random, &mut now);
        assert_eq!(newer.holder(hidden, now), Some(2));
        assert_eq!(newest.holder(hidden, now), Some(2));
        assert_eq!(middle.zone().table().sessions().count(), 0);

        assert!(newest.1.move_into(&zones[3].table(), &HOUR, now, &|| false));
        let alone = Alone(&zones[3]);
        run(&[&alone], &mut random, &mut now);
        assert_eq!(alone.holder(hidden, now), Some(2));
    }
}
