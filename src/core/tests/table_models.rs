//! Tests for two workers on one small table, in every order in which their steps may follow each
//! other, up to a number of switches, and with whatever one may see of the other's writes in the
//! memory model of C++ and Rust, which allows more than this processor does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use loom::model::Builder;
use loom::thread;

use sticky_core::key::Key;
use sticky_core::sync::AtomicU128;
use sticky_core::table::{Claim, Counters, Evicted, Learned, LookUp, Table, LINE};
use sticky_core::word::{Limits, PeerId, Session, Tick, Word};

const HOUR: Limits = Limits {
    expires: 3600,
    lifetime: None,
};
const CARRIED: Claim = Claim::Carried { from: None };

struct Zone {
    words: Vec<AtomicU128>,
    counters: Counters,
}

impl Zone {
    /// A table of two lines, where any key may stand in any of the eight places, with these
    /// words in the first of them.
    fn with(words: &[Word]) -> Arc<Zone> {
        let at = |place: usize| words.get(place).copied().unwrap_or(Word::EMPTY);
        let words = (0..2 * LINE).map(|place| AtomicU128::new(at(place).bits()));
        Arc::new(Zone {
            words: words.collect(),
            counters: Counters::default(),
        })
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.words, &self.counters)
    }
}

fn key(number: u64) -> Key {
    Key::new(number << 32 | number)
}

fn peer(number: u32) -> PeerId {
    PeerId::new(number)
}

fn word(number: u64, holder: u32, seen: Tick, confirmed: bool) -> Word {
    let session = Session {
        peer: peer(holder),
        seen,
        created: 0,
        confirmed,
    };
    Word::new(key(number), &session)
}

/// Runs `model` in every order with at most `switches` forced switches between threads.
fn check(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    let given = std::env::var("LOOM_MAX_PREEMPTIONS").is_ok();
    if !given {
        builder.preemption_bound = Some(switches);
    }
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    println!("{} orders", runs.load(Relaxed));
}

fn learn(zone: &Zone, number: u64, to: u32, claim: Claim, now: Tick) -> Learned {
    let nobody = &mut |_| false;
    zone.table()
        .learn(key(number), peer(to), claim, &HOUR, now, nobody)
}

fn holder(zone: &Zone, number: u64, now: Tick) -> u32 {
    match zone.table().look_up(key(number), &HOUR, now) {
        LookUp::Found(held) => held.peer.get(),
        other => panic!("session {number}: {other:?}"),
    }
}

#[test]
fn of_two_that_learn_one_id_all_readers_see_one() {
    check(3, || {
        let zone = Zone::with(&[]);
        let other = Arc::clone(&zone);
        let there = thread::spawn(move || learn(&other, 1, 2, Claim::Stranger, 0));
        let here = learn(&zone, 1, 1, Claim::Stranger, 0);
        let there = there.join().unwrap();
        let held = holder(&zone, 1, 0);
        let new = Learned::New {
            evicted: Evicted::Nothing,
        };
        let told = |outcome, own: u32| match outcome {
            Learned::Kept { holder } => holder.get(),
            outcome => {
                assert_eq!(outcome, new);
                own
            }
        };
        let told = [told(here, 1), told(there, 2)];
        assert!(told.contains(&held), "{told:?}, but {held} has it");
        assert_eq!(zone.table().sessions().count(), 1);
    });
}
