//! A plain map that answers as a session table must.

use std::collections::HashMap;

use sticky_core::table::key::Key;
use sticky_core::table::tick::Tick;
use sticky_core::table::word::{Limits, PeerId, Session};
use sticky_core::table::{Claim, Evicted, Learned, LookUp};

/// The promises, written once more and as plainly as they can be.
pub struct Model {
    pub limits: Limits,
    pub held: HashMap<Key, Session>,
}

impl Model {
    pub fn live(&self, key: Key, now: Tick) -> Option<Session> {
        let held = *self.held.get(&key)?;
        let idle = now - held.seen.min(now);
        let age = now - held.created.min(now);
        let aged = self.limits.lifetime.is_some_and(|lifetime| age >= lifetime);
        (idle < self.limits.expires && !aged).then_some(held)
    }

    pub fn look_up(&self, key: Key, now: Tick) -> LookUp {
        match self.live(key, now) {
            Some(held) => LookUp::Found(held),
            None if self.held.contains_key(&key) => LookUp::Expired,
            None => LookUp::Unknown,
        }
    }

    pub fn use_it(&mut self, key: Key, held: Session, now: Tick, confirm: bool) {
        let due = now >= held.seen + (self.limits.expires / 64).max(1);
        let confirmed = held.confirmed || confirm;
        let in_use = held.confirmed && held.seen > held.created;
        // A session begun by a request that carried its id, and not used since: pages that show it
        // do not count.
        if held.confirmed && !in_use && !confirm {
            return;
        }
        // Confirmed in the second of learning: it counts as learned in the one before. The first
        // second of all has none before it.
        let confirms = confirm && !held.confirmed;
        let seen = held.seen.max(now).max(confirms.into());
        let before = Tick::from(confirms && seen == held.created);
        if due || confirms || confirm && !in_use && now > held.created {
            self.held.insert(
                key,
                Session {
                    seen,
                    created: held.created - before,
                    confirmed,
                    ..held
                },
            );
        }
    }

    pub fn move_it(&mut self, key: Key, held: Session, to: PeerId, now: Tick, confirm: bool) {
        let seen = now.max(held.seen + 1);
        let confirmed = held.confirmed || confirm;
        self.held.insert(
            key,
            Session {
                peer: to,
                seen,
                confirmed,
                ..held
            },
        );
    }

    pub fn learn(&mut self, key: Key, to: PeerId, claim: Claim, now: Tick, gone: u32) -> Learned {
        let carried = claim != Claim::Stranger;
        let Some(held) = self.live(key, now) else {
            let new = Session {
                peer: to,
                seen: now,
                created: now,
                confirmed: carried,
            };
            self.held.insert(key, new);
            return Learned::New {
                evicted: Evicted::Nothing,
            };
        };
        if held.peer == to {
            self.use_it(key, held, now, carried);
            return Learned::Same;
        }
        let comes = match claim {
            Claim::Stranger => false,
            Claim::Carried { from } => from == Some(held.peer) || !held.confirmed,
        };
        if comes || gone.checked_shr(held.peer.get()).unwrap_or(0) & 1 == 1 {
            self.move_it(key, held, to, now, carried);
            return Learned::Moved { from: held.peer };
        }
        Learned::Kept { holder: held.peer }
    }
}
