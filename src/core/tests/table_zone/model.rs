//! A plain map that gives the results that a session table must give.

use std::collections::HashMap;

use sticky_core::table::{Claim, Key, Learned, Limits, LookUp, PeerId, Session, Tick};

/// The rules of the table once more, as simply as possible.
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

    pub fn refresh(&mut self, key: Key, held: Session, now: Tick, confirm: bool) {
        let due = now >= held.seen + (self.limits.expires / 64).max(1);
        let confirmed = held.confirmed || confirm;
        let in_use = held.confirmed && held.seen > held.created;
        // The session began with a request that carried its id, and was not used since: pages that
        // contain the id do not count.
        if held.confirmed && !in_use && !confirm {
            return;
        }
        // Confirmed in the second of learning: it counts as learned in the second before. There is
        // none before second 0.
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

    pub fn reassign(&mut self, key: Key, held: Session, to: PeerId, now: Tick, confirm: bool) {
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

    pub fn end(&mut self, key: Key, holder: PeerId, now: Tick) -> bool {
        let held = self.live(key, now).filter(|held| held.peer == holder);
        held.is_some() && self.held.remove(&key).is_some()
    }

    pub fn learn(
        &mut self,
        key: Key,
        to: PeerId,
        claim: Claim,
        now: Tick,
        unusable: u32,
    ) -> Learned {
        let carried = claim != Claim::ResponseOnly;
        let Some(held) = self.live(key, now) else {
            let new = Session {
                peer: to,
                seen: now,
                created: now,
                confirmed: carried,
            };
            self.held.insert(key, new);
            return Learned::New { evicted: None };
        };
        if held.peer == to {
            self.refresh(key, held, now, carried);
            return Learned::Same;
        }
        let moves = match claim {
            Claim::ResponseOnly => false,
            Claim::RequestCarried { holder } => holder == Some(held.peer) || !held.confirmed,
        };
        if moves || unusable.checked_shr(held.peer.get()).unwrap_or(0) & 1 == 1 {
            self.reassign(key, held, to, now, carried);
            return Learned::Moved { from: held.peer };
        }
        Learned::Kept { holder: held.peer }
    }
}
