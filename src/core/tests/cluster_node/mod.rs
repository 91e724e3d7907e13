//! What the tests of the cluster share: a node's memory, and a stream.
#![allow(dead_code)] // Each test file is a crate of its own and uses only a part.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use portable_atomic::AtomicU128;

use sticky_core::cluster::{Applied, Follower, Held, Liveness, Record, Seconds, Target};
use sticky_core::table::{
    entries_of, Change, Counters, Fingerprint, Journal, JournalHead, JournalOf, Key, Limits,
    LookUp, PeerId, Registration, Registry, RegistryHead, Slot, Table, Tick,
};

/// A record in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub node: usize,
    /// Its position in the journal of that node; `None`: what it knows of old.
    pub position: Option<u64>,
    /// When the store has taken it.
    pub at: Seconds,
    pub record: Record,
}

/// The store: a clock and a stream.
#[derive(Default)]
pub struct Store {
    pub clock: AtomicU64,
    pub stream: Mutex<Vec<Placed>>,
}

impl Store {
    pub fn new(now: Seconds) -> Store {
        Store {
            clock: AtomicU64::new(now),
            stream: Mutex::default(),
        }
    }

    pub fn now(&self) -> Seconds {
        self.clock.load(SeqCst)
    }

    pub fn add(&self, node: usize, first: Option<u64>, records: Vec<Record>) {
        let at = self.now();
        let placed = (0..).zip(records).map(|(index, record)| Placed {
            node,
            position: first.map(|first| first + index),
            at,
            record,
        });
        self.stream.lock().unwrap().extend(placed);
    }

    /// The record at that place.
    pub fn record(&self, place: u64) -> Option<Placed> {
        self.stream.lock().unwrap().get(place as usize).copied()
    }
}

pub fn server(number: u32) -> Fingerprint {
    Fingerprint::from_bits(u128::from(number) + 1).unwrap()
}

pub const SCOPE: u64 = 77;
const NUMBER: u16 = 3;

/// What the workers and threads of one nginx share.
pub struct Memory {
    pub name: usize,
    words: Vec<AtomicU128>,
    counters: Counters,
    registry: RegistryHead,
    entries: Vec<AtomicU128>,
    head: JournalHead,
    slots: Vec<Slot>,
    /// Second of the node's clock that is tick 0, and how far the store's clock is ahead of it.
    epoch: u64,
    pub ahead: u64,
    pub liveness: Liveness,
    /// How many records of the stream were applied.
    pub position: AtomicU64,
    /// When the store has taken the last of them.
    pub last_applied: AtomicU64,
    /// How many of each node.
    applied: Vec<AtomicU64>,
    pub store: Arc<Store>,
}

impl Memory {
    pub fn new(
        name: usize,
        nodes: usize,
        sizes: (usize, usize),
        limits: &Limits,
        store: &Arc<Store>,
    ) -> Memory {
        let memory = Memory {
            name,
            words: (0..sizes.0).map(|_| AtomicU128::new(0)).collect(),
            counters: Counters::default(),
            registry: RegistryHead::default(),
            entries: (0..entries_of(4096)).map(|_| AtomicU128::new(0)).collect(),
            head: JournalHead::default(),
            slots: (0..sizes.1).map(|_| Slot::default()).collect(),
            epoch: 500 + 13 * name as u64,
            ahead: 100_000 - 1000 * name as u64,
            liveness: Liveness::of(limits),
            position: AtomicU64::new(0),
            last_applied: AtomicU64::new(0),
            applied: (0..nodes).map(|_| AtomicU64::new(0)).collect(),
            store: Arc::clone(store),
        };
        memory.journal().see_clock(memory.ahead as i64 * 1000 + 400);
        // Each node has other numbers.
        let servers: Vec<_> = (0..8).map(|it| server((it + name as u32) % 8)).collect();
        memory.registry().register(&servers);
        memory
    }

    pub fn registry(&self) -> Registry<'_> {
        Registry::new(&self.registry, &self.entries)
    }

    pub fn journal(&self) -> Journal<'_> {
        Journal::new(&self.head, &self.slots)
    }

    pub fn table(&self) -> Table<'_> {
        let journal = JournalOf::new(self.journal(), NUMBER, self.epoch, self.liveness.period);
        Table::new(&self.words, &self.counters)
            .with_registry(self.registry())
            .with_journal(Some(journal))
    }

    /// The same table, of whose changes nothing is noted.
    pub fn table_unnoted(&self) -> Table<'_> {
        self.table().with_journal(None)
    }

    pub fn tick(&self) -> Tick {
        (self.store.now() - self.ahead - self.epoch) as Tick
    }

    pub fn second(&self, tick: Tick) -> Seconds {
        u64::from(tick) + self.ahead + self.epoch
    }

    pub fn registered(&self, number: u32) -> Registration {
        self.registry()
            .register(&[server(number)])
            .pop()
            .unwrap()
            .unwrap()
    }

    pub fn number(&self, server: u32) -> PeerId {
        self.registered(server).number
    }

    /// Which server has a number here.
    pub fn server_of(&self, number: PeerId) -> u32 {
        let server = self.registry().registration(number).unwrap();
        server.fingerprint().unwrap().bits() as u32 - 1
    }

    pub fn look_up(&self, key: Key) -> LookUp {
        self.table()
            .look_up(key, &self.liveness.limits, self.tick())
    }

    /// Sends what was noted, up to `most`; `step` is called in between. Returns whether there was any.
    pub fn send(&self, most: u64, step: &dyn Fn()) -> bool {
        let (journal, table) = (self.journal(), self.table());
        let target = Target::of(&table, self.liveness);
        let first = journal.sent();
        let end = journal.tail().min(first.saturating_add(most));
        let records = (first..end).map(|position| {
            let note = journal.at(position).unwrap();
            assert_eq!(note.scope, NUMBER);
            target.record_of(SCOPE, &note, self.store.now()).unwrap()
        });
        let records: Vec<_> = records.collect();
        step();
        if records.is_empty() {
            return false;
        }
        self.store.add(self.name, Some(first), records);
        step();
        journal.set_sent(end);
        true
    }

    /// Applies records of the stream until there is no other one, or `most`. Returns how many.
    pub fn follow(&self, most: usize) -> usize {
        let table = self.table();
        let target = Target::of(&table, self.liveness);
        let scopes = |number: u16| (number == NUMBER).then_some(target);
        let mut follower = Follower::take_over(self.journal());
        for count in 0..most {
            let place = self.position.load(SeqCst);
            let Some(placed) = self.store.record(place) else {
                return count;
            };
            let Placed {
                node,
                position,
                at,
                record,
            } = placed;
            let own = position.filter(|_| node == self.name);
            let applied = &self.applied[node];
            if own.is_some() || position.is_none_or(|position| position >= applied.load(SeqCst)) {
                let outcome = follower.apply(&scopes, &target, &record, at, own);
                assert!(
                    matches!(outcome, Applied::Done | Applied::Before),
                    "{outcome:?}"
                );
                position.inspect(|position| applied.store(position + 1, SeqCst));
            }
            self.position.store(place + 1, SeqCst);
            self.last_applied.store(at, SeqCst);
        }
        most
    }
}

/// The fold of the stream, as a map.
#[derive(Default)]
pub struct Fold {
    pub held: HashMap<Key, Option<Held>>,
    applied: HashMap<usize, u64>,
    place: u64,
}

impl Fold {
    /// Applies what has come. A live session changes its server only by a move that names its holder.
    pub fn go_on(&mut self, store: &Store, liveness: &Liveness) {
        while let Some(placed) = store.record(self.place) {
            self.place += 1;
            let Placed {
                node,
                position,
                at,
                record,
            } = placed;
            let applied = self.applied.entry(node).or_default();
            if let Some(position) = position {
                if position < *applied {
                    continue;
                }
                *applied = position + 1;
            }
            let held = self.held.entry(record.key).or_default();
            let before = *held;
            *held = liveness.fold(before, &record, at);
            let Some(before) = before.filter(|it| liveness.is_live(it.seen, it.created, at)) else {
                continue;
            };
            let is_named = match record.change {
                Change::Moved => record.from == Some(before.server),
                Change::Forgotten => record.server == before.server && held.is_none(),
                _ => false,
            };
            let server = held.map(|it| it.server);
            assert!(
                server == Some(before.server) || is_named,
                "{record:?}: {before:?} {held:?}"
            );
        }
    }
}
