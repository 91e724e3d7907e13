//! What the session table costs, and how full it gets before a live session is evicted.
//!
//!     cargo bench -p sticky-core --bench table [-- --quick]
//!
//! Times are nanoseconds per operation of one thread, see `population`. The bench `scale` measures
//! operations on a whole table.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use sticky_core::table::{Claim, Key, Keyer, Learned, LocalTable, ScopedKeyer, Tick, ZoneHeader};

use population::{id, peer, Operation, Population, Random, LIMITS, NOW};

mod population;

/// Words in a zone of 1 MB, of which nginx's slab allocator allocates 253 whole pages.
const WORDS_IN_1MB: usize = (253 * 4096 - size_of::<ZoneHeader>()) / 16;

fn main() {
    let quick = std::env::args().any(|word| word == "--quick");
    // `cargo test --benches` runs this file too, without `--bench`.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }

    // Under a profiler: one flood alone, of so many ids.
    let mut words = std::env::args()
        .skip_while(|word| word != "--flood")
        .skip(1);
    if let (Some(name), Some(ids)) = (words.next(), words.next()) {
        let floods = FLOODS.iter().filter(|flood| flood.name == name);
        floods.for_each(|flood| println!("{:.0} ns", flood.run(ids.parse().unwrap())));
        return;
    }

    println!("| sessions | hit, ns | by 2 threads | miss, ns | by 2 | learn at 0.6, ns | by 2 |");
    println!("|{}", "---:|".repeat(7));
    let sizes: &[usize] = if quick {
        &[10_000, 1_000_000]
    } else {
        &[10_000, 1_000_000, 10_000_000]
    };
    for &sessions in sizes {
        let population = Population::filled(sessions);
        let span = Duration::from_millis(if quick { 150 } else { 1000 });
        print!("| {sessions} |");
        for run in [Population::hit, Population::miss, Population::learn] {
            for threads in [1, 2] {
                print!(" {:.1} |", on_threads(&population, threads, span, run));
            }
        }
        println!();
    }

    println!("\n| sessions, zone=off | hit, ns | touch, ns | miss, ns | learn when full, ns |");
    println!("|{}", "---:|".repeat(5));
    let span = Duration::from_millis(if quick { 150 } else { 1000 });
    for sessions in [1_000, 65_536] {
        let local = Local::filled(sessions);
        print!("| {sessions} |");
        for run in [Local::hit, Local::touch, Local::miss, Local::learn] {
            print!(" {:.1} |", local.nanos(span, run));
        }
        println!();
    }

    println!("\n| flood over a full table of 1 MB | an id, ns |");
    println!("|{}", "---:|".repeat(2));
    for flood in &FLOODS {
        let nanos = flood.run(if quick { 200_000 } else { 2_000_000 });
        println!("| {} | {nanos:.0} |", flood.name);
    }

    println!(
        "\n| words | sessions before one is evicted | of words | bytes each | learn there, ns |"
    );
    println!("|{}", "---:|".repeat(5));
    let fills: &[(usize, u64)] = if quick {
        &[(WORDS_IN_1MB, 3)]
    } else {
        &[(WORDS_IN_1MB, 8), (1 << 20, 3), (1 << 24, 1)]
    };
    for &(words, seeds) in fills {
        for seed in 1..=seeds {
            let (full_at, nanos) = fill(words, seed);
            let share = full_at as f64 / words as f64;
            let bytes = 16.0 / share;
            println!("| {words} | {full_at} | {share:.3} | {bytes:.1} | {nanos:.0} |");
        }
    }
}

/// The table of `zone=off`, full of sessions. All times include hashing a 32-byte id.
struct Local {
    table: LocalTable,
    keyer: ScopedKeyer,
    sessions: u64,
    learned: Cell<u64>,
}

impl Local {
    fn filled(sessions: u64) -> Local {
        let local = Local {
            table: LocalTable::new(sessions as usize),
            keyer: Keyer::new(1, 2).scope(b"shop"),
            sessions,
            learned: Cell::new(0),
        };
        for index in 0..sessions {
            local.enter(index);
            local.touch(index);
        }
        local
    }

    fn nanos(&self, span: Duration, run: fn(&Local, u64)) -> f64 {
        let mut random = Random(1);
        let (begin, mut done) = (Instant::now(), 0u32);
        while begin.elapsed() < span {
            for _ in 0..1000 {
                run(self, random.below(self.sessions));
            }
            done += 1000;
        }
        begin.elapsed().as_nanos() as f64 / f64::from(done)
    }

    fn key(&self, index: u64) -> Key {
        self.keyer.key(&id(index))
    }

    fn hit(&self, index: u64) {
        black_box(self.table.look_up(self.key(index), &LIMITS, NOW));
    }

    fn touch(&self, index: u64) {
        self.table.touch(self.key(index), &LIMITS, NOW);
    }

    fn miss(&self, index: u64) {
        self.hit(index | 1 << 63);
    }

    /// A new id each time.
    fn learn(&self, _: u64) {
        let next = self.learned.get() + 1;
        self.learned.set(next);
        self.enter(next | 1 << 62);
    }

    fn enter(&self, index: u64) {
        let key = self.key(index);
        let learned = self.table.learn(
            key,
            peer(index),
            Claim::ResponseOnly,
            &LIMITS,
            NOW,
            &mut |_| false,
        );
        black_box(learned);
    }
}

/// Ids at 1,000 a second, far more than fit beside the sessions that are in use.
struct Flood {
    name: &'static str,
    in_use: u64,
    /// Each id is sent back once.
    returns: bool,
}

const FLOODS: [Flood; 3] = [
    Flood {
        name: "5,000 in use",
        in_use: 5_000,
        returns: false,
    },
    Flood {
        name: "60,000 in use",
        in_use: 60_000,
        returns: false,
    },
    Flood {
        name: "ids return",
        in_use: 5_000,
        returns: true,
    },
];

impl Flood {
    /// Nanoseconds an id, in a table that an equal flood has filled before.
    fn run(&self, ids: u64) -> f64 {
        let population = Population::empty(WORDS_IN_1MB, 1);
        let enter = |index: u64, now, returns| {
            population.learn_as(index, Claim::ResponseOnly, now);
            if returns {
                population.touch_one(index, now);
            }
        };
        for index in 0..self.in_use {
            enter(index, (index / 1000) as Tick, true);
        }
        let mut index = self.in_use;
        let mut pour = |ids: u64| {
            let begin = Instant::now();
            for _ in 0..ids {
                enter(index, (index / 1000) as Tick, self.returns);
                index += 1;
            }
            begin.elapsed()
        };
        pour(WORDS_IN_1MB as u64);
        pour(ids).as_nanos() as f64 / ids as f64
    }
}

/// Mean of the threads' times.
fn on_threads(population: &Population, threads: u64, span: Duration, run: Operation) -> f64 {
    let start = Barrier::new(threads as usize);
    let one = |thread: u64| {
        start.wait();
        population.nanos(span, &mut Random(thread), run)
    };
    let total: f64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|t| scope.spawn(move || one(t))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    total / threads as f64
}

/// Sessions in an empty table when the first live one is evicted, and the mean time of the next
/// 10,000 insertions, each of which makes a whole search.
fn fill(words: usize, seed: u64) -> (u64, f64) {
    let population = Population::empty(words, seed);
    let mut index = 0;
    while matches!(
        population.learn_one(index, NOW),
        Learned::New { evicted: None }
    ) {
        index += 1;
    }
    let begin = Instant::now();
    for further in 1..=10_000 {
        population.learn_one(index + further, NOW);
    }
    (index, begin.elapsed().as_nanos() as f64 / 10_000.0)
}
