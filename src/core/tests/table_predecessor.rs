//! Tests for two tables of which one replaces the other while workers use both: without them a
//! reload that changes the size of a zone loses the sessions that begin or move around it.

mod table_zone;

use std::collections::BTreeMap;
use std::thread;

use portable_atomic::AtomicU128;
use sticky_core::table::{
    Claim, Fingerprint, Key, Learned, Limits, LookUp, PeerId, Predecessor, Registration, Table,
    Tick, ZoneHeader,
};

use table_zone::{key, none_unusable, rounds, Random, HOUR};

const KEYS: (u64, u64) = (5, 6);

/// Servers in these tests.
const SERVERS: u32 = 5;

/// One that no table knows at first.
const LATE: u32 = SERVERS;

struct Zone {
    header: ZoneHeader,
    rest: Vec<AtomicU128>,
}

impl Zone {
    /// A zone in which the servers have numbers in an order of its own.
    fn new(words: usize, first: u32) -> Zone {
        let rest = (0..words).map(|_| AtomicU128::new(0)).collect();
        let zone = Zone {
            header: ZoneHeader::default(),
            rest,
        };
        zone.header.identity.init(words, 1, 2, 0);
        for number in 0..SERVERS {
            zone.server((first + number) % SERVERS);
        }
        zone
    }

    fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }

    fn predecessor<'a>(&'a self, before: Option<Predecessor<'a>>) -> Predecessor<'a> {
        Predecessor::new(self.table(), &self.header.identity, before)
    }

    fn server(&self, server: u32) -> Registration {
        let registry = self.table().registry().unwrap();
        registry.register(&[fingerprint(server)])[0].unwrap()
    }

    /// Gives all the numbers that are left.
    fn fill_registry(&self) {
        let registry = self.table().registry().unwrap();
        let others = (0..registry.capacity() as u32).map(|other| fingerprint(100 + other));
        registry.register(&others.collect::<Vec<_>>());
    }

    /// The server that has a number here.
    fn named(&self, number: PeerId) -> u32 {
        let registry = self.table().registry().unwrap();
        let found = registry.registration(number).unwrap().fingerprint();
        (0..=LATE)
            .find(|server| found == Some(fingerprint(*server)))
            .unwrap()
    }
}

fn fingerprint(server: u32) -> Fingerprint {
    Fingerprint::new(KEYS, b"shop", format!("10.0.0.{server}:80").as_bytes())
}

/// What a request sees and does, with servers instead of their numbers.
trait Worker {
    fn zone(&self) -> &Zone;
    fn look_up(&self, key: Key, now: Tick) -> LookUp;
    fn touch(&self, key: Key, now: Tick);
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool;
    fn forget_entered(&self, key: Key, now: Tick) -> bool;
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned;

    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool;

    fn ends(&self, key: Key, server: u32, now: Tick) -> bool {
        self.end(key, self.zone().server(server).number, now)
    }

    fn holder(&self, key: Key, now: Tick) -> Option<u32> {
        match self.look_up(key, now) {
            LookUp::Found(session) => Some(self.zone().named(session.peer)),
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    fn moves(&self, key: Key, from: u32, to: u32, now: Tick) -> bool {
        let zone = self.zone();
        self.reassign(key, zone.server(from).number, &zone.server(to), now)
    }

    /// A response of `server`. `carried`: its request had the id and found that holder.
    fn learns(
        &self,
        key: Key,
        server: u32,
        carried: Option<Option<u32>>,
        unusable: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let zone = self.zone();
        let claim = match carried {
            None => Claim::ResponseOnly,
            Some(holder) => Claim::RequestCarried {
                holder: holder.map(|holder| zone.server(holder).number),
            },
        };
        self.claims(key, server, claim, unusable, now)
    }

    /// A request that goes to `server`, after it has failed at another one.
    fn enters(
        &self,
        key: Key,
        server: u32,
        failed: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let from = failed.map(|failed| self.zone().server(failed).number);
        self.claims(key, server, Claim::Request { from }, None, now)
    }

    fn claims(
        &self,
        key: Key,
        server: u32,
        claim: Claim,
        unusable: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let zone = self.zone();
        let mut is_unusable = |peer| Some(zone.named(peer)) == unusable;
        match self.learn(key, &zone.server(server), claim, now, &mut is_unusable) {
            Learned::New { .. } => ("new", None),
            Learned::Same => ("same", None),
            Learned::Moved { from } => ("moved", Some(zone.named(from))),
            Learned::Kept { holder } => ("kept", Some(zone.named(holder))),
            Learned::Refused => ("refused", None),
        }
    }
}

/// A worker that knows one table.
struct Alone<'a>(&'a Zone);

impl Worker for Alone<'_> {
    fn zone(&self) -> &Zone {
        self.0
    }
    fn look_up(&self, key: Key, now: Tick) -> LookUp {
        self.0.table().look_up(key, &HOUR, now)
    }
    fn touch(&self, key: Key, now: Tick) {
        self.0.table().touch(key, &HOUR, now);
    }
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool {
        self.0.table().reassign_to(key, from, to, &HOUR, now)
    }
    fn forget_entered(&self, key: Key, now: Tick) -> bool {
        self.0.table().forget_entered(key, &HOUR, now)
    }
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let table = self.0.table();
        table.learn_of(key, peer, claim, &HOUR, now, unusable)
    }
    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool {
        self.0.table().end(key, holder, &HOUR, now)
    }
}

/// A worker that knows a table and those that it replaces.
struct Both<'a>(&'a Zone, Predecessor<'a>);

impl<'a> Both<'a> {
    /// The zones from the newest to the oldest.
    fn new(zones: &[&'a Zone]) -> Self {
        let mut before = None;
        for zone in zones[1..].iter().rev() {
            zone.header.identity.set_whole(before.is_none());
            before = Some(zone.predecessor(before));
        }
        Both(zones[0], before.unwrap())
    }
}

impl Worker for Both<'_> {
    fn zone(&self) -> &Zone {
        self.0
    }
    fn look_up(&self, key: Key, now: Tick) -> LookUp {
        self.1.look_up(&self.0.table(), key, &HOUR, now)
    }
    fn touch(&self, key: Key, now: Tick) {
        self.1.touch(&self.0.table(), key, &HOUR, now);
    }
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool {
        let new = self.0.table();
        self.1.reassign_to(&new, key, from, to, &HOUR, now)
    }
    fn forget_entered(&self, key: Key, now: Tick) -> bool {
        self.1.forget_entered(&self.0.table(), key, &HOUR, now)
    }
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let new = self.0.table();
        self.1
            .learn_of(&new, key, peer, claim, &HOUR, now, unusable)
    }
    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool {
        self.1.end(&self.0.table(), key, holder, &HOUR, now)
    }
}

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

/// Workers with one, two or three tables do at random what workers with one table do beside them,
/// and have the same outcome each time. When the older ones have gone, the newest table alone has
/// it all.
/// One after the other, of sizes at random.
fn zones_of_sizes(count: u32, random: &mut Random) -> Vec<Zone> {
    let mut words = || 1024 + 64 * random.below(20) as usize;
    (0..count)
        .map(|number| Zone::new(words(), number))
        .collect()
}

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

/// Parallel first answers with one id, at workers with one table and with both: all agree
/// afterwards, and no answer was told that the session is another's than it is.
#[test]
fn of_two_at_once_the_old_table_decides() {
    for round in 0..rounds(300) {
        let (old, new) = (Zone::new(1024, 0), Zone::new(2048, 2));
        let ids = 8;
        thread::scope(|scope| {
            for worker in 0..4u32 {
                let (old, new) = (&old, &new);
                scope.spawn(move || {
                    let alone = Alone(old);
                    let both = Both::new(&[new, old]);
                    let worker_sees: &dyn Worker = if worker % 2 == 0 { &alone } else { &both };
                    for id in 0..ids {
                        let key = key(u64::from(round * 100 + id));
                        match id % 2 {
                            0 => worker_sees.learns(key, worker, None, None, 20),
                            _ => worker_sees.enters(key, worker, None, 20),
                        };
                    }
                });
            }
        });
        let (alone, both) = (Alone(&old), Both::new(&[&new, &old]));
        for id in 0..ids {
            let key = key(u64::from(round * 100 + id));
            let holder = alone.holder(key, 20);
            assert!(holder.is_some());
            assert_eq!(both.holder(key, 20), holder);
        }
        assert!(both.1.move_into(&new.table(), &HOUR, 20, &|| false));
        for id in 0..ids {
            let key = key(u64::from(round * 100 + id));
            assert_eq!(Alone(&new).holder(key, 20), alone.holder(key, 20));
        }
    }
}

/// One worker ends a session while another one writes it into the new table: it is in neither
/// afterwards, unless it has begun anew.
#[test]
fn what_has_ended_is_in_no_table() {
    for round in 0..rounds(300) {
        let (old, new) = (Zone::new(1024, 0), Zone::new(2048, 2));
        let keys: Vec<Key> = (0..16).map(|id| key(u64::from(round * 100 + id))).collect();
        for key in &keys {
            Alone(&old).learns(*key, 1, None, None, 10);
        }
        let (learned, ended) = thread::scope(|scope| {
            let learned = scope.spawn(|| {
                let both = Both::new(&[&new, &old]);
                let all = keys.iter();
                all.map(|key| both.learns(*key, 1, None, None, 20).0)
                    .collect::<Vec<_>>()
            });
            let ended = scope.spawn(|| {
                let both = Both::new(&[&new, &old]);
                let all = keys.iter();
                all.map(|key| both.ends(*key, 1, 20)).collect::<Vec<_>>()
            });
            (learned.join().unwrap(), ended.join().unwrap())
        });
        assert!(ended.iter().all(|ended| *ended), "{ended:?}");
        let both = Both::new(&[&new, &old]);
        for (key, learned) in keys.iter().zip(learned) {
            let expected = (learned == "new").then_some(1);
            assert_eq!(both.holder(*key, 20), expected, "{learned}");
            assert_eq!(Alone(&old).holder(*key, 20), expected, "{learned}");
        }
    }
}

/// The same, with the end right between what the other one reads and writes.
#[cfg(feature = "steps")]
#[test]
fn what_ends_while_it_is_copied_is_in_no_table() {
    use std::rc::Rc;
    use sticky_core::table::test_points;

    let zones: &'static [Zone; 2] = Box::leak(Box::new([Zone::new(1024, 0), Zone::new(2048, 2)]));
    let [old, new] = zones;
    let key = key(1);
    Alone(old).learns(key, 1, None, None, 10);
    test_points::hook(Some(Rc::new(move |point| {
        if point == "follow: read" {
            test_points::hook(None);
            assert!(Both::new(&[new, old]).ends(key, 1, 20));
        }
    })));
    let both = Both::new(&[new, old]);
    assert_eq!(both.learns(key, 1, None, None, 20).0, "same");
    assert_eq!(both.holder(key, 20), None);
    assert_eq!(Alone(new).holder(key, 20), None);
}

/// A zone that was made larger because it was full: who has no room in the old table is in the new
/// one.
#[test]
fn a_full_table_is_replaced_by_a_larger_one() {
    let (old, new) = (Zone::new(256, 0), Zone::new(8192, 3));
    let both = Both::new(&[&new, &old]);
    let mut homes = BTreeMap::new();
    for id in 0..2000u64 {
        let now = 10 + id as Tick / 100;
        let server = (id % 5) as u32;
        assert_eq!(both.learns(key(id), server, None, None, now).0, "new");
        homes.insert(id, server);
        // Others answer with ids that they know.
        let earlier = id / 2;
        let other = (server + 1) % SERVERS;
        let kept = both.learns(key(earlier), other, None, None, now);
        if homes[&earlier] != other {
            assert_eq!(kept, ("kept", Some(homes[&earlier])), "{id}");
        }
    }
    for (id, server) in &homes {
        assert_eq!(both.holder(key(*id), 40), Some(*server));
        both.touch(key(*id), 40);
    }
    assert!(both.1.move_into(&new.table(), &HOUR, 40, &|| false));
    for (id, server) in &homes {
        assert_eq!(Alone(&new).holder(key(*id), 40), Some(*server));
    }
}

/// The registry of an older table is full: a session that moves to a server that has no number
/// there is found where it has moved to, by all who can know that server.
#[test]
fn a_session_moves_to_a_server_that_the_old_table_has_no_number_for() {
    // From the newest to the oldest: whether the registry is full.
    let chains: [&[bool]; 4] = [
        &[false, true],
        &[false, false, true],
        &[false, true, false],
        &[false, true, true],
    ];
    type Move = fn(&Both<'_>, Key) -> bool;
    let moves: [(&str, Move); 4] = [
        ("its server is gone", |both, key| {
            both.moves(key, 1, LATE, 20)
        }),
        ("its request was answered there", |both, key| {
            both.learns(key, LATE, Some(Some(1)), None, 20) == ("moved", Some(1))
        }),
        ("found in a page, its server is gone", |both, key| {
            both.learns(key, LATE, None, Some(1), 20) == ("moved", Some(1))
        }),
        ("moved once more", |both, key| {
            both.moves(key, 1, LATE, 20)
                && both.moves(key, LATE, 2, 20)
                && both.moves(key, 2, LATE, 21)
        }),
    ];
    for (chain, (what, moves)) in chains.iter().flat_map(|chain| moves.map(|it| (chain, it))) {
        let what = format!("{chain:?}: {what}");
        let zones: Vec<Zone> = (0..chain.len() as u32)
            .map(|first| Zone::new(1024, first))
            .collect();
        let oldest = Alone(&zones[chain.len() - 1]);
        for id in 0..3 {
            oldest.learns(key(id), 1, None, None, 10);
        }
        for (new, old) in zones.iter().zip(&zones[1..]).rev() {
            new.table().copy_from(&old.table());
        }
        for (zone, _) in zones.iter().zip(*chain).filter(|(_, is_full)| **is_full) {
            zone.fill_registry();
        }
        let zones: Vec<&Zone> = zones.iter().collect();
        let (one, other) = (Both::new(&zones), Both::new(&zones));

        assert!(moves(&one, key(1)), "{what}");
        for both in [&one, &other] {
            assert_eq!(both.holder(key(1), 21), Some(LATE), "{what}");
            both.touch(key(1), 22);
        }
        assert_eq!(oldest.holder(key(1), 22), None, "{what}");
        // What does not move, stays.
        let kept = ("kept", Some(1));
        assert_eq!(other.learns(key(2), LATE, None, None, 22), kept, "{what}");
        assert!(!other.moves(key(2), 3, LATE, 22), "{what}");
        assert_eq!(one.holder(key(2), 22), Some(1), "{what}");
        assert_eq!(oldest.holder(key(2), 22), Some(1), "{what}");
        // New ones are known to all who can know them.
        assert_eq!(one.learns(key(9), LATE, None, None, 22).0, "new", "{what}");
        assert_eq!(other.holder(key(9), 22), Some(LATE), "{what}");

        assert!(other.1.move_into(&zones[0].table(), &HOUR, 23, &|| false));
        let alone = Alone(zones[0]);
        for (id, server) in [(0, 1), (1, LATE), (2, 1), (9, LATE)] {
            assert_eq!(alone.holder(key(id), 23), Some(server), "{what}, {id}");
        }
    }
}

/// A smaller one: nobody has to go for those who had no room in it.
#[test]
fn a_table_is_replaced_by_a_smaller_one() {
    let (old, new) = (Zone::new(8192, 0), Zone::new(512, 1));
    for id in 0..2000u64 {
        Alone(&old).learns(key(id), 1, None, None, 10);
    }
    new.table().copy_from(&old.table());
    let both = Both::new(&[&new, &old]);
    for id in 0..100u64 {
        assert_eq!(both.holder(key(id), 20), Some(1));
        assert!(both.moves(key(id), 1, 2, 20));
    }
    assert!(both.1.move_into(&new.table(), &HOUR, 21, &|| false));
    let alone = Alone(&new);
    for id in 0..100u64 {
        assert_eq!(alone.holder(key(id), 21), Some(2));
    }
    assert!(
        (0..2000)
            .filter(|id| alone.holder(key(*id), 21).is_some())
            .count()
            > 300
    );
}

#[test]
fn what_has_expired_is_not_moved() {
    let short = Limits {
        expires: 10,
        lifetime: None,
    };
    let (old, new) = (Zone::new(1024, 0), Zone::new(1024, 1));
    let peer = old.server(1);
    let claim = Claim::ResponseOnly;
    let mut usable = none_unusable;
    old.table()
        .learn_of(key(1), &peer, claim, &short, 10, &mut usable);
    let before = old.predecessor(None);
    let new = new.table();
    assert!(matches!(
        before.look_up(&new, key(1), &short, 19),
        LookUp::Found(_)
    ));
    assert_eq!(before.look_up(&new, key(1), &short, 30), LookUp::Expired);
    assert!(before.move_into(&new, &short, 30, &|| false));
    assert_eq!(new.look_up(key(1), &short, 30), LookUp::Unknown);
}

#[test]
fn a_move_that_is_stopped_is_not_done() {
    let (old, new) = (Zone::new(1024, 0), Zone::new(1024, 1));
    Alone(&old).learns(key(1), 1, None, None, 10);
    let before = old.predecessor(None);
    assert!(!before.move_into(&new.table(), &HOUR, 10, &|| true));
}
