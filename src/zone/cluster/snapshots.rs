//! Snapshots: the tables of a node in the store, with its place in the stream. A node that begins reads
//! the latest one, and the stream from there.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use sticky_core::cluster::header::{ClusterHeader, Flag};
use sticky_core::cluster::keys::TAG_SIZE;
use sticky_core::cluster::manifest::{open_piece, seal_piece, Manifest, ZonePieces, PIECE};
use sticky_core::cluster::{Change, Record};
use sticky_core::snapshot::{self, Moment, SnapshotHeader, SnapshotReader, SnapshotWriter};
use sticky_core::table::{tick_at, Fingerprint, Merged, PeerId, Session, Translation};

use crate::ngx::clock::monotonic_now;
use crate::ngx::log::Level;

use super::applying::{Applying, WhoseServers};
use super::shared::Context;
use super::store::{Store, StoreError, StreamId};

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

/// Between two looks whether another node has written one.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// When the next snapshot is to be written.
#[derive(Default)]
pub struct Snapshots {
    looked: Option<Instant>,
    /// The one that this node has heard of last, and when.
    known: Option<(u64, Instant)>,
    changes: u64,
}

impl Snapshots {
    /// Something was applied.
    pub fn note_change(&mut self) {
        self.changes += 1;
    }

    /// Writes a snapshot if it is time for one, and no other node does.
    pub fn look(
        &mut self,
        context: &Context<'_>,
        store: &mut Store,
        applying: &mut Applying<'_>,
    ) -> Result<(), StoreError> {
        let is_many = self.changes >= MANY;
        let is_soon = self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if is_soon && !is_many {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let latest = manifest(context, store)?;
        let id = latest.as_ref().map(|manifest| manifest.id);
        if id != self.known.map(|(id, _)| id) {
            self.known = id.map(|id| (id, Instant::now()));
            if id.is_some() {
                self.changes = 0;
            }
        }
        let age = latest.as_ref().map(|manifest| {
            let age = context.store_seconds().saturating_sub(manifest.written);
            Duration::from_secs(age)
        });
        let is_due = match age {
            None => true,
            Some(age) if self.changes > 0 => age >= INTERVAL || self.changes >= MANY,
            Some(age) => age >= LONGEST_INTERVAL,
        };
        let lease = context.plan.key(LEASE);
        let name = context.shared.lease.term().to_string();
        if !is_due || !store.claim(&lease, name.as_bytes(), LEASE_LASTS)? {
            return Ok(());
        }
        let Some(manifest) = write(context, store, applying)? else {
            return Ok(());
        };
        self.known = Some((manifest.id, Instant::now()));
        self.changes = 0;
        if let Some(old) = latest.filter(|old| old.id != manifest.id) {
            for zone in &old.zones {
                for number in 0..zone.pieces {
                    let key = piece_key(context, &old, &zone.name, number);
                    store.expire(&key, REPLACED_LAST)?;
                }
            }
            // Whoever has just read the old manifest follows the stream from its place.
            let before = StreamId::of(old.position);
            store.trim(&context.plan.stream(), before)?;
        }
        Ok(())
    }
}

/// What the store has of the latest snapshot. What is none counts as nothing.
pub fn manifest(context: &Context<'_>, store: &mut Store) -> Result<Option<Manifest>, StoreError> {
    let Some(bytes) = store.get(&context.plan.key(MANIFEST))? else {
        return Ok(None);
    };
    match Manifest::decode(&bytes, &context.plan.seals) {
        Ok((manifest, _)) => Ok(Some(manifest)),
        Err(error) => {
            let counted = &context.header.statistics.refused_malformed;
            if counted.fetch_add(1, Relaxed) == 0 {
                let access = &context.plan.access;
                context.say(
                    Level::Error,
                    format!("the snapshot is refused, {error}, sticky_cluster {access}"),
                );
            }
            Ok(None)
        }
    }
}

fn piece_key(context: &Context<'_>, manifest: &Manifest, zone: &[u8], number: u32) -> Vec<u8> {
    let name = Manifest::piece_name(manifest.id, zone, number);
    context.plan.key(&[PIECES, &name].concat())
}

/// Writes one. `None`: this thread is to end, or has lost its lease.
fn write(
    context: &Context<'_>,
    store: &mut Store,
    applying: &mut Applying<'_>,
) -> Result<Option<Manifest>, StoreError> {
    let header = context.header;
    let Ok(id) = getrandom::u64() else {
        return Ok(None);
    };
    let mut manifest = Manifest {
        id,
        written: context.store_seconds(),
        position: header.position(),
        zones: Vec::new(),
        nodes: header.nodes().all().collect(),
        drains: header.drains().agreed().collect(),
    };
    let mut all = 0;
    for at in 0..applying.tables.all.len() {
        let Some(here) = applying.tables.all.get(at) else {
            break;
        };
        let (zone, plan) = (here.header, here.plan);
        let mut pieces = Pieces::new(context, store, &manifest, &plan.zone);
        let now = monotonic_now() / 1000;
        let head = SnapshotHeader {
            // Who can read the store is not to know the key.
            sip_keys: (0, 0),
            epoch: zone.identity.epoch(),
            written: Moment {
                monotonic: now,
                wall: manifest.written,
            },
        };
        let mut sessions = 0;
        let written = put(&mut pieces, &head, at, applying, &mut sessions);
        let (count, bytes) = match (written, pieces.failed.take()) {
            (Ok(()), None) => pieces.finish()?,
            (_, Some(error)) => return Err(error),
            // This thread is to end.
            (Err(_), None) => return Ok(None),
        };
        all += sessions;
        manifest.zones.push(ZonePieces {
            name: plan.zone.to_vec(),
            pieces: count,
            sessions,
            bytes,
        });
    }
    if !context.goes_on() {
        return Ok(None);
    }
    let bytes = manifest.encode(&context.plan.seals.current);
    store.set(&context.plan.key(MANIFEST), &bytes, None)?;
    let statistics = &header.statistics;
    statistics.snapshot_sessions.store(all, Relaxed);
    statistics.snapshot_written.store(manifest.written, Relaxed);
    Ok(Some(manifest))
}

/// Writes the servers and the sessions of a table, as the stream has them.
fn put(
    pieces: &mut Pieces<'_, '_>,
    head: &SnapshotHeader,
    at: usize,
    applying: &mut Applying<'_>,
    sessions: &mut u64,
) -> io::Result<()> {
    let mut writer = SnapshotWriter::new(&mut *pieces, head)?;
    let table = applying.tables.all.get(at).map(|here| here.table);
    let registry = table.and_then(|table| table.registry().filter(|_| !table.is_unused()));
    for server in registry
        .iter()
        .flat_map(|registry| registry.registrations())
    {
        if let Some(fingerprint) = server.fingerprint() {
            writer.server(server.number, fingerprint)?;
        }
    }
    applying.each_in_stream(at, head.written.wall, |word| {
        *sessions += 1;
        writer.session(word)
    })?;
    writer.finish().map(drop)
}

/// What is written, in pieces.
struct Pieces<'a, 'c> {
    context: &'a Context<'c>,
    store: &'a mut Store,
    manifest: &'a Manifest,
    zone: &'a [u8],
    piece: Vec<u8>,
    count: u32,
    bytes: u64,
    failed: Option<StoreError>,
}

impl<'a, 'c> Pieces<'a, 'c> {
    fn new(
        context: &'a Context<'c>,
        store: &'a mut Store,
        manifest: &'a Manifest,
        zone: &'a [u8],
    ) -> Self {
        Self {
            context,
            store,
            manifest,
            zone,
            piece: Vec::new(),
            count: 0,
            bytes: 0,
            failed: None,
        }
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.bytes += piece.len() as u64;
        let name = Manifest::piece_name(self.manifest.id, self.zone, self.count);
        let sealed = seal_piece(&self.context.plan.seals.current, &name, piece);
        let key = piece_key(self.context, self.manifest, self.zone, self.count);
        self.store.set(&key, &sealed, Some(PIECES_LAST))?;
        self.count += 1;
        Ok(())
    }

    /// Sends the rest. Returns how many pieces and bytes there are.
    fn finish(mut self) -> Result<(u32, u64), StoreError> {
        self.send()?;
        Ok((self.count, self.bytes))
    }
}

impl Write for Pieces<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.context.goes_on() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let room = PIECE - self.piece.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend(taken);
        if self.piece.len() == PIECE {
            if let Err(error) = self.send() {
                self.failed = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
