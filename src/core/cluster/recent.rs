//! What sessions were made by records a short time ago.
//!
//! A worker looks, notes and writes. A record that is applied between its look and its note is missing
//! in what the note tells of the session before it. So the follower remembers what it has made of
//! sessions for longer than a worker may take for that.

use std::collections::HashMap;

use crate::table::Key;

use super::fold::Held;
use super::record::Seconds;

/// Seconds for which a session is remembered at least.
const LASTS: Seconds = 10;

/// Sessions that are remembered at least, in memory that is bounded so: what a busy second brings.
const SESSIONS: usize = 1 << 15;

/// What sessions were made, in two maps, of which the older one is dropped as a whole.
#[derive(Default)]
pub(super) struct Recent {
    young: HashMap<Key, Option<Held>>,
    old: HashMap<Key, Option<Held>>,
    since: Seconds,
}

impl Recent {
    pub fn remember(&mut self, key: Key, held: Option<Held>, now: Seconds) {
        let is_over = now.saturating_sub(self.since) > LASTS;
        if self.young.len() >= SESSIONS || (is_over && !self.young.is_empty()) {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.since = now;
        } else if self.young.is_empty() {
            self.since = now;
        }
        self.young.insert(key, held);
    }

    /// The session as the stream has it. `None`: it is not known here.
    pub fn get(&self, key: Key) -> Option<Option<Held>> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }
}
