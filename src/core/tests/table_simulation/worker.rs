//! A worker of the simulation: it runs one operation, and stops after each access to the table.

use std::rc::Rc;
use std::sync::Arc;

use generator::{Generator, Gn};

use sticky_core::table::test_points;
use sticky_core::table::{Claim, Learned, Limits, LookUp, PeerId, Tick};

use crate::table_zone::model::Model;
use crate::table_zone::{key, none_unusable, Zone};

pub const LIMITS: Limits = Limits {
    expires: 6000,
    lifetime: Some(20_000),
};

pub type Work = Generator<'static, (), Option<Answer>>;

/// From now on, the workers of this thread stop at each test point until they are resumed.
pub fn stop_at_each_test_point() {
    test_points::hook(Some(Rc::new(|_| {
        if generator::is_generator() {
            // The hook is shared by all workers, so it cannot own the scope of one.
            #[allow(deprecated)]
            generator::yield_with(None::<Answer>);
        }
    })));
}

/// `work`, not yet started.
pub fn work(work: impl FnOnce() -> Answer + Send + 'static) -> Work {
    // Words of stack: enough for a search, and for a panic.
    Gn::<()>::new_opt(0x2000, move || Some(work()))
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    LookUp,
    Touch,
    Learn { to: PeerId, claim: Claim },
    Reassign { from: PeerId, to: PeerId },
    End { holder: PeerId },
    Forget,
    ForgetEntered,
    Sweep { from: usize },
}

#[derive(Debug, PartialEq)]
pub enum Answer {
    LookUp(LookUp),
    Learned(Learned),
    Done(bool),
}

/// An operation of a worker.
pub struct Job {
    pub act: Act,
    pub number: u64,
    /// Its tick: workers read the clock now and then.
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
                    Answer::Learned(table.learn(key, to, claim, &LIMITS, now, &mut none_unusable))
                }
                Act::Reassign { from, to } => {
                    Answer::Done(table.reassign(key, from, to, &LIMITS, now))
                }
                Act::End { holder } => Answer::Done(table.end(key, holder, &LIMITS, now)),
                Act::Forget => Answer::Done(table.forget(key)),
                Act::ForgetEntered => Answer::Done(table.forget_entered(key, &LIMITS, now)),
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

    /// The result by the model.
    pub fn expected(&self, model: &mut Model) -> Answer {
        let (key, now) = (key(self.number), self.now);
        match self.act {
            Act::LookUp => Answer::LookUp(model.look_up(key, now)),
            Act::Touch => {
                if let Some(held) = model.live(key, now) {
                    model.refresh(key, held, now, true);
                }
                Answer::Done(true)
            }
            Act::Learn { to, claim } => Answer::Learned(model.learn(key, to, claim, now, 0)),
            Act::Reassign { from, to } => {
                let held = model.live(key, now).filter(|held| held.peer == from);
                if let Some(held) = held {
                    model.reassign(key, held, to, now, false);
                }
                Answer::Done(held.is_some())
            }
            Act::End { holder } => Answer::Done(model.end(key, holder, now)),
            Act::ForgetEntered => Answer::Done(model.forget_entered(key, now)),
            Act::Forget | Act::Sweep { .. } => Answer::Done(true),
        }
    }
}
