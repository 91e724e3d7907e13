//! What the tests of the session table share: memory for one, pseudo-random numbers, and a trait for
//! both tables.
#![allow(dead_code)] // Each test file is a crate of its own and uses only a part.

pub mod model;

use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;

use sticky_core::table::{
    Claim, Counters, Key, Learned, Limits, LocalTable, LookUp, PeerId, Stage, Table, Tick, Word,
};

pub const HOUR: Limits = Limits {
    expires: 3600,
    lifetime: None,
};

pub const STAGES: [Stage; 3] = [Stage::Entered, Stage::Kept, Stage::Settled];

pub struct Zone {
    pub words: Vec<AtomicU128>,
    pub counters: Counters,
}

impl Zone {
    pub fn new(words: usize) -> Zone {
        let words = (0..words).map(|_| AtomicU128::new(0)).collect();
        Zone {
            words,
            counters: Counters::default(),
        }
    }

    pub fn table(&self) -> Table<'_> {
        Table::new(&self.words, &self.counters)
    }

    pub fn put(&self, place: usize, word: Word) {
        self.words[place].store(word.bits(), Relaxed);
    }

    /// The places of all copies of `key`.
    pub fn places_of(&self, key: Key) -> Vec<usize> {
        let word = |place: usize| Word::from_bits(self.words[place].load(Relaxed));
        (0..self.words.len())
            .filter(|place| word(*place).key() == Some(key))
            .collect()
    }

    /// The number of newcomers, as the header has it.
    pub fn newcomers(&self) -> i64 {
        self.counters.newcomers.load(Relaxed) as i64
    }

    /// The same, counted in the table.
    pub fn newcomers_counted(&self) -> i64 {
        let words = self.words.iter();
        let newcomers = words.filter(|word| Word::from_bits(word.load(Relaxed)).is_newcomer());
        newcomers.count() as i64
    }

    /// Sessions evicted that were unused, and in use.
    pub fn evicted(&self) -> (u64, u64) {
        let counters = &self.counters;
        (
            counters.evicted_unused.load(Relaxed),
            counters.evicted_in_use.load(Relaxed),
        )
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The seed is that of the environment variable STICKY_SEED, else `default`. It is printed; the
    /// test harness shows that when the test fails.
    pub fn seeded(default: u64) -> Random {
        let given = std::env::var("STICKY_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(default);
        println!("STICKY_SEED={seed}");
        Random(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u32
    }

    pub fn key(&mut self) -> Key {
        Key::new(self.bits())
    }
}

/// The key of the `number`th invented id, spread over all bits like a hash.
pub fn key(number: u64) -> Key {
    Random(number << 20).key()
}

pub fn peer(number: u32) -> PeerId {
    PeerId::new(number)
}

/// That many rounds, or few under Miri, which takes thousands of times as long.
pub const fn rounds(many: u32) -> u32 {
    if cfg!(miri) {
        many / 1000 + 1
    } else {
        many
    }
}

/// No peer is unusable.
pub fn none_unusable(_: PeerId) -> bool {
    false
}

/// The shared and the local table.
pub trait Sessions {
    fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp;
    fn touch(&self, key: Key, limits: &Limits, now: Tick);
    fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned;
    fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits, now: Tick) -> bool;
    fn end(&self, key: Key, holder: PeerId, limits: &Limits, now: Tick) -> bool;
    fn forget(&self, key: Key) -> bool;
    fn forget_entered(&self, key: Key, limits: &Limits, now: Tick) -> bool;
}

macro_rules! sessions {
    ($table:ty) => {
        impl Sessions for $table {
            fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
                <$table>::look_up(self, key, limits, now)
            }
            fn touch(&self, key: Key, limits: &Limits, now: Tick) {
                <$table>::touch(self, key, limits, now)
            }
            fn learn(
                &self,
                key: Key,
                peer: PeerId,
                claim: Claim,
                limits: &Limits,
                now: Tick,
                is_unusable: &mut dyn FnMut(PeerId) -> bool,
            ) -> Learned {
                <$table>::learn(self, key, peer, claim, limits, now, is_unusable)
            }
            fn reassign(
                &self,
                key: Key,
                from: PeerId,
                to: PeerId,
                limits: &Limits,
                now: Tick,
            ) -> bool {
                <$table>::reassign(self, key, from, to, limits, now)
            }
            fn end(&self, key: Key, holder: PeerId, limits: &Limits, now: Tick) -> bool {
                <$table>::end(self, key, holder, limits, now)
            }
            fn forget(&self, key: Key) -> bool {
                <$table>::forget(self, key)
            }
            fn forget_entered(&self, key: Key, limits: &Limits, now: Tick) -> bool {
                <$table>::forget_entered(self, key, limits, now)
            }
        }
    };
}

sessions!(Table<'_>);
sessions!(LocalTable);
