//! Two tables at once: workers of an older configuration still use the table that this one
//! replaces.
//!
//! nginx makes a new zone when a reload changes its size. Workers of the older configuration never
//! see it and go on with theirs until their last request has ended, so what they learn and move
//! stands in the old table alone. A newer worker has both, and goes by three rules until the older
//! ones are gone:
//!
//! 1. **The old table decides**, of whatever is in it or in neither: all workers see it, and its
//!    compare-and-swaps say which of two came first.
//! 2. **What it says is written into the new table at once.** So the new table has all that newer
//!    workers have learned or moved, and what was copied when it was made. It is asked only for
//!    sessions that the old one has not: they had no room there, or have moved to a server for which
//!    the old one's registry has no number left.
//! 3. **When the older workers are gone, one newer worker copies what is missing**
//!    ([`Predecessor::move_into`]). Only when that is done do the others leave the old table, each with
//!    its next request ([`ZoneIdentity::is_whole`](super::ZoneIdentity::is_whole)).
//!
//! Then the old table's memory is given back to the system, while a worker, or the master that makes
//! yet another table, may be in the middle of something with it: to them, all of its words become zero.
//! So 4. **nothing follows from a session that the old table has not, if it has been given up
//! meanwhile** ([`ZoneIdentity::is_given_up`](super::ZoneIdentity::is_given_up)): the new one has them
//! all.
//!
//! Servers have other numbers there. A predecessor may have a predecessor, which decides for it.
//! One in between that no worker has as its latest is passed over
//! ([`ZoneIdentity::skip`](super::ZoneIdentity::skip)), while an older one is still in use. Before
//! that, what stands there alone is copied into the one that has replaced it
//! ([`Predecessor::move_own_into`]).

use super::claim::{Claim, Learned};
use super::eviction::EvictionPolicy;
use super::key::Key;
use super::layout::ZoneIdentity;
use super::limits::Limits;
use super::look_up::LookUp;
use super::registry::Registration;
use super::session::{PeerId, Session, Stage};
use super::tick::Tick;
use super::{test_points, Table, ATTEMPTS};
use std::cell::RefCell;

/// The table that another one replaces.
pub struct Predecessor<'a> {
    pub(super) table: Table<'a>,
    identity: &'a ZoneIdentity,
    /// The one that it replaces itself, if it is not whole.
    before: Option<Box<Predecessor<'a>>>,
    /// Servers of both tables, by their number there.
    by_old: RefCell<Vec<Option<Pair>>>,
    /// The same, by their number here.
    by_new: RefCell<Vec<Option<Pair>>>,
}

/// A server in both tables.
#[derive(Clone, Copy)]
struct Pair {
    old: Registration,
    new: Registration,
}

impl<'a> Predecessor<'a> {
    /// The table of a zone with its own predecessor. Its SipHash key and its epoch are those of the
    /// table that replaces it.
    pub fn new(
        table: Table<'a>,
        identity: &'a ZoneIdentity,
        before: Option<Predecessor<'a>>,
    ) -> Predecessor<'a> {
        Predecessor {
            table,
            identity,
            before: before.map(Box::new),
            by_old: RefCell::default(),
            by_new: RefCell::default(),
        }
    }

    /// [`Table::look_up`] in both.
    pub fn look_up(&self, new: &Table, key: Key, limits: &Limits, now: Tick) -> LookUp {
        if let Some(before) = self.passed_over() {
            return before.look_up(new, key, limits, now);
        }
        let found = self.own_look_up(key, limits, now);
        if let Some(session) = self.translated(new, found) {
            return LookUp::Found(session);
        }
        match self.only_in(new, key, limits, now) {
            LookUp::Unknown if found == LookUp::Expired => LookUp::Expired,
            found => found,
        }
    }

    /// The session of a key that the old table has not. One that was entered and that no answer has
    /// kept is none: an older worker may have removed it.
    fn only_in(&self, new: &Table, key: Key, limits: &Limits, now: Tick) -> LookUp {
        match new.look_up(key, limits, now) {
            LookUp::Found(session) if session.stage == Stage::Entered && !self.is_given_up() => {
                LookUp::Unknown
            }
            found => found,
        }
    }

    /// The table that decides about a session.
    pub(crate) fn deciding<'t>(
        &'t self,
        new: &'t Table<'a>,
        key: Key,
        limits: &Limits,
        now: Tick,
    ) -> &'t Table<'a> {
        if let Some(before) = self.passed_over() {
            return before.deciding(new, key, limits, now);
        }
        let is_in = |found| matches!(found, LookUp::Found(_));
        let is_old = is_in(self.own_look_up(key, limits, now))
            || !is_in(self.only_in(new, key, limits, now));
        let is_old = is_old && !self.is_given_up();
        match (is_old, self.before()) {
            (false, _) => new,
            (true, Some(before)) => before.deciding(&self.table, key, limits, now),
            (true, None) => &self.table,
        }
    }

    /// After the session of a key was written in `written`, the table that decides, if it is one before
    /// `new`: writes that into those that have replaced it. False: meanwhile another table decides, and
    /// what was written may be lost.
    pub(crate) fn spread(
        &self,
        new: &Table,
        written: &Table,
        key: Key,
        limits: &Limits,
        now: Tick,
    ) -> bool {
        if let Some(before) = self.passed_over() {
            return before.spread(new, written, key, limits, now);
        }
        // Those before the one that decides do not have the session.
        if !std::ptr::eq(written, &self.table) {
            let is_spread = self
                .before()
                .is_some_and(|before| before.spread(&self.table, written, key, limits, now));
            if !is_spread {
                return false;
            }
        }
        match self.own_look_up(key, limits, now) {
            LookUp::Found(_) => drop(self.follow_change(new, key, limits, now)),
            LookUp::Unknown | LookUp::Expired if self.is_given_up() => {}
            LookUp::Unknown | LookUp::Expired => drop(new.forget(key)),
        }
        !self.is_given_up()
    }

    /// Calls a function with the keys in the old tables, some of them several times, until it returns
    /// false.
    pub fn for_keys(&self, f: &mut dyn FnMut(Key) -> bool) {
        if self.table.sessions().all(|(key, _)| f(key)) {
            if let Some(before) = &self.before {
                before.for_keys(f);
            }
        }
    }

    /// [`Table::touch`] in both.
    pub fn touch(&self, new: &Table, key: Key, limits: &Limits, now: Tick) {
        if let Some(before) = self.passed_over() {
            return before.touch(new, key, limits, now);
        }
        match self.before() {
            Some(before) => before.touch(&self.table, key, limits, now),
            None => self.table.touch(key, limits, now),
        }
        match self.own_look_up(key, limits, now) {
            LookUp::Found(_) => new.without_journal().touch(key, limits, now),
            LookUp::Unknown | LookUp::Expired => new.touch(key, limits, now),
        }
    }

    /// [`Table::reassign_to`] in both.
    pub fn reassign_to(
        &self,
        new: &Table,
        key: Key,
        from: PeerId,
        to: &Registration,
        limits: &Limits,
        now: Tick,
    ) -> bool {
        if let Some(before) = self.passed_over() {
            return before.reassign_to(new, key, from, to, limits, now);
        }
        let found = self.own_look_up(key, limits, now);
        let (LookUp::Found(there), Some(session)) = (found, self.translated(new, found)) else {
            return new.reassign_to(key, from, to, limits, now);
        };
        if session.peer != from {
            return false;
        }
        let new_peer = to;
        let Some(to) = self.old_of(new, to) else {
            let mut change = || new.reassign_to(key, from, to, limits, now);
            let moved = self.hand_over(new, key, limits, now, &mut change, |moved| *moved);
            return moved.unwrap_or(false);
        };
        let done = match self.before() {
            Some(before) => before.reassign_to(&self.table, key, there.peer, &to, limits, now),
            None => self.table.reassign_to(key, there.peer, &to, limits, now),
        };
        self.follow_change(new, key, limits, now);
        if !self.is_given_up() {
            return done;
        }
        // Whoever has copied it then may have copied that it has moved.
        let has_moved = || {
            let found = new.look_up(key, limits, now);
            matches!(found, LookUp::Found(session) if session.peer == new_peer.number)
        };
        new.reassign_to(key, from, new_peer, limits, now) || done || has_moved()
    }

    /// [`Table::end`] in both. Where a worker that has only the old table has ended it, the new one
    /// still has it, and it lives on here: at worst its requests go where they have always gone.
    pub fn end(&self, new: &Table, key: Key, holder: PeerId, limits: &Limits, now: Tick) -> bool {
        if let Some(before) = self.passed_over() {
            return before.end(new, key, holder, limits, now);
        }
        let found = self.own_look_up(key, limits, now);
        let (LookUp::Found(there), Some(session)) = (found, self.translated(new, found)) else {
            let is_here = matches!(self.only_in(new, key, limits, now), LookUp::Found(_));
            return is_here && new.end(key, holder, limits, now);
        };
        if session.peer != holder {
            return false;
        }
        let done = match self.before() {
            Some(before) => before.end(&self.table, key, there.peer, limits, now),
            None => self.table.end(key, there.peer, limits, now),
        };
        if done {
            // Whoever holds it there: an older worker may have moved it in the old table alone.
            new.forget(key);
        }
        // It was not the holder's any more, or has begun anew.
        self.follow_change(new, key, limits, now);
        if !done && self.is_given_up() {
            return new.end(key, holder, limits, now);
        }
        done
    }

    /// [`Table::learn_of`] in both.
    #[allow(clippy::too_many_arguments)] // Those of Table::learn_of.
    pub fn learn_of(
        &self,
        new: &Table,
        key: Key,
        peer: &Registration,
        claim: Claim,
        limits: &Limits,
        now: Tick,
        is_unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        if let Some(before) = self.passed_over() {
            return before.learn_of(new, key, peer, claim, limits, now, is_unusable);
        }
        let found = self.own_look_up(key, limits, now);
        let is_here_alone = || {
            !matches!(found, LookUp::Found(_))
                && matches!(self.only_in(new, key, limits, now), LookUp::Found(_))
        };
        let old_peer = self.old_of(new, peer);
        let Some(old_peer) = old_peer.filter(|_| !is_here_alone()) else {
            let mut change = || new.learn_of(key, peer, claim, limits, now, is_unusable);
            if old_peer.is_some() || self.translated(new, found).is_none() {
                return change();
            }
            let is_moved =
                |learned: &Learned| matches!(learned, Learned::Moved { .. } | Learned::New { .. });
            let learned = self.hand_over(new, key, limits, now, &mut change, is_moved);
            return learned.unwrap_or(Learned::Refused);
        };
        let old_number = |number: PeerId| {
            let peer = new.registry()?.registration(number)?;
            Some(self.old_of(new, &peer)?.number)
        };
        let old_claim = match claim {
            Claim::ResponseOnly => Claim::ResponseOnly,
            Claim::RequestCarried { holder } => Claim::RequestCarried {
                holder: holder.and_then(old_number),
            },
            // Of a peer without a number there no session is to be moved: the claim is no first
            // one.
            Claim::Request { from: Some(from) } => Claim::Request {
                from: Some(old_number(from).unwrap_or(old_peer.number)),
            },
            Claim::Request { from: None } => claim,
            Claim::Answer | Claim::Rekeyed(_) => claim,
        };
        let mut is_old_unusable = |old: PeerId| match self.new_of(new, old) {
            Some(peer) => is_unusable(peer.number),
            // No number is left for it here, so nobody can find its sessions.
            None => true,
        };
        let learned = match self.before() {
            Some(before) => before.learn_of(
                &self.table,
                key,
                &old_peer,
                old_claim,
                limits,
                now,
                &mut is_old_unusable,
            ),
            None => {
                self.table
                    .learn_of(key, &old_peer, old_claim, limits, now, &mut is_old_unusable)
            }
        };
        if learned == Learned::Refused || self.is_given_up() {
            return new.learn_of(key, peer, claim, limits, now, is_unusable);
        }
        let followed = self.follow_change(new, key, limits, now);
        let number = |old| self.new_of(new, old).map(|peer| peer.number);
        match learned {
            // Who had to go in the old table alone is in this one.
            Learned::New { .. } => match followed {
                Some(Learned::New { evicted }) => Learned::New { evicted },
                _ => Learned::New { evicted: None },
            },
            Learned::Moved { from } => match number(from) {
                Some(from) => Learned::Moved { from },
                None => Learned::New { evicted: None },
            },
            Learned::Kept { holder } => match number(holder) {
                Some(holder) => Learned::Kept { holder },
                None if self.is_given_up() => {
                    new.learn_of(key, peer, claim, limits, now, is_unusable)
                }
                None => Learned::Refused,
            },
            Learned::Same | Learned::Refused => learned,
        }
    }

    /// A session of the old table is to move to a server that has no number there. From then on it
    /// stands in the new table alone: who has only the old one can neither know that server, nor is
    /// he to find the session at the server before. `change` moves it in the new table, and
    /// `is_moved` says of the outcome whether it has. `None`: the new table has no room for it.
    fn hand_over<R>(
        &self,
        new: &Table,
        key: Key,
        limits: &Limits,
        now: Tick,
        change: &mut dyn FnMut() -> R,
        is_moved: impl FnOnce(&R) -> bool,
    ) -> Option<R> {
        if self.follow_change(new, key, limits, now) == Some(Learned::Refused) {
            return None;
        }
        let outcome = change();
        if is_moved(&outcome) {
            self.forget(key);
            // Meanwhile another worker may have written into the new table once more what the old
            // one had.
            change();
        }
        Some(outcome)
    }

    /// [`Table::forget`] in the old table, and in those before it.
    fn forget(&self, key: Key) {
        if let Some(before) = self.before() {
            before.forget(key);
        }
        self.table.forget(key);
    }

    /// [`Table::forget_entered`] in both.
    pub fn forget_entered(&self, new: &Table, key: Key, limits: &Limits, now: Tick) -> bool {
        if let Some(before) = self.passed_over() {
            return before.forget_entered(new, key, limits, now);
        }
        let forgotten = match self.before() {
            Some(before) => before.forget_entered(&self.table, key, limits, now),
            None => self.table.forget_entered(key, limits, now),
        };
        // Not where the old one has a session that stays.
        if matches!(self.own_look_up(key, limits, now), LookUp::Found(_)) {
            return forgotten;
        }
        let is_here = new.forget_entered(key, limits, now);
        forgotten || (is_here && self.is_given_up())
    }

    /// The one before, if this one is passed over.
    fn passed_over(&self) -> Option<&Predecessor<'a>> {
        let before = self.before.as_deref();
        before.filter(|_| self.identity.is_skipped())
    }

    /// Another worker may have copied all that was missing, and freed the one before.
    pub(super) fn before(&self) -> Option<&Predecessor<'a>> {
        let before = self.before.as_deref();
        before.filter(|_| !self.identity.is_whole())
    }

    /// Rule 4, after a look at the old table.
    pub(super) fn is_given_up(&self) -> bool {
        self.identity.is_given_up()
    }

    /// The session of a key in the old table, by the numbers there.
    pub(super) fn own_look_up(&self, key: Key, limits: &Limits, now: Tick) -> LookUp {
        match self.before() {
            Some(before) => before.look_up(&self.table, key, limits, now),
            None => self.table.look_up(key, limits, now),
        }
    }

    /// A session of the old table by the numbers of the new one.
    fn translated(&self, new: &Table, found: LookUp) -> Option<Session> {
        let LookUp::Found(session) = found else {
            return None;
        };
        let peer = self.new_of(new, session.peer)?.number;
        Some(Session { peer, ..session })
    }

    /// Writes the session of a key in the old table into the new one, after it was changed there.
    fn follow_change(&self, new: &Table, key: Key, limits: &Limits, now: Tick) -> Option<Learned> {
        let policy = EvictionPolicy::Learn {
            limits: new.zone_limits.unwrap_or(*limits),
            now,
        };
        self.follow(new, key, limits, &policy, now)
    }

    /// Writes the session of a key in the old table into the new one, by that policy if it is not
    /// there.
    pub(super) fn follow(
        &self,
        new: &Table,
        key: Key,
        limits: &Limits,
        policy: &EvictionPolicy,
        now: Tick,
    ) -> Option<Learned> {
        let mut first = None;
        let mut found = self.own_look_up(key, limits, now);
        for _ in 0..ATTEMPTS {
            let LookUp::Found(there) = found else {
                break;
            };
            let Some(peer) = self.new_of(new, there.peer) else {
                break;
            };
            test_points::at("follow: read");
            let followed = new.follow(key, &peer, &there, limits, policy, now);
            first = first.or(Some(followed));
            // Another worker may have changed it and written that before this one wrote.
            let again = self.own_look_up(key, limits, now);
            if again == found {
                break;
            }
            // Or has ended it in both.
            if again == LookUp::Unknown && !self.is_given_up() {
                new.without_journal().end(key, peer.number, limits, now);
            }
            found = again;
        }
        first
    }

    /// A server of the old table in the new one. `None`: there is no number left for it, or the
    /// number was another's when its word was read.
    pub(super) fn new_of(&self, new: &Table, old: PeerId) -> Option<Registration> {
        let registry = new.registry()?;
        let old_registry = self.table.registry()?;
        let known = known(&self.by_old, old);
        if let Some(pair) = known {
            if old_registry.is_current(&pair.old) && registry.hold(&pair.new) {
                return Some(pair.new);
            }
        }
        let old = old_registry.registration(old)?;
        let new = registry.register(&[old.fingerprint()?]).pop()??;
        remember(&self.by_old, old.number, Pair { old, new });
        Some(new)
    }

    /// A server of the new table in the old one. `None`: there is no number left for it.
    fn old_of(&self, new: &Table, peer: &Registration) -> Option<Registration> {
        let old_registry = self.table.registry()?;
        new.registry()?;
        if let Some(pair) = known(&self.by_new, peer.number) {
            if pair.new == *peer && old_registry.hold(&pair.old) {
                return Some(pair.old);
            }
        }
        let old = old_registry.register(&[peer.fingerprint()?]).pop()??;
        let pair = Pair { old, new: *peer };
        remember(&self.by_new, peer.number, pair);
        Some(old)
    }
}

fn known(pairs: &RefCell<Vec<Option<Pair>>>, number: PeerId) -> Option<Pair> {
    let pairs = pairs.borrow();
    pairs.get(number.get() as usize).copied().flatten()
}

fn remember(pairs: &RefCell<Vec<Option<Pair>>>, number: PeerId, pair: Pair) {
    let mut pairs = pairs.borrow_mut();
    let index = number.get() as usize;
    if pairs.len() <= index {
        pairs.resize(index + 1, None);
    }
    if let Some(place) = pairs.get_mut(index) {
        *place = Some(pair);
    }
}
