//! What the session table costs, and how full it gets before a live session has to go.
//!
//!     cargo bench -p sticky-core --bench table [-- --quick]
//!
//! Times are nanoseconds per operation of one thread, in random order, hashing a 32-byte id
//! included. Each look-up waits for the one before (the id of the next depends on its answer),
//! so that they do not overlap as they never do in a server.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;

use sticky_core::key::{Keyer, ScopedKeyer};
use sticky_core::table::{Claim, Counters, Evicted, Learned, LookUp, Prelude, Table};
use sticky_core::word::{Limits, PeerId};

const LIMITS: Limits = Limits {
    expires: 3600,
    lifetime: None,
};
const NOW: u32 = 1000;
const BATCH: usize = 512;

/// Words in a zone of 1 MB: nginx's slab allocator hands out 253 whole pages of it.
const WORDS_IN_1MB: usize = (253 * 4096 - size_of::<Prelude>()) / 16;

fn main() {
    let quick = std::env::args().any(|word| word == "--quick");
    // `cargo test --benches` runs this file too, without `--bench`.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }

    println!("table, ns per operation     hit            miss           learn at 0.6");
    println!("sessions                1 thr   2 thr   1 thr   2 thr   1 thr   2 thr");
    let sizes: &[usize] = if quick {
        &[10_000, 1_000_000]
    } else {
        &[10_000, 1_000_000, 10_000_000]
    };
    for &sessions in sizes {
        let bench = Bench::filled(sessions);
        let span = Duration::from_millis(if quick { 150 } else { 1000 });
        print!("{sessions:>10}           ");
        for run in [Bench::hit, Bench::miss, Bench::learn] {
            for threads in [1, 2] {
                print!("{:>8.1}", bench.on_threads(threads, span, run));
            }
        }
        println!();
    }

    println!("\nfill                    words    first forced at    of words   learn there, ns");
    let fills: &[(usize, u64)] = if quick {
        &[(WORDS_IN_1MB, 3)]
    } else {
        &[(WORDS_IN_1MB, 8), (1 << 20, 3), (1 << 24, 1)]
    };
    for &(words, seeds) in fills {
        for seed in 1..=seeds {
            let (full_at, nanos) = fill(words, seed);
            let share = full_at as f64 / words as f64;
            println!("{words:>29}{full_at:>19}{share:>12.4}{nanos:>18.0}");
        }
    }
}

struct Bench {
    words: Vec<AtomicU128>,
    counters: Counters,
    keyer: ScopedKeyer,
    sessions: usize,
}

impl Bench {
    fn filled(sessions: usize) -> Bench {
        let bench = Bench {
            words: zeroed(sessions * 10 / 6),
            counters: Counters::default(),
            keyer: Keyer::new(1, 2).scope(b"shop"),
            sessions,
        };
        for index in 0..sessions as u64 {
            bench.learn_one(index);
        }
        bench
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.words, &self.counters)
    }

    fn learn_one(&self, index: u64) -> Learned {
        let (key, claim) = (self.keyer.key(&id(index)), Claim::Carried { from: None });
        self.table()
            .learn(key, peer(index), claim, &LIMITS, NOW, &mut |_| false)
    }

    /// Mean of the threads' times; `run` gets a random number generator of its own and
    /// returns how many operations it timed, and their time.
    fn on_threads(
        &self,
        threads: u64,
        span: Duration,
        run: fn(&Bench, &mut Random, u64) -> (usize, Duration),
    ) -> f64 {
        let start = Barrier::new(threads as usize);
        let one = |thread: u64| {
            let mut random = Random(thread);
            start.wait();
            let (begin, mut done, mut spent) = (Instant::now(), 0, Duration::ZERO);
            while begin.elapsed() < span {
                let (more, time) = run(self, &mut random, thread);
                done += more;
                spent += time;
            }
            spent.as_nanos() as f64 / done as f64
        };
        let total: f64 = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|t| scope.spawn(move || one(t))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        total / threads as f64
    }

    fn hit(&self, random: &mut Random, _: u64) -> (usize, Duration) {
        let indices: Vec<u64> = (0..BATCH)
            .map(|_| random.below(self.sessions as u64))
            .collect();
        self.look_up(&indices, |index, found| match found {
            LookUp::Found(session) => u64::from(session.peer.get() ^ peer(index).get()),
            _ => panic!("lost {index}"),
        })
    }

    fn miss(&self, random: &mut Random, _: u64) -> (usize, Duration) {
        let indices: Vec<u64> = (0..BATCH).map(|_| random.next() | 1 << 63).collect();
        self.look_up(&indices, |_, found| u64::from(found != LookUp::Unknown))
    }

    fn look_up(&self, indices: &[u64], check: fn(u64, LookUp) -> u64) -> (usize, Duration) {
        let ids: Vec<_> = indices.iter().map(|index| id(*index)).collect();
        let table = self.table();
        let mut wrong = 0u64;
        let begin = Instant::now();
        for (id, index) in ids.iter().zip(indices) {
            let mut id = *id;
            id[0] ^= wrong as u8;
            wrong |= check(*index, table.look_up(self.keyer.key(&id), &LIMITS, NOW));
        }
        let time = begin.elapsed();
        assert_eq!(black_box(wrong), 0);
        (ids.len(), time)
    }

    /// Learns a few new ids, then, outside the time taken, forgets them.
    fn learn(&self, random: &mut Random, _: u64) -> (usize, Duration) {
        let count = (self.sessions / 40).min(20_000);
        let ids: Vec<_> = (0..count).map(|_| id(random.next() | 1 << 63)).collect();
        let table = self.table();
        let begin = Instant::now();
        for id in &ids {
            let (key, claim) = (self.keyer.key(id), Claim::Stranger);
            black_box(table.learn(key, PeerId::new(7), claim, &LIMITS, NOW, &mut |_| false));
        }
        let time = begin.elapsed();
        for id in &ids {
            table.forget(self.keyer.key(id));
        }
        (count, time)
    }
}

/// Sessions in an empty table when the first live one has to go, and the mean time of the next
/// 10,000 insertions, each of which searches as far as it may.
fn fill(words: usize, seed: u64) -> (u64, f64) {
    let bench = Bench {
        words: zeroed(words),
        counters: Counters::default(),
        keyer: Keyer::new(seed, 2).scope(b"shop"),
        sessions: 0,
    };
    let mut index = 0;
    while matches!(
        bench.learn_one(index),
        Learned::New {
            evicted: Evicted::Nothing
        }
    ) {
        index += 1;
    }
    let begin = Instant::now();
    for further in 1..=10_000 {
        bench.learn_one(index + further);
    }
    (index, begin.elapsed().as_nanos() as f64 / 10_000.0)
}

fn zeroed(words: usize) -> Vec<AtomicU128> {
    (0..words).map(|_| AtomicU128::new(0)).collect()
}

fn peer(index: u64) -> PeerId {
    PeerId::new(index as u32 % 16)
}

fn id(index: u64) -> [u8; 32] {
    let mut id = *b"................................";
    for (part, salt) in id.chunks_exact_mut(8).zip(1..) {
        part.copy_from_slice(&Random(index ^ salt << 40).next().to_le_bytes());
    }
    id
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}
