//! Tests for workers that die by SIGKILL, in processes of their own that share a file as workers
//! of nginx share a zone: at each mark between the steps of an operation, and at any other
//! instant. Without this, a dying worker could leave a torn word, lose a session or hold up others.
//!
//! `STICKY_SEED` sets another course, `STICKY_DEATHS` how many workers die at each mark.

mod table_zone;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use memmap2::MmapRaw;
use portable_atomic::AtomicU128;

use sticky_core::table::test_points::KILL_AT;
use sticky_core::table::tick::Tick;
use sticky_core::table::word::{Limits, PeerId, Word};
use sticky_core::table::{Claim, LookUp, Table, ZoneHeader};

use table_zone::{key, nobody, peer, Random, Zone};

/// Where a worker may be between two steps. "view" and "search" are reads.
const MARKS: [&str; 13] = [
    "view: a word",
    "search: a word",
    "swap",
    "learn: inserted",
    "learn: looked again",
    "replace: written",
    "remove copies: counted",
    "shift: copied",
    "shift: counted",
    "shift: source changed",
    "merge: decided",
    "forget: a copy found",
    "sweep: one is over",
];

/// Environment variable of a worker: FILE:SEED.
const WORKER: &str = "STICKY_WORKER";

const WORDS: usize = 128;
/// Sessions in use, that must always be found; the rest of the table is crowded with guests, which
/// come and are forgotten, swept or evicted.
const RESIDENTS: u64 = 84;
const GUESTS: u64 = 100;
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
    prelude: ZoneHeader,
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
        // SAFETY: the mapping is as large as a Layout (checked in open), page-aligned and there as
        // long as self is; a Layout is atomics, for which any bytes and other processes' writes
        // are fine.
        unsafe { &*self.map.as_ptr().cast::<Layout>() }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.layout().words, &self.layout().prelude.counters)
    }

    fn now(&self) -> Tick {
        self.layout().clock.load(Relaxed) as Tick
    }

    /// Any session has one of two peers of its own: whoever finds another has found a torn word.
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
#[ignore = "a process of the other tests"]
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
                let claim = Claim::Carried { from: Some(from) };
                table.learn(key(resident), to, claim, &LIMITS, now, &mut nobody);
            }
            7 => drop(table.sweep(random.below(WORDS as u32) as usize, 32, &LIMITS, now)),
            8..10 => drop(table.forget(key(guest))),
            _ => {
                let to = own(guest, random.below(2));
                // Or long ago, which leaves something for the sweep.
                let now = now - random.below(2) * LIMITS.remembered().expires;
                table.learn(key(guest), to, Claim::Stranger, &LIMITS, now, &mut nobody);
            }
        }
        shared.layout().done.fetch_add(1, Relaxed);
    }
}

struct Workers {
    path: PathBuf,
    shared: Shared,
    random: Random,
    /// Two that live on and must notice nothing.
    steady: Vec<Child>,
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
            table.learn(key, to, Claim::Stranger, &LIMITS, START, &mut nobody);
            table.touch(key, &LIMITS, START + 1);
        }
        let mut workers = Workers {
            path,
            shared,
            random: Random::seeded(seed),
            steady: Vec::new(),
        };
        workers.steady = (0..2).map(|_| workers.spawn(None)).collect();
        workers
    }

    fn spawn(&mut self, kill_at: Option<String>) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "worker", "--ignored", "--nocapture"]);
        command.env(
            WORKER,
            format!("{}:{}", self.path.display(), self.random.bits()),
        );
        command.envs(kill_at.map(|at| (KILL_AT, at)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// All that must hold right after a death.
    fn check(&mut self) {
        for slot in &self.shared.layout().words {
            let word = Word::from_bits(slot.load(Relaxed));
            let Some(held) = word.key() else { continue };
            let number = (0..RESIDENTS + GUESTS).find(|number| key(*number) == held);
            let number = number.unwrap_or_else(|| panic!("nobody's key: {word:?}"));
            assert!(is_peer_of(word.session().peer, number), "torn: {word:?}");
        }
        (0..RESIDENTS).for_each(|number| self.shared.expect_resident(number));
        let counters = &self.shared.layout().prelude.counters;
        assert_eq!(counters.evicted_confirmed.load(Relaxed), 0);

        // The others go on at once. Time does, too, when all sessions were used lately.
        let before = self.shared.layout().done.load(Relaxed);
        wait(Duration::from_secs(10), "the others are held up", || {
            self.shared.layout().done.load(Relaxed) > before + 200
        });
        for child in &mut self.steady {
            assert_eq!(
                child.try_wait().unwrap(),
                None,
                "a worker that nobody has killed ended"
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

    /// Ends, and leaves nothing to be repaired.
    fn finish(mut self) {
        for child in &mut self.steady {
            child.kill().unwrap();
            assert_eq!(
                child.wait().unwrap().signal(),
                Some(SIGKILL),
                "it ended before"
            );
        }
        self.steady.clear();
        let (table, now) = (
            self.shared.table(),
            self.shared.now() + LIMITS.expires / 2 + 10,
        );
        for number in 0..RESIDENTS {
            table.touch(key(number), &LIMITS, now);
        }
        let larger = Zone::new(2 * WORDS);
        larger.table().copy_from(&table);
        for number in 0..RESIDENTS {
            let copies = table
                .sessions()
                .filter(|(held, _)| *held == key(number))
                .count();
            assert_eq!(copies, 1, "session {number}");
            let there = larger.table().look_up(key(number), &LIMITS, now);
            assert_eq!(there, table.look_up(key(number), &LIMITS, now));
        }
        println!("{:?} at {now}", self.shared.layout().prelude.counters);
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

/// How it ended, by itself or, after a while, by our hand; and whether by itself.
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
    let mut workers = Workers::start("killed-at-marks", 71);
    for mark in MARKS {
        let mut died = 0;
        for round in 0..deaths {
            // The first time it comes there, the second, then any.
            let most = if mark.contains("word") || mark == "swap" {
                3000
            } else {
                40
            };
            let count = if round < 2 {
                round + 1
            } else {
                1 + workers.random.below(most)
            };
            let child = workers.spawn(Some(format!("{mark}:{count}")));
            let (status, by_itself) = end_of(child, Duration::from_secs(2));
            assert_eq!(status.signal(), Some(SIGKILL), "{status} at {mark}");
            died += u32::from(by_itself);
            workers.check();
        }
        println!("{mark}: {died} of {deaths}");
        assert!(died > 0, "nobody came to {mark}");
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
