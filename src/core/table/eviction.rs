//! Which sessions a new one may replace, and what is counted then.

use std::sync::atomic::Ordering::Relaxed;

use super::claim::Evicted;
use super::layout::Counters;
use super::limits::Limits;
use super::tick::Tick;
use super::word::Word;
use super::Table;

/// Which words a new session may take.
pub(super) enum EvictionPolicy {
    /// Those of expired sessions, else of live ones: the one least recently seen that is not in
    /// use, else the least recently seen.
    Learn {
        /// Limits for all words.
        limits: Limits,
        /// Tick of the new session.
        now: Tick,
    },
    /// Those of sessions with a lower priority: not in use before in use, then seen earlier before
    /// seen later.
    Copy,
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
    pub(super) fn has_expired(&self, word: Word) -> bool {
        match self {
            EvictionPolicy::Learn { limits, now } | EvictionPolicy::Merge { limits, now, .. } => {
                !limits.is_live(&word.session(), *now)
            }
            EvictionPolicy::Copy => false,
        }
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
        if old.key() == word.key() || policy.has_expired(old) {
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
