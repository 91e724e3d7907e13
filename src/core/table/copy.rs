//! From one table into another: a reload has changed the size of the zone, nginx was started again,
//! or two nginx serve side by side while the binary is upgraded.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Acquire;

use super::claim::{Evicted, Learned};
use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::look_up::Current;
use super::registry::Registration;
use super::session::{PeerId, Session};
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
    /// It was in this table, see [`Table::merge`].
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
    /// which may be in use. Of two of one key, one whose server is gone or failed here goes, see
    /// [`Table::with_usable_servers`]. Else that began earlier stays: within the coarseness of
    /// [`Session::created`] the one in use, then the one seen later. Evicts no live session. A place
    /// is searched for in many lines if `is_thorough`.
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
        let change = |known, other| self.merged(known, other);
        match self.import(key, session, &limits, now, &policy, change) {
            Imported::Inserted(_) => {
                // A worker may have learned it at the same moment.
                self.wins_insertion(key, Word::new(key, session), &limits, now);
                Merged::New
            }
            Imported::Known => Merged::Known,
            Imported::Full => Merged::Full,
        }
    }

    /// Changes the session of a key, or inserts it by that policy, to be as it is in a table that
    /// decides. `peer` is its peer here. The result is that of learning it.
    pub(super) fn follow(
        &self,
        key: Key,
        peer: &Registration,
        session: &Session,
        limits: &Limits,
        policy: &EvictionPolicy,
        now: Tick,
    ) -> Learned {
        let session = Session {
            peer: peer.number,
            ..*session
        };
        let copies = self.without_journal();
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Current::Live(index, known) = view.current {
                let Some(new) = known.followed_by(&session) else {
                    return Learned::Same;
                };
                if self.replace(&view, key, index, &new, limits, now).is_none() {
                    continue;
                }
                let is_kept = self.keep_if_held(peer, || {
                    copies.reassign(key, peer.number, known.peer, limits, now);
                });
                return match is_kept {
                    true if known.peer == peer.number => Learned::Same,
                    true => Learned::Moved { from: known.peer },
                    false => Learned::Refused,
                };
            }
            let word = Word::new(key, &session);
            match self.insert(&view, word, policy, false) {
                Placed::Raced => {}
                Placed::Full => break,
                Placed::Inserted(evicted) => {
                    self.wins_insertion(key, word, limits, now);
                    let is_kept = self.keep_if_held(peer, || {
                        self.forget(key);
                    });
                    return match is_kept {
                        true => Learned::New { evicted },
                        false => Learned::Refused,
                    };
                }
            }
        }
        Learned::Refused
    }

    /// What becomes of a live session here after that of another nginx has come, if it changes.
    fn merged(&self, known: Word, other: Word) -> Option<Session> {
        let (ours, theirs) = (known.session(), other.session());
        let coarseness = known.coarseness().max(other.coarseness());
        let stays = if ours.peer == theirs.peer {
            Session {
                created: ours.created.min(theirs.created),
                ..ours
            }
        } else {
            let by_server = self.stays_as_usable(ours.peer, theirs.peer);
            let is_ours = by_server.or_else(|| ours.stays_before(&theirs, coarseness));
            let is_ours = is_ours.unwrap_or_else(|| {
                // As both nginx see it.
                self.order_of(ours.peer) > self.order_of(theirs.peer)
            });
            if is_ours {
                ours
            } else {
                theirs
            }
        };
        // Either way the client uses the id.
        ours.followed_by(&Session {
            seen: ours.seen.max(theirs.seen),
            confirmed: ours.confirmed || theirs.confirmed,
            stage: ours.stage.max(theirs.stage),
            ..stays
        })
    }

    /// An order of servers that does not depend on their numbers.
    fn order_of(&self, peer: PeerId) -> u128 {
        let registered = self.registry.and_then(|it| it.registration(peer));
        match registered.and_then(|server| server.fingerprint()) {
            Some(fingerprint) => fingerprint.bits(),
            None => peer.get().into(),
        }
    }

    /// Inserts a session of another table by that policy. Where the table has a live one of the key,
    /// that becomes what `change` makes of both words, if anything.
    pub(super) fn import(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        policy: &EvictionPolicy,
        change: impl Fn(Word, Word) -> Option<Session>,
    ) -> Imported {
        let word = Word::new(key, session);
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Current::Live(index, _) = view.current {
                let known = Word::from_bits(view.bits(index));
                let Some(new) = change(known, word) else {
                    return Imported::Known;
                };
                if self.replace(&view, key, index, &new, limits, now).is_some() {
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
