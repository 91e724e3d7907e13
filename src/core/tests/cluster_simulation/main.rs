//! A simulation of several nodes with a virtual clock: workers, the sender and the follower of each
//! stop at every step, and another one goes on, or one dies. Links are late, entries come twice. When
//! all is quiet, each node must have what the fold of the stream is, and what workers were told.
//! Without this, nothing shows that nodes agree in the end, whatever happens at once.
//!
//! `STICKY_SEED` and `STICKY_CLUSTER_STEPS` set another seed and the length.

#[path = "../cluster_node/mod.rs"]
mod cluster_node;
#[path = "../table_zone/mod.rs"]
mod table_zone;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use generator::{Generator, Gn};

use sticky_core::cluster::Seconds;
use sticky_core::table::{test_points, Claim, Learned, Limits, LookUp, Stage};

use cluster_node::{Fold, Memory, Store};
use table_zone::{key, none_unusable, Random};

const LIMITS: Limits = Limits {
    expires: 1600,
    lifetime: None,
};
const START: Seconds = 1_000_000;
const WORKERS: usize = 3;
/// Ids of which each is used by one worker at a time, of all nodes, with all quiet in between.
const ALONE: u64 = 12;
/// Ids that any number of workers use at once.
const SHARED: u64 = 6;
const SERVERS: u32 = 5;

type Work = Generator<'static, (), Option<Answer>>;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Answer {
    Learned(Learned),
    Done(bool),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Use,
    Learn { to: u32, claim: Claim },
    Reassign { from: u32, to: u32 },
    End { holder: u32 },
    ForgetEntered,
    Sweep,
}

struct Job {
    act: Act,
    number: u64,
    begun: Seconds,
    work: Work,
}

fn stop() {
    if generator::is_generator() {
        // The hook is shared by all workers, so it cannot own the scope of one.
        #[allow(deprecated)]
        generator::yield_with(None::<Answer>);
    }
}

fn work(work: impl FnOnce() -> Answer + Send + 'static) -> Work {
    Gn::<()>::new_opt(0x4000, move || Some(work()))
}

fn job(memory: &Arc<Memory>, act: Act, number: u64) -> Job {
    let memory = Arc::clone(memory);
    let (now, begun) = (memory.tick(), memory.store.now());
    let work = work(move || {
        let (table, limits, key) = (memory.table(), memory.liveness.limits, key(number));
        match act {
            Act::Use => {
                if let LookUp::Found(session) = table.look_up(key, &limits, now) {
                    if table.is_due(&session, &limits, now) {
                        table.touch(key, &limits, now);
                    }
                }
                Answer::Nothing
            }
            Act::Learn { to, claim } => {
                let to = memory.registered(to);
                let learned = table.learn_of(key, &to, claim, &limits, now, &mut none_unusable);
                Answer::Learned(learned)
            }
            Act::Reassign { from, to } => {
                let (from, to) = (memory.number(from), memory.registered(to));
                Answer::Done(table.reassign_to(key, from, &to, &limits, now))
            }
            Act::End { holder } => {
                Answer::Done(table.end(key, memory.number(holder), &limits, now))
            }
            Act::ForgetEntered => Answer::Done(table.forget_entered(key, &limits, now)),
            Act::Sweep => {
                table.sweep(0, usize::MAX, &limits, now);
                Answer::Nothing
            }
        }
    });
    Job {
        act,
        number,
        begun,
        work,
    }
}

struct Node {
    memory: Arc<Memory>,
    jobs: [Option<Job>; WORKERS],
    sender: Option<Work>,
    follower: Option<Work>,
    /// Until this step, nothing goes out or comes in.
    cut_until: u64,
}

#[derive(Default, Debug)]
struct Totals {
    answers: u64,
    learned: u64,
    moved: u64,
    kept: u64,
    ended: u64,
    worker_deaths: u64,
    follower_deaths: u64,
    sender_deaths: u64,
    twice: u64,
    quiet: u64,
    compared: u64,
    alone: u64,
    expired: u64,
}

/// What is known of an id that one worker at a time uses.
#[derive(Clone, Copy, Debug)]
struct Known {
    server: u32,
    used: Seconds,
}

struct Simulation {
    random: Random,
    store: Arc<Store>,
    nodes: Vec<Node>,
    fold: Fold,
    step: u64,
    known: HashMap<u64, Option<Known>>,
    totals: Totals,
}

impl Simulation {
    fn new(seed: u64, count: usize) -> Simulation {
        let store = Arc::new(Store::new(START));
        let node = |name| Node {
            memory: Arc::new(Memory::new(name, count, (256, 4096), &LIMITS, &store)),
            jobs: Default::default(),
            sender: None,
            follower: None,
            cut_until: 0,
        };
        Simulation {
            random: Random::seeded(seed),
            nodes: (0..count).map(node).collect(),
            store,
            fold: Fold::default(),
            step: 0,
            known: HashMap::new(),
            totals: Totals::default(),
        }
    }

    fn run(mut self, steps: u64) {
        test_points::hook(Some(Rc::new(|_| stop())));
        while self.step < steps {
            self.step += 1;
            self.go();
            if self.random.below(1500) == 0 {
                self.quieten();
            }
        }
        self.quieten();
        self.count_twice();
        println!("{:?}", self.totals);
        let totals = &self.totals;
        assert!(
            totals.learned > steps / 400 && totals.moved > steps / 2000,
            "{totals:?}"
        );
        assert!(
            totals.follower_deaths > steps / 2000 && totals.twice > 0,
            "{totals:?}"
        );
        assert!(
            totals.alone > steps / 2000 && totals.expired > 0,
            "{totals:?}"
        );
    }

    fn go(&mut self) {
        if self.random.below(400) == 0 {
            let ahead = match self.random.below(12) {
                0 => LIMITS.expires + self.random.below(300),
                1..4 => self.random.below(300),
                _ => self.random.below(12),
            };
            self.store.clock.fetch_add(u64::from(ahead), SeqCst);
        }
        let index = self.random.below(self.nodes.len() as u32) as usize;
        let is_cut = self.nodes[index].cut_until > self.step;
        match self.random.below(10) {
            0 => self.send(index, is_cut),
            1..5 => self.follow(index, is_cut),
            _ => self.work(index),
        }
        if self.random.below(2000) == 0 {
            self.nodes[index].cut_until = self.step + u64::from(self.random.below(1000));
        }
    }

    fn send(&mut self, index: usize, is_cut: bool) {
        let node = &mut self.nodes[index];
        match &mut node.sender {
            None if is_cut => {}
            None => {
                let (memory, most) = (Arc::clone(&node.memory), 1 + self.random.below(5));
                node.sender = Some(work(move || {
                    memory.send(u64::from(most), &stop);
                    Answer::Nothing
                }));
            }
            Some(_) if self.random.below(20) == 0 => {
                node.sender = None;
                self.totals.sender_deaths += 1;
            }
            Some(work) => {
                if work.resume().flatten().is_some() {
                    node.sender = None;
                }
            }
        }
    }

    fn follow(&mut self, index: usize, is_cut: bool) {
        let node = &mut self.nodes[index];
        match &mut node.follower {
            None if is_cut => {}
            None => {
                let (memory, most) = (Arc::clone(&node.memory), self.random.below(60) as usize);
                node.follower = Some(work(move || {
                    memory.follow(most);
                    Answer::Nothing
                }));
            }
            Some(_) if self.random.below(150) == 0 => {
                node.follower = None;
                self.totals.follower_deaths += 1;
            }
            Some(work) => {
                if work.resume().flatten().is_some() {
                    node.follower = None;
                }
            }
        }
    }

    fn work(&mut self, index: usize) {
        let slot = self.random.below(WORKERS as u32) as usize;
        let node = &mut self.nodes[index];
        match &mut node.jobs[slot] {
            None => self.begin(index, slot),
            Some(job) if job.number >= ALONE && self.random.below(600) == 0 => {
                node.jobs[slot] = None;
                self.totals.worker_deaths += 1;
            }
            Some(job) => {
                if let Some(answer) = job.work.resume().flatten() {
                    let (act, number, begun) = (job.act, job.number, job.begun);
                    node.jobs[slot] = None;
                    self.settle(index, act, (number, begun), answer);
                }
            }
        }
    }

    fn begin(&mut self, index: usize, slot: usize) {
        let random = &mut self.random;
        let is_alone = random.below(2) == 0;
        let number = match is_alone {
            true => u64::from(random.below(ALONE as u32)),
            false => ALONE + u64::from(random.below(SHARED as u32)),
        };
        let server = random.below(SERVERS);
        let other = random.below(SERVERS);
        // A worker goes by what its node knows.
        let memory = &self.nodes[index].memory;
        let holder = match memory.look_up(key(number)) {
            LookUp::Found(session) => Some(memory.server_of(session.peer)),
            _ => None,
        };
        let held = holder.unwrap_or(other);
        let number_of = |server| memory.number(server);
        let act = match random.below(20) {
            0..5 => Act::Use,
            5..9 => Act::Learn {
                to: server,
                claim: Claim::ResponseOnly,
            },
            9..12 => Act::Learn {
                to: server,
                claim: Claim::RequestCarried {
                    holder: holder.map(number_of),
                },
            },
            12..14 => Act::Learn {
                to: server,
                claim: Claim::Request { from: None },
            },
            14 => Act::Learn {
                to: server,
                claim: Claim::Answer,
            },
            15..17 => Act::Reassign {
                from: held,
                to: other,
            },
            17 => Act::End { holder: held },
            18 => Act::ForgetEntered,
            _ => Act::Sweep,
        };
        if is_alone {
            // Nobody else uses it, and all nodes know of it what there is to know.
            let is_busy = self.nodes.iter().any(|node| {
                let mut jobs = node.jobs.iter().flatten();
                jobs.any(|job| job.number == number)
            });
            if is_busy || !self.is_known_everywhere(number) {
                return;
            }
        }
        self.nodes[index].jobs[slot] = Some(job(&self.nodes[index].memory, act, number));
    }

    /// Whether no node has yet to hear of a session.
    fn is_known_everywhere(&self, number: u64) -> bool {
        let stream = self.store.stream.lock().unwrap();
        let is_its = |key_of| key_of == key(number);
        self.nodes.iter().all(|node| {
            let journal = node.memory.journal();
            let position = node.memory.position.load(SeqCst) as usize;
            let is_unsent = (journal.sent()..journal.tail())
                .any(|position| journal.at(position).is_none_or(|note| is_its(note.key)));
            let mut unknown = stream.iter().skip(position);
            !is_unsent && !unknown.any(|placed| is_its(placed.record.key))
        })
    }

    fn settle(&mut self, index: usize, act: Act, (number, now): (u64, Seconds), answer: Answer) {
        self.totals.answers += 1;
        let memory = &self.nodes[index].memory;
        match answer {
            Answer::Learned(Learned::New { .. }) => self.totals.learned += 1,
            Answer::Learned(Learned::Moved { .. }) => self.totals.moved += 1,
            Answer::Learned(Learned::Kept { .. }) => self.totals.kept += 1,
            Answer::Learned(Learned::Refused) => panic!("refused"),
            Answer::Done(true) if matches!(act, Act::End { .. }) => self.totals.ended += 1,
            _ => {}
        }
        if number >= ALONE || matches!(act, Act::Sweep) {
            return;
        }
        // What a client was told of an id that nobody else uses is so.
        let found = match memory.look_up(key(number)) {
            LookUp::Found(session) if session.stage != Stage::Entered => Some(Known {
                server: memory.server_of(session.peer),
                used: now,
            }),
            _ => None,
        };
        let seen = match memory.look_up(key(number)) {
            LookUp::Found(session) => memory.second(session.seen),
            _ => now,
        };
        let told = match (act, answer) {
            (
                Act::Learn { to, .. },
                Answer::Learned(Learned::New { .. } | Learned::Moved { .. }),
            ) => Some(to),
            (Act::Learn { to, .. }, Answer::Learned(Learned::Same)) => Some(to),
            (_, Answer::Learned(Learned::Kept { holder })) => Some(memory.server_of(holder)),
            (Act::Reassign { to, .. }, Answer::Done(true)) => Some(to),
            _ => None,
        };
        if let (Some(told), Some(found)) = (told, found) {
            assert_eq!(told, found.server, "{act:?} {answer:?}");
        }
        let before = self.known.get(&number).copied().flatten();
        let is_use = matches!((act, answer), (Act::Use, _)) || told.is_some();
        let used = match (is_use, before) {
            (false, Some(before)) => before.used,
            _ => now,
        };
        // A page with the id is no use of a session that no request has brought.
        let used = match act {
            Act::Learn {
                claim: Claim::ResponseOnly | Claim::Answer,
                ..
            } => before.map_or(seen, |before| before.used),
            Act::Learn { .. } if matches!(answer, Answer::Learned(Learned::Kept { .. })) => {
                before.map_or(seen, |before| before.used)
            }
            _ => used,
        };
        let is_ended = (matches!(act, Act::End { .. }), answer) == (true, Answer::Done(true));
        match found {
            Some(found) => drop(self.known.insert(number, Some(Known { used, ..found }))),
            // At another node it may not have expired yet.
            None if !is_ended => drop(self.known.remove(&number)),
            None => drop(self.known.insert(number, None)),
        }
    }

    /// Lets all end, and compares.
    fn quieten(&mut self) {
        self.totals.quiet += 1;
        for index in 0..self.nodes.len() {
            for slot in 0..WORKERS {
                while let Some(job) = &mut self.nodes[index].jobs[slot] {
                    if let Some(answer) = job.work.resume().flatten() {
                        let (act, number, begun) = (job.act, job.number, job.begun);
                        self.nodes[index].jobs[slot] = None;
                        self.settle(index, act, (number, begun), answer);
                    }
                }
            }
        }
        for index in 0..self.nodes.len() {
            while self.nodes[index].sender.is_some() {
                self.send(index, true);
            }
            while self.nodes[index].memory.send(7, &|| {}) {}
        }
        for index in 0..self.nodes.len() {
            while self.nodes[index].follower.is_some() {
                self.follow(index, true);
            }
            self.nodes[index].memory.follow(usize::MAX);
        }
        self.fold.go_on(&self.store, &self.nodes[0].memory.liveness);
        self.compare();
    }

    fn compare(&mut self) {
        let now = self.store.now();
        for node in &self.nodes {
            let (memory, name) = (&node.memory, node.memory.name);
            let journal = memory.journal();
            assert_eq!(journal.returned(), journal.tail(), "node {name}");
            assert_eq!(journal.dropped(), 0);
            for number in 0..ALONE + SHARED {
                let held = self.fold.held.get(&key(number)).copied().flatten();
                let there = match memory.look_up(key(number)) {
                    LookUp::Found(session) if session.stage != Stage::Entered => Some(session),
                    _ => None,
                };
                let liveness = &memory.liveness;
                let live = held.filter(|it| liveness.is_live(it.seen, it.created, now));
                let of = |session: &sticky_core::table::Session| {
                    (
                        memory.server_of(session.peer),
                        memory.second(session.seen) / 100,
                    )
                };
                let expected = |held: &sticky_core::cluster::Held| {
                    (held.server.bits() as u32 - 1, held.seen / 100)
                };
                let (is, must) = (there.as_ref().map(of), live.as_ref().map(expected));
                let is_ending = live.is_none() && is == held.as_ref().map(expected);
                assert!(
                    is == must || is_ending,
                    "id {number} at node {name}: {there:?} is {is:?}, expected {must:?} of {held:?}, \
                     at {now} in step {}",
                    self.step
                );
                self.totals.compared += 1;
            }
            for (number, known) in &self.known {
                let there = match memory.look_up(key(*number)) {
                    LookUp::Found(session) if session.stage != Stage::Entered => {
                        Some(memory.server_of(session.peer))
                    }
                    _ => None,
                };
                let Some(known) = known else {
                    assert_eq!(
                        there, None,
                        "id {number} at node {name}, step {}",
                        self.step
                    );
                    continue;
                };
                let idle = now.saturating_sub(known.used);
                let is_live = idle < u64::from(LIMITS.expires);
                let is_over = idle > u64::from(LIMITS.expires) + 100;
                if is_live {
                    assert_eq!(
                        there,
                        Some(known.server),
                        "id {number}: {known:?} at {now}, node {name}"
                    );
                }
                if is_over {
                    self.totals.expired += 1;
                }
                self.totals.alone += 1;
            }
        }
    }

    /// How many records came twice.
    fn count_twice(&mut self) {
        let stream = self.store.stream.lock().unwrap();
        let mut last = HashMap::new();
        for placed in stream.iter() {
            let position = placed.position.unwrap();
            let next = last.entry(placed.node).or_insert(0);
            self.totals.twice += u64::from(position < *next);
            *next = position + 1;
        }
    }
}

fn steps() -> u64 {
    let given = std::env::var("STICKY_CLUSTER_STEPS").ok();
    given.and_then(|steps| steps.parse().ok()).unwrap_or(20_000)
}

#[test]
fn nodes_agree_when_all_is_quiet() {
    Simulation::new(141, 3).run(steps());
}

#[test]
fn many_nodes_agree_when_all_is_quiet() {
    Simulation::new(142, 6).run(steps());
}
