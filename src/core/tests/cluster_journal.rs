//! Tests for the journal: notes come in an order, none is lost or torn, whoever writes at once, and a
//! table notes what other nodes are to know and nothing else. Without this, a node could learn what
//! no other node ever hears of.

mod table_zone;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use portable_atomic::AtomicU128;

use sticky_core::cluster::Liveness;
use sticky_core::table::{
    entries_of, Change, Claim, Fingerprint, Journal, JournalHead, JournalOf, Kept, Key, Learned,
    Limits, LookUp, Note, Numbers, PeerId, Registration, Registry, RegistryHead, Slot, Stage,
    Table,
};

use table_zone::{key, none_unusable, peer, rounds, Zone};

struct Ring {
    head: JournalHead,
    slots: Vec<Slot>,
}

impl Ring {
    fn new(slots: usize) -> Ring {
        Ring {
            head: JournalHead::default(),
            slots: (0..slots).map(|_| Slot::default()).collect(),
        }
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(&self.head, &self.slots)
    }
}

fn note(number: u64) -> Note {
    let change = Change::ALL[number as usize % 5];
    let (from, second) = match change {
        Change::Moved => ((number % 16384) as u32, 0),
        _ => (0, (number % 16384) as u16),
    };
    Note {
        change,
        is_taken_back: false,
        key: Key::new(number + 1),
        scope: (number % 16384) as u16,
        server: peer(16383 - (number % 16384) as u32),
        from: peer(from),
        second,
        period: (number % 2048) as u16,
        set: 0,
    }
}

#[test]
fn notes_come_back_as_they_were() {
    let ring = Ring::new(9);
    let journal = ring.journal();
    assert_eq!(journal.capacity(), 8);
    assert_eq!(journal.at(0), None);
    // Over several laps, and the numbers of laps begin anew.
    for number in 0..u64::from(rounds(8 * 128 * 2 + 20)) {
        let noted = journal.note(&note(number)).unwrap();
        assert_eq!((noted.position, journal.tail()), (number, number + 1));
        assert_eq!(journal.at(number), Some(note(number)));
        assert_eq!(journal.at(number + 1), None);
        assert_eq!(journal.at(number.wrapping_sub(8)), None);
        journal.set_sent(number + 1);
        journal.set_returned(number + 1);
    }
    assert_eq!(journal.dropped(), 0);
}

#[test]
fn a_full_journal_drops_and_says_so() {
    let ring = Ring::new(4);
    let journal = ring.journal();
    for number in 0..4 {
        assert!(!journal.is_crowded() || number > 2);
        journal.note(&note(number)).unwrap();
    }
    assert!(journal.is_crowded());
    assert!(!journal.take_overflow());
    assert_eq!(journal.note(&note(4)), None);
    assert_eq!((journal.dropped(), journal.unsent()), (1, 4));
    assert!(journal.take_overflow());
    assert!(!journal.take_overflow());
    // One that is sent is not over: only its return frees the place.
    journal.set_sent(4);
    assert_eq!(journal.note(&note(4)), None);
    journal.set_returned(1);
    assert_eq!(journal.note(&note(4)).unwrap().position, 4);
    assert_eq!(journal.at(0), None);
    assert_eq!(journal.at(4), Some(note(4)));
}

#[test]
fn without_memory_nothing_is_noted() {
    let ring = Ring::new(0);
    assert_eq!(ring.journal().note(&note(0)), None);
    assert_eq!(ring.journal().at(0), None);
    assert_eq!(ring.journal().kept(0), None);
}

#[test]
fn what_has_not_been_sent_is_taken_back() {
    let ring = Ring::new(4);
    let journal = ring.journal();
    let noted: Vec<_> = (0..3).map(|it| journal.note(&note(it)).unwrap()).collect();
    journal.set_sent(1);
    noted.iter().for_each(|noted| journal.take_back(noted));
    assert_eq!(journal.at(0), Some(note(0)));
    for number in 1..3 {
        let nothing = Note {
            is_taken_back: true,
            ..note(number)
        };
        assert_eq!(journal.at(number), Some(nothing));
    }
    // Not another's, in its place.
    journal.set_sent(0);
    journal.set_returned(3);
    (3..6).for_each(|it| assert!(journal.note(&note(it)).is_some()));
    journal.take_back(&noted[0]);
    assert_eq!(journal.at(4), Some(note(4)));
}

#[test]
fn what_is_kept_is_of_one_note() {
    let ring = Ring::new(4);
    let journal = ring.journal();
    assert_eq!(journal.kept(0), None);
    for what in [Kept::None, Kept::Session(u64::MAX), Kept::Session(0)] {
        journal.keep(2, what);
        assert_eq!(journal.kept(2), Some(what));
        assert_eq!((journal.kept(6), journal.kept(1)), (None, None));
    }
}

#[test]
fn numbers_that_have_not_returned_are_seen() {
    let ring = Ring::new(4);
    let journal = ring.journal();
    (0..3).for_each(|it| assert!(journal.note(&note(it)).is_some()));
    journal.set_returned(1);
    let mut seen = Numbers::default();
    journal.numbers(&mut seen);
    let expected = [
        (1, true),
        (2, false),
        (16383, false),
        (16382, true),
        (16381, true),
    ];
    for (number, is_seen) in expected {
        assert_eq!(seen.has(peer(number)), is_seen, "{number}");
    }
}

#[test]
fn bytes_of_any_kind_are_numbers() {
    let ring = Ring::new(8);
    let journal = ring.journal();
    journal.set_returned(u64::MAX - 5);
    journal.set_sent(77);
    let _ = (journal.unsent(), journal.note(&note(1)));
    journal.numbers(&mut Numbers::default());
    journal.set_returned(0);
    // Whatever is in the places, the next note gets there.
    assert!(journal.note(&note(2)).is_some());
}

#[test]
fn a_clock_that_trembles_does_not_change_the_second() {
    let ring = Ring::new(4);
    let journal = ring.journal();
    journal.see_clock(5_000_000_100);
    let ahead = journal.ahead();
    assert_eq!(ahead, 5_000_000);
    for play in [-1400, -100, 0, 500, 1499] {
        journal.see_clock(5_000_000_000 + play.max(-499));
        assert_eq!(journal.ahead(), ahead);
    }
    journal.see_clock(5_000_001_700);
    assert_eq!(journal.ahead(), 5_000_001);
    journal.see_clock(-1500);
    assert_eq!(journal.ahead(), -2);
}

#[test]
fn workers_that_note_at_once_lose_nothing() {
    const WORKERS: u64 = 4;
    let each = u64::from(rounds(200_000));
    let ring = Ring::new(64);
    let is_over = AtomicBool::new(false);
    let mut last = [0; WORKERS as usize];
    let mut taken = 0;
    thread::scope(|scope| {
        let (ring, is_over) = (&ring, &is_over);
        for worker in 0..WORKERS {
            scope.spawn(move || {
                for count in 1..=each {
                    let note = Note {
                        scope: worker as u16,
                        ..note(count)
                    };
                    while ring.journal().note(&note).is_none() {
                        thread::yield_now();
                        if is_over.load(Relaxed) {
                            return;
                        }
                    }
                }
            });
        }
        let journal = ring.journal();
        while taken < WORKERS * each {
            let Some(found) = (taken < journal.tail()).then(|| journal.at(taken)) else {
                thread::yield_now();
                continue;
            };
            let Some(found) = found else {
                is_over.store(true, Relaxed);
                panic!("nothing at {taken}");
            };
            let worker = usize::from(found.scope);
            let expected = Note {
                scope: found.scope,
                ..note(last[worker] + 1)
            };
            last[worker] += 1;
            is_over.store(found != expected, Relaxed);
            assert_eq!(found, expected);
            taken += 1;
            journal.set_returned(taken);
        }
    });
    assert_eq!(last, [each; WORKERS as usize]);
}

const E: Limits = Limits {
    expires: 1600,
    lifetime: None,
};
const PERIOD: u32 = 100;
/// Two ticks before a period ends by the store's clock, with an epoch of 1000, if `ahead` is 30.
const NOW: u32 = 10_068;

/// A table with a registry and a journal.
struct Node {
    zone: Zone,
    head: RegistryHead,
    entries: Vec<AtomicU128>,
    ring: Ring,
    read: std::cell::Cell<u64>,
}

impl Node {
    fn new() -> Node {
        let node = Node {
            zone: Zone::new(64),
            head: RegistryHead::default(),
            entries: (0..entries_of(4096)).map(|_| AtomicU128::new(0)).collect(),
            ring: Ring::new(64),
            read: std::cell::Cell::new(0),
        };
        node.ring.journal().see_clock(30_100);
        let servers: Vec<_> = (1..6).filter_map(Fingerprint::from_bits).collect();
        node.registry().register(&servers);
        node
    }

    fn registry(&self) -> Registry<'_> {
        Registry::new(&self.head, &self.entries)
    }

    fn table(&self) -> Table<'_> {
        let journal = JournalOf::new(self.ring.journal(), 7, 1000, PERIOD);
        let table = self.zone.table().with_registry(self.registry());
        table.with_journal(Some(journal))
    }

    fn server(&self, number: u32) -> Registration {
        self.registry().registration(peer(number)).unwrap()
    }

    fn learn(&self, number: u32, claim: Claim, now: u32) -> Learned {
        let (table, server) = (self.table(), self.server(number));
        table.learn_of(key(1), &server, claim, &limits(), now, &mut none_unusable)
    }

    fn holder(&self, now: u32) -> Option<PeerId> {
        match self.table().look_up(key(1), &limits(), now) {
            LookUp::Found(session) => Some(session.peer),
            _ => None,
        }
    }

    /// What was noted since this was last asked: change, server, the one before.
    fn noted(&self) -> Vec<(Change, u32, u32)> {
        let journal = self.ring.journal();
        let from = self.read.replace(journal.tail());
        let notes = (from..journal.tail()).map(|position| journal.at(position).unwrap());
        let noted = notes.filter(|note| !note.is_taken_back).map(|note| {
            assert_eq!((note.key, note.scope), (key(1), 7));
            let change = note.change;
            let from = match change {
                Change::Moved => note.from,
                _ => note.server,
            };
            (change, note.server.get(), from.get())
        });
        noted.collect()
    }
}

fn limits() -> Limits {
    Liveness::of(&E).limits
}

const NOTHING: [(Change, u32, u32); 0] = [];

#[test]
fn a_period_is_a_sixteenth() {
    let liveness = Liveness::of(&E);
    assert_eq!((liveness.period, liveness.limits.expires), (PERIOD, 1700));
    // Live until the period in which it was seen has come seventeen times.
    assert!(liveness.is_live(199, 0, 1799));
    assert!(!liveness.is_live(199, 0, 1800));
    assert!(!liveness.is_live(100, 0, 1800));
    for expires in [1, 5, 16, 17, 60, 3600, 86_399] {
        let liveness = Liveness::of(&Limits { expires, ..E });
        for seen in 1_000_000..1_000_200 {
            let over = seen + u64::from(liveness.limits.expires);
            assert!(!liveness.is_live(seen, seen, over), "{expires} {seen}");
            // No later than when it has expired anywhere, and no earlier than a period before it may.
            let live = seen + u64::from(expires.saturating_sub(2 * liveness.period));
            assert!(liveness.is_live(seen, seen, live), "{expires} {seen}");
        }
    }
    let aged = Liveness::of(&Limits {
        lifetime: Some(10_000),
        ..E
    });
    assert!(aged.is_live(9900, 0, 9900));
    assert!(!aged.is_live(10_000, 0, 10_000));
    assert!(!aged.is_live(10_000, 15, 10_000));
}

#[test]
fn learning_and_moving_are_noted() {
    let node = Node::new();
    assert_eq!(
        node.learn(1, Claim::ResponseOnly, NOW),
        Learned::New { evicted: None }
    );
    assert_eq!(node.noted(), [(Change::Learned, 1, 1)]);
    assert_eq!(node.learn(1, Claim::ResponseOnly, NOW), Learned::Same);
    assert_eq!(
        node.learn(2, Claim::ResponseOnly, NOW),
        Learned::Kept { holder: peer(1) }
    );
    assert_eq!(node.noted(), NOTHING);
    let claim = Claim::RequestCarried {
        holder: Some(peer(1)),
    };
    assert_eq!(node.learn(2, claim, NOW), Learned::Moved { from: peer(1) });
    assert_eq!(node.noted(), [(Change::Moved, 2, 1)]);
    let reassign = |from, to| {
        node.table()
            .reassign_to(key(1), peer(from), &node.server(to), &limits(), NOW)
    };
    assert!(reassign(2, 3) && !reassign(2, 4));
    assert_eq!(node.noted(), [(Change::Moved, 3, 2)]);
    assert!(!node.table().end(key(1), peer(2), &limits(), NOW));
    assert_eq!(node.noted(), NOTHING);
    assert!(node.table().end(key(1), peer(3), &limits(), NOW));
    assert_eq!(node.noted(), [(Change::Forgotten, 3, 3)]);
    assert_eq!(node.holder(NOW), None);
    // One that has expired begins.
    node.learn(4, Claim::ResponseOnly, NOW);
    node.learn(2, Claim::ResponseOnly, NOW + 1699);
    assert_eq!(node.noted(), [(Change::Learned, 4, 4)]);
    node.learn(2, Claim::ResponseOnly, NOW + 1700);
    assert_eq!(node.noted(), [(Change::Learned, 2, 2)]);
}

#[test]
fn use_is_noted_in_each_period_and_when_it_is_confirmed() {
    let node = Node::new();
    let touch = |now| node.table().touch(key(1), &limits(), now);
    node.learn(1, Claim::ResponseOnly, NOW - 60);
    touch(NOW - 59);
    touch(NOW - 59);
    let alive = [(Change::Alive, 1, 1)];
    assert_eq!(node.noted(), [(Change::Learned, 1, 1), alive[0]]);
    // Not in the same period, even if it is written.
    touch(NOW);
    touch(NOW + 1);
    assert_eq!(node.noted(), NOTHING);
    let LookUp::Found(session) = node.table().look_up(key(1), &limits(), NOW) else {
        panic!("lost");
    };
    assert!(session.seen > NOW - 59 && session.seen < NOW);
    // The first use in the next one is due, however soon it comes.
    assert!(!node.table().is_due(&session, &limits(), NOW + 1));
    assert!(node.table().is_due(&session, &limits(), NOW + 2));
    touch(NOW + 2);
    assert_eq!(node.noted(), alive);
    touch(NOW + 101);
    assert_eq!(node.noted(), NOTHING);
    touch(NOW + 102);
    assert_eq!(node.noted(), alive);
    // Pages with the id count as well.
    node.learn(1, Claim::ResponseOnly, NOW + 202);
    assert_eq!(node.noted(), alive);
    // Others know in which period it was seen before.
    let journal = node.ring.journal();
    let last = journal.at(journal.tail() - 1).unwrap();
    let table = node.table();
    let second = |tick| table.journal().unwrap().second_of(tick);
    let period = u64::from(PERIOD);
    assert_eq!(
        last.used_before(period, second(NOW + 202)),
        second(NOW + 102) / period * period
    );
}

#[test]
fn an_entered_session_is_noted_when_an_answer_keeps_it() {
    let node = Node::new();
    let first = Claim::Request { from: None };
    node.learn(1, first, NOW);
    node.learn(1, first, NOW + 1);
    node.table().touch(key(1), &limits(), NOW + 200);
    assert!(node.table().forget_entered(key(1), &limits(), NOW + 200));
    node.learn(1, first, NOW);
    assert!(node.table().end(key(1), peer(1), &limits(), NOW));
    node.learn(1, first, NOW);
    let failed = Claim::Request {
        from: Some(peer(1)),
    };
    assert_eq!(node.learn(2, failed, NOW), Learned::Moved { from: peer(1) });
    assert_eq!(node.noted(), NOTHING);
    assert_eq!(node.learn(2, Claim::Answer, NOW), Learned::Same);
    assert_eq!(node.noted(), [(Change::Learned, 2, 2)]);
    let LookUp::Found(session) = node.table().look_up(key(1), &limits(), NOW) else {
        panic!("lost");
    };
    assert_eq!(session.stage, Stage::Kept);
    // Or when a response hands it out, of whichever server.
    for by in [1, 3] {
        let node = Node::new();
        node.learn(1, first, NOW);
        node.learn(by, Claim::ResponseOnly, NOW);
        assert_eq!(node.noted(), [(Change::Learned, by, by)]);
    }
    // An answer without anything entered.
    let node = Node::new();
    node.learn(1, Claim::Answer, NOW);
    assert_eq!(node.noted(), [(Change::Learned, 1, 1)]);
}

#[test]
fn what_is_copied_or_merged_is_not_noted() {
    let (node, other) = (Node::new(), Node::new());
    other.learn(1, Claim::ResponseOnly, NOW);
    node.table().copy_from(&other.table());
    assert_eq!(node.holder(NOW), Some(peer(1)));
    let LookUp::Found(session) = other.table().look_up(key(1), &limits(), NOW) else {
        panic!("lost");
    };
    node.table().forget(key(1));
    let server = node.server(2);
    node.table()
        .merge_of(key(1), &server, &session, &limits(), NOW, true);
    assert_eq!(node.holder(NOW), Some(peer(2)));
    assert_eq!(node.noted(), NOTHING);
}

#[test]
fn a_full_journal_stops_no_worker() {
    let node = Node::new();
    for number in 0..200 {
        let key = key(100 + number);
        let server = node.server(1);
        let claim = Claim::ResponseOnly;
        node.table()
            .learn_of(key, &server, claim, &limits(), NOW, &mut none_unusable);
    }
    assert_eq!(node.ring.journal().unsent(), 64);
    assert_eq!(node.ring.journal().dropped(), 136);
    node.learn(1, Claim::ResponseOnly, NOW);
    assert_eq!(node.holder(NOW), Some(peer(1)));
}
