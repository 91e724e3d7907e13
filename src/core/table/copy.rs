//! From one table into another: a reload has changed the size of the zone, nginx was started again,
//! or two nginx serve side by side while the binary is upgraded.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Acquire;

use super::claim::Evicted;
use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::look_up::{rank, Current};
use super::registry::Registration;
use super::session::Session;
use super::tick::Tick;
use super::translation::Translation;
use super::word::Word;
use super::{Table, ATTEMPTS};

/// A walk misses a session that a worker of a table in use relocates from ahead of the walk to
/// behind it. So the walk is repeated as long as there were relocations, and misses a session only
/// if it moved at the wrong moment in every walk.
const WALKS: usize = 4;

/// The result of merging a session of another table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// It was not in this table.
    New,
    /// It was in this table; the one that ranks higher stays.
    Known,
    /// It has expired.
    Expired,
    /// There is no place for it.
    Full,
}

impl Table<'_> {
    /// Copies every word of `other`, a table of the same zone in another size, with the same
    /// SipHash key and epoch. See [`Table::restore`]; of two words of one key, the one that ranks
    /// higher stays. Returns how many sessions were added.
    pub fn copy_from(&self, other: &Table) -> usize {
        let mut copied = 0;
        let numbers = Translation::into(self.registry);
        for _ in 0..WALKS {
            let before = other.counters.relocated.load(Acquire);
            if let Some(registry) = other.registry {
                let all = registry
                    .registrations()
                    .filter_map(|server| Some((server.number, server.fingerprint()?)));
                numbers.learn(&all.collect::<Vec<_>>());
            }
            let Ok::<_, Infallible>(count) = self.restore(|take| {
                for (key, session) in other.sessions() {
                    // Of a server that was registered this moment: the next walk has it, if any.
                    if let Some(session) = numbers.session(&session) {
                        take(key, &session);
                    }
                }
                Ok(())
            });
            copied += count;
            if other.counters.relocated.load(Acquire) == before {
                break;
            }
        }
        copied
    }

    /// [`Table::merge`] of a session whose registered peer here is `peer`.
    pub fn merge_of(
        &self,
        key: Key,
        peer: &Registration,
        session: &Session,
        limits: &Limits,
        now: Tick,
        is_thorough: bool,
    ) -> Merged {
        let session = Session {
            peer: peer.number,
            ..*session
        };
        let merged = self.merge(key, &session, limits, now, is_thorough);
        match merged {
            Merged::New => {
                let is_kept = self.keep_if_held(peer, || {
                    self.forget(key);
                });
                if is_kept {
                    merged
                } else {
                    Merged::Full
                }
            }
            merged => merged,
        }
    }

    /// Merges a session of another nginx, whose table has the same SipHash key, into this one,
    /// which may be in use: of two of one key, the one that ranks higher stays. Evicts no live
    /// session. A place is searched for in many lines if `is_thorough`.
    pub fn merge(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        is_thorough: bool,
    ) -> Merged {
        let limits = self.zone_limits.unwrap_or(*limits);
        if !limits.is_live(session, now) {
            return Merged::Expired;
        }
        let policy = EvictionPolicy::Merge {
            limits,
            now,
            is_thorough,
        };
        match self.import(key, session, &limits, now, &policy) {
            Imported::Inserted(_) => {
                // A worker may have learned it at the same moment.
                self.wins_insertion(key, Word::new(key, session), &limits, now);
                Merged::New
            }
            Imported::Known => Merged::Known,
            Imported::Full => Merged::Full,
        }
    }

    /// Inserts a session of another table, or replaces the one of its key if that ranks lower.
    pub(super) fn import(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        policy: &EvictionPolicy,
    ) -> Imported {
        let word = Word::new(key, session);
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Current::Live(index, _) = view.current {
                let known = Word::from_bits(view.bits(index));
                let outranks = rank(word, limits, now) > rank(known, limits, now);
                if !outranks
                    || self
                        .replace(&view, key, index, session, limits, now)
                        .is_some()
                {
                    return Imported::Known;
                }
                continue;
            }
            match self.insert(&view, word, policy, false) {
                Placed::Inserted(evicted) => return Imported::Inserted(evicted),
                Placed::Raced => {}
                Placed::Full => break,
            }
        }
        Imported::Full
    }
}

/// The result of importing a session of another table.
pub(super) enum Imported {
    Inserted(Option<Evicted>),
    /// The table has the session.
    Known,
    Full,
}
