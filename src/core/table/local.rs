//! The session table of `zone=off`: in the memory of one worker, for set-ups with one worker and
//! for platforms without 16-byte atomics. It follows the same rules as [`Table`](super::Table).
//!
//! Only the worker's own thread uses it, so a [`RefCell`] does instead of a lock. No callback runs
//! while it is borrowed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use dlv_list::{Index, VecList};

use super::claim::{Claim, Evicted, Learned};
use super::eviction::newcomers_share;
use super::key::Key;
use super::limits::Limits;
use super::look_up::LookUp;
use super::session::{PeerId, Session, Stage};
use super::tick::Tick;

/// A map from key to session that holds a limited number of sessions.
pub struct LocalTable {
    sessions: RefCell<Sessions>,
    max_sessions: usize,
}

impl LocalTable {
    /// A table that holds at most `max_sessions`; memory is allocated as they come.
    pub fn new(max_sessions: usize) -> LocalTable {
        LocalTable {
            sessions: RefCell::default(),
            max_sessions,
        }
    }

    /// The session of `key`. Reads only.
    pub fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        match self.sessions.borrow().get(key) {
            None => LookUp::Unknown,
            Some(session) if limits.is_live(&session, now) => LookUp::Found(session),
            Some(_) => LookUp::Expired,
        }
    }

    /// See [`Table::touch`](super::Table::touch).
    pub fn touch(&self, key: Key, limits: &Limits, now: Tick) {
        let is_crowded = self.is_crowded();
        self.update(key, limits, now, |session| {
            limits.touched(session, now, || is_crowded)
        });
    }

    /// Whether [`LocalTable::touch`] would write this session: mostly not.
    pub fn is_due(&self, session: &Session, limits: &Limits, now: Tick) -> bool {
        limits.is_due(session, now, || self.is_crowded())
    }

    fn is_crowded(&self) -> bool {
        self.sessions.borrow().len() > self.max_sessions / 4 * 3
    }

    /// See [`Table::learn`](super::Table::learn).
    pub fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let known = self.sessions.borrow().get(key);
        let live = known.filter(|session| limits.is_live(session, now));
        if let Some(session) = live {
            let (new, learned) = claim.change(&session, peer, limits, now, is_unusable);
            self.sessions.borrow_mut().change(key, |_| new);
            return learned;
        }

        let mut sessions = self.sessions.borrow_mut();
        let mut evicted = None;
        if known.is_none() && sessions.len() >= self.max_sessions {
            let is_flooded = sessions.order.unused.len() >= newcomers_share(self.max_sessions);
            match sessions.remove_one(is_flooded, limits, now) {
                Ok(removed) => evicted = removed,
                Err(Empty) => return Learned::Refused,
            }
        }
        sessions.insert(key, claim.begun(peer, now));
        Learned::New { evicted }
    }

    /// See [`Table::reassign`](super::Table::reassign).
    pub fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits, now: Tick) -> bool {
        self.update(key, limits, now, |session| {
            (session.peer == from).then(|| session.moved(to, now, false))
        })
    }

    /// See [`Table::end`](super::Table::end).
    pub fn end(&self, key: Key, holder: PeerId, limits: &Limits, now: Tick) -> bool {
        match self.look_up(key, limits, now) {
            LookUp::Found(session) if session.peer == holder => self.forget(key),
            _ => false,
        }
    }

    /// See [`Table::forget_entered`](super::Table::forget_entered).
    pub fn forget_entered(&self, key: Key, limits: &Limits, now: Tick) -> bool {
        let is_entered = matches!(
            self.look_up(key, limits, now),
            LookUp::Found(session) if session.stage == Stage::Entered
        );
        is_entered && self.forget(key)
    }

    /// Removes the session, live or not, and returns whether there was one.
    pub fn forget(&self, key: Key) -> bool {
        self.sessions.borrow_mut().remove(key)
    }

    /// Replaces a live session by what `change` returns; false when nothing is changed.
    fn update(
        &self,
        key: Key,
        limits: &Limits,
        now: Tick,
        change: impl FnOnce(&Session) -> Option<Session>,
    ) -> bool {
        self.sessions.borrow_mut().change(key, |session| {
            let is_live = limits.is_live(session, now);
            is_live.then(|| change(session)).flatten()
        })
    }
}

/// A map beside two lists, so that a hit is one look-up. A map that keeps an order itself allocates
/// each session apart, which costs a hit another cache miss, and there would have to be two.
#[derive(Default)]
struct Sessions {
    entries: HashMap<Key, Entry, BuildHasherDefault<IdentityHasher>>,
    order: Order,
}

struct Entry {
    session: Session,
    /// The place of the key in the list of its session.
    index: Index<Key>,
}

impl Sessions {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, key: Key) -> Option<Session> {
        self.entries.get(&key).map(|entry| entry.session)
    }

    fn insert(&mut self, key: Key, session: Session) {
        let index = self.order.append(&session, key);
        if let Some(old) = self.entries.insert(key, Entry { session, index }) {
            self.order.remove(&old);
        }
    }

    /// Replaces a session by what `change` returns; false when that is nothing.
    fn change(&mut self, key: Key, change: impl FnOnce(&Session) -> Option<Session>) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else {
            return false;
        };
        let Some(session) = change(&entry.session) else {
            return false;
        };
        self.order.remove(entry);
        let index = self.order.append(&session, key);
        *entry = Entry { session, index };
        true
    }

    fn remove(&mut self, key: Key) -> bool {
        let removed = self.entries.remove(&key);
        if let Some(entry) = &removed {
            self.order.remove(entry);
        }
        removed.is_some()
    }

    /// Removes one session: an expired one, else the one seen longest ago, if newcomers are not too
    /// many, else a newcomer. Only the heads of both lists are examined: a session past its
    /// lifetime is not touched any more, so it gets there as well.
    fn remove_one(
        &mut self,
        is_flooded: bool,
        limits: &Limits,
        now: Tick,
    ) -> Result<Option<Evicted>, Empty> {
        let head = |list: &VecList<Key>| {
            let key = list.front()?;
            Some((*key, self.get(*key)?))
        };
        let (unused, in_use) = (head(&self.order.unused), head(&self.order.in_use));
        let (key, session) = match (unused, in_use) {
            (None, None) => return Err(Empty),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(unused), Some(in_use)) => {
                let has_expired = |one: &(Key, Session)| !limits.is_live(&one.1, now);
                let is_later = unused.1.seen > in_use.1.seen && !is_flooded;
                match (has_expired(&unused), has_expired(&in_use)) {
                    (true, _) => unused,
                    (false, true) => in_use,
                    (false, false) if is_later => in_use,
                    (false, false) => unused,
                }
            }
        };
        self.remove(key);
        Ok(match (limits.is_live(&session, now), session.is_in_use()) {
            (false, _) => None,
            (true, false) => Some(Evicted::Unused),
            (true, true) => Some(Evicted::InUse),
        })
    }
}

/// The keys in the order of last use, the least recent first.
#[derive(Default)]
struct Order {
    /// Those to which no request has come back, see [`Session::is_in_use`].
    unused: VecList<Key>,
    in_use: VecList<Key>,
}

impl Order {
    fn list_of(&mut self, session: &Session) -> &mut VecList<Key> {
        if session.is_in_use() {
            &mut self.in_use
        } else {
            &mut self.unused
        }
    }

    fn append(&mut self, session: &Session, key: Key) -> Index<Key> {
        self.list_of(session).push_back(key)
    }

    fn remove(&mut self, entry: &Entry) {
        self.list_of(&entry.session).remove(entry.index);
    }
}

/// There is no session to remove.
struct Empty;

/// A key is a hash already.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}
