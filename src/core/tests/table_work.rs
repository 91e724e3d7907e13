//! Tests for how much an operation may do: so many accesses to the table and no more, whatever
//! bytes stand in it and whatever the counters say. Without this, a damaged zone, or one made to
//! measure by somebody who knows this code, could keep a worker busy for ever.

mod table_zone;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use sticky_core::table::key::Key;
use sticky_core::table::test_points;
use sticky_core::table::tick::LAST_TICK;
use sticky_core::table::word::{Limits, PeerId, Session, Word};
use sticky_core::table::{Claim, LookUp};

use table_zone::{peer, Random, Zone};

/// Sixteen attempts, of which each reads the lines of its key a few times, searches 96 lines and
/// moves the words on a way of as many steps.
const MOST: u64 = 16 * (8 * 4 + 96 * 4 + 2 * 96);

/// Accesses to a table that this thread may still make.
struct Work(Rc<Cell<u64>>);

impl Work {
    fn bounded() -> Work {
        let left = Rc::new(Cell::new(0));
        let hook = Rc::clone(&left);
        test_points::hook(Some(Rc::new(move |mark| match hook.get() {
            0 => panic!("there is no end to it: {mark}"),
            left => hook.set(left - 1),
        })));
        Work(left)
    }

    /// What `act` returns, after at most so many accesses.
    fn within<T>(&self, most: u64, act: impl FnOnce() -> T) -> T {
        self.0.set(most);
        act()
    }
}

/// Bits that are meant to hurt.
struct Bits {
    random: Random,
    keys: Vec<Key>,
}

impl Bits {
    fn key(&mut self) -> Key {
        match self.random.below(4) {
            0 => self.random.key(),
            // Whose both lines are the first, the last, or one.
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
            // One of few keys, in any line, of the same or of another rank than its copies.
            _ => {
                let last = self.random.below(2) * LAST_TICK;
                let session = Session {
                    peer: peer(self.random.below(3)),
                    seen: last.max(self.random.below(3)),
                    created: self.random.below(2),
                    confirmed: self.random.below(2) == 0,
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
            &counters.last_forced,
            &counters.crowded,
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

/// Whether some word says so.
fn is_said(zone: &Zone, key: Key, peer: PeerId) -> bool {
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
            let claim = match bits.random.below(3) {
                0 => Claim::Stranger,
                1 => Claim::Carried { from: None },
                _ => Claim::Carried { from: Some(from) },
            };
            match bits.random.below(6) {
                0 => drop(work.within(MOST, || table.reassign(key, from, to, &limits, now))),
                1 => work.within(MOST, || table.touch(key, &limits, now)),
                2 => drop(work.within(MOST, || table.forget(key))),
                3 => drop(work.within(2 * 40, || {
                    table.sweep(bits.random.bits() as usize % 130, 40, &limits, now)
                })),
                _ => {
                    let gone = &mut |_| true;
                    work.within(MOST, || table.learn(key, to, claim, &limits, now, gone));
                }
            }
            if let LookUp::Found(held) = work.within(8, || table.look_up(key, &limits, now)) {
                assert!(is_said(&zone, key, held.peer), "{key:?}: {held:?}");
            }
        }
        assert!(table.sessions().count() <= table.capacity());
        let (others, larger) = (bits.zone(), Zone::new(300));
        work.within(8 * words * MOST, || larger.table().copy_from(&table));
        work.within(8 * 128 * MOST, || table.copy_from(&others.table()));
    }
    test_points::hook(None);
}
