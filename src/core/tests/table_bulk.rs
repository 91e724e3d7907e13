//! What an operator does with all sessions of a server, or with a part of them.

mod table_zone;

use portable_atomic::AtomicU128;
use sticky_core::table::bulk::{change_part, Bulk, Part};
use sticky_core::table::{
    Claim, Fingerprint, Limits, LookUp, Predecessor, Registration, Table, ZoneHeader,
};

use table_zone::{key, none_unusable, HOUR};

const SESSIONS: u64 = 4000;
const NOW: u32 = 100;

struct Zone {
    header: ZoneHeader,
    rest: Vec<AtomicU128>,
}

impl Zone {
    /// A zone that knows these servers.
    fn of(servers: &[u8]) -> Zone {
        let rest = (0..16_384).map(|_| AtomicU128::new(0)).collect();
        let zone = Zone {
            header: ZoneHeader::default(),
            rest,
        };
        zone.header.identity.init(16_384, 1, 2, 0);
        for server in servers {
            zone.server(*server);
        }
        zone
    }

    fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }

    fn server(&self, server: u8) -> Registration {
        let fingerprint = Fingerprint::new((5, 6), b"u", &[server]);
        let registry = self.table().registry().unwrap();
        registry.register(&[fingerprint])[0].unwrap()
    }

    /// Sessions in turn at these servers.
    fn learn(&self, keys: std::ops::Range<u64>, servers: &[u8]) {
        for number in keys {
            let server = self.server(servers[number as usize % servers.len()]);
            let claim = Claim::ResponseOnly;
            let unusable = &mut none_unusable;
            self.table()
                .learn_of(key(number), &server, claim, &HOUR, NOW, unusable);
        }
    }

    fn count(&self, server: u8) -> usize {
        let number = self.server(server).number;
        let sessions = self.table().sessions();
        sessions
            .filter(|(_, session)| session.peer == number)
            .count()
    }

    fn part(&self, server: u8, percent: u8, salt: u64) -> Part {
        let of = self.server(server).number;
        Part { of, percent, salt }
    }

    fn change(&self, part: &Part, bulk: &Bulk) -> usize {
        change_part(&self.table(), None, part, bulk, (&HOUR, NOW), &|| false)
    }
}

#[test]
fn all_sessions_of_a_server_move_and_no_others() {
    let zone = Zone::of(b"abc");
    zone.learn(0..SESSIONS, b"ab");
    let to = Bulk::Move(zone.server(b'c'));
    assert_eq!(zone.change(&zone.part(b'a', 100, 1), &to), 2000);
    assert_eq!(
        [zone.count(b'a'), zone.count(b'b'), zone.count(b'c')],
        [0, 2000, 2000]
    );
    assert_eq!(zone.change(&zone.part(b'a', 100, 1), &to), 0);
}

#[test]
fn a_part_moves_and_then_the_same_part_of_the_rest() {
    let zone = Zone::of(b"ab");
    zone.learn(0..SESSIONS, b"a");
    let to = Bulk::Move(zone.server(b'b'));
    let first = zone.change(&zone.part(b'a', 30, 11), &to);
    assert!((1080..1320).contains(&first), "{first} of 4000");
    assert_eq!(zone.count(b'b'), first);
    // The same salt names the same sessions.
    assert_eq!(zone.change(&zone.part(b'a', 30, 11), &to), 0);
    let second = zone.change(&zone.part(b'a', 30, 12), &to);
    assert!((740..940).contains(&second), "{second} of {}", 4000 - first);
}

#[test]
fn all_sessions_of_a_server_end() {
    let zone = Zone::of(b"ab");
    zone.learn(0..SESSIONS, b"ab");
    assert_eq!(zone.change(&zone.part(b'a', 100, 1), &Bulk::End), 2000);
    assert_eq!([zone.count(b'a'), zone.count(b'b')], [0, 2000]);
    let ended = zone.table().look_up(key(0), &HOUR, NOW);
    assert_eq!(ended, LookUp::Unknown);
}

#[test]
fn expired_sessions_are_left_to_the_sweep() {
    let zone = Zone::of(b"ab");
    zone.learn(0..10, b"a");
    let limits = Limits { expires: 5, ..HOUR };
    let to = Bulk::Move(zone.server(b'b'));
    let part = zone.part(b'a', 100, 1);
    let later = NOW + 60;
    let changed = change_part(&zone.table(), None, &part, &to, (&limits, later), &|| false);
    assert_eq!(changed, 0);
}

#[test]
fn it_ends_when_it_is_stopped() {
    let zone = Zone::of(b"ab");
    zone.learn(0..10_000, b"a");
    let to = Bulk::Move(zone.server(b'b'));
    let part = zone.part(b'a', 100, 1);
    let changed = change_part(&zone.table(), None, &part, &to, (&HOUR, NOW), &|| true);
    assert!(changed <= 4096, "{changed}");
}

#[test]
fn sessions_that_stand_in_the_table_before_alone_move_too() {
    // In another order, so that they have other numbers.
    let (old, new) = (Zone::of(b"xba"), Zone::of(b"ab"));
    new.header.identity.set_whole(false);
    old.learn(0..1000, b"ab");
    new.learn(1000..1500, b"a");
    let before = Predecessor::new(old.table(), &old.header.identity, None);
    let to = Bulk::Move(new.server(b'b'));
    let part = new.part(b'a', 100, 1);
    let table = new.table();
    let changed = change_part(&table, Some(&before), &part, &to, (&HOUR, NOW), &|| false);
    // Those learned in the new table alone are there as well.
    assert_eq!(changed, 1000);
    let b = new.server(b'b').number;
    for number in 0..1500 {
        let found = before.look_up(&table, key(number), &HOUR, NOW);
        let is_at_b = matches!(found, LookUp::Found(session) if session.peer == b);
        assert!(is_at_b, "{number}: {found:?}");
    }
    let changed = change_part(
        &table,
        Some(&before),
        &new.part(b'b', 100, 1),
        &Bulk::End,
        (&HOUR, NOW),
        &|| false,
    );
    assert_eq!(changed, 1500);
}
