//! A plain map that gives the results that a session table must give.

use std::collections::HashMap;

use sticky_core::table::{Claim, Key, Learned, Limits, LookUp, PeerId, Session, Stage, Tick};

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

    /// A session that a request has entered is as old as it was seen until the next one comes.
    fn put(&mut self, key: Key, session: Session) {
        let is_alone = session.stage != Stage::Settled && !session.confirmed;
        let is_settled = session.stage == Stage::Kept && session.confirmed;
        let session = Session {
            created: if is_alone {
                session.seen
            } else {
                session.created
            },
            stage: if is_settled {
                Stage::Settled
            } else {
                session.stage
            },
            ..session
        };
        self.held.insert(key, session);
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
            let new = Session {
                seen,
                created: held.created - before,
                confirmed,
                ..held
            };
            self.put(key, new);
        }
    }

    pub fn reassign(&mut self, key: Key, held: Session, to: PeerId, now: Tick, confirm: bool) {
        let seen = now.max(held.seen + 1);
        let confirmed = held.confirmed || confirm;
        let new = Session {
            peer: to,
            seen,
            confirmed,
            ..held
        };
        self.put(key, new);
    }

    /// Removes what no answer has kept.
    pub fn forget_entered(&mut self, key: Key, now: Tick) -> bool {
        let held = self.live(key, now);
        let is_entered = held.is_some_and(|held| held.stage == Stage::Entered);
        if is_entered {
            self.held.remove(&key);
        }
        is_entered
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
        let carried = matches!(claim, Claim::RequestCarried { .. });
        let Some(held) = self.live(key, now) else {
            let new = Session {
                peer: to,
                seen: now,
                created: now,
                confirmed: carried,
                stage: match claim {
                    Claim::Request { .. } => Stage::Entered,
                    Claim::Answer => Stage::Kept,
                    _ => Stage::Settled,
                },
            };
            let new = match claim {
                Claim::Rekeyed(session) => Session {
                    peer: to,
                    ..session
                },
                _ => new,
            };
            self.held.insert(key, new);
            return Learned::New { evicted: None };
        };
        let stays = match held.peer == to {
            true => Learned::Same,
            false => Learned::Kept { holder: held.peer },
        };
        let moved = Learned::Moved { from: held.peer };
        let settled = Session {
            stage: Stage::Settled,
            ..held
        };
        let moves = match claim {
            Claim::Rekeyed(_) => return stays,
            // The second request with the id.
            Claim::Request { from: None } => {
                self.refresh(key, held, now, true);
                return stays;
            }
            Claim::Request { from } => {
                let moves = from == Some(held.peer) && held.stage == Stage::Entered;
                if !moves || held.peer == to {
                    return stays;
                }
                self.reassign(key, held, to, now, false);
                return moved;
            }
            Claim::Answer => {
                match held.stage {
                    Stage::Entered if held.confirmed => {
                        self.reassign(key, settled, held.peer, now, true);
                    }
                    Stage::Entered => self.put(
                        key,
                        Session {
                            stage: Stage::Kept,
                            ..held
                        },
                    ),
                    _ => {}
                }
                return stays;
            }
            Claim::ResponseOnly => held.stage != Stage::Settled && !held.confirmed,
            Claim::RequestCarried { holder } => holder == Some(held.peer) || !held.confirmed,
        };
        if held.peer == to {
            match held.stage {
                Stage::Settled => self.refresh(key, held, now, carried),
                _ => self.reassign(key, settled, to, now, carried),
            }
            return Learned::Same;
        }
        if moves || unusable.checked_shr(held.peer.get()).unwrap_or(0) & 1 == 1 {
            self.reassign(key, settled, to, now, carried);
            return moved;
        }
        stays
    }
}
