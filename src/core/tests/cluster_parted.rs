//! Tests for a follower while a zone has two tables, or three: after a reload that has changed its size,
//! workers of the old configuration use the old one alone. Without them, those would go on with what
//! other nodes have changed, or the new ones would.

mod table_zone;

use portable_atomic::AtomicU128;

use sticky_core::cluster::{Applied, Follower, Liveness, Record, Target};
use sticky_core::table::{
    Change, Claim, Fingerprint, Journal, JournalHead, JournalOf, Limits, LookUp, Predecessor,
    Registration, Slot, Table, Tick, ZoneHeader,
};

use table_zone::{key, none_unusable};

const LIMITS: Limits = Limits {
    expires: 1600,
    lifetime: None,
};
/// The store's clock is so far ahead of the ticks of the tables.
const AHEAD: u64 = 1_000_000;
const NOW: Tick = 5000;
const SCOPE: u64 = 77;
const NUMBER: u16 = 3;

fn server(number: u32) -> Fingerprint {
    Fingerprint::from_bits(u128::from(number) + 1).unwrap()
}

fn liveness() -> Liveness {
    Liveness::of(&LIMITS)
}

struct Zone {
    header: ZoneHeader,
    rest: Vec<AtomicU128>,
}

impl Zone {
    /// A zone in which servers have numbers in an order of its own.
    fn new(words: usize, first: u32) -> Zone {
        let zone = Zone {
            header: ZoneHeader::default(),
            rest: (0..words).map(|_| AtomicU128::new(0)).collect(),
        };
        zone.header.identity.init(words, 1, 2, 0);
        for number in 0..5 {
            zone.registered((first + number) % 5);
        }
        zone
    }

    fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }

    fn predecessor<'a>(&'a self, before: Option<Predecessor<'a>>) -> Predecessor<'a> {
        self.header.identity.set_whole(before.is_none());
        Predecessor::new(self.table(), &self.header.identity, before)
    }

    fn registered(&self, number: u32) -> Registration {
        let registry = self.table().registry().unwrap();
        registry.register(&[server(number)])[0].unwrap()
    }

    fn learn(&self, number: u64, to: u32) {
        let (peer, limits) = (self.registered(to), liveness().limits);
        let claim = Claim::ResponseOnly;
        let table = self.table();
        table.learn_of(
            key(number),
            &peer,
            claim,
            &limits,
            NOW - 10,
            &mut none_unusable,
        );
    }

    /// What a worker finds that has this table alone.
    fn holder(&self, number: u64) -> Option<u32> {
        let found = self.table().look_up(key(number), &liveness().limits, NOW);
        let LookUp::Found(session) = found else {
            return None;
        };
        let registry = self.table().registry().unwrap();
        let holder = registry.registration(session.peer).unwrap().fingerprint();
        Some(holder.unwrap().bits() as u32 - 1)
    }
}

/// Applies what another node has changed.
fn apply(new: &Zone, before: &Predecessor<'_>, record: &Record) {
    let slots: Vec<Slot> = (0..64).map(|_| Slot::default()).collect();
    let head = JournalHead::default();
    let journal = Journal::new(&head, &slots);
    journal.see_clock((AHEAD * 1000 + 500) as i64);
    let journal_of = JournalOf::new(journal, NUMBER, 0, liveness().period);
    let table = new.table().with_journal(Some(journal_of));
    let target = Target {
        before: Some(before),
        ..Target::of(&table, liveness())
    };
    let scopes = |number: u16| (number == NUMBER).then_some(target);
    let mut follower = Follower::take_over(journal);
    let at = AHEAD + u64::from(NOW);
    let applied = follower.apply(&scopes, &target, record, at, None);
    assert_eq!(applied, Applied::Done);
}

fn record(change: Change, number: u64, from: Option<u32>, to: u32) -> Record {
    let now = AHEAD + u64::from(NOW);
    Record {
        change,
        key: key(number),
        scope: SCOPE,
        server: server(to),
        from: from.map(server),
        seen: now,
        created: now,
        confirmed: true,
    }
}

fn moved(number: u64, from: u32, to: u32) -> Record {
    record(Change::Moved, number, Some(from), to)
}

#[test]
fn both_tables_have_what_other_nodes_have_changed() {
    let (old, new) = (Zone::new(256, 0), Zone::new(512, 3));
    // 1: learned before the reload, and copied. 2: by a worker of before. 3: no room in the old one.
    old.learn(1, 1);
    new.learn(1, 1);
    old.learn(2, 2);
    new.learn(3, 3);
    let apply = |record: Record| apply(&new, &old.predecessor(None), &record);
    apply(moved(1, 1, 4));
    assert_eq!((old.holder(1), new.holder(1)), (Some(4), Some(4)));
    apply(moved(2, 2, 0));
    assert_eq!((old.holder(2), new.holder(2)), (Some(0), Some(0)));
    apply(moved(3, 3, 1));
    assert_eq!(
        (old.holder(3), new.holder(3)),
        (None, Some(1)),
        "the new one decides"
    );
    apply(record(Change::Learned, 4, None, 2));
    assert_eq!(
        (old.holder(4), new.holder(4)),
        (Some(2), Some(2)),
        "of neither"
    );

    // The old one decides also where the new one has something else.
    old.learn(5, 1);
    new.learn(5, 3);
    apply(record(Change::Forgotten, 5, None, 3));
    assert_eq!(old.holder(5), Some(1), "it is at another server");
    apply(moved(5, 1, 2));
    assert_eq!((old.holder(5), new.holder(5)), (Some(2), Some(2)));
    apply(record(Change::Forgotten, 5, None, 2));
    assert_eq!((old.holder(5), new.holder(5)), (None, None));
    for (number, holder) in [(1, 4), (2, 0), (3, 1), (4, 2)] {
        assert_eq!(new.holder(number), Some(holder), "id {number}");
        apply(record(Change::Forgotten, number, None, holder));
        assert_eq!((old.holder(number), new.holder(number)), (None, None));
    }
}

#[test]
fn three_tables_have_it() {
    let (oldest, old, new) = (Zone::new(128, 0), Zone::new(256, 2), Zone::new(512, 4));
    for zone in [&oldest, &old, &new] {
        zone.learn(1, 1);
    }
    oldest.learn(2, 1);
    old.learn(3, 1);
    new.learn(4, 1);
    let holders = |number| [&oldest, &old, &new].map(|zone| zone.holder(number));
    let apply = |record: Record| {
        let before = old.predecessor(Some(oldest.predecessor(None)));
        apply(&new, &before, &record);
    };
    apply(moved(1, 1, 3));
    assert_eq!(holders(1), [Some(3); 3]);
    apply(moved(2, 1, 3));
    assert_eq!(holders(2), [Some(3); 3]);
    apply(moved(3, 1, 3));
    assert_eq!(holders(3), [None, Some(3), Some(3)]);
    apply(moved(4, 1, 3));
    assert_eq!(holders(4), [None, None, Some(3)]);
    apply(record(Change::Learned, 5, None, 2));
    assert_eq!(holders(5), [Some(2); 3]);
    for number in 1..=5 {
        let at = if number == 5 { 2 } else { 3 };
        apply(record(Change::Forgotten, number, None, at));
        assert_eq!(holders(number), [None; 3], "id {number}");
    }
}
