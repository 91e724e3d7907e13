//! From one table into another: a reload has changed the size of the zone, nginx has been started
//! again, or two of them serve side by side while the binary is upgraded.

use crate::key::Key;
use crate::word::{Limits, Session, Tick, Word};

use super::room::{Placed, Rule};
use super::{rank, Evicted, Held, Table, ATTEMPTS};

/// Copying judges no session: it has no clock, and a session that is over takes a free place or
/// none, because it was not seen for longest.
const FOREVER: Limits = Limits {
    expires: Tick::MAX,
    lifetime: None,
};

impl Table<'_> {
    /// Takes over every word of `other`, a table of the same zone in another size, with the same
    /// SipHash key and epoch. Where there is not room for all, those seen last are kept; of two
    /// words of one key, the one that ranks higher. Returns how many sessions there are more
    /// than before.
    pub fn copy_from(&self, other: &Table) -> usize {
        other
            .sessions()
            .filter(|(key, session)| self.restore(*key, session))
            .count()
    }

    /// Takes over one word as [`Table::copy_from`] does, into a table that nobody uses yet. Returns
    /// whether there is a session more than before.
    pub fn restore(&self, key: Key, session: &Session) -> bool {
        let taken = self.take_over(key, session, &FOREVER, 0, &Rule::Copy);
        matches!(taken, Some(Evicted::Nothing))
    }

    /// Takes over a live session of a table with the same SipHash key, which another nginx has, into
    /// one that is in use. Its words are the same sessions: of two of one key, the one that ranks
    /// higher stays. No live session has to go for it. Returns whether there is a session more
    /// than before.
    pub fn absorb(&self, key: Key, session: &Session, limits: &Limits, now: Tick) -> bool {
        let limits = &self.others.unwrap_or(*limits);
        if !limits.is_live(session, now) {
            return false;
        }
        let rule = Rule::Merge {
            limits: *limits,
            now,
        };
        let taken = self.take_over(key, session, limits, now, &rule);
        taken.is_some() && self.prevails(key, Word::new(key, session), limits, now)
    }

    fn take_over(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        rule: &Rule,
    ) -> Option<Evicted> {
        let word = Word::new(key, session);
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Held::Live(at, _) = view.held {
                let there = Word::from_bits(view.bits(at));
                let outranks = rank(word, limits, now) > rank(there, limits, now);
                if !outranks || self.replace(&view, key, at, session, limits, now).is_some() {
                    return None;
                }
                continue;
            }
            match self.place(&view, word, rule, false) {
                Placed::In(evicted) => return Some(evicted),
                Placed::Raced => {}
                Placed::NoRoom => return None,
            }
        }
        None
    }
}
