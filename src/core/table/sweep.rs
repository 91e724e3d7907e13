//! Housekeeping, a bounded piece at a time. No promise depends on it: a session that is over is
//! not found and gives its word away, swept or not. It makes room before room is looked for, and
//! tells how many sessions there are.

use std::ops::AddAssign;
use std::sync::atomic::Ordering::Relaxed;

use crate::table::test_points;
use crate::table::tick::Tick;
use crate::table::word::{Limits, Word};

use super::{Table, LINE};

/// What a piece of a walk has come by. Pieces of one walk add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Where the next piece begins; 0 when this one came to the end of the table.
    pub next: usize,
    /// Live sessions. One that is relocated meanwhile may count twice or not at all.
    pub live: u64,
    /// Those of them that are confirmed.
    pub confirmed: u64,
    /// Sessions that had been over for long, and whose words are free now.
    pub cleared: u64,
}

impl AddAssign for Swept {
    fn add_assign(&mut self, next: Swept) {
        self.next = next.next;
        self.live += next.live;
        self.confirmed += next.confirmed;
        self.cleared += next.cleared;
    }
}

impl Table<'_> {
    /// Looks at `count` words from the one at `from` on, and frees those of sessions that are over
    /// at `now`, and no longer remembered as such: under `limits`, or under the longest of a shared
    /// zone.
    ///
    /// It removes nothing that anybody finds: a word that has been changed since it was read, by a
    /// request or by one who learned the id anew, is another word and stays. Nor does it count
    /// as a relocation does, since no reader takes a session that is over for a live one.
    pub fn sweep(&self, from: usize, count: usize, limits: &Limits, now: Tick) -> Swept {
        let limits = self.others.unwrap_or(*limits);
        let remembered = limits.remembered();
        let end = from.saturating_add(count).min(self.words.len());
        let mut swept = Swept {
            next: if end < self.words.len() { end } else { 0 },
            ..Swept::default()
        };
        for (place, slot) in self.words.iter().enumerate().take(end).skip(from) {
            let bits = slot.load(Relaxed);
            let word = Word::from_bits(bits);
            let Some(key) = word.key() else { continue };
            let (first, second) = self.lines_of(key);
            // In another line nobody ever looks for it. No worker writes it there.
            let is_lost = place / LINE != first && place / LINE != second;
            let session = word.session();
            if is_lost || !remembered.is_live(&session, now) {
                test_points::at("sweep: one is over");
                swept.cleared += u64::from(self.swap(place, bits, Word::EMPTY.bits()));
            } else if limits.is_live(&session, now) {
                swept.live += 1;
                swept.confirmed += u64::from(session.confirmed);
            }
        }
        self.counters
            .expired_swept
            .fetch_add(swept.cleared, Relaxed);
        swept
    }

    /// Tells everybody what the pieces of a whole walk came to, see `Counters::live`.
    pub fn publish(&self, whole: &Swept) {
        self.counters.live.store(whole.live, Relaxed);
        self.counters.confirmed.store(whole.confirmed, Relaxed);
    }
}
