//! Filling a table that is not in use yet, with sessions that may be too many for it.

use std::sync::atomic::Ordering::Relaxed;

use super::copy::Imported;
use super::eviction::EvictionPolicy;
use super::key::Key;
use super::limits::Limits;
use super::look_up::rank;
use super::session::Session;
use super::tick::Tick;
use super::Table;

/// No session expires: there is no clock, or the caller has checked.
const NO_EXPIRY: Limits = Limits {
    expires: Tick::MAX,
    lifetime: None,
};

/// Percentage of the words that can be filled without long searches.
const EASILY_FILLED: usize = 92;

/// Sessions that are inserted at a time. The memory of all is fetched before: one by one, each waits for
/// its own, which is most of the time.
const BATCH: usize = 32;

/// Ranges into which the times of last use are divided.
const RANGES: usize = 4096;

impl Table<'_> {
    /// Fills a table that is not in use yet. `all` passes every session to its argument, in any
    /// order, and is called up to four times. If there is not enough space, sessions in use have
    /// priority, then those seen last. Of two words of one key, the one that ranks higher stays.
    /// Returns how many sessions were added.
    ///
    /// # Errors
    /// Those of `all`; the table keeps the sessions inserted until then.
    pub fn restore<E>(
        &self,
        all: impl Fn(&mut dyn FnMut(Key, &Session)) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut seen = SeenRange::default();
        all(&mut |_, session| seen.add(session))?;

        let mut restored = 0;
        let mut import = |key, session: &Session, policy: &EvictionPolicy| {
            let rank = |word| rank(word, &NO_EXPIRY, 0);
            let change = |known, word| (rank(word) > rank(known)).then_some(*session);
            let imported = self.import(key, session, &NO_EXPIRY, 0, policy, change);
            restored += usize::from(matches!(imported, Imported::Inserted(None)));
        };
        // Those that `chosen` chooses.
        let mut import_all = |chosen: &dyn Fn(&Session) -> bool, policy: &EvictionPolicy| {
            let mut batch = Vec::with_capacity(BATCH);
            all(&mut |key, session| {
                if chosen(session) {
                    batch.push((key, *session));
                }
                if batch.len() == BATCH {
                    self.fetch(&batch);
                    for (key, session) in batch.drain(..) {
                        import(key, &session, policy);
                    }
                }
            })?;
            for (key, session) in batch {
                import(key, &session, policy);
            }
            Ok(())
        };
        let space = self.capacity() * EASILY_FILLED / 100;
        if seen.count <= space {
            import_all(&|_| true, &EvictionPolicy::Copy)?;
            return Ok(restored);
        }

        let mut histogram = Histogram::new(seen);
        all(&mut |_, session| histogram.add(session))?;
        let least = histogram.least_of(space);
        let is_first = |session: &Session| seen.priority(session) >= least;
        import_all(&is_first, &EvictionPolicy::Copy)?;
        let rest = EvictionPolicy::Merge {
            limits: NO_EXPIRY,
            now: 0,
            is_thorough: false,
        };
        import_all(&|session| !is_first(session), &rest)?;
        Ok(restored)
    }

    /// Reads a word of each line that these sessions may be put into.
    fn fetch(&self, sessions: &[(Key, Session)]) {
        let mut any = 0;
        for (key, _) in sessions {
            let (first, second) = self.lines_of(*key);
            let lines = [first, second]
                .into_iter()
                .filter_map(|line| self.line(line));
            for word in lines.filter_map(|line| line.first()) {
                any |= word.load(Relaxed);
            }
        }
        std::hint::black_box(any);
    }
}

/// When sessions were last seen.
#[derive(Clone, Copy, Default)]
struct SeenRange {
    count: usize,
    first: Option<Tick>,
    last: Tick,
}

impl SeenRange {
    fn add(&mut self, session: &Session) {
        self.count += 1;
        self.first = Some(
            self.first
                .map_or(session.seen, |seen| seen.min(session.seen)),
        );
        self.last = self.last.max(session.seen);
    }

    /// The later a session was seen, the higher; one in use is higher than any other.
    fn priority(&self, session: &Session) -> usize {
        let first = self.first.unwrap_or_default();
        let length = u64::from(self.last.saturating_sub(first)) + 1;
        let since = u64::from(session.seen.saturating_sub(first));
        let range = (since * RANGES as u64 / length) as usize;
        range.min(RANGES - 1) + RANGES * usize::from(session.is_in_use())
    }
}

/// How many sessions there are of each priority.
struct Histogram {
    seen: SeenRange,
    counts: Vec<usize>,
}

impl Histogram {
    fn new(seen: SeenRange) -> Self {
        Self {
            seen,
            counts: vec![0; 2 * RANGES],
        }
    }

    fn add(&mut self, session: &Session) {
        if let Some(count) = self.counts.get_mut(self.seen.priority(session)) {
            *count += 1;
        }
    }

    /// The lowest priority such that there is space for all sessions of this and higher ones.
    fn least_of(&self, space: usize) -> usize {
        let mut left = space;
        let fits = |count: &&usize| {
            let rest = left.checked_sub(**count);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        2 * RANGES - self.counts.iter().rev().take_while(fits).count()
    }
}
