//! Several nodes, their lines to a store, and the store: events in virtual time. Tables, journals,
//! records, seals and the follower are the module's own; what they take is measured in real time. The
//! sender and the receiver do what `src/zone/cluster/sender.rs` and `receiver.rs` do, with their bounds.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::time::Instant;

use sticky_core::cluster::keys::{ClusterKey, Seals};
use sticky_core::cluster::wire::{Entry, NodeId, MOST_RECORDS};
use sticky_core::cluster::{Applied, Follower, Target};
use sticky_core::table::{Claim, Key, Limits, LookUp, Table};

use crate::cluster_node::{Memory, Store, SCOPE};
use crate::outcome::{Outcome, Time};
use crate::table_zone::{key, none_unusable, Random};

pub const LIMITS: Limits = Limits {
    expires: 3600,
    lifetime: None,
};

/// Second of the store's clock at which a simulation begins: the first of a period.
const START: u64 = 225 * 8_000;

const SECOND: Time = 1_000_000;
const SHORT_NAP: Time = 1_000;
const NAP: Time = 10_000;
const BUSY: Time = SECOND;
const WAIT: Time = 50_000;

/// Entries of a round trip.
const MOST_SENT: usize = 16;
const MOST_READ: usize = 64;

/// Bytes of the store's protocol around what is said: a command that adds an entry, and its answer; one
/// that reads; an entry that is read.
const ADDING: u64 = 62 + 24;
const READING: u64 = 96;
const READ: u64 = 52;

/// What TCP sends at once, and how long it waits before it sends that again.
const SEGMENT: u64 = 1448;
const RESEND: Time = 200_000;

const SERVERS: u32 = 8;

/// Nanoseconds that the store's one thread takes: for a command, and for an answer to who has waited,
/// together what `make bench-cluster` measures with 50 readers; for each further entry that is added or
/// read with it; for a kilobyte.
const COMMAND: u64 = 7_000;
const ANSWER: u64 = 7_000;
const ADDED: u64 = 3_000;
const FURTHER: u64 = 300;
const KILOBYTE: u64 = 500;

/// Ids of a page, and how long pages are apart that come together, 100 times a second.
const IDS: u64 = 8;
const PAGE: Time = 200;
const BEAT: Time = 10_000;

/// A node's line to the store.
#[derive(Clone, Copy)]
pub struct Link {
    /// There and back.
    pub round_trip: Time,
    /// Packets of a thousand that are lost.
    pub lost: u32,
}

#[derive(Clone, Copy)]
pub struct Setting {
    pub nodes: usize,
    /// Sessions that all nodes have, and in use: a request of each in so many seconds, 0 for none.
    pub sessions: usize,
    pub every: u64,
    /// New ones a second, at all nodes together.
    pub learns: u64,
    /// In pages of 8 new ids, 100 times a second some at the first node; else one by one, anywhere.
    pub in_pages: bool,
    /// Of a thousand, how many are learned at two nodes at once, for two servers.
    pub pairs: u64,
    pub seconds: u64,
    pub link: Link,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Learn,
    Use,
    /// The sender looks at its journal.
    Wake(usize),
    /// A batch of entries is at the store; the store has taken it.
    Arrive(usize, usize),
    Added(usize, usize),
    /// A receiver's question is at the store; the store has read it; it has waited there long enough;
    /// it has its answer.
    Ask(usize),
    Asked(usize),
    Timeout(usize, u64),
    Answer(usize, usize),
}

struct Batch {
    /// Bytes of each entry.
    entries: Vec<Vec<u8>>,
    records: u64,
    /// Where the sender's journal is then.
    to: u64,
}

struct Placed {
    at: Time,
    bytes: Vec<u8>,
}

struct Node<'a> {
    memory: &'a Memory,
    table: Table<'a>,
    follower: Follower<'a>,
    busy_until: Time,
    /// Entries of the stream that were applied, and what its receiver waits for.
    position: usize,
    waiting: Option<u64>,
    questions: u64,
}

struct Simulation<'a> {
    setting: Setting,
    seals: Seals,
    nodes: Vec<Node<'a>>,
    store: Arc<Store>,
    stream: Vec<Placed>,
    batches: Vec<Option<Batch>>,
    /// When the store has done, in nanoseconds, what it has got so far.
    free: u64,
    pages: u64,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    count: u64,
    now: Time,
    random: Random,
    learned: HashMap<Key, Time>,
    numbers: u64,
    second: (u64, u64),
    outcome: Outcome,
}

/// Runs it, until all nodes have all.
pub fn run(setting: Setting) -> Outcome {
    let store = Arc::new(Store::new(START));
    let learns = setting.learns * setting.seconds;
    let words = ((setting.sessions as u64 + learns) * 5 / 3 + 1024).next_multiple_of(4) as usize;
    let memories: Vec<Memory> = (0..setting.nodes)
        .map(|name| Memory::new(name, 0, (words, 1 << 16), &LIMITS, &store))
        .collect();
    let mut simulation = Simulation {
        setting,
        seals: seals(),
        nodes: memories.iter().map(node).collect(),
        store,
        stream: Vec::new(),
        batches: Vec::new(),
        free: 0,
        pages: 0,
        events: BinaryHeap::new(),
        count: 0,
        now: 0,
        random: Random(1 << 20),
        learned: HashMap::new(),
        numbers: setting.sessions as u64,
        second: (0, 0),
        outcome: Outcome::default(),
    };
    simulation.fill();
    simulation.go();
    simulation.compare();
    simulation.outcome.lags.sort_unstable();
    simulation.outcome
}

fn node(memory: &Memory) -> Node<'_> {
    Node {
        memory,
        table: memory.table(),
        follower: Follower::take_over(memory.journal()),
        busy_until: 0,
        position: 0,
        waiting: None,
        questions: 0,
    }
}

fn seals() -> Seals {
    let key = ClusterKey::of_file(b"0123456789abcdef").expect("16 bytes");
    Seals {
        current: key.seal(b"sticky:"),
        old: None,
    }
}

impl Simulation<'_> {
    /// Sessions that all nodes have had for a while.
    fn fill(&mut self) {
        for number in 0..self.setting.sessions as u64 {
            let ago = u64::from(self.random.below(56));
            self.store.clock.store(START - 1 - ago, Relaxed);
            let server = (number % u64::from(SERVERS)) as u32;
            for node in &self.nodes {
                let (memory, table) = (node.memory, node.memory.table_unnoted());
                learn(memory, &table, key(number), server);
                table.touch(key(number), &memory.liveness.limits, memory.tick());
            }
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    fn go(&mut self) {
        let end = self.setting.seconds * SECOND;
        if self.setting.learns > 0 {
            self.at(0, Event::Learn);
        }
        if self.setting.every > 0 {
            self.at(0, Event::Use);
        }
        for node in 0..self.nodes.len() {
            // Not all at once.
            let start = u64::from(self.random.below(10_000));
            self.at(start, Event::Wake(node));
            self.at(start, Event::Ask(node));
        }
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            self.store.clock.store(START + time / SECOND, Relaxed);
            self.happen(event, end);
            if time > end && self.is_quiet() {
                break;
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let is_even = |node: &Node<'_>| {
            let journal = node.memory.journal();
            node.position == self.stream.len() && journal.sent() == journal.tail()
        };
        self.batches.iter().all(Option::is_none) && self.nodes.iter().all(is_even)
    }

    fn happen(&mut self, event: Event, end: Time) {
        match event {
            Event::Learn => {
                let next = match self.setting.in_pages {
                    true => self.learn_page(),
                    false => {
                        let node = self.random.below(self.nodes.len() as u32);
                        self.learn(node);
                        self.now + SECOND / self.setting.learns
                    }
                };
                if next < end {
                    self.at(next, Event::Learn);
                }
            }
            Event::Use => {
                // A thousandth of a second's.
                let uses = self.setting.sessions as u64 / self.setting.every;
                for _ in 0..(uses / 1000).max(1) {
                    self.use_any();
                }
                let next = self.now + (SECOND / uses.max(1)).max(1000);
                if next < end {
                    self.at(next, Event::Use);
                }
            }
            Event::Wake(node) => self.wake(node),
            Event::Arrive(node, batch) => {
                let entries = self.batches[batch].as_ref().map(|it| it.entries.len());
                let done = self.store_takes(COMMAND + ADDED * entries.unwrap_or_default() as u64);
                self.at(done, Event::Added(node, batch));
            }
            Event::Added(node, batch) => self.add(node, batch),
            Event::Ask(node) => {
                let done = self.store_takes(COMMAND);
                self.at(done, Event::Asked(node));
            }
            Event::Asked(node) => self.ask(node),
            Event::Timeout(node, question) if self.nodes[node].waiting == Some(question) => {
                let to = self.nodes[node].position;
                self.answer(node, to);
            }
            Event::Timeout(..) => {}
            Event::Answer(node, to) => self.apply(node, to),
        }
    }

    /// When the store has done what takes it so long, after all that it has got before.
    fn store_takes(&mut self, nanoseconds: u64) -> Time {
        self.outcome.storing += nanoseconds;
        self.free = self.free.max(self.now * 1000) + nanoseconds;
        self.free.div_ceil(1000)
    }

    /// A page with new ids at the first node. Returns when the next one comes.
    fn learn_page(&mut self) -> Time {
        (0..IDS).for_each(|_| self.learn(0));
        self.pages += 1;
        let of_beat = (self.setting.learns / IDS * BEAT / SECOND).max(1);
        (self.pages / of_beat) * BEAT + (self.pages % of_beat) * PAGE
    }

    fn learn(&mut self, first: u32) {
        let count = self.nodes.len() as u32;
        let server = self.random.below(SERVERS);
        let id = key(self.numbers);
        self.numbers += 1;
        self.learned.insert(id, self.now);
        let node = &self.nodes[first as usize];
        learn(node.memory, &node.table, id, server);
        if u64::from(self.random.below(1000)) < self.setting.pairs {
            let other = (first + 1 + self.random.below(count - 1)) % count;
            let node = &self.nodes[other as usize];
            learn(node.memory, &node.table, id, (server + 1) % SERVERS);
        }
    }

    fn use_any(&mut self) {
        let number = self.random.below(self.setting.sessions as u32);
        let node = self.random.below(self.nodes.len() as u32) as usize;
        let Node { memory, table, .. } = &self.nodes[node];
        let (id, now) = (key(number.into()), memory.tick());
        let limits = &memory.liveness.limits;
        if let LookUp::Found(session) = table.look_up(id, limits, now) {
            if table.is_due(&session, limits, now) {
                table.touch(id, limits, now);
            }
        }
    }

    fn wake(&mut self, index: usize) {
        let now = self.now;
        let began = Instant::now();
        let Some(batch) = self.batch(index) else {
            let is_busy = now < self.nodes[index].busy_until;
            let nap = if is_busy { SHORT_NAP } else { NAP };
            return self.at(now + nap, Event::Wake(index));
        };
        self.outcome.sending.note(began, batch.records);
        self.nodes[index].busy_until = now + BUSY;
        let bytes: u64 = batch
            .entries
            .iter()
            .map(|it| it.len() as u64 + ADDING)
            .sum();
        self.outcome.bytes_in += bytes;
        self.outcome.round_trips += 1;
        self.batches.push(Some(batch));
        let arrival = now + self.one_way(bytes);
        self.at(arrival, Event::Arrive(index, self.batches.len() - 1));
    }

    /// What the sender sends at once.
    fn batch(&mut self, index: usize) -> Option<Batch> {
        let node = &self.nodes[index];
        let (journal, now) = (node.memory.journal(), self.store.now());
        let target = Target::of(&node.table, node.memory.liveness);
        let (from, tail) = (journal.sent(), journal.tail());
        let to = tail.min(from + (MOST_SENT * MOST_RECORDS) as u64);
        let (mut entries, mut all) = (Vec::new(), 0);
        for first in (from..to).step_by(MOST_RECORDS) {
            let positions = first..to.min(first + MOST_RECORDS as u64);
            let records = positions.filter_map(|position| {
                let note = journal.at(position)?;
                target.record_of(SCOPE, &note, now)
            });
            let entry = Entry {
                node: NodeId([index as u8; 16]),
                term: 1,
                first: Some(first),
                records: records.collect(),
            };
            all += entry.records.len() as u64;
            let second = self.now / SECOND;
            if self.second.0 != second {
                self.second = (second, 0);
            }
            self.second.1 += entry.records.len() as u64;
            self.outcome.most = self.outcome.most.max(self.second.1);
            entries.extend(entry.encode(&self.seals.current));
        }
        self.outcome.entries += entries.len() as u64;
        self.outcome.records += all;
        (!entries.is_empty()).then_some(Batch {
            entries,
            records: all,
            to,
        })
    }

    fn add(&mut self, index: usize, batch: usize) {
        let Some(batch) = self.batches[batch].take() else {
            return;
        };
        let at = self.now;
        let placed = batch.entries.into_iter();
        self.stream.extend(placed.map(|bytes| Placed { at, bytes }));
        self.nodes[index].memory.journal().set_sent(batch.to);
        let back = self.now + self.one_way(0);
        self.at(back, Event::Wake(index));
        for reader in 0..self.nodes.len() {
            if self.nodes[reader].waiting.is_some() {
                let to = self.readable(reader);
                self.answer(reader, to);
            }
        }
    }

    fn readable(&self, index: usize) -> usize {
        let position = self.nodes[index].position;
        self.stream.len().min(position + MOST_READ)
    }

    fn ask(&mut self, index: usize) {
        let to = self.readable(index);
        if to > self.nodes[index].position {
            return self.answer(index, to);
        }
        let node = &mut self.nodes[index];
        node.questions += 1;
        let question = node.questions;
        node.waiting = Some(question);
        self.at(self.now + WAIT, Event::Timeout(index, question));
    }

    fn answer(&mut self, index: usize, to: usize) {
        let node = &mut self.nodes[index];
        node.waiting = None;
        let entries = &self.stream[node.position..to];
        let bytes: u64 = entries.iter().map(|it| it.bytes.len() as u64 + READ).sum();
        let count = entries.len() as u64;
        self.outcome.bytes_out += bytes;
        self.outcome.bytes_in += READING;
        self.outcome.round_trips += 1;
        let done = self.store_takes(ANSWER + FURTHER * count + KILOBYTE * bytes / 1000);
        let arrival = done + self.one_way(bytes);
        self.at(arrival, Event::Answer(index, to));
    }

    fn apply(&mut self, index: usize, to: usize) {
        let node = &mut self.nodes[index];
        let target = Target::of(&node.table, node.memory.liveness);
        let scopes = |_: u16| Some(target);
        let (mut heard, mut all) = (Vec::with_capacity(256), 0);
        let began = Instant::now();
        for placed in &self.stream[node.position..to] {
            let second = START + placed.at / SECOND;
            let Ok((entry, _)) = Entry::decode(&placed.bytes, &self.seals) else {
                unreachable!("it was sealed here");
            };
            let is_own = usize::from(entry.node.0[0]) == index;
            let first = entry.first.unwrap_or_default();
            for (position, record) in (first..).zip(&entry.records) {
                let own = is_own.then_some(position);
                let applied = node.follower.apply(&scopes, &target, record, second, own);
                assert!(matches!(applied, Applied::Done), "{applied:?}");
                if !is_own {
                    heard.push(record.key);
                }
            }
            all += entry.records.len() as u64;
        }
        self.outcome.applying.note(began, all);
        let learned = heard.iter().filter_map(|key| self.learned.get(key));
        self.outcome.lags.extend(learned.map(|at| self.now - at));
        node.position = to;
        let asked = self.now + self.one_way(READING);
        self.at(asked, Event::Ask(index));
    }

    /// How long a message is on its way.
    fn one_way(&mut self, bytes: u64) -> Time {
        let Link { round_trip, lost } = self.setting.link;
        let segments = bytes.div_ceil(SEGMENT).max(1);
        let is_lost = (0..segments).any(|_| self.random.below(1000) < lost);
        // Of many segments, TCP misses one by those behind it.
        let again = match is_lost {
            true if segments > 3 => round_trip,
            true => RESEND.max(round_trip),
            false => 0,
        };
        round_trip / 2 + again
    }

    /// Whether all nodes have the same.
    fn compare(&mut self) {
        for number in 0..self.numbers {
            let id = key(number);
            let mut servers = self.nodes.iter().map(|node| match node.memory.look_up(id) {
                LookUp::Found(session) => Some(node.memory.server_of(session.peer)),
                _ => None,
            });
            let first = servers.next().flatten();
            let is_same = first.is_some() && servers.all(|server| server == first);
            self.outcome.compared += 1;
            self.outcome.apart += u64::from(!is_same);
        }
        let dropped = self.nodes.iter().map(|it| it.memory.journal().dropped());
        self.outcome.dropped = dropped.sum();
    }
}

fn learn(memory: &Memory, table: &Table<'_>, id: Key, server: u32) {
    let (limits, now) = (&memory.liveness.limits, memory.tick());
    let server = memory.registered(server);
    table.learn_of(
        id,
        &server,
        Claim::ResponseOnly,
        limits,
        now,
        &mut none_unusable,
    );
}
