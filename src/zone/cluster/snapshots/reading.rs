//! A snapshot on its way into the tables.

use std::collections::HashMap;
use std::io::{self, Read};

use sticky_core::cluster::keys::TAG_SIZE;
use sticky_core::cluster::manifest::{open_piece, Manifest, ZonePieces, PIECE};
use sticky_core::cluster::{Change, Record};
use sticky_core::snapshot::{self, SnapshotHeader, SnapshotReader};
use sticky_core::table::{tick_at, Fingerprint, Merged, PeerId, Session, Translation};

use crate::ngx::clock::monotonic_now;
use crate::ngx::log::Level;

use super::super::applying::{Applying, WhoseServers};
use super::super::shared::Context;
use super::super::store::{Store, StoreError};
use super::{piece_key, Flag};

/// Brings what is in a snapshot into the tables. Returns how many sessions.
pub fn load(
    context: &Context<'_>,
    store: &mut Store,
    manifest: &Manifest,
    applying: &mut Applying<'_>,
    is_new: bool,
) -> Result<u64, StoreError> {
    let mut count = 0;
    // Nobody else is there yet: what comes is all that there is.
    let is_alone = || is_new && !context.header.is(Flag::InUse);
    for pieces in &manifest.zones {
        let mut tables = applying.tables.all.iter();
        let Some(at) = tables.position(|here| *here.plan.zone == *pieces.name) else {
            continue;
        };
        let mut source = Source {
            context,
            store,
            manifest,
            pieces,
            piece: Vec::new(),
            at: 0,
            next: 0,
            failed: None,
        };
        let target = Target {
            at,
            is_alone: &is_alone,
        };
        let read = target.fill(context, &mut source, applying, &mut count);
        if let Some(error) = source.failed {
            return Err(error);
        }
        if let Err(error) = read {
            let access = &context.plan.access;
            context.say(
                Level::Error,
                format!("the snapshot cannot be read, {error}, sticky_cluster {access}"),
            );
        }
    }
    Ok(count)
}

struct Target<'a> {
    at: usize,
    is_alone: &'a dyn Fn() -> bool,
}

impl Target<'_> {
    fn fill(
        &self,
        context: &Context<'_>,
        source: &mut Source<'_, '_>,
        applying: &mut Applying<'_>,
        count: &mut u64,
    ) -> Result<(), snapshot::SnapshotError> {
        let mut reader = SnapshotReader::open(source)?;
        let head = *reader.header();
        let shift = SecondShift::new(&head);
        let Some(here) = applying.tables.all.get(self.at) else {
            return Ok(());
        };
        let (zone, table, plan) = (here.header, here.table, here.plan);
        let scopes = WhoseServers::of(plan, zone.identity.sip_keys());
        let numbers = Translation::into(table.registry());
        let mut servers: HashMap<PeerId, Fingerprint> = HashMap::new();
        let mut unknown = Vec::new();
        let mut is_roomy = true;
        for record in &mut reader {
            match record? {
                snapshot::Record::Server(number, server) => {
                    servers.insert(number, server);
                    unknown.push((number, server));
                }
                snapshot::Record::Drain(_) | snapshot::Record::KeyBefore(_) => {}
                snapshot::Record::Session(word) => {
                    if !unknown.is_empty() {
                        numbers.learn(&unknown);
                        unknown.clear();
                    }
                    let (Some(key), session) = (word.key(), word.session()) else {
                        continue;
                    };
                    let (seen, created) =
                        (shift.second(session.seen), shift.second(session.created));
                    if (self.is_alone)() {
                        let Some(peer) = numbers.registration(session.peer) else {
                            continue;
                        };
                        let epoch = zone.identity.epoch();
                        let ahead = context.journal().ahead();
                        let tick = |second: u64| tick_at(epoch, second.wrapping_add_signed(-ahead));
                        let here = Session {
                            seen: tick(seen),
                            created: tick(created),
                            ..session
                        };
                        let now = tick_at(epoch, monotonic_now() / 1000);
                        let limits = &plan.longest;
                        let merged = table.merge_of(key, &peer, &here, limits, now, is_roomy);
                        is_roomy &= merged != Merged::Full;
                        *count += u64::from(merged == Merged::New);
                    } else if let Some(server) = servers.get(&session.peer) {
                        let Some(scope) = scopes.scope(*server) else {
                            continue;
                        };
                        let record = Record {
                            change: Change::Known,
                            key,
                            scope: scope.digest,
                            server: *server,
                            from: None,
                            seen,
                            created,
                            confirmed: session.confirmed,
                        };
                        applying.apply(&record, context.store_seconds(), None);
                        *count += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// From the ticks of a snapshot to seconds of the store's clock.
struct SecondShift {
    written: u64,
    tick: u32,
}

impl SecondShift {
    fn new(head: &SnapshotHeader) -> Self {
        Self {
            written: head.written.wall,
            tick: head.tick(),
        }
    }

    fn second(&self, tick: u32) -> u64 {
        let ago = self.tick.saturating_sub(tick);
        self.written.saturating_sub(u64::from(ago))
    }
}

/// The bytes of the pieces of a zone.
struct Source<'a, 'c> {
    context: &'a Context<'c>,
    store: &'a mut Store,
    manifest: &'a Manifest,
    pieces: &'a ZonePieces,
    piece: Vec<u8>,
    at: usize,
    next: u32,
    failed: Option<StoreError>,
}

impl Source<'_, '_> {
    /// The next piece. False: there are no more.
    fn get(&mut self) -> io::Result<bool> {
        if self.next >= self.pieces.pieces || !self.context.goes_on() {
            return Ok(false);
        }
        let key = piece_key(self.context, self.manifest, &self.pieces.name, self.next);
        let bytes = match self.store.get(&key) {
            Ok(bytes) => bytes.ok_or(io::ErrorKind::NotFound)?,
            Err(error) => {
                self.failed = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
        };
        let name = Manifest::piece_name(self.manifest.id, &self.pieces.name, self.next);
        let opened = open_piece(&bytes, &name, &self.context.plan.seals);
        let length = opened.map_err(io::Error::other)?.len();
        self.piece = bytes;
        self.piece.truncate(length);
        self.at = 0;
        self.next += 1;
        Ok(true)
    }
}

const _: () = assert!(TAG_SIZE < PIECE);

impl Read for Source<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.get()? {
            return Ok(0);
        }
        let mut rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}
