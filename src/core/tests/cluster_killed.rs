//! Tests for workers that are killed with SIGKILL while they note. They are processes that share a
//! journal in a file, as workers of nginx share a zone. Without this, one that dies between the steps
//! of a note could block all others, or leave a place that is no note.
//!
//! `STICKY_DEATHS` sets how many workers die at each test point.

mod own_process;
mod table_zone;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use memmap2::MmapRaw;

use sticky_core::table::test_points::KILL_AT;
use sticky_core::table::{Change, Journal, JournalHead, Key, Note, Slot};

use table_zone::{peer, Random};

const TEST_POINTS: [&str; 3] = [
    "journal: a place read",
    "journal: noted",
    "journal: tail moved",
];

/// Environment variable of a worker process: FILE:NAME.
const WORKER: &str = "STICKY_WORKER";
const SIGKILL: i32 = 9;

#[repr(C)]
struct Layout {
    head: JournalHead,
    slots: [Slot; 64],
}

struct Shared {
    map: MmapRaw,
}

impl Shared {
    fn open(path: &Path) -> Shared {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        assert_eq!(length, mem::size_of::<Layout>() as u64);
        Shared {
            map: MmapRaw::map_raw(&file).unwrap(),
        }
    }

    fn journal(&self) -> Journal<'_> {
        // SAFETY: the mapping has the size of a Layout (checked in open), is page-aligned and lives as
        // long as self. A Layout consists of atomics, for which any bytes and other processes'
        // writes are valid.
        let layout = unsafe { &*self.map.as_ptr().cast::<Layout>() };
        Journal::new(&layout.head, &layout.slots)
    }
}

/// The `count`th note of a worker.
fn note(worker: u16, count: u64) -> Note {
    Note {
        change: Change::Moved,
        is_taken_back: false,
        key: Key::new(u64::from(worker) << 32 | count),
        scope: worker,
        server: peer(count as u32 % 16384),
        from: peer((count as u32 + 1) % 16384),
        second: 0,
        period: (count % 2048) as u16,
        set: 0,
    }
}

/// What a worker does until it dies.
#[test]
#[ignore = "run by the other tests, as a process"]
fn worker() {
    let Ok(given) = env::var(WORKER) else { return };
    let (path, name) = given.rsplit_once(':').unwrap();
    let (shared, name) = (Shared::open(Path::new(path)), name.parse().unwrap());
    let mut count = 1;
    loop {
        match shared.journal().note(&note(name, count)) {
            Some(_) => count += 1,
            None => thread::yield_now(),
        }
    }
}

struct Workers {
    path: PathBuf,
    shared: Shared,
    /// How many notes of each worker were read.
    read: Vec<u64>,
    position: u64,
}

impl Workers {
    fn start(name: &str) -> Workers {
        let file = format!("{name}.{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let file = File::create(&path).unwrap();
        file.set_len(mem::size_of::<Layout>() as u64).unwrap();
        Workers {
            shared: Shared::open(&path),
            path,
            read: Vec::new(),
            position: 0,
        }
    }

    fn spawn(&mut self, kill_at: Option<String>) -> Child {
        let mut command = own_process::of_test("worker");
        command.env(
            WORKER,
            format!("{}:{}", self.path.display(), self.read.len()),
        );
        command.envs(kill_at.map(|at| (KILL_AT, at)));
        self.read.push(0);
        command.spawn().unwrap()
    }

    /// Reads what has come: of each worker, all in its order. Returns how many there were.
    fn read(&mut self) -> u64 {
        let journal = self.shared.journal();
        let before = self.position;
        while self.position < journal.tail() {
            let found = journal.at(self.position).expect("no note");
            let count = &mut self.read[usize::from(found.scope)];
            *count += 1;
            assert_eq!(found, note(found.scope, *count));
            self.position += 1;
            journal.set_sent(self.position);
            journal.set_returned(self.position);
        }
        self.position - before
    }

    /// The others go on.
    fn expect_life(&mut self) {
        let begin = Instant::now();
        let mut count = 0;
        while count < 200 {
            assert!(begin.elapsed() < Duration::from_secs(60), "all are blocked");
            count += self.read();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn deaths() -> u32 {
    let given = env::var("STICKY_DEATHS").ok();
    given.and_then(|count| count.parse().ok()).unwrap_or(8)
}

#[test]
fn a_worker_may_die_between_any_two_steps_of_a_note() {
    let mut workers = Workers::start("noting-killed-at-test-points");
    let mut random = Random::seeded(151);
    let mut steady = workers.spawn(None);
    for point in TEST_POINTS {
        for _ in 0..deaths() {
            let count = 1 + random.below(500);
            let mut child = workers.spawn(Some(format!("{point}:{count}")));
            let begin = Instant::now();
            let status = loop {
                workers.read();
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                assert!(
                    begin.elapsed() < Duration::from_secs(60),
                    "{point} is not met"
                );
            };
            assert_eq!(status.signal(), Some(SIGKILL), "{status} at {point}");
            workers.expect_life();
        }
        println!("{point}: {} notes", workers.position);
    }
    steady.kill().unwrap();
    assert_eq!(steady.wait().unwrap().signal(), Some(SIGKILL));
    // Nobody is left: the one that notes next helps whoever died last.
    workers.read();
    let name = workers.read.len() as u16;
    workers.read.push(0);
    let noted = workers.shared.journal().note(&note(name, 1)).unwrap();
    workers.read();
    assert_eq!(
        (workers.read[usize::from(name)], workers.position),
        (1, noted.position + 1)
    );
}

#[test]
fn a_worker_may_die_at_any_instant_while_it_notes() {
    let mut workers = Workers::start("noting-killed-anywhere");
    let mut random = Random::seeded(152);
    let mut steady = workers.spawn(None);
    for _ in 0..deaths() * 4 {
        let mut child = workers.spawn(None);
        let name = workers.read.len() - 1;
        while workers.read[name] == 0 {
            workers.read();
            assert_eq!(child.try_wait().unwrap(), None);
        }
        let until = workers.position + u64::from(random.below(2000));
        while workers.position < until {
            workers.read();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
        workers.expect_life();
    }
    steady.kill().unwrap();
    steady.wait().unwrap();
}
