//! Tests for the memory of a replaced table that is given back to the system while somebody else is in
//! the middle of something with it; without them, a reload that follows one that has changed the size
//! of a zone of millions of sessions loses one of them now and then.

mod table_zone;

use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use portable_atomic::AtomicU128;
use sticky_core::table::{
    Claim, Fingerprint, Key, Learned, LookUp, Predecessor, Registration, Table, Tick, ZoneHeader,
};

use table_zone::{key, none_unusable, rounds, Random, HOUR};

const NOW: Tick = 20;

struct Zone {
    header: ZoneHeader,
    rest: Vec<AtomicU128>,
}

impl Zone {
    fn new(words: usize) -> Zone {
        let zone = Zone {
            header: ZoneHeader::default(),
            rest: (0..words).map(|_| AtomicU128::new(0)).collect(),
        };
        zone.header.identity.init(words, 1, 2, 0);
        zone
    }

    fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }

    fn predecessor(&self) -> Predecessor<'_> {
        Predecessor::new(self.table(), &self.header.identity, None)
    }

    fn server(&self, number: u32) -> Registration {
        let registry = self.table().registry().unwrap();
        let name = format!("10.0.0.{number}:80");
        let server = Fingerprint::new((5, 6), b"shop", name.as_bytes());
        registry.register(&[server])[0].unwrap()
    }

    fn learn(&self, key: Key, server: u32, claim: Claim) -> Learned {
        let server = self.server(server);
        self.table()
            .learn_of(key, &server, claim, &HOUR, 10, &mut none_unusable)
    }

    fn has(&self, key: Key) -> bool {
        matches!(self.table().look_up(key, &HOUR, NOW), LookUp::Found(_))
    }

    /// As the worker does that has copied all, and as the system then does with the pages.
    fn free(&self) {
        self.header.identity.give_up();
        for word in &self.rest {
            word.store(0, SeqCst);
        }
    }
}

/// Two processes copy at once: a thread of a worker, and the master that makes yet another table. The
/// first that is done frees the old one.
#[test]
fn one_of_two_that_copy_at_once_frees_the_old_table() {
    let mut random = Random::seeded(0x6117);
    let mut lost = Vec::new();
    for round in 0..rounds(400) {
        let (old, new) = (
            Zone::new(4096),
            Zone::new(4096 + 64 * random.below(40) as usize),
        );
        let keys: Vec<Key> = (0..3000)
            .map(|id| key(u64::from(round * 10_000 + id)))
            .collect();
        for (id, key) in keys.iter().enumerate() {
            old.learn(*key, id as u32 % 4, Claim::ResponseOnly);
        }
        // A reload has copied most of them.
        new.table().copy_from(&old.table());
        // Since then, requests have come to older workers.
        for key in &keys {
            old.table().touch(*key, &HOUR, 15);
        }
        let wait = random.below(3000);
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..wait).for_each(|_| std::hint::spin_loop());
                assert!(old
                    .predecessor()
                    .move_into(&new.table(), &HOUR, NOW, &|| false));
            });
            assert!(old
                .predecessor()
                .move_into(&new.table(), &HOUR, NOW, &|| false));
            new.header.identity.set_whole(true);
            old.free();
        });
        lost.extend(keys.into_iter().filter(|key| !new.has(*key)));
    }
    assert_eq!(lost, []);
}

/// A session that no answer has kept yet is not removed with those that older workers have removed.
#[test]
fn what_is_entered_outlives_the_old_table() {
    let (old, new) = (Zone::new(1024), Zone::new(2048));
    for id in 0..100 {
        old.learn(key(id), 1, Claim::Request { from: None });
    }
    assert!(old
        .predecessor()
        .move_into(&new.table(), &HOUR, NOW, &|| false));
    old.free();
    assert!(old
        .predecessor()
        .move_into(&new.table(), &HOUR, NOW, &|| false));
    let both = old.predecessor();
    for id in 0..100 {
        assert!(new.has(key(id)));
        let found = both.look_up(&new.table(), key(id), &HOUR, NOW);
        assert!(matches!(found, LookUp::Found(_)), "{id}");
    }
    assert!(both.forget_entered(&new.table(), key(1), &HOUR, NOW));
    assert!(!new.has(key(1)));
}

/// At any step of what a request does, the old table is freed: the outcome is as if there were the new
/// one alone.
#[cfg(feature = "steps")]
mod at_any_step {
    use std::cell::Cell;
    use std::rc::Rc;

    use sticky_core::table::test_points;

    use super::*;

    const OLD: &str = "old";
    const MOVED: &str = "moved";
    const ENDED: &str = "ended";

    type Act = fn(&Predecessor<'_>, &Zone) -> bool;

    /// Does that in a pair of tables that have the session of key 1, at server 1. At the `step`th test
    /// point the old one is freed, if there are as many. Returns that, and what has become of it.
    fn freed_at(step: u32, act: Act) -> (bool, &'static str) {
        let zones: &'static [Zone; 2] = Box::leak(Box::new([Zone::new(256), Zone::new(512)]));
        let [old, new] = zones;
        old.learn(key(1), 1, Claim::ResponseOnly);
        new.server(1);
        new.server(2);
        new.table().copy_from(&old.table());
        // The older worker's.
        old.table().touch(key(1), &HOUR, 12);
        let both = old.predecessor();
        let left = Rc::new(Cell::new(step));
        let count = Rc::clone(&left);
        test_points::hook(Some(Rc::new(move |_| match count.get() {
            0 => {}
            1 => {
                count.set(0);
                let within = test_points::hook(None);
                assert!(old
                    .predecessor()
                    .move_into(&new.table(), &HOUR, NOW, &|| false));
                new.header.identity.set_whole(true);
                old.free();
                test_points::hook(within);
            }
            more => count.set(more - 1),
        })));
        let done = act(&both, new);
        test_points::hook(None);
        assert!(done, "step {step}");
        let holder = match new.table().look_up(key(1), &HOUR, NOW) {
            LookUp::Found(session) if session.peer == new.server(1).number => OLD,
            LookUp::Found(_) => MOVED,
            _ => ENDED,
        };
        (left.get() == 0, holder)
    }

    fn all_steps(act: Act, expected: &str) {
        for step in 1.. {
            let (is_freed, holder) = freed_at(step, act);
            assert_eq!(holder, expected, "step {step}");
            if !is_freed {
                assert!(step > 8, "{step} steps");
                break;
            }
        }
    }

    /// The session is learned again, of that server.
    fn learn(both: &Predecessor<'_>, new: &Zone, server: u32) -> Learned {
        let (table, server) = (new.table(), new.server(server));
        let claim = Claim::ResponseOnly;
        both.learn_of(
            &table,
            key(1),
            &server,
            claim,
            &HOUR,
            NOW,
            &mut none_unusable,
        )
    }

    #[test]
    fn an_answer_has_its_id() {
        all_steps(|both, new| learn(both, new, 1) == Learned::Same, OLD);
    }

    #[test]
    fn another_server_answers_with_its_id() {
        let act: Act = |both, new| matches!(learn(both, new, 2), Learned::Kept { .. });
        all_steps(act, OLD);
    }

    #[test]
    fn it_moves() {
        let act: Act = |both, new| {
            let (from, to) = (new.server(1).number, new.server(2));
            both.reassign_to(&new.table(), key(1), from, &to, &HOUR, NOW)
        };
        all_steps(act, MOVED);
    }

    #[test]
    fn it_ends() {
        let act: Act = |both, new| both.end(&new.table(), key(1), new.server(1).number, &HOUR, NOW);
        all_steps(act, ENDED);
    }

    #[test]
    fn it_is_looked_up_and_touched() {
        let act: Act = |both, new| {
            both.touch(&new.table(), key(1), &HOUR, NOW);
            let found = both.look_up(&new.table(), key(1), &HOUR, NOW);
            matches!(found, LookUp::Found(session) if session.confirmed)
        };
        all_steps(act, OLD);
    }

    #[test]
    fn it_is_copied() {
        let act: Act = |both, new| both.move_into(&new.table(), &HOUR, NOW, &|| false);
        all_steps(act, OLD);
    }
}
