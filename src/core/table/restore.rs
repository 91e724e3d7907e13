//! Many sessions at once into a table that nobody uses yet, of which they may be too many.

use crate::table::key::Key;
use crate::table::tick::Tick;
use crate::table::word::{Limits, Session};

use super::place::Rule;
use super::{Evicted, Table};

/// Nobody is judged: there is no clock, or the caller has judged.
pub(super) const FOREVER: Limits = Limits {
    expires: Tick::MAX,
    lifetime: None,
};

/// Of a hundred words, so many find room without long searches.
const ROOMY: usize = 92;

/// So finely the times of last use are told apart.
const STEPS: usize = 4096;

impl Table<'_> {
    /// Puts sessions into a table that nobody uses yet. `all` hands every one of them to its
    /// argument, in any order, and is called up to four times. Where there is not room for all,
    /// those in use are kept before the others, and then those seen last. Returns how many
    /// sessions there are more than before.
    ///
    /// # Errors
    /// Those of `all`; the table holds what has come until then.
    pub fn restore<E>(
        &self,
        all: impl Fn(&mut dyn FnMut(Key, &Session)) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut span = Span::default();
        all(&mut |_, session| span.take(session))?;

        let mut restored = 0;
        let mut put = |key, session: &Session, rule: &Rule| {
            let taken = self.take_over(key, session, &FOREVER, 0, rule);
            restored += usize::from(matches!(taken, Ok(Some(Evicted::Nothing))));
        };
        let room = self.capacity() * ROOMY / 100;
        if span.count <= room {
            all(&mut |key, session| put(key, session, &Rule::Copy))?;
            return Ok(restored);
        }

        let mut counts = Counts::new(span);
        all(&mut |_, session| counts.take(session))?;
        let least = counts.least_of(room);
        all(&mut |key, session| {
            if span.worth(session) >= least {
                put(key, session, &Rule::Copy);
            }
        })?;
        let rest = Rule::Merge {
            limits: FOREVER,
            now: 0,
            is_thorough: false,
        };
        all(&mut |key, session| {
            if span.worth(session) < least {
                put(key, session, &rest);
            }
        })?;
        Ok(restored)
    }
}

/// When sessions were last seen.
#[derive(Clone, Copy, Default)]
struct Span {
    count: usize,
    first: Option<Tick>,
    last: Tick,
}

impl Span {
    fn take(&mut self, session: &Session) {
        self.count += 1;
        self.first = Some(
            self.first
                .map_or(session.seen, |seen| seen.min(session.seen)),
        );
        self.last = self.last.max(session.seen);
    }

    /// What a session is worth, in steps: one in use more than any other.
    fn worth(&self, session: &Session) -> usize {
        let first = self.first.unwrap_or_default();
        let length = u64::from(self.last.saturating_sub(first)) + 1;
        let since = u64::from(session.seen.saturating_sub(first));
        let step = (since * STEPS as u64 / length) as usize;
        step.min(STEPS - 1) + STEPS * usize::from(session.is_in_use())
    }
}

/// How many sessions there are of each worth.
struct Counts {
    span: Span,
    counts: Vec<usize>,
}

impl Counts {
    fn new(span: Span) -> Self {
        Self {
            span,
            counts: vec![0; 2 * STEPS],
        }
    }

    fn take(&mut self, session: &Session) {
        if let Some(count) = self.counts.get_mut(self.span.worth(session)) {
            *count += 1;
        }
    }

    /// From which worth on there are no more sessions than `room`.
    fn least_of(&self, room: usize) -> usize {
        let mut left = room;
        let fits = |count: &&usize| {
            let rest = left.checked_sub(**count);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        2 * STEPS - self.counts.iter().rev().take_while(fits).count()
    }
}
