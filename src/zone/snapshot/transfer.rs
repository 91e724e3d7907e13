//! From a state file to a session table and back: what is read when nginx starts, and what is
//! written, merged with what another process has written meanwhile.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::counters::KeptDrain;
use sticky_core::snapshot::{
    self, Checked, KeepError, KeyBefore, Moment, Record, SnapshotError, SnapshotHeader,
    SnapshotReader, SnapshotWriter, TickShift,
};
use sticky_core::table::{
    tick_at, Key, Limits, Merged, Registration, Session, Table, Translation, UsableServers, Word,
    ZoneHeader,
};

use thiserror::Error;

use super::directory::Patience;
use super::file::{Lock, OpenFile, Stamp, StateFile};

/// A file that was refused and renamed.
#[derive(Debug)]
pub struct RefusedFile {
    /// What is wrong with it.
    pub why: SnapshotError,
    /// Its new name.
    pub kept: PathBuf,
}

/// Why the file is not read or written. Displays as the end of a line of the log.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot be read, {0}")]
    Read(#[source] io::Error),
    /// It cannot be written.
    #[error("cannot be written, {0}")]
    Write(#[source] io::Error),
    /// It is refused, but cannot be renamed.
    #[error("is refused, {0}, but cannot be renamed, {1}")]
    SetAside(SnapshotError, #[source] io::Error),
    /// A newer module has written it.
    #[error("is left alone, {0}")]
    Newer(SnapshotError),
    /// Its sessions have the keys of another table.
    #[error("is left alone, it holds the sessions of another table: does another nginx use it?")]
    OtherTable,
}

impl FileError {
    fn unread(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Input(error) => FileError::Read(error),
            other => FileError::Read(io::Error::new(ErrorKind::InvalidData, other)),
        }
    }
}

/// A file that was found to be complete and undamaged.
pub struct CheckedFile {
    file: OpenFile,
    found: Checked,
    /// The servers that got no new sessions, as far as it was read.
    pub drains: RefCell<Vec<KeptDrain>>,
    /// The key that its table had before, as far as it was read.
    pub key_before: Cell<Option<KeyBefore>>,
}

impl CheckedFile {
    /// Which file it is.
    pub fn known(&self) -> KnownFile {
        KnownFile {
            stamp: self.file.stamp(),
            has_unknown: self.found.has_unknown,
        }
    }

    /// The SipHash key of its sessions.
    pub fn sip_keys(&self) -> (u64, u64) {
        self.found.header.sip_keys
    }

    /// Fills a new table that is not in use yet, after `init` was given its epoch. Returns the number
    /// of sessions.
    pub fn restore(
        &self,
        table: &Table<'_>,
        limits: &Limits,
        now: Moment,
        init: impl FnOnce(u64),
    ) -> Result<usize, FileError> {
        let (epoch, shift) = self.found.header.resume(now);
        init(epoch);
        let now = tick_at(epoch, now.monotonic);
        let numbers = Translation::into(table.registry());
        table.restore(|take| {
            self.each(shift, &numbers, |key, session| {
                let session = numbers.session(session);
                if let Some(session) = session.filter(|session| limits.is_live(session, now)) {
                    take(key, &session);
                }
            })
        })
    }

    /// Adds the sessions that a table in use, with that epoch, does not have, as far as there is room
    /// for them.
    fn merge_into(
        &self,
        table: &Table<'_>,
        epoch: u64,
        limits: &Limits,
        now: Moment,
    ) -> Result<(), FileError> {
        let shift = self.found.header.shift_into(epoch, now);
        let now = tick_at(epoch, now.monotonic);
        let mut is_roomy = true;
        let numbers = Translation::into(table.registry());
        self.each(shift, &numbers, |key, session| {
            let Some(peer) = numbers.registration(session.peer) else {
                return;
            };
            let merged = table.merge_of(key, &peer, session, limits, now, is_roomy);
            // Once a full search has found no room, another one for each session would take minutes.
            is_roomy &= merged != Merged::Full;
        })
    }

    /// Hands all sessions of the file to `take`, as they are there, but for their ticks. What their
    /// numbers mean goes to `numbers` before.
    fn each(
        &self,
        shift: TickShift,
        numbers: &Translation<'_>,
        mut take: impl FnMut(Key, &Session),
    ) -> Result<(), FileError> {
        let mut servers = Vec::new();
        for record in self.reader()? {
            match record.map_err(FileError::unread)? {
                Record::Server(number, server) => servers.push((number, server)),
                Record::Drain(drain) => self.drains.borrow_mut().push(drain),
                Record::KeyBefore(key) => self.key_before.set(Some(key)),
                Record::Session(word) => {
                    if !servers.is_empty() {
                        numbers.learn(&servers);
                        servers.clear();
                    }
                    if let Some((key, session)) = shift.session(word) {
                        take(key, &session);
                    }
                }
            }
        }
        Ok(())
    }

    fn reader(&self) -> Result<SnapshotReader<impl Read + '_>, FileError> {
        let bytes = self.file.bytes().map_err(FileError::Read)?;
        SnapshotReader::open(bytes).map_err(FileError::unread)
    }
}

/// What was found at the place of the file.
#[derive(Default)]
pub struct FoundFile {
    /// A file that can be used.
    pub checked: Option<CheckedFile>,
    /// One that cannot, and was renamed.
    pub refused: Option<RefusedFile>,
}

/// Looks for a file for a new table, which is not in use yet.
pub fn find(file: &StateFile, patience: &Patience) -> Result<FoundFile, FileError> {
    match open(file)? {
        Ok(checked) => Ok(FoundFile {
            checked,
            refused: None,
        }),
        // Another process may be replacing it.
        Err(_) => {
            let lock = file.lock(patience, || false).map_err(FileError::Read)?;
            find_locked(file, &lock)
        }
    }
}

fn find_locked(file: &StateFile, lock: &Lock<'_>) -> Result<FoundFile, FileError> {
    let why = match open(file)? {
        Ok(checked) => {
            return Ok(FoundFile {
                checked,
                refused: None,
            })
        }
        Err(why) => why,
    };
    match lock.set_aside() {
        Ok(kept) => Ok(FoundFile {
            checked: None,
            refused: Some(RefusedFile { why, kept }),
        }),
        Err(error) => Err(FileError::SetAside(why, error)),
    }
}

fn open(file: &StateFile) -> Result<Result<Option<CheckedFile>, SnapshotError>, FileError> {
    let Some(file) = file.open().map_err(FileError::Read)? else {
        return Ok(Ok(None));
    };
    let checked = snapshot::check(file.bytes().map_err(FileError::Read)?);
    match checked {
        Ok(found) => Ok(Ok(Some(CheckedFile {
            file,
            found,
            drains: RefCell::default(),
            key_before: Cell::default(),
        }))),
        Err(SnapshotError::Input(error)) => Err(FileError::Read(error)),
        Err(newer @ SnapshotError::Newer(_)) => Err(FileError::Newer(newer)),
        Err(why) => Ok(Err(why)),
    }
}

/// One writing of the file.
#[derive(Clone)]
pub struct WriteJob {
    /// The file.
    pub file: StateFile,
    /// The file as this process has last read or written it.
    pub known: Option<KnownFile>,
    /// The longest limits of any session in the table.
    pub limits: Limits,
    /// The time now.
    pub now: Moment,
    /// User and group that the file is to have.
    pub owner: Option<(u32, u32)>,
    /// The servers that this nginx can use, see [`Table::with_usable_servers`].
    pub usable: UsableServers,
    /// The servers that get no new sessions.
    pub drains: Vec<KeptDrain>,
    /// Sessions under this SipHash key are found in the table, too.
    pub old_key: Option<(u64, u64)>,
}

/// A file as a process has read or written it.
#[derive(Clone, Copy)]
pub struct KnownFile {
    /// Identifies this version.
    pub stamp: Stamp,
    /// It has sections that a newer module has written and this one does not know.
    has_unknown: bool,
}

/// Outcome of a writing.
pub struct Written {
    /// The new file.
    pub file: KnownFile,
    /// The file that was there and was refused.
    pub refused: Option<RefusedFile>,
}

impl WriteJob {
    /// Writes the file. If another process has written it since, its sessions are merged into the
    /// table first. May take long, and ends early when `is_stopped`. `None`: nothing was written.
    pub fn write(
        &self,
        header: &ZoneHeader,
        rest: &[AtomicU128],
        patience: &Patience,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Option<Written>, FileError> {
        let written = self.merge_and_write(header, rest, patience, &is_stopped);
        match written {
            Err(FileError::Write(_)) if is_stopped() => Ok(None),
            written => written,
        }
    }

    fn merge_and_write(
        &self,
        header: &ZoneHeader,
        rest: &[AtomicU128],
        patience: &Patience,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Written>, FileError> {
        let ZoneHeader {
            identity, counters, ..
        } = header;
        let lock = self.file.lock(patience, is_stopped);
        let lock = lock.map_err(FileError::Write)?;
        let head = SnapshotHeader {
            sip_keys: identity.sip_keys(),
            epoch: identity.epoch(),
            written: self.now,
        };
        let table = header.table(rest).with_zone_limits(self.limits);

        let mut found = FoundFile::default();
        let stamp = self.file.stamp().map_err(FileError::Read)?;
        let known = self.known.filter(|known| stamp == Some(known.stamp));
        // Another process that has the same table may have written it.
        let is_known = stamp.is_none() && self.known.is_none() || is_from(header, stamp);
        let is_known = is_known || known.is_some();
        if known.is_none_or(|known| known.has_unknown) {
            found = find_locked(&self.file, &lock)?;
        }
        if let Some(checked) = found.checked.as_ref().filter(|_| !is_known) {
            // Of an nginx that has not changed the key yet: they are found by that one, too.
            let before = header.previous.at(head.tick()).map(|(keys, _)| keys);
            let found = [Some(head.sip_keys), before, self.old_key];
            if !found.contains(&Some(checked.sip_keys())) {
                return Err(FileError::OtherTable);
            }
            let table = table.with_usable_servers(&self.usable);
            checked.merge_into(&table, head.epoch, &self.limits, self.now)?;
        }

        let other = found.checked.filter(|other| other.found.has_unknown);
        let mut unread = None;
        let replaced = lock.replace(self.owner, |file| {
            let mut writer = SnapshotWriter::new(Stoppable { file, is_stopped }, &head)?;
            self.put(&mut writer, &table, &head)?;
            for drain in &self.drains {
                writer.drain(drain)?;
            }
            if let Some((sip_keys, until)) = header.previous.at(head.tick()) {
                let left = until.saturating_sub(head.tick());
                writer.key_before(&KeyBefore {
                    sip_keys,
                    until: self.now.wall.saturating_add(left.into()),
                })?;
            }
            if let Some(other) = &other {
                match other.reader().map(|reader| writer.keep(reader)) {
                    Ok(Ok(())) => {}
                    Ok(Err(KeepError::Write(error))) => return Err(error),
                    Ok(Err(KeepError::Read(error))) => unread = Some(FileError::unread(error)),
                    Err(error) => unread = Some(error),
                }
                if unread.is_some() {
                    return Err(ErrorKind::InvalidData.into());
                }
            }
            writer.finish().map(drop)
        });
        let stamp = match (replaced, unread) {
            (Ok(stamp), _) => stamp,
            (Err(_), Some(unread)) => return Err(unread),
            (Err(error), None) => return Err(FileError::Write(error)),
        };
        counters.state_written.store(stamp.digest(), Relaxed);
        let has_unknown = other.is_some();
        Ok(Some(Written {
            file: KnownFile { stamp, has_unknown },
            refused: found.refused,
        }))
    }

    /// Writes the servers and the live sessions of the table.
    ///
    /// A session that another worker is moving within the table may be missed, and so is one of a
    /// server that is registered meanwhile. They are in the next file, and in the last one, which is
    /// written when no worker is left.
    fn put(
        &self,
        writer: &mut SnapshotWriter<impl Write>,
        table: &Table<'_>,
        head: &SnapshotHeader,
    ) -> io::Result<()> {
        // Its pages need not exist for that.
        let Some(registry) = table.registry().filter(|_| !table.is_unused()) else {
            return Ok(());
        };
        let now = head.tick();
        let mut servers: Vec<Option<Registration>> = vec![None; registry.capacity()];
        for server in registry.in_use() {
            let place = servers.get_mut(server.number.get() as usize);
            if let (Some(place), Some(fingerprint)) = (place, server.fingerprint()) {
                *place = Some(server);
                writer.server(server.number, fingerprint)?;
            }
        }
        for (key, session) in table.sessions() {
            let server = servers.get(session.peer.get() as usize).copied().flatten();
            let is_known = server.is_some_and(|server| registry.is_current(&server));
            if is_known && self.limits.is_live(&session, now) {
                writer.session(Word::new(key, &session))?;
            }
        }
        Ok(())
    }
}

/// Whether the file was written from the table of that zone.
pub fn is_from(header: &ZoneHeader, stamp: Option<Stamp>) -> bool {
    let written = header.counters.state_written.load(Relaxed);
    stamp.is_some_and(|stamp| stamp.digest() == written)
}

/// A file whose writing can be stopped.
struct Stoppable<'f> {
    file: &'f mut File,
    is_stopped: &'f dyn Fn() -> bool,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.is_stopped)() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
