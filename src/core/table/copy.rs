//! From one table into another: a reload has changed the size of the zone, nginx has been started
//! again, or two of them serve side by side while the binary is upgraded.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Acquire;

use crate::table::key::Key;
use crate::table::tick::Tick;
use crate::table::word::{Limits, Session, Word};

use super::place::{Placed, Rule};
use super::{rank, Evicted, Held, Table, ATTEMPTS};

/// A walk misses a session that is relocated from before it to behind it, by a worker of a table
/// that is still in use. So it is repeated while there were relocations, and would miss a session
/// only if that moved at the wrong moment in every single one.
const WALKS: usize = 4;

/// What became of a session that another table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absorbed {
    /// It was not here.
    New,
    /// It is here, as the one of both tables that ranks higher.
    Known,
    /// It is over.
    Over,
    /// There is no room for it.
    NoRoom,
}

impl Table<'_> {
    /// Takes over every word of `other`, a table of the same zone in another size, with the same
    /// SipHash key and epoch. See [`Table::restore`]; of two words of one key, the one stays that
    /// ranks higher. Returns how many sessions there are more than before.
    pub fn copy_from(&self, other: &Table) -> usize {
        let mut copied = 0;
        for _ in 0..WALKS {
            let before = other.counters.relocated.load(Acquire);
            let Ok::<_, Infallible>(count) = self.restore(|take| {
                other
                    .sessions()
                    .for_each(|(key, session)| take(key, &session));
                Ok(())
            });
            copied += count;
            if other.counters.relocated.load(Acquire) == before {
                break;
            }
        }
        copied
    }

    /// Takes over a session of a table with the same SipHash key, which another nginx has, into one
    /// that is in use: of two of one key, the one that ranks higher stays. No live session has to
    /// go for it. Room is looked for in many lines when that `is_thorough`.
    pub fn absorb(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        is_thorough: bool,
    ) -> Absorbed {
        let limits = self.others.unwrap_or(*limits);
        if !limits.is_live(session, now) {
            return Absorbed::Over;
        }
        let rule = Rule::Merge {
            limits,
            now,
            is_thorough,
        };
        match self.take_over(key, session, &limits, now, &rule) {
            Ok(None) => Absorbed::Known,
            Ok(Some(_)) => {
                // A worker may have learned it at the same moment.
                self.prevails(key, Word::new(key, session), &limits, now);
                Absorbed::New
            }
            Err(NoRoom) => Absorbed::NoRoom,
        }
    }

    /// Who had to go for it; nobody, when it was there already.
    pub(super) fn take_over(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        rule: &Rule,
    ) -> Result<Option<Evicted>, NoRoom> {
        let word = Word::new(key, session);
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Held::Live(at, _) = view.held {
                let there = Word::from_bits(view.bits(at));
                let outranks = rank(word, limits, now) > rank(there, limits, now);
                if !outranks || self.replace(&view, key, at, session, limits, now).is_some() {
                    return Ok(None);
                }
                continue;
            }
            match self.place(&view, word, rule, false) {
                Placed::In(evicted) => return Ok(Some(evicted)),
                Placed::Raced => {}
                Placed::NoRoom => break,
            }
        }
        Err(NoRoom)
    }
}

pub(super) struct NoRoom;
