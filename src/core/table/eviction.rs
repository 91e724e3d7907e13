//! Which sessions a new one may replace, and what is counted then.

use std::sync::atomic::Ordering::Relaxed;

use super::claim::Evicted;
use super::layout::Counters;
use super::limits::Limits;
use super::tick::{Tick, LAST_TICK};
use super::word::Word;
use super::Table;

/// As long as newcomers, the sessions that are not in use, hold less than this part of a table, a new
/// session takes the word that was seen longest ago, whatever it is: in a table that is too small,
/// whoever was away for longest goes. Beyond it, newcomers make room for each other, so that a flood
/// of invented ids takes no more than this part from sessions in use.
pub(super) fn newcomers_share(words: usize) -> usize {
    words / 4
}

/// Which words a new session may take.
pub(super) enum EvictionPolicy {
    /// Those of expired sessions, else of live ones, see [`Table::victim`].
    Learn {
        /// Limits for all words.
        limits: Limits,
        /// Tick of the new session.
        now: Tick,
    },
    /// Those of sessions with a lower priority: not in use before in use, then seen earlier before
    /// seen later.
    Copy,
    /// None: only free places in its own two lines.
    Spare,
    /// Only those of expired sessions.
    Merge {
        /// Limits for all words.
        limits: Limits,
        /// The current tick.
        now: Tick,
        /// Make a whole search for a place.
        is_thorough: bool,
    },
}

impl EvictionPolicy {
    pub(super) fn expiry(&self) -> Expiry {
        match self {
            EvictionPolicy::Learn { limits, now } | EvictionPolicy::Merge { limits, now, .. } => {
                Expiry::new(*limits, *now)
            }
            EvictionPolicy::Copy | EvictionPolicy::Spare => Expiry {
                live_from: 0,
                lifetime: None,
            },
        }
    }
}

/// Which words are of expired sessions, for the many that an insertion may read: nothing is unpacked
/// but what decides.
#[derive(Clone, Copy)]
pub(super) struct Expiry {
    /// What was seen before this is not live.
    live_from: Tick,
    /// If sessions have a lifetime: all limits, and the current tick.
    lifetime: Option<(Limits, Tick)>,
}

impl Expiry {
    fn new(limits: Limits, now: Tick) -> Expiry {
        let since = now.min(LAST_TICK).checked_sub(limits.expires);
        Expiry {
            live_from: since.map_or(0, |since| since + 1),
            lifetime: limits.lifetime.map(|_| (limits, now)),
        }
    }

    #[inline]
    pub(super) fn has_expired(&self, word: Word) -> bool {
        let is_past = |(limits, now): (Limits, Tick)| !limits.is_live(&word.session(), now);
        word.seen() < self.live_from || self.lifetime.is_some_and(is_past)
    }
}

/// The result of inserting a new session.
pub(super) enum Placed {
    Inserted(Option<Evicted>),
    /// Another worker has changed the table meanwhile: try again.
    Raced,
    Full,
}

impl Table<'_> {
    /// Counts what the session was whose word was taken.
    pub(super) fn count_replaced(
        &self,
        old: Word,
        word: Word,
        policy: &EvictionPolicy,
    ) -> Option<Evicted> {
        if old.is_empty() {
            return None;
        }
        // The key's own word has expired under the limits of the call, if not of the zone.
        if old.key() == word.key() || policy.expiry().has_expired(old) {
            Counters::count(&self.counters.expired_reused);
            return None;
        }
        if let EvictionPolicy::Learn { now, .. } = policy {
            self.counters
                .last_eviction
                .fetch_max(u64::from(*now) + 1, Relaxed);
        }
        if old.is_in_use() {
            Counters::count(&self.counters.evicted_in_use);
            Some(Evicted::InUse)
        } else {
            Counters::count(&self.counters.evicted_unused);
            Some(Evicted::Unused)
        }
    }
}
