//! A worker of the simulation: it does one thing, and stops after each access to the table.

use std::rc::Rc;
use std::sync::Arc;

use generator::{Generator, Gn};

use sticky_core::table::test_points;
use sticky_core::table::tick::Tick;
use sticky_core::table::word::{Limits, PeerId};
use sticky_core::table::{Claim, Learned, LookUp};

use crate::table_zone::model::Model;
use crate::table_zone::{key, nobody, Zone};

pub const LIMITS: Limits = Limits {
    expires: 6000,
    lifetime: Some(20_000),
};

pub type Work = Generator<'static, (), Option<Answer>>;

/// From now on, each worker of this thread stops at each mark until it is resumed.
pub fn stop_at_each_mark() {
    test_points::hook(Some(Rc::new(|_| {
        if generator::is_generator() {
            // The hook is the same for all workers, so it cannot hold the scope of one.
            #[allow(deprecated)]
            generator::yield_with(None::<Answer>);
        }
    })));
}

/// `work` before its first step.
pub fn work(work: impl FnOnce() -> Answer + Send + 'static) -> Work {
    // Words of stack: room for a search, and for a panic.
    Gn::<()>::new_opt(0x2000, move || Some(work()))
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    LookUp,
    Touch,
    Learn { to: PeerId, claim: Claim },
    Reassign { from: PeerId, to: PeerId },
    Forget,
    Sweep { from: usize },
}

#[derive(Debug, PartialEq)]
pub enum Answer {
    LookUp(LookUp),
    Learned(Learned),
    Done(bool),
}

/// What a worker is about.
pub struct Job {
    pub act: Act,
    pub number: u64,
    /// Its time: workers ask for it once in a while.
    pub now: Tick,
    pub work: Work,
}

impl Job {
    pub fn new(zone: Arc<Zone>, act: Act, number: u64, now: Tick) -> Job {
        let work = work(move || {
            let (table, key) = (zone.table(), key(number));
            match act {
                Act::LookUp => Answer::LookUp(table.look_up(key, &LIMITS, now)),
                Act::Touch => {
                    table.touch(key, &LIMITS, now);
                    Answer::Done(true)
                }
                Act::Learn { to, claim } => {
                    Answer::Learned(table.learn(key, to, claim, &LIMITS, now, &mut nobody))
                }
                Act::Reassign { from, to } => {
                    Answer::Done(table.reassign(key, from, to, &LIMITS, now))
                }
                Act::Forget => Answer::Done(table.forget(key)),
                Act::Sweep { from } => {
                    table.sweep(from, 16, &LIMITS, now);
                    Answer::Done(true)
                }
            }
        });
        Job {
            act,
            number,
            now,
            work,
        }
    }

    /// What the model says to it.
    pub fn expected(&self, model: &mut Model) -> Answer {
        let (key, now) = (key(self.number), self.now);
        match self.act {
            Act::LookUp => Answer::LookUp(model.look_up(key, now)),
            Act::Touch => {
                if let Some(held) = model.live(key, now) {
                    model.use_it(key, held, now, true);
                }
                Answer::Done(true)
            }
            Act::Learn { to, claim } => Answer::Learned(model.learn(key, to, claim, now, 0)),
            Act::Reassign { from, to } => {
                let held = model.live(key, now).filter(|held| held.peer == from);
                if let Some(held) = held {
                    model.move_it(key, held, to, now, false);
                }
                Answer::Done(held.is_some())
            }
            Act::Forget | Act::Sweep { .. } => Answer::Done(true),
        }
    }
}
