//! Tests for workers that are killed with SIGKILL. They are processes that share a file as workers
//! of nginx share a zone, and die at each test point between the steps of an operation, and at any
//! other instant. Without this, a dying worker could leave a torn word, lose a session or block
//! others.
//!
//! `STICKY_SEED` sets another seed, `STICKY_DEATHS` how many workers die at each test point.

mod own_process;
mod table_zone;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use memmap2::MmapRaw;
use portable_atomic::AtomicU128;

use sticky_core::table::test_points::KILL_AT;
use sticky_core::table::{Claim, Limits, LookUp, PeerId, Table, Tick, Word, ZoneHeader};

use table_zone::{key, none_unusable, peer, Random, Zone};

/// Where a worker dies. "view" and "search" are reads.
const TEST_POINTS: [&str; 16] = [
    "view: a word",
    "search: a word",
    "swap",
    "swap: done",
    "learn: inserted",
    "learn: looked again",
    "replace: written",
    "remove copies: counted",
    "relocate: copied",
    "relocate: counted",
    "relocate: source changed",
    "remove duplicate: decided",
    "end: copies removed",
    "forget: a copy found",
    "forget entered: found",
    "sweep: one has expired",
];

/// Environment variable of a worker process: FILE:SEED.
const WORKER: &str = "STICKY_WORKER";

const WORDS: usize = 160;
/// Sessions in use, which must always be found. The rest of the table is for guests, which are
/// learned, then forgotten, swept or evicted.
const RESIDENTS: u64 = 84;
/// So many newcomers too many, by the header: then guests make room for guests alone.
const TOO_MANY: i64 = WORDS as i64;
const GUESTS: u64 = 180;
const LIMITS: Limits = Limits {
    expires: 600,
    lifetime: None,
};
const START: Tick = 10_000;
const SIGKILL: i32 = 9;

/// What the processes share.
struct Shared {
    map: MmapRaw,
}

#[repr(C)]
struct Layout {
    header: ZoneHeader,
    words: [AtomicU128; WORDS],
    clock: AtomicU64,
    /// Operations of all workers.
    done: AtomicU64,
}

impl Shared {
    fn open(path: &Path) -> Shared {
        let file = File::options().read(true).write(true).open(path).unwrap();
        assert_eq!(
            file.metadata().unwrap().len(),
            mem::size_of::<Layout>() as u64
        );
        Shared {
            map: MmapRaw::map_raw(&file).unwrap(),
        }
    }

    fn layout(&self) -> &Layout {
        // SAFETY: the mapping has the size of a Layout (checked in open), is page-aligned and lives as
        // long as self. A Layout consists of atomics, for which any bytes and other processes'
        // writes are valid.
        unsafe { &*self.map.as_ptr().cast::<Layout>() }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.layout().words, &self.layout().header.counters)
    }

    fn now(&self) -> Tick {
        self.layout().clock.load(Relaxed) as Tick
    }

    /// Every session has one of two peers of its own: any other is from a torn word.
    fn expect_resident(&self, number: u64) {
        match self.table().look_up(key(number), &LIMITS, self.now()) {
            LookUp::Found(held) => assert!(is_peer_of(held.peer, number), "{number}: {held:?}"),
            other => panic!("session {number} in use is lost: {other:?}"),
        }
    }
}

fn is_peer_of(peer: PeerId, number: u64) -> bool {
    u64::from(peer.get()) / 2 == number
}

/// What a worker does until it dies.
#[test]
#[ignore = "run by the other tests, as a process"]
fn worker() {
    let Ok(given) = env::var(WORKER) else { return };
    let (path, seed) = given.rsplit_once(':').unwrap();
    let shared = Shared::open(Path::new(path));
    let mut random = Random(seed.parse().unwrap());
    loop {
        let (table, now) = (shared.table(), shared.now());
        let resident = u64::from(random.below(RESIDENTS as u32));
        let guest = RESIDENTS + u64::from(random.below(GUESTS as u32));
        let own = |number: u64, half: u32| peer(number as u32 * 2 + half);
        let half = random.below(2);
        let (from, to) = (own(resident, half), own(resident, 1 - half));
        match random.below(16) {
            0..4 => shared.expect_resident(resident),
            4 => table.touch(key(resident), &LIMITS, now),
            5 => drop(table.reassign(key(resident), from, to, &LIMITS, now)),
            6 => {
                let claim = Claim::RequestCarried { holder: Some(from) };
                table.learn(key(resident), to, claim, &LIMITS, now, &mut none_unusable);
            }
            7 => drop(table.sweep(random.below(WORDS as u32) as usize, 32, &LIMITS, now)),
            8 => drop(table.forget(key(guest))),
            9 => drop(table.end(key(guest), own(guest, half), &LIMITS, now)),
            10 => drop(table.forget_entered(key(guest), &LIMITS, now)),
            11 => {
                let to = own(guest, random.below(2));
                // No guest is in use.
                let claim = match random.below(3) {
                    0 => Claim::Answer,
                    _ => Claim::Request {
                        from: Some(own(guest, random.below(2))),
                    },
                };
                table.learn(key(guest), to, claim, &LIMITS, now, &mut none_unusable);
            }
            _ => {
                let to = own(guest, random.below(2));
                // Or long ago, so that the sweep has work.
                let now = now - random.below(2) * LIMITS.retention().expires;
                table.learn(
                    key(guest),
                    to,
                    Claim::ResponseOnly,
                    &LIMITS,
                    now,
                    &mut none_unusable,
                );
            }
        }
        shared.layout().done.fetch_add(1, Relaxed);
    }
}

struct Workers {
    path: PathBuf,
    shared: Shared,
    random: Random,
    /// Two that are not killed and must notice nothing.
    steady: Vec<Child>,
    /// How many there were in all.
    spawned: i64,
}

impl Workers {
    fn start(name: &str, seed: u64) -> Workers {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(mem::size_of::<Layout>() as u64).unwrap();
        let shared = Shared::open(&path);
        let clock = &shared.layout().clock;
        clock.store(u64::from(START), Relaxed);
        for number in 0..RESIDENTS {
            let (table, key, to) = (shared.table(), key(number), peer(number as u32 * 2));
            table.learn(
                key,
                to,
                Claim::ResponseOnly,
                &LIMITS,
                START,
                &mut none_unusable,
            );
            table.touch(key, &LIMITS, START + 1);
        }
        let newcomers = &shared.layout().header.counters.newcomers;
        newcomers.fetch_add(TOO_MANY as u64, Relaxed);
        let mut workers = Workers {
            path,
            shared,
            random: Random::seeded(seed),
            steady: Vec::new(),
            spawned: 0,
        };
        workers.steady = (0..2).map(|_| workers.spawn(None)).collect();
        workers
    }

    fn spawn(&mut self, kill_at: Option<String>) -> Child {
        self.spawned += 1;
        let mut command = own_process::of_test("worker");
        command.env(
            WORKER,
            format!("{}:{}", self.path.display(), self.random.bits()),
        );
        command.envs(kill_at.map(|at| (KILL_AT, at)));
        command.spawn().unwrap()
    }

    /// Checks everything that must hold right after a death.
    fn check(&mut self) {
        for slot in &self.shared.layout().words {
            let word = Word::from_bits(slot.load(Relaxed));
            let Some(held) = word.key() else { continue };
            let number = (0..RESIDENTS + GUESTS).find(|number| key(*number) == held);
            let number = number.unwrap_or_else(|| panic!("no such key: {word:?}"));
            assert!(is_peer_of(word.session().peer, number), "torn: {word:?}");
        }
        (0..RESIDENTS).for_each(|number| self.shared.expect_resident(number));
        let counters = &self.shared.layout().header.counters;
        assert_eq!(counters.evicted_in_use.load(Relaxed), 0);

        // The others carry on at once. Time advances once all sessions were used recently.
        let before = self.shared.layout().done.load(Relaxed);
        wait(Duration::from_secs(10), "the others are blocked", || {
            self.shared.layout().done.load(Relaxed) > before + 200
        });
        for child in &mut self.steady {
            assert_eq!(
                child.try_wait().unwrap(),
                None,
                "a worker ended that was not killed"
            );
        }
        let seen = |number| match self.shared.table().look_up(key(number), &LIMITS, 0) {
            LookUp::Found(held) => held.seen,
            _ => 0,
        };
        let oldest = (0..RESIDENTS).map(seen).min().unwrap_or_default();
        if self.shared.now() < oldest + LIMITS.expires / 2 {
            self.shared.layout().clock.fetch_add(5, Relaxed);
        }
    }

    /// Each worker may have left the number of newcomers wrong by one. A sweep corrects it.
    fn expect_newcomers(&self) {
        let layout = self.shared.layout();
        let newcomers = &layout.header.counters.newcomers;
        let counted = || {
            let words = layout.words.iter();
            let newcomers = words.filter(|word| Word::from_bits(word.load(Relaxed)).is_newcomer());
            newcomers.count() as i64
        };
        let wrong = newcomers.load(Relaxed) as i64 - TOO_MANY - counted();
        println!("{} workers, newcomers wrong by {wrong}", self.spawned);
        assert!(wrong.abs() <= self.spawned);
        let table = self.shared.table();
        table.publish(&table.sweep(0, WORDS, &LIMITS, self.shared.now()));
        assert_eq!(newcomers.load(Relaxed) as i64, counted());
    }

    /// Ends the workers and checks that the table needs no repair.
    fn finish(mut self) {
        for child in &mut self.steady {
            child.kill().unwrap();
            assert_eq!(
                child.wait().unwrap().signal(),
                Some(SIGKILL),
                "it had ended before"
            );
        }
        self.steady.clear();
        self.expect_newcomers();
        let (table, now) = (self.shared.table(), self.shared.now());
        // When each is live still, and a touch has something to write: removing copies advances `seen`.
        let later = |number| match table.look_up(key(number), &LIMITS, now) {
            LookUp::Found(held) => held.seen.max(now) + 2 * LIMITS.touch_interval(),
            other => panic!("session {number} in use is lost: {other:?}"),
        };
        let later: Vec<Tick> = (0..RESIDENTS).map(later).collect();
        for (number, at) in (0..).zip(&later) {
            table.touch(key(number), &LIMITS, *at);
        }
        let larger = Zone::new(2 * WORDS);
        larger.table().copy_from(&table);
        for (number, at) in (0..).zip(later) {
            let copies: Vec<_> = table
                .sessions()
                .filter(|(held, _)| *held == key(number))
                .map(|(_, session)| session)
                .collect();
            assert_eq!(copies.len(), 1, "session {number} at {at}: {copies:?}");
            let there = larger.table().look_up(key(number), &LIMITS, at);
            assert_eq!(there, table.look_up(key(number), &LIMITS, at));
        }
        println!("{:?} at {now}", self.shared.layout().header.counters);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.steady {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn wait(limit: Duration, what: &str, is_done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_done() {
        assert!(begin.elapsed() < limit, "{what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// Waits for the end of a process, and kills it after `limit`. Returns whether it ended by itself.
fn end_of(mut child: Child, limit: Duration) -> (ExitStatus, bool) {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, true);
        }
        if begin.elapsed() >= limit {
            child.kill().unwrap();
            return (child.wait().unwrap(), false);
        }
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_worker_may_die_between_any_two_steps() {
    let given = env::var("STICKY_DEATHS").ok();
    let deaths = given.and_then(|count| count.parse().ok()).unwrap_or(12);
    let mut workers = Workers::start("killed-at-test-points", 71);
    for point in TEST_POINTS {
        let mut died = 0;
        for round in 0..deaths {
            // The first time it gets there, the second, then any.
            let most = if point.contains("word") || point.starts_with("swap") {
                3000
            } else {
                40
            };
            let count = if round < 2 {
                round + 1
            } else {
                1 + workers.random.below(most)
            };
            let child = workers.spawn(Some(format!("{point}:{count}")));
            let (status, by_itself) = end_of(child, Duration::from_secs(2));
            assert_eq!(status.signal(), Some(SIGKILL), "{status} at {point}");
            died += u32::from(by_itself);
            workers.check();
        }
        println!("{point}: {died} of {deaths}");
        assert!(died > 0, "no worker got to {point}");
    }
    workers.finish();
}

#[test]
fn a_worker_may_die_at_any_instant() {
    let given = env::var("STICKY_DEATHS").ok();
    let deaths: u32 = given.and_then(|count| count.parse().ok()).unwrap_or(12);
    let mut workers = Workers::start("killed-anywhere", 72);
    for _ in 0..deaths * 10 {
        let child = workers.spawn(None);
        let after = Duration::from_micros(u64::from(2000 + workers.random.below(8000)));
        let (status, by_itself) = end_of(child, after);
        assert!(status.signal() == Some(SIGKILL) && !by_itself, "{status}");
        workers.check();
    }
    workers.finish();
}
