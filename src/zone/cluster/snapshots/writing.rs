//! A snapshot on its way into the store.

use std::io::{self, Write};

use sticky_core::cluster::manifest::{seal_piece, Manifest, ZonePieces, PIECE};
use sticky_core::snapshot::{Moment, SnapshotHeader, SnapshotWriter};

use crate::ngx::clock::monotonic_now;

use super::super::applying::Applying;
use super::super::shared::Context;
use super::super::store::{Store, StoreError};
use super::{piece_key, PIECES_LAST};

/// Asks to keep the pieces of one. Returns its manifest, and how many commands have no answer yet.
/// `None`: this thread is to end, or has lost its lease.
pub fn write(
    context: &Context<'_>,
    store: &mut Store,
    applying: &mut Applying<'_>,
) -> Result<Option<(Manifest, usize)>, StoreError> {
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
    let mut commands = 0;
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
        commands += count as usize;
        manifest.zones.push(ZonePieces {
            name: plan.zone.to_vec(),
            pieces: count,
            sessions,
            bytes,
        });
    }
    Ok(context.goes_on().then_some((manifest, commands)))
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
        self.store.ask_set(&key, &sealed, Some(PIECES_LAST))?;
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
