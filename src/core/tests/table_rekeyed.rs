//! Tests for a table that gets another SipHash key: what it had before is remembered for a while, and
//! a session that is put under the new key is the same as before. Without this, users are logged out
//! when a second nginx is added, or other nodes believe that their sessions have just begun.

mod table_zone;

use portable_atomic::AtomicU128;
use sticky_core::table::{
    Change, Claim, Fingerprint, Journal, JournalHead, JournalOf, Keyer, Learned, Limits,
    LocalTable, LookUp, Predecessor, Session, Slot, Stage, Table, ZoneHeader,
};

use table_zone::{key, none_unusable, peer, Sessions, Zone, HOUR};

const NEW: Learned = Learned::New { evicted: None };

fn on_both(test: impl Fn(&dyn Sessions)) {
    test(&Zone::new(64).table());
    test(&LocalTable::new(64));
}

fn used(server: u32, seen: u32) -> Session {
    Session {
        peer: peer(server),
        seen,
        created: seen - 1,
        confirmed: true,
        stage: Stage::Settled,
    }
}

fn sessions() -> impl Iterator<Item = Session> {
    [Stage::Settled, Stage::Kept, Stage::Entered]
        .into_iter()
        .flat_map(|stage| {
            [(false, 500, 500), (true, 900, 500)].map(|(confirmed, seen, created)| Session {
                peer: peer(3),
                seen,
                created,
                confirmed,
                stage,
            })
        })
        .filter(|session| session.stage == Stage::Settled || !session.confirmed)
}

#[test]
fn a_session_under_another_key_is_the_same() {
    for session in sessions() {
        on_both(|table| {
            let claim = Claim::Rekeyed(session);
            let learned = table.learn(key(1), peer(5), claim, &HOUR, 2000, &mut none_unusable);
            assert_eq!(learned, NEW, "{session:?}");
            let LookUp::Found(found) = table.look_up(key(1), &HOUR, 2000) else {
                panic!("not found: {session:?}");
            };
            // A word has no more of it than that.
            let known = LocalTable::new(64);
            known.learn(key(1), peer(5), claim, &HOUR, 2000, &mut none_unusable);
            assert_eq!(LookUp::Found(found), known.look_up(key(1), &HOUR, 2000));
            assert_eq!((found.peer, found.stage), (peer(5), session.stage));
            assert_eq!(found.confirmed, session.confirmed);
            assert_eq!((found.seen, found.created), (session.seen, session.created));
        });
    }
}

#[test]
fn it_is_as_old_as_before() {
    on_both(|table| {
        let claim = Claim::Rekeyed(used(3, 500));
        table.learn(key(1), peer(3), claim, &HOUR, 4000, &mut none_unusable);
        assert!(matches!(
            table.look_up(key(1), &HOUR, 4099),
            LookUp::Found(_)
        ));
        assert_eq!(table.look_up(key(1), &HOUR, 4100), LookUp::Expired);
    });
}

#[test]
fn one_that_is_under_the_new_key_already_stays_as_it_is() {
    on_both(|table| {
        table.learn(
            key(1),
            peer(1),
            Claim::ResponseOnly,
            &HOUR,
            100,
            &mut none_unusable,
        );
        let before = table.look_up(key(1), &HOUR, 200);
        for (server, learned) in [(1, Learned::Same), (2, Learned::Kept { holder: peer(1) })] {
            let claim = Claim::Rekeyed(used(server, 150));
            // Also where the server of the one that is there is unusable.
            let result = table.learn(key(1), peer(server), claim, &HOUR, 200, &mut |_| true);
            assert_eq!(result, learned);
            assert_eq!(table.look_up(key(1), &HOUR, 200), before);
        }
        // One that has expired makes room for it.
        let claim = Claim::Rekeyed(used(2, 3800));
        let result = table.learn(key(1), peer(2), claim, &HOUR, 3900, &mut none_unusable);
        assert_eq!(result, NEW);
    });
}

/// A zone with some servers, by their numbers from 1 on.
struct Whole {
    header: ZoneHeader,
    rest: Vec<AtomicU128>,
}

impl Whole {
    fn new() -> Whole {
        let whole = Whole {
            header: ZoneHeader::default(),
            rest: (0..1024).map(|_| AtomicU128::new(0)).collect(),
        };
        whole.header.identity.init(1024, 1, 2, 1000);
        let servers: Vec<_> = (1..6).filter_map(Fingerprint::from_bits).collect();
        let registry = whole.table().registry().expect("it has one");
        registry.register(&servers);
        whole
    }

    fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }
}

#[test]
fn other_nodes_are_told_of_the_key_and_not_that_the_old_one_has_ended() {
    let (head, zone) = (JournalHead::default(), Whole::new());
    let slots: Vec<Slot> = (0..64).map(|_| Slot::default()).collect();
    let journal = Journal::new(&head, &slots);
    let table = zone.table();
    let table = table.with_journal(Some(JournalOf::new(journal, 7, 1000, 225)));
    let server = table.registry().and_then(|it| it.registration(peer(2)));
    let server = server.expect("it is registered");
    table.learn_of(
        key(1),
        &server,
        Claim::ResponseOnly,
        &HOUR,
        100,
        &mut none_unusable,
    );
    assert_eq!(journal.tail(), 1);

    let LookUp::Found(session) = table.look_up(key(1), &HOUR, 200) else {
        panic!("not found");
    };
    let claim = Claim::Rekeyed(session);
    let learned = table.learn_of(key(9), &server, claim, &HOUR, 200, &mut none_unusable);
    assert_eq!(learned, NEW);
    let note = journal.at(1).expect("it is noted");
    assert_eq!((note.change, note.key), (Change::Learned, key(9)));
    assert_eq!((note.server, journal.tail()), (peer(2), 2));

    assert!(table.with_journal(None).end(key(1), peer(2), &HOUR, 200));
    assert_eq!(journal.tail(), 2);
    assert_eq!(table.look_up(key(1), &HOUR, 200), LookUp::Unknown);
}

#[test]
fn it_is_in_both_tables_while_there_are_two() {
    let (old, new) = (Whole::new(), Whole::new());
    new.header.identity.set_whole(false);
    let (old_table, new_table) = (old.table(), new.table());
    let before = Predecessor::new(old_table, &old.header.identity, None);
    let server = new_table.registry().and_then(|it| it.registration(peer(2)));
    let server = server.expect("it is registered");
    let session = Session {
        peer: peer(2),
        seen: 150,
        created: 100,
        confirmed: true,
        stage: Stage::Settled,
    };
    let claim = Claim::Rekeyed(session);
    let (limits, mut gone) = (HOUR, none_unusable);
    let learned = before.learn_of(&new_table, key(9), &server, claim, &limits, 200, &mut gone);
    assert_eq!(learned, NEW);
    for table in [&old_table, &new_table] {
        assert_eq!(table.look_up(key(9), &HOUR, 200), LookUp::Found(session));
    }
    assert_eq!(
        before.look_up(&new_table, key(9), &HOUR, 200),
        LookUp::Found(session)
    );
}

#[test]
fn the_key_before_counts_until_its_end() {
    let header = ZoneHeader::default();
    assert_eq!(header.previous.get(), None);
    header.identity.init(1024, 1, 2, 0);
    header.change_key((3, 4), 500);
    assert_eq!(header.identity.sip_keys(), (3, 4));
    assert!(header.identity.is_valid_for(1024));
    assert_eq!(header.previous.get(), Some(((1, 2), 500)));
    assert_eq!(header.previous.at(499), Some(((1, 2), 500)));
    assert_eq!(header.previous.at(500), None);
    // Of two changes, the later one.
    header.change_key((5, 6), 900);
    assert_eq!(header.previous.at(500), Some(((3, 4), 900)));
    header.previous.set(None);
    assert_eq!(
        (header.previous.get(), header.identity.sip_keys()),
        (None, (5, 6))
    );
    // A key of zeros is one.
    header.previous.set(Some(((0, 0), 0)));
    assert_eq!(header.previous.get(), Some(((0, 0), 0)));
}

#[test]
fn an_id_has_another_key_under_each() {
    let key = |k0, k1| Keyer::new(k0, k1).scope(b"shop").key(b"5f3a9c");
    assert_ne!(key(1, 2), key(3, 4));
    let limits = Limits {
        expires: 10,
        lifetime: None,
    };
    let zone = Zone::new(64);
    let table = zone.table();
    let learn = |key| {
        table.learn(
            key,
            peer(1),
            Claim::ResponseOnly,
            &limits,
            1,
            &mut none_unusable,
        )
    };
    learn(key(1, 2));
    assert_eq!(table.look_up(key(3, 4), &limits, 1), LookUp::Unknown);
}
