//! From one table into another: a reload has changed the size of the zone.

use crate::key::Key;
use crate::word::{Limits, Tick, Word};

use super::room::{Placed, Rule};
use super::{Evicted, Held, Table, ATTEMPTS};

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
        let mut copied = 0usize;
        for (key, session) in other.sessions() {
            let word = Word::new(key, &session);
            match self.take_over(key, word) {
                Some(Evicted::Nothing) => copied += 1,
                Some(Evicted::Unconfirmed | Evicted::Confirmed) | None => {}
            }
        }
        copied
    }

    fn take_over(&self, key: Key, word: Word) -> Option<Evicted> {
        for _ in 0..ATTEMPTS {
            let view = self.find(key, &FOREVER, 0);
            if let Held::Live(at, _) = view.held {
                let there = Word::from_bits(view.bits(at));
                let outranks = (word.is_confirmed(), word.seen(), word.bits())
                    > (there.is_confirmed(), there.seen(), there.bits());
                if !outranks || self.swap(view.place(at), there.bits(), word.bits()) {
                    return None;
                }
                continue;
            }
            match self.place(&view, word, &Rule::Copy) {
                Placed::In(evicted) => return Some(evicted),
                Placed::Raced => {}
                Placed::NoRoom => return None,
            }
        }
        None
    }
}
