//! The sweep frees the words of expired sessions, a bounded piece of the table at a time, and counts
//! sessions. Nothing depends on it: an expired session is not found, and its word is reused, swept
//! or not.

use std::ops::AddAssign;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::census::Census;
use super::limits::Limits;
use super::registry::Numbers;
use super::sync::fence;
use super::tally::Tallies;
use super::tick::Tick;
use super::word::Word;
use super::{test_points, Table, LINE};

/// The result of a piece of a sweep. Those of one sweep are added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Where the next piece begins; 0 when this one reached the end of the table.
    pub next: usize,
    /// Live sessions. One that is relocated meanwhile may be counted twice or not at all.
    pub live: u64,
    /// Those of them that are confirmed.
    pub confirmed: u64,
    /// Sessions whose words were freed.
    pub cleared: u64,
    /// How many sessions are not in use.
    pub census: Census,
}

impl AddAssign for Swept {
    fn add_assign(&mut self, next: Swept) {
        self.next = next.next;
        self.live += next.live;
        self.confirmed += next.confirmed;
        self.cleared += next.cleared;
        self.census += next.census;
    }
}

/// How far a table was swept in its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// How many words were read.
    pub words: usize,
    /// Whether that was the rest of the table.
    pub is_whole: bool,
}

/// What a look at a table costs, in words, even if none is read: so many tables cannot cost more
/// than the words of one.
const LOOK: usize = 64;

/// Which of several tables is to be swept next. They share one allowance, however many they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn(usize);

impl Turn {
    /// Sweeps the tables 0 to `count` - 1 in turn: goes on where the latest call ended, with the rest
    /// of a table that was not finished, and ends when `words` were read or each table had its turn.
    /// `sweep` is called with the index of a table and how many words of it may be read.
    pub fn sweep(
        &mut self,
        count: usize,
        words: usize,
        mut sweep: impl FnMut(usize, usize) -> Progress,
    ) {
        let mut left = words;
        for _ in 0..count {
            if left == 0 {
                break;
            }
            // There may be fewer tables than before.
            self.0 %= count;
            let progress = sweep(self.0, left);
            left = left.saturating_sub(progress.words.max(LOOK));
            if !progress.is_whole {
                break;
            }
            self.0 += 1;
        }
    }
}

impl Table<'_> {
    /// Examines `count` words from the one at `from` on, and frees those of sessions that expired
    /// before `now` and are past their [`Limits::retention`], by `limits` or those of the zone.
    ///
    /// It removes no live session: a word that has changed since it was read, because of a request
    /// or because the id was learned again, stays. It need not count a relocation, because look-ups
    /// do not find expired sessions.
    pub fn sweep(&self, from: usize, count: usize, limits: &Limits, now: Tick) -> Swept {
        let (seen, tallies) = (&mut Numbers::default(), &mut Tallies::default());
        self.sweep_and_note(from, count, limits, now, seen, tallies)
    }

    /// The same; adds the numbers of the peers of all words that stay to `seen`, for
    /// [`Registry::swept`](super::Registry::swept), and live sessions to `tallies`.
    pub fn sweep_and_note(
        &self,
        from: usize,
        count: usize,
        limits: &Limits,
        now: Tick,
        seen: &mut Numbers,
        tallies: &mut Tallies,
    ) -> Swept {
        // Between the marks of the sweep before and the words: of a worker that writes a word and then
        // looks for a mark, one of the two sees the other.
        fence(SeqCst);
        let limits = self.zone_limits.unwrap_or(*limits);
        let retention = limits.retention();
        let end = from.saturating_add(count).min(self.words.len());
        let mut swept = Swept {
            next: if end < self.words.len() { end } else { 0 },
            census: Census::begin(end.saturating_sub(from), self.counters),
            ..Swept::default()
        };
        for (place, word) in self.words.iter().enumerate().take(end).skip(from) {
            let bits = word.load(Relaxed);
            let word = Word::from_bits(bits);
            let Some(key) = word.key() else { continue };
            swept.census.add(word);
            let (first, second) = self.lines_of(key);
            // In any other line no look-up finds it. No worker writes it there.
            let is_unreachable = place / LINE != first && place / LINE != second;
            let session = word.session();
            if is_unreachable || !retention.is_live(&session, now) {
                test_points::at("sweep: one has expired");
                if self.swap(place, bits, Word::EMPTY.bits()) {
                    swept.cleared += 1;
                    swept.census.subtract(word);
                    continue;
                }
            } else if limits.is_live(&session, now) {
                swept.live += 1;
                swept.confirmed += u64::from(session.confirmed);
                tallies.add(&session);
            }
            seen.add(session.peer);
        }
        if let (Some(journal), 0) = (&self.journal, swept.next) {
            // Other nodes are still to be told of these servers.
            journal.journal().numbers(seen);
        }
        self.counters
            .expired_swept
            .fetch_add(swept.cleared, Relaxed);
        swept
    }

    /// Stores the result of a sweep over the whole table, see
    /// [`Counters::live`](super::Counters::live).
    pub fn publish(&self, total: &Swept) {
        self.counters.live.store(total.live, Relaxed);
        self.counters.confirmed.store(total.confirmed, Relaxed);
        self.counters.correct(&total.census);
    }
}
