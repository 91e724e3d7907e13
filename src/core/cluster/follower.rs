//! The follower: applies what the stream has to the tables of this node, in its order.
//!
//! What the stream makes of a session, its fold, is the same at all nodes. A session of which no own
//! note is under way is in the table as the stream has it (but for its last use within a period). One
//! with such notes is in flux: the table has what the notes make of it, and the follower keeps what the
//! stream has, its base. When the last of the notes has returned, the table gets the base.
//!
//! The follower looks at the table first, then reads the journal, then decides, and writes only if the
//! table has not changed. Workers note before they write. So whatever the follower finds in the
//! table, it knows the notes of.
//!
//! What must outlive the follower is in shared memory: the base with the first note of a session, and
//! how far notes have returned. A record that its death leaves half applied may be applied again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::table::{
    test_points, Fingerprint, Found, Journal, Kept, Key, Put, Registration, Session, Stage, Table,
    Word,
};

use super::fold::Held;
use super::recent::Recent;
use super::record::{Record, Seconds};
use super::target::Target;

/// Attempts at writing a session that workers change all the time. Then it stays as it is until the
/// next record.
const ATTEMPTS: usize = 64;

/// Servers that are remembered with their numbers.
const SERVERS: usize = 1 << 15;

/// Gives the sessions of a scope by its number here. `None`: there is no such scope any more.
pub type Scopes<'s, 't, 'a> = &'s dyn Fn(u16) -> Option<Target<'t, 'a>>;

/// What has become of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The tables have it.
    Done,
    /// It is of this node, and has returned before.
    Before,
    /// There is no place for the session.
    Full,
    /// Workers have changed the session at each attempt.
    Raced,
}

/// Applies records. There is one at a time for a journal.
pub struct Follower<'j> {
    journal: Journal<'j>,
    /// Notes before this are known.
    scanned: u64,
    flux: HashMap<Key, Flux>,
    /// The notes that have not returned.
    order: VecDeque<(u64, Key)>,
    recent: Recent,
    /// Whether it has what the one before it has left.
    is_begun: bool,
    servers: HashMap<(u16, Fingerprint), Registration>,
}

/// A session with own notes that have not returned.
struct Flux {
    /// Number of its scope.
    scope: u16,
    /// What the stream has.
    base: Option<Held>,
    /// By their positions, with what they say.
    notes: VecDeque<(u64, Option<Record>)>,
}

impl<'j> Follower<'j> {
    /// Goes on where another follower of this journal has ended, by whatever.
    pub fn take_over(journal: Journal<'j>) -> Follower<'j> {
        Follower {
            journal,
            scanned: journal.returned(),
            flux: HashMap::new(),
            order: VecDeque::new(),
            recent: Recent::default(),
            is_begun: false,
            servers: HashMap::new(),
        }
    }

    /// Applies a record of a session, of an entry that the store has taken at the second `at`. Of this node's own
    /// records, which are applied in the order of their positions, `own` is the position.
    pub fn apply(
        &mut self,
        scopes: Scopes<'_, '_, '_>,
        target: &Target<'_, '_>,
        record: &Record,
        at: Seconds,
        own: Option<u64>,
    ) -> Applied {
        if own.is_some_and(|position| position < self.journal.returned()) {
            return Applied::Before;
        }
        let applied = self.fold(scopes, target, record, at, own.is_some());
        if let Some(position) = own {
            self.pass(scopes, position, at);
        }
        applied
    }

    /// Own notes up to that position have returned, or never will.
    pub fn pass(&mut self, scopes: Scopes<'_, '_, '_>, position: u64, at: Seconds) {
        self.scan(scopes, at);
        let mut over = Vec::new();
        while let Some((first, key)) = self.order.front().copied() {
            if first > position {
                break;
            }
            self.order.pop_front();
            let Some(flux) = self.flux.get_mut(&key) else {
                continue;
            };
            flux.notes.retain(|(of, _)| *of != first);
            match flux.notes.front() {
                Some((next, _)) => {
                    let (next, scope, base) = (*next, flux.scope, flux.base);
                    self.keep(scopes, next, scope, key, base);
                }
                None => over.push(key),
            }
        }
        for key in over {
            self.settle(scopes, key, at);
        }
        test_points::at("follower: settled");
        if position >= self.journal.returned() {
            self.journal.set_returned(position.wrapping_add(1));
        }
        test_points::at("follower: returned");
    }

    /// A session of a table as the stream has it, for a snapshot. `None`: the stream has none. Sessions
    /// that only the stream has are told by [`Follower::in_flux`].
    pub fn snapshot_base(
        &mut self,
        scopes: Scopes<'_, '_, '_>,
        target: &Target<'_, '_>,
        key: Key,
        session: &Session,
        now: Seconds,
    ) -> Option<Held> {
        self.scan(scopes, now);
        match self.flux.get(&key) {
            Some(flux) => flux.base,
            None => target.held(target.table, session),
        }
    }

    /// Sessions with own notes that have not returned: number of the scope, key, and what the stream
    /// has.
    pub fn in_flux(&self) -> impl Iterator<Item = (u16, Key, Option<Held>)> + '_ {
        let all = self.flux.iter();
        all.map(|(key, flux)| (flux.scope, *key, flux.base))
    }

    /// Reads the notes that have come since the last time.
    fn scan(&mut self, scopes: Scopes<'_, '_, '_>, now: Seconds) {
        if !self.is_begun {
            self.is_begun = true;
            for (scope, key, kept) in self.journal.remembered() {
                if let Some(target) = scopes(scope) {
                    self.recent.remember(key, held_of(&target, key, kept), now);
                }
            }
        }
        let tail = self.journal.tail();
        let capacity = self.journal.capacity();
        if tail.wrapping_sub(self.scanned) > capacity {
            self.scanned = tail.saturating_sub(capacity);
        }
        while self.scanned < tail {
            let position = self.scanned;
            self.scanned += 1;
            let Some(note) = self.journal.at(position) else {
                continue;
            };
            let Some(target) = scopes(note.scope) else {
                continue;
            };
            let said = target.said(0, &note, now);
            let (base, is_first) = match self.flux.entry(note.key) {
                Entry::Occupied(entry) => {
                    let flux = entry.into_mut();
                    flux.notes.push_back((position, said));
                    // Or all before it have returned.
                    (flux.base, flux.notes.len() == 1)
                }
                Entry::Vacant(entry) => {
                    let kept = self.journal.kept(position);
                    let kept = kept.map(|kept| held_of(&target, note.key, kept));
                    let known = kept.or_else(|| self.recent.get(note.key));
                    let base = known.unwrap_or_else(|| target.before_note(&note, now));
                    entry.insert(Flux {
                        scope: note.scope,
                        base,
                        notes: VecDeque::from([(position, said)]),
                    });
                    (base, true)
                }
            };
            if is_first {
                self.keep(scopes, position, note.scope, note.key, base);
            }
            self.order.push_back((position, note.key));
        }
    }

    /// Has the stream's view of a session outlive this follower.
    fn keep(
        &mut self,
        scopes: Scopes<'_, '_, '_>,
        position: u64,
        scope: u16,
        key: Key,
        base: Option<Held>,
    ) {
        let what = self.kept(scopes, scope, key, base);
        self.journal.keep(position, what);
    }

    /// Has it outlive this follower for a while that the stream has made this of a session.
    fn leave(&mut self, scopes: Scopes<'_, '_, '_>, scope: u16, key: Key, held: Option<Held>) {
        let what = self.kept(scopes, scope, key, held);
        self.journal.remember(scope, key, what);
    }

    fn kept(
        &mut self,
        scopes: Scopes<'_, '_, '_>,
        scope: u16,
        key: Key,
        held: Option<Held>,
    ) -> Kept {
        let mut word = || {
            let (target, held) = (scopes(scope)?, held?);
            let server = self.registration(&target, target.noted, scope, held.server)?;
            let clock = target.clock()?;
            let session = Session {
                peer: server.number,
                seen: clock.tick_of(held.seen),
                created: clock.tick_of(held.created),
                confirmed: held.confirmed,
                stage: Stage::Settled,
            };
            Some(Word::new(key, &session).bits() as u64)
        };
        word().map_or(Kept::None, Kept::Session)
    }

    fn fold(
        &mut self,
        scopes: Scopes<'_, '_, '_>,
        target: &Target<'_, '_>,
        record: &Record,
        at: Seconds,
        is_own: bool,
    ) -> Applied {
        let (key, now) = (record.key, target.tick(at));
        for _ in 0..ATTEMPTS {
            let table = target.deciding(key, now);
            let found = table.find_to_put(key, &target.liveness.limits, now);
            test_points::at("follower: looked");
            self.scan(scopes, at);
            test_points::at("follower: scanned");
            if let Some(flux) = self.flux.get_mut(&key) {
                let before = flux.base;
                flux.base = target.liveness.fold(before, record, at);
                let (scope, base) = (flux.scope, flux.base);
                let first = flux.notes.front().map(|(first, _)| *first);
                if let Some(first) = first.filter(|_| base != before) {
                    self.keep(scopes, first, scope, key, base);
                }
                test_points::at("follower: folded");
                let is_elsewhere = base.map(|it| it.server) != before.map(|it| it.server);
                return match is_elsewhere && !is_own {
                    true => self.settle(scopes, key, at),
                    false => Applied::Done,
                };
            }
            let held = found
                .session()
                .and_then(|session| target.held(table, &session));
            let new = target.liveness.fold(held, record, at);
            if new == held {
                return Applied::Done;
            }
            let scope = scopes_number(target);
            self.leave(scopes, scope, key, new);
            test_points::at("follower: left");
            match self.write(scope, target, table, key, &found, new) {
                Put::Raced => continue,
                Put::Full => return Applied::Full,
                Put::Done => {}
            }
            self.recent.remember(key, new, at);
            test_points::at("follower: remembered");
            // A worker may have looked before, and note only now.
            self.scan(scopes, at);
            return match self.flux.contains_key(&key) && !is_own {
                true => self.settle(scopes, key, at),
                false => Applied::Done,
            };
        }
        Applied::Raced
    }

    /// Writes what the stream and own notes make of a session in flux. Without notes, it is not in
    /// flux any more.
    fn settle(&mut self, scopes: Scopes<'_, '_, '_>, key: Key, at: Seconds) -> Applied {
        for _ in 0..ATTEMPTS {
            let Some(target) = self.flux.get(&key).and_then(|flux| scopes(flux.scope)) else {
                self.flux.remove(&key);
                return Applied::Done;
            };
            let now = target.tick(at);
            let table = target.deciding(key, now);
            let found = table.find_to_put(key, &target.liveness.limits, now);
            test_points::at("settle: looked");
            self.scan(scopes, at);
            let Some(flux) = self.flux.get(&key) else {
                return Applied::Done;
            };
            let (scope, base, is_over) = (flux.scope, flux.base, flux.notes.is_empty());
            let mut held = base;
            for (position, note) in &flux.notes {
                let is_taken_back = || {
                    let note = self.journal.at(*position);
                    note.is_none_or(|note| note.is_taken_back)
                };
                if let Some(note) = note.as_ref().filter(|_| !is_taken_back()) {
                    held = target.liveness.fold(held, note, at.max(note.seen));
                }
            }
            if is_over {
                self.leave(scopes, scope, key, base);
            }
            let put = self.write(scope, &target, table, key, &found, held);
            if put == Put::Raced {
                continue;
            }
            if is_over {
                self.flux.remove(&key);
                self.recent.remember(key, base, at);
            }
            return match put {
                Put::Full => Applied::Full,
                _ => Applied::Done,
            };
        }
        Applied::Raced
    }

    /// Writes a session where another one was found.
    fn write<'a>(
        &mut self,
        scope: u16,
        target: &Target<'_, 'a>,
        table: &Table<'a>,
        key: Key,
        found: &Found,
        held: Option<Held>,
    ) -> Put {
        let Some(held) = held else {
            // One that a request has entered waits for its answer.
            let is_any = found
                .session()
                .is_some_and(|session| target.held(table, &session).is_some());
            return match is_any {
                true => target.put(table, key, found, None),
                false => Put::Done,
            };
        };
        let Some(server) = self.registration(target, table, scope, held.server) else {
            return Put::Full;
        };
        let Some(session) = target.session(&held, &server, found) else {
            return Put::Full;
        };
        let put = target.put(table, key, found, Some(&session));
        // Rule 4 of the registry.
        let is_held = table.registry().is_some_and(|it| it.hold(&server));
        match put {
            Put::Done if !is_held => Put::Raced,
            put => put,
        }
    }

    /// The number of a server in one of the tables, held.
    fn registration(
        &mut self,
        target: &Target<'_, '_>,
        table: &Table<'_>,
        scope: u16,
        server: Fingerprint,
    ) -> Option<Registration> {
        let registry = table.registry()?;
        // Of several tables, numbers of the one alone are remembered.
        let is_its_own = std::ptr::eq(table, target.table);
        let known = self.servers.get(&(scope, server)).filter(|_| is_its_own);
        if let Some(known) = known.filter(|known| registry.hold(known)) {
            return Some(*known);
        }
        let given = registry.register(&[server]).pop()??;
        if is_its_own {
            if self.servers.len() >= SERVERS {
                self.servers.clear();
            }
            self.servers.insert((scope, server), given);
        }
        registry.hold(&given).then_some(given)
    }
}

/// The number of a target's scope.
fn scopes_number(target: &Target<'_, '_>) -> u16 {
    target.clock().map_or(0, |clock| clock.scope())
}

/// What was kept of a session, as the stream has sessions.
fn held_of(target: &Target<'_, '_>, key: Key, kept: Kept) -> Option<Held> {
    match kept {
        Kept::None => None,
        Kept::Session(low) => target.held(target.noted, &Word::with_key(key, low).session()),
    }
}
