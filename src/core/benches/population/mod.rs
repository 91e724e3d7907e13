//! A table with many sessions, and operations on them in random order.
//!
//! All times include hashing a 32-byte id. The id of each look-up depends on the result of the one
//! before, so that the processor cannot overlap them, as it never could in a server.

use std::hint::black_box;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;

use sticky_core::table::{
    Claim, Counters, Keyer, Learned, Limits, LookUp, PeerId, ScopedKeyer, Table, Tick,
};

pub const LIMITS: Limits = Limits {
    expires: 3600,
    lifetime: None,
};

/// The tick of all timed operations.
pub const NOW: Tick = 4000;

const BATCH: usize = 512;

/// Runs an operation several times, and returns how often and how long that took.
pub type Operation = fn(&Population, &mut Random) -> (usize, Duration);

/// A table and the sessions in it, identified by numbers.
pub struct Population {
    memory: Memory,
    counters: Counters,
    keyer: ScopedKeyer,
    sessions: usize,
}

impl Population {
    /// No session, in a table of so many words.
    pub fn empty(words: usize, seed: u64) -> Population {
        Population {
            memory: Memory::zeroed(words),
            counters: Counters::default(),
            keyer: Keyer::new(seed, 2).scope(b"shop"),
            sessions: 0,
        }
    }

    /// Sessions that were last seen in the last 3,000 seconds, which fill 0.6 of their table.
    pub fn filled(sessions: usize) -> Population {
        let mut population = Population::empty(sessions * 10 / 6, 1);
        for index in 0..sessions as u64 {
            population.learn_one(index, NOW - (index % 3000) as Tick);
        }
        population.sessions = sessions;
        population
    }

    pub fn table(&self) -> Table<'_> {
        Table::new(self.memory.words(), &self.counters)
    }

    /// Learns session number `index`, whose id the request carried.
    pub fn learn_one(&self, index: u64, now: Tick) -> Learned {
        self.learn_as(index, Claim::RequestCarried { holder: None }, now)
    }

    /// Learns session number `index`.
    pub fn learn_as(&self, index: u64, claim: Claim, now: Tick) -> Learned {
        let key = self.keyer.key(&id(index));
        self.table()
            .learn(key, peer(index), claim, &LIMITS, now, &mut |_| false)
    }

    /// A request brings the id of session number `index` back.
    #[allow(dead_code)] // Not every bench needs it.
    pub fn touch_one(&self, index: u64, now: Tick) {
        self.table().touch(self.keyer.key(&id(index)), &LIMITS, now);
    }

    /// Nanoseconds that an operation takes, on average over `span`.
    #[allow(dead_code)] // Not every bench needs it.
    pub fn nanos(&self, span: Duration, random: &mut Random, run: Operation) -> f64 {
        let (begin, mut done, mut spent) = (Instant::now(), 0, Duration::ZERO);
        while begin.elapsed() < span {
            let (more, time) = run(self, random);
            done += more;
            spent += time;
        }
        spent.as_nanos() as f64 / done as f64
    }

    /// Looks up sessions in the table.
    pub fn hit(&self, random: &mut Random) -> (usize, Duration) {
        let indices: Vec<u64> = (0..BATCH)
            .map(|_| random.below(self.sessions as u64))
            .collect();
        self.look_up(&indices, |index, found| match found {
            LookUp::Found(session) => u64::from(session.peer.get() ^ peer(index).get()),
            _ => panic!("lost {index}"),
        })
    }

    /// Looks up unknown ids.
    pub fn miss(&self, random: &mut Random) -> (usize, Duration) {
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

    /// Learns a few new ids, then forgets them, which is not timed.
    #[allow(dead_code)] // Not every bench needs it.
    pub fn learn(&self, random: &mut Random) -> (usize, Duration) {
        let count = (self.sessions / 40).min(20_000);
        let ids: Vec<_> = (0..count).map(|_| id(random.next() | 1 << 63)).collect();
        let table = self.table();
        let begin = Instant::now();
        for id in &ids {
            let (key, claim) = (self.keyer.key(id), Claim::ResponseOnly);
            black_box(table.learn(key, PeerId::new(7), claim, &LIMITS, NOW, &mut |_| false));
        }
        let time = begin.elapsed();
        for id in &ids {
            table.forget(self.keyer.key(id));
        }
        (count, time)
    }
}

/// Words that begin at a cache line, as in a zone.
struct Memory {
    words: Vec<AtomicU128>,
    begin: usize,
    end: usize,
}

impl Memory {
    fn zeroed(count: usize) -> Memory {
        let words: Vec<_> = (0..count + 3).map(|_| AtomicU128::new(0)).collect();
        let begin = words.as_ptr().align_offset(64).min(3);
        let end = begin + count;
        Memory { words, begin, end }
    }

    fn words(&self) -> &[AtomicU128] {
        &self.words[self.begin..self.end]
    }
}

pub fn peer(index: u64) -> PeerId {
    PeerId::new(index as u32 % 16)
}

pub fn id(index: u64) -> [u8; 32] {
    let mut id = *b"................................";
    for (part, salt) in id.chunks_exact_mut(8).zip(1..) {
        part.copy_from_slice(&Random(index ^ salt << 40).next().to_le_bytes());
    }
    id
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}
