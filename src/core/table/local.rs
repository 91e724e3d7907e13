//! The session table of `zone=off`: in the memory of one worker, for set-ups with one worker and
//! for platforms without 16-byte atomics. The rules are those of [`crate::table`].
//!
//! Looking up takes the map alone. Whatever changes the table holds the lock of the order of
//! last use and only then goes to the map, so no two locks are ever taken the other way round.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use crate::table::key::Key;
use crate::table::tick::Tick;
use crate::table::word::{Limits, PeerId, Session};
use crate::table::{Claim, Evicted, Learned, LookUp};

mod order;

use order::{Order, Queue};

/// One worker looks things up one at a time; DashMap wants more shards than one.
const SHARDS: usize = 2;

/// A map from key to session with a greatest number of sessions.
pub struct LocalTable {
    entries: DashMap<Key, Entry, BuildHasherDefault<AsItIs>>,
    order: Mutex<Order>,
    max_sessions: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    session: Session,
    /// Its place in the order of last use.
    node: u32,
}

impl LocalTable {
    /// A table that holds at most `max_sessions`, at most 2^32 - 2; memory is taken as they come.
    pub fn new(max_sessions: usize) -> LocalTable {
        let hasher = BuildHasherDefault::default();
        LocalTable {
            entries: DashMap::with_capacity_and_hasher_and_shard_amount(0, hasher, SHARDS),
            order: Mutex::new(Order::new()),
            max_sessions: max_sessions.min(Order::MOST),
        }
    }

    /// The session of `key`. Reads only.
    pub fn look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        match self.entry(key) {
            None => LookUp::Unknown,
            Some(Entry { session, .. }) if limits.is_live(&session, now) => LookUp::Found(session),
            Some(_) => LookUp::Expired,
        }
    }

    /// A request at `now` has brought the id: the session is confirmed, and `seen` advances when
    /// that is due. An unknown or expired session stays so.
    pub fn touch(&self, key: Key, limits: &Limits, now: Tick) {
        let mut order = self.order();
        let is_crowded = self.is_crowded(order.len());
        self.update(&mut order, key, limits, now, |held| {
            limits.touched(held, now, is_crowded)
        });
    }

    /// Whether [`LocalTable::touch`] would write this session: mostly not.
    pub fn is_due(&self, session: &Session, limits: &Limits, now: Tick) -> bool {
        let is_crowded = self.is_crowded(self.entries.len());
        limits.touched(session, now, is_crowded).is_some()
    }

    fn is_crowded(&self, sessions: usize) -> bool {
        sessions > self.max_sessions / 4 * 3
    }

    /// As [`crate::table::Table::learn`]. `gone` is called under the lock of the table and must
    /// not use it.
    pub fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        gone: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let mut order = self.order();
        let entry = self.entry(key);
        if let Some(Entry { session: held, .. }) = entry {
            if limits.is_live(&held, now) {
                if held.peer == peer {
                    self.update(&mut order, key, limits, now, |held| {
                        limits.refreshed(held, now, claim.confirms())
                    });
                    return Learned::Same;
                }
                if !claim.moves(&held, gone) {
                    return Learned::Kept { holder: held.peer };
                }
                self.update(&mut order, key, limits, now, |held| {
                    Some(held.moved(peer, now, claim.confirms()))
                });
                return Learned::Moved { from: held.peer };
            }
        }

        let mut evicted = Evicted::Nothing;
        if let Some(Entry { node, .. }) = entry {
            order.remove(node);
        } else if order.len() >= self.max_sessions {
            match self.make_room(&mut order, limits, now) {
                Some(who) => evicted = who,
                None => return Learned::Refused,
            }
        }
        let session = Session::begun(peer, now, claim.confirms());
        let Some(node) = order.append(queue_of(&session), key) else {
            return Learned::Refused;
        };
        self.entries.insert(key, Entry { session, node });
        Learned::New { evicted }
    }

    /// Gives the session to another peer, while it is live and its holder still is `from`.
    /// Returns whether it has been done.
    pub fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits, now: Tick) -> bool {
        self.update(&mut self.order(), key, limits, now, |held| {
            (held.peer == from).then(|| held.moved(to, now, false))
        })
    }

    /// Removes the session, live or not, and returns whether there was one.
    pub fn forget(&self, key: Key) -> bool {
        let mut order = self.order();
        let removed = self.entries.remove(&key);
        if let Some((_, entry)) = &removed {
            order.remove(entry.node);
        }
        removed.is_some()
    }

    /// The greatest number of sessions.
    pub fn capacity(&self) -> usize {
        self.max_sessions
    }

    /// Replaces a live session by what `change` makes of it; false when nothing is changed.
    fn update(
        &self,
        order: &mut Order,
        key: Key,
        limits: &Limits,
        now: Tick,
        change: impl Fn(&Session) -> Option<Session>,
    ) -> bool {
        let Some(mut entry) = self.entries.get_mut(&key) else {
            return false;
        };
        if !limits.is_live(&entry.session, now) {
            return false;
        }
        let Some(session) = change(&entry.session) else {
            return false;
        };
        entry.session = session;
        order.move_to_end(entry.node, queue_of(&session));
        true
    }

    /// Removes one session: one that is over, else the oldest not in use, else the one in use
    /// not seen for longest. Only the heads of both queues are examined; a session past
    /// its lifetime is not touched any more, so it gets there like one that was left.
    fn make_room(&self, order: &mut Order, limits: &Limits, now: Tick) -> Option<Evicted> {
        let head = |queue| {
            let (node, key) = order.oldest(queue)?;
            let session = self.entry(key)?.session;
            Some((node, key, !limits.is_live(&session, now)))
        };
        let (unconfirmed, confirmed) = (head(Queue::Unconfirmed), head(Queue::Confirmed));
        let over = |head: &&(u32, Key, bool)| head.2;
        let (victim, evicted) = if let Some(head) = unconfirmed.iter().chain(&confirmed).find(over)
        {
            (*head, Evicted::Nothing)
        } else if let Some(head) = unconfirmed {
            (head, Evicted::Unconfirmed)
        } else {
            (confirmed?, Evicted::Confirmed)
        };
        let (node, key, _) = victim;
        order.remove(node);
        self.entries.remove(&key);
        Some(evicted)
    }

    fn entry(&self, key: Key) -> Option<Entry> {
        self.entries.get(&key).map(|entry| *entry)
    }

    /// Nothing panics while it holds the lock, but for `gone`, which runs before any change.
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn queue_of(session: &Session) -> Queue {
    if session.is_in_use() {
        Queue::Confirmed
    } else {
        Queue::Unconfirmed
    }
}

/// A key is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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
