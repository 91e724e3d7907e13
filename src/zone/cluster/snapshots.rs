//! Snapshots: the tables of a node in the store, with its place in the stream. A node that begins reads
//! the latest one, and the stream from there.
//!
//! What is asked of the store to write one goes along with the questions for the next entries, step by
//! step, so that the stream is followed meanwhile.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use sticky_core::cluster::header::{ClusterHeader, Flag};
use sticky_core::cluster::manifest::Manifest;

use crate::ngx::log::Level;

use super::applying::Applying;
use super::shared::Context;
use super::store::{Store, StoreError, StreamId};

mod reading;
mod writing;

pub use reading::load;

use writing::write;

/// The latest snapshot's manifest, what pieces begin with, and what says that a node writes one, behind
/// the prefix.
const MANIFEST: &[u8] = b"snapshot";
const PIECES: &[u8] = b"snapshot:";
const LEASE: &[u8] = b"snapshot-lease";

/// Seconds from one snapshot to the next, if anything has changed; and if so much has.
const INTERVAL: Duration = Duration::from_secs(60);
const MANY: u64 = 200_000;

/// Also where nothing has changed: before the pieces go.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// How long pieces stay without being replaced, and when they have been.
const PIECES_LAST: Duration = Duration::from_secs(2 * 3600);
const REPLACED_LAST: Duration = Duration::from_secs(60);

/// One node writes a snapshot in that time.
const LEASE_LASTS: Duration = Duration::from_secs(10);

/// Between two looks whether another node has written one, and if much has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_SOONEST: Duration = Duration::from_secs(1);

/// One that cannot be opened, of nodes with another key, is left alone as long as they write others in
/// this time.
const OTHERS_LAST: Duration = Duration::from_secs(300);

/// What is to be asked next, for a snapshot.
#[derive(Default)]
enum Step {
    /// Nothing, unless it is time to look what the latest one is.
    #[default]
    Rest,
    /// Whether this node may write one.
    Claim { latest: Option<Manifest> },
    /// That its pieces are kept.
    Write { latest: Option<Manifest> },
    /// That it is the latest one.
    Publish {
        manifest: Box<Manifest>,
        latest: Option<Manifest>,
        changes: u64,
    },
    /// That the one before goes, and the stream up to its place.
    TidyUp { old: Manifest },
}

/// What was asked, and is to be heard.
#[must_use]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// The latest manifest.
    Latest,
    /// A claim.
    Claim { latest: Option<Manifest> },
    /// So many commands; what comes then.
    Commands(usize, Next),
}

/// See [`Asked::Commands`].
pub struct Next(Step);

/// When the next snapshot is to be written.
#[derive(Default)]
pub struct Snapshots {
    looked: Option<Instant>,
    /// The one that this node has heard of last.
    known: Option<u64>,
    /// One that cannot be opened, and since when it is there.
    other: Option<(Vec<u8>, Instant)>,
    changes: u64,
    step: Step,
}

impl Snapshots {
    /// Something was applied.
    pub fn note_change(&mut self) {
        self.changes += 1;
    }

    /// With another connection. What the one before was asked, it does not hear.
    pub fn begin_anew(&mut self) {
        self.step = Step::Rest;
    }

    /// Asks what is to be asked next, if anything is. Writes a snapshot if it is time for one, and no
    /// other node does.
    pub fn ask(
        &mut self,
        context: &Context<'_>,
        store: &mut Store,
        applying: &mut Applying<'_>,
    ) -> Result<Asked, StoreError> {
        match std::mem::take(&mut self.step) {
            Step::Rest => {
                let pause = match self.changes >= MANY {
                    true => LOOK_SOONEST,
                    false => LOOK_EVERY,
                };
                if self.looked.is_some_and(|at| at.elapsed() < pause) {
                    return Ok(Asked::Nothing);
                }
                self.looked = Some(Instant::now());
                store.ask_get(&context.plan.key(MANIFEST))?;
                Ok(Asked::Latest)
            }
            Step::Claim { latest } => {
                let name = context.shared.lease.term().to_string();
                store.ask_claim(&context.plan.key(LEASE), name.as_bytes(), LEASE_LASTS)?;
                Ok(Asked::Claim { latest })
            }
            Step::Write { latest } => {
                let changes = self.changes;
                let Some((manifest, count)) = write(context, store, applying)? else {
                    return Ok(Asked::Nothing);
                };
                let manifest = Box::new(manifest);
                let next = Step::Publish {
                    manifest,
                    latest,
                    changes,
                };
                Ok(Asked::Commands(count, Next(next)))
            }
            Step::Publish {
                manifest,
                latest,
                changes,
            } => {
                let bytes = manifest.encode(&context.plan.seals.current);
                store.ask_set(&context.plan.key(MANIFEST), &bytes, None)?;
                self.known = Some(manifest.id);
                self.changes = self.changes.saturating_sub(changes);
                let statistics = &context.header.statistics;
                let sessions = manifest.zones.iter().map(|zone| zone.sessions).sum();
                statistics.snapshot_sessions.store(sessions, Relaxed);
                statistics.snapshot_written.store(manifest.written, Relaxed);
                let old = latest.filter(|old| old.id != manifest.id);
                let next = old.map_or(Step::Rest, |old| Step::TidyUp { old });
                Ok(Asked::Commands(1, Next(next)))
            }
            Step::TidyUp { old } => {
                let mut count = 1;
                for zone in &old.zones {
                    for number in 0..zone.pieces {
                        let key = piece_key(context, &old, &zone.name, number);
                        store.ask_expire(&key, REPLACED_LAST)?;
                        count += 1;
                    }
                }
                // Whoever has just read the old manifest follows the stream from its place.
                let before = StreamId::of(old.position);
                store.ask_trim(&context.plan.stream(), before)?;
                Ok(Asked::Commands(count, Next(Step::Rest)))
            }
        }
    }

    /// Hears the answers.
    pub fn hear(
        &mut self,
        context: &Context<'_>,
        store: &mut Store,
        asked: Asked,
    ) -> Result<(), StoreError> {
        match asked {
            Asked::Nothing => {}
            Asked::Latest => {
                let bytes = store.got()?;
                let latest = bytes.as_ref().and_then(|bytes| opened(context, bytes));
                if latest.is_none() && self.is_of_others(bytes) {
                    return Ok(());
                }
                let id = latest.as_ref().map(|manifest| manifest.id);
                if id != self.known {
                    self.known = id;
                    if id.is_some() {
                        self.changes = 0;
                    }
                }
                if self.is_due(context, latest.as_ref()) {
                    self.step = Step::Claim { latest };
                }
            }
            Asked::Claim { latest } => {
                if store.is_claimed()? {
                    self.step = Step::Write { latest };
                }
            }
            Asked::Commands(count, Next(next)) => {
                store.done(count)?;
                self.step = next;
            }
        }
        Ok(())
    }

    /// Whether there is one that cannot be opened, and that its writers may replace yet.
    fn is_of_others(&mut self, bytes: Option<Vec<u8>>) -> bool {
        let Some(bytes) = bytes else {
            self.other = None;
            return false;
        };
        match &self.other {
            Some((known, since)) if *known == bytes => since.elapsed() < OTHERS_LAST,
            _ => {
                self.other = Some((bytes, Instant::now()));
                true
            }
        }
    }

    fn is_due(&self, context: &Context<'_>, latest: Option<&Manifest>) -> bool {
        let age = latest.map(|manifest| {
            let age = context.store_seconds().saturating_sub(manifest.written);
            Duration::from_secs(age)
        });
        match age {
            None => true,
            Some(age) if self.changes > 0 => age >= INTERVAL || self.changes >= MANY,
            Some(age) => age >= LONGEST_INTERVAL,
        }
    }
}

/// What the store has of the latest snapshot. What is none counts as nothing.
pub fn manifest(context: &Context<'_>, store: &mut Store) -> Result<Option<Manifest>, StoreError> {
    let bytes = store.get(&context.plan.key(MANIFEST))?;
    Ok(bytes.and_then(|bytes| opened(context, &bytes)))
}

fn opened(context: &Context<'_>, bytes: &[u8]) -> Option<Manifest> {
    match Manifest::decode(bytes, &context.plan.seals) {
        Ok((manifest, _)) => Some(manifest),
        Err(error) => {
            let counted = &context.header.statistics.refused_malformed;
            if counted.fetch_add(1, Relaxed) == 0 {
                let access = &context.plan.access;
                context.say(
                    Level::Error,
                    format!("the snapshot is refused, {error}, sticky_cluster {access}"),
                );
            }
            None
        }
    }
}

fn piece_key(context: &Context<'_>, manifest: &Manifest, zone: &[u8], number: u32) -> Vec<u8> {
    let name = Manifest::piece_name(manifest.id, zone, number);
    context.plan.key(&[PIECES, &name].concat())
}

/// Whether the tables have nothing but what their state files had, so that what the cluster has can
/// take its place. Whoever begins to use them meanwhile waits until [`empty`] is done.
pub fn may_empty(header: &ClusterHeader) -> bool {
    header.set(Flag::Emptying, true);
    let may = !header.is(Flag::InUse);
    if !may {
        header.set(Flag::Emptying, false);
    }
    may
}

/// Empties the tables, after [`may_empty`].
pub fn empty(context: &Context<'_>) {
    for (zone, rest) in context.tables.iter().flatten() {
        let (_, words) = zone.split(rest);
        if !zone.counters.is_unused() {
            words.iter().for_each(|word| word.store(0, Relaxed));
        }
    }
    context.header.set(Flag::Emptying, false);
}
