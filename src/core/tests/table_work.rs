//! Tests for the number of accesses to the table that an operation makes: it is bounded, whatever
//! bytes and counters are in the zone. Without this, a damaged zone, or one crafted by an attacker,
//! could keep a worker busy forever.

mod table_zone;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::test_points;
use sticky_core::table::{Claim, Key, Limits, LookUp, PeerId, Session, Word, LAST_TICK};

use table_zone::{peer, Random, Zone, STAGES};

/// Sixteen attempts. Each reads the lines of its key a few times, searches 96 lines and moves the
/// words on a path of at most 96 steps.
const MOST: u64 = 16 * (8 * 4 + 96 * 4 + 3 * 96);

/// How many accesses to a table this thread may still make.
struct Work(Rc<Cell<u64>>);

impl Work {
    fn bounded() -> Work {
        let left = Rc::new(Cell::new(0));
        let hook = Rc::clone(&left);
        test_points::hook(Some(Rc::new(move |point| match hook.get() {
            0 => panic!("too many accesses: {point}"),
            left => hook.set(left - 1),
        })));
        Work(left)
    }

    /// Runs `act`, which may make at most `most` accesses.
    fn within<T>(&self, most: u64, act: impl FnOnce() -> T) -> T {
        self.0.set(most);
        act()
    }
}

/// Hostile bytes.
struct Bits {
    random: Random,
    keys: Vec<Key>,
}

impl Bits {
    fn key(&mut self) -> Key {
        match self.random.below(4) {
            0 => self.random.key(),
            // Both lines of these are the first, the last, or would be the same.
            1 => Key::new(
                [1, u64::MAX, 1 << 63, 0x5555_5555_5555_5555][self.random.below(4) as usize],
            ),
            _ => self.keys[self.random.below(self.keys.len() as u32) as usize],
        }
    }

    fn word(&mut self) -> u128 {
        match self.random.below(8) {
            0 => 0,
            1 => u128::MAX,
            // A session without a key.
            2 => u128::from(self.random.bits()),
            3 => u128::from(self.random.bits()) << 64 | u128::from(self.random.bits()),
            // One of few keys, in any line, with the rank of its copies or another.
            _ => {
                let last = self.random.below(2) * LAST_TICK;
                let session = Session {
                    peer: peer(self.random.below(3)),
                    seen: last.max(self.random.below(3)),
                    created: self.random.below(2),
                    confirmed: self.random.below(2) == 0,
                    stage: STAGES[self.random.below(3) as usize],
                };
                Word::new(self.key(), &session).bits()
            }
        }
    }

    fn zone(&mut self) -> Zone {
        let zone = Zone::new(8 + self.random.below(120) as usize);
        let same = (self.random.below(4) == 0).then(|| self.word());
        for slot in &zone.words {
            slot.store(same.unwrap_or_else(|| self.word()), Relaxed);
        }
        let counters = &zone.counters;
        for counter in [
            &counters.relocated,
            &counters.last_eviction,
            &counters.last_crowded,
            &counters.learned,
        ] {
            counter.store(
                [0, 1, u64::MAX, self.random.bits()][self.random.below(4) as usize],
                Relaxed,
            );
        }
        zone
    }
}

/// Whether a word has that peer for the key.
fn is_stored(zone: &Zone, key: Key, peer: PeerId) -> bool {
    zone.words.iter().any(|slot| {
        let word = Word::from_bits(slot.load(Relaxed));
        word.key() == Some(key) && word.session().peer == peer
    })
}

#[test]
fn no_bytes_make_an_operation_long_or_find_what_is_not_there() {
    let work = Work::bounded();
    let mut bits = Bits {
        random: Random::seeded(81),
        keys: Vec::new(),
    };
    for _ in 0..2000 {
        bits.keys = (0..6).map(|_| bits.random.key()).collect();
        let zone = bits.zone();
        let (table, words) = (zone.table(), zone.words.len() as u64);
        for _ in 0..200 {
            let (key, now) = (
                bits.key(),
                [0, 1, LAST_TICK, u32::MAX][bits.random.below(4) as usize],
            );
            let limits = Limits {
                expires: [1, 60, u32::MAX][bits.random.below(3) as usize],
                lifetime: [None, Some(1), Some(u32::MAX)][bits.random.below(3) as usize],
            };
            let (from, to) = (peer(bits.random.below(3)), peer(bits.random.below(3)));
            let claim = match bits.random.below(6) {
                0 => Claim::ResponseOnly,
                1 => Claim::RequestCarried { holder: None },
                2 => Claim::RequestCarried { holder: Some(from) },
                3 => Claim::Request { from: None },
                4 => Claim::Request { from: Some(from) },
                _ => Claim::Answer,
            };
            match bits.random.below(7) {
                0 => drop(work.within(MOST, || table.reassign(key, from, to, &limits, now))),
                1 => work.within(MOST, || table.touch(key, &limits, now)),
                2 => drop(work.within(MOST, || table.forget(key))),
                6 => drop(work.within(MOST, || table.end(key, from, &limits, now))),
                3 => drop(work.within(MOST, || table.forget_entered(key, &limits, now))),
                4 => drop(work.within(3 * 40, || {
                    table.sweep(bits.random.bits() as usize % 130, 40, &limits, now)
                })),
                _ => {
                    let is_unusable = &mut |_| true;
                    work.within(MOST, || {
                        table.learn(key, to, claim, &limits, now, is_unusable)
                    });
                }
            }
            // Both lines, and once more where a key is in several places.
            if let LookUp::Found(held) = work.within(2 * 8, || table.look_up(key, &limits, now)) {
                assert!(is_stored(&zone, key, held.peer), "{key:?}: {held:?}");
            }
        }
        assert!(table.sessions().count() <= table.capacity());
        let (others, larger) = (bits.zone(), Zone::new(300));
        work.within(8 * words * MOST, || larger.table().copy_from(&table));
        work.within(8 * 128 * MOST, || table.copy_from(&others.table()));
    }
    test_points::hook(None);
}
