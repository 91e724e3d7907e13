//! The tables of this node as the stream has them: whose sessions they are, by what travels and by the
//! numbers in the journal.

use std::collections::HashMap;

use sticky_core::cluster::{Applied, Follower, Held, Journal, Note, Record, Seconds, Target};
use sticky_core::table::{
    Fingerprint, Key, PeerId, Predecessor, Session, Stage, Table, Word, ZoneHeader,
};

use super::plan::{ScopePlan, TablePlan};
use super::shared::Context;
use crate::zone::journals::{journal_in, NotedScope};
use crate::zone::succession;
use crate::zone::table_zone::Parts;

/// The tables that take part, and their scopes.
pub struct Tables<'a> {
    /// In the order of the plan.
    pub all: Vec<Here<'a>>,
    scopes: Vec<ScopeHere<'a>>,
    by_digest: HashMap<u64, usize>,
    by_number: HashMap<u16, (usize, usize)>,
}

/// A table that takes part.
pub struct Here<'a> {
    /// Its header.
    pub header: &'a ZoneHeader,
    /// Its table, without a journal.
    pub table: Table<'a>,
    /// What the configuration says of it.
    pub plan: &'a TablePlan,
    before: Option<Predecessor<'a>>,
}

struct ScopeHere<'a> {
    at: usize,
    plan: &'a ScopePlan,
    number: u16,
    /// The table, and those that it has replaced: the numbers of servers in the journal are of one of
    /// them.
    tables: Vec<Table<'a>>,
}

impl<'a> Tables<'a> {
    /// Those of a configuration.
    pub fn of(context: &Context<'a>) -> Self {
        let mut tables = Self {
            all: Vec::new(),
            scopes: Vec::new(),
            by_digest: HashMap::new(),
            by_number: HashMap::new(),
        };
        for (parts, plan) in context.tables.iter().zip(&context.plan.tables) {
            let Some((newest, replaced)) = parts.split_first() else {
                continue;
            };
            let limits = Some(plan.longest);
            let (header, rest) = *newest;
            let at = tables.all.len();
            tables.all.push(Here {
                header,
                table: header.table(rest).with_zone_limits(plan.longest),
                plan,
                before: succession::of_parts(*newest, replaced, limits, &|_| None),
            });
            for scope in &plan.scopes {
                tables.add(context, at, scope, parts);
            }
        }
        tables
    }

    fn add(&mut self, context: &Context<'a>, at: usize, plan: &'a ScopePlan, parts: &[Parts<'a>]) {
        let scope = NotedScope {
            digest: plan.digest,
            period: plan.liveness.period,
        };
        let with_journal = |parts: &Parts<'a>| {
            let journal = journal_in((context.header, context.slots), scope, *parts)?;
            let (header, rest) = *parts;
            let table = header.table(rest).with_zone_limits(plan.liveness.limits);
            Some((journal.scope(), table.with_journal(Some(journal))))
        };
        let index = self.scopes.len();
        let all: Vec<_> = parts.iter().filter_map(with_journal).collect();
        for (place, (number, _)) in all.iter().enumerate() {
            self.by_number.entry(*number).or_insert((index, place));
        }
        let Some((number, _)) = all.first() else {
            return;
        };
        self.by_digest.insert(plan.digest, index);
        self.scopes.push(ScopeHere {
            at,
            plan,
            number: *number,
            tables: all.into_iter().map(|(_, table)| table).collect(),
        });
    }

    fn target(&self, index: usize, noted: usize) -> Option<Target<'_, 'a>> {
        let scope = self.scopes.get(index)?;
        let here = self.all.get(scope.at)?;
        Some(Target {
            table: scope.tables.first()?,
            before: here
                .before
                .as_ref()
                .filter(|_| !here.header.identity.is_whole()),
            noted: scope.tables.get(noted)?,
            liveness: scope.plan.liveness,
        })
    }

    /// The sessions of the scope with that number in the journal.
    pub fn by_number(&self, number: u16) -> Option<Target<'_, 'a>> {
        let (index, noted) = *self.by_number.get(&number)?;
        self.target(index, noted)
    }

    fn by_digest(&self, digest: u64) -> Option<Target<'_, 'a>> {
        self.target(*self.by_digest.get(&digest)?, 0)
    }

    fn of_plan(&self, scope: &ScopePlan) -> Option<(u16, Target<'_, 'a>)> {
        let index = *self.by_digest.get(&scope.digest)?;
        Some((self.scopes.get(index)?.number, self.target(index, 0)?))
    }

    /// The record of a note. `None`: nothing is known of its scope.
    pub fn record_of(&self, note: &Note, now: Seconds) -> Option<Record> {
        let (index, noted) = *self.by_number.get(&note.scope)?;
        let digest = self.scopes.get(index)?.plan.digest;
        self.target(index, noted)?.record_of(digest, note, now)
    }

    /// A record that changes nothing, for the place of a note of which nothing is known.
    pub fn nothing(&self, note: &Note, now: Seconds) -> Option<Record> {
        let digest = self.scopes.first()?.plan.digest;
        let note = Note {
            is_taken_back: true,
            ..*note
        };
        self.target(0, 0)?.record_of(digest, &note, now)
    }

    /// A session of this node as a record, for who has lost it.
    pub fn known(&self, scope: &ScopePlan, key: Key, session: &Session) -> Option<Record> {
        let (_, target) = self.of_plan(scope)?;
        target.known(scope.digest, key, session)
    }
}

/// Applies records to the tables.
pub struct Applying<'a> {
    /// The tables.
    pub tables: Tables<'a>,
    follower: Follower<'a>,
}

impl<'a> Applying<'a> {
    /// Goes on where another one has ended.
    pub fn new(context: &Context<'a>, journal: Journal<'a>) -> Self {
        Self {
            tables: Tables::of(context),
            follower: Follower::take_over(journal),
        }
    }

    /// Applies a record of an entry that the store has taken at that second. `own`: it is of this node,
    /// and stands there in its journal. False: it could not be applied.
    pub fn apply(&mut self, record: &Record, at: Seconds, own: Option<u64>) -> bool {
        let tables = &self.tables;
        let scopes = |number| tables.by_number(number);
        let Some(target) = tables.by_digest(record.scope) else {
            if let Some(position) = own {
                self.follower.pass(&scopes, position, at);
            }
            return false;
        };
        let applied = self.follower.apply(&scopes, &target, record, at, own);
        matches!(applied, Applied::Done | Applied::Before)
    }

    /// Own notes up to there have returned, or never will.
    pub fn pass(&mut self, position: u64, at: Seconds) {
        let tables = &self.tables;
        self.follower
            .pass(&|number| tables.by_number(number), position, at);
    }

    /// The sessions of a table as the stream has them, each as a word of a snapshot.
    pub fn each_in_stream<E>(
        &mut self,
        at: usize,
        now: Seconds,
        mut take: impl FnMut(Word) -> Result<(), E>,
    ) -> Result<(), E> {
        let tables = &self.tables;
        let scopes = |number| tables.by_number(number);
        let Some(here) = tables.all.get(at) else {
            return Ok(());
        };
        let Some(registry) = here.table.registry().filter(|_| !here.table.is_unused()) else {
            return Ok(());
        };
        let keys = here.header.identity.sip_keys();
        let of_servers = WhoseServers::of(here.plan, keys);
        let mut numbers: HashMap<Fingerprint, PeerId> = HashMap::new();
        let mut by_number: Vec<Option<Fingerprint>> = Vec::new();
        for server in registry.registrations() {
            let fingerprint = server.fingerprint();
            by_number.push(fingerprint);
            if let Some(fingerprint) = fingerprint {
                numbers.entry(fingerprint).or_insert(server.number);
            }
        }
        let word = |target: &Target<'_, '_>, key: Key, held: &Held| {
            let clock = target.table.journal()?;
            let session = Session {
                peer: *numbers.get(&held.server)?,
                seen: clock.tick_of(held.seen),
                created: clock.tick_of(held.created),
                confirmed: held.confirmed,
                stage: Stage::Settled,
            };
            let is_live = target.liveness.is_live(held.seen, held.created, now);
            is_live.then(|| Word::new(key, &session))
        };
        for (key, session) in here.table.sessions() {
            let server = by_number.get(session.peer.get() as usize).copied();
            let scope = server.flatten().and_then(|server| of_servers.scope(server));
            let Some((_, target)) = scope.and_then(|scope| tables.of_plan(scope)) else {
                continue;
            };
            let held = self
                .follower
                .snapshot_base(&scopes, &target, key, &session, now);
            if let Some(word) = held.and_then(|held| word(&target, key, &held)) {
                take(word)?;
            }
        }
        // Those that only the stream has.
        for (number, key, held) in self.follower.in_flux() {
            let Some((index, _)) = tables.by_number.get(&number).copied() else {
                continue;
            };
            let is_here = tables.scopes.get(index).is_some_and(|scope| scope.at == at);
            let target = tables.target(index, 0).filter(|_| is_here);
            let word = target
                .zip(held)
                .and_then(|(target, held)| word(&target, key, &held));
            if let Some(word) = word {
                take(word)?;
            }
        }
        Ok(())
    }
}

/// Whose sessions those of each server of a zone are.
pub struct WhoseServers<'p> {
    by_server: HashMap<Fingerprint, &'p ScopePlan>,
    fallback: Option<&'p ScopePlan>,
}

impl<'p> WhoseServers<'p> {
    /// In a zone with that key.
    pub fn of(plan: &'p TablePlan, keys: (u64, u64)) -> Self {
        Self {
            by_server: match plan.scopes.len() {
                1 => HashMap::new(),
                _ => plan.by_server(keys),
            },
            // Those of others live longest, so that none ends early.
            fallback: plan.fallback(),
        }
    }

    /// Whose sessions those of a server are.
    pub fn scope(&self, server: Fingerprint) -> Option<&'p ScopePlan> {
        self.by_server.get(&server).copied().or(self.fallback)
    }
}
