//! From a state file to a session table and back: what is read when nginx starts, and what is
//! written, merged with what another process has written meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::snapshot::{
    self, Moment, SnapshotError, SnapshotHeader, SnapshotReader, TickShift,
};
use sticky_core::table::{tick_at, Key, Limits, Merged, Session, Table, Word, ZoneHeader};

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
    head: SnapshotHeader,
}

impl CheckedFile {
    /// Which file it is.
    pub fn stamp(&self) -> Stamp {
        self.file.stamp()
    }

    /// The SipHash key of its sessions.
    pub fn sip_keys(&self) -> (u64, u64) {
        self.head.sip_keys
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
        let (epoch, shift) = self.head.resume(now);
        init(epoch);
        let now = tick_at(epoch, now.monotonic);
        table.restore(|take| {
            self.each(shift, |key, session| {
                if limits.is_live(session, now) {
                    take(key, session);
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
        let shift = self.head.shift_into(epoch, now);
        let now = tick_at(epoch, now.monotonic);
        let mut is_roomy = true;
        self.each(shift, |key, session| {
            let merged = table.merge(key, session, limits, now, is_roomy);
            // Once a full search has found no room, another one for each session would take minutes.
            is_roomy &= merged != Merged::Full;
        })
    }

    fn each(&self, shift: TickShift, mut take: impl FnMut(Key, &Session)) -> Result<(), FileError> {
        let bytes = self.file.bytes().map_err(FileError::Read)?;
        for word in SnapshotReader::open(bytes).map_err(FileError::unread)? {
            let word = word.map_err(FileError::unread)?;
            if let Some((key, session)) = shift.session(word) {
                take(key, &session);
            }
        }
        Ok(())
    }
}

/// What was found at the place of the file.
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
        Ok((head, _)) => Ok(Ok(Some(CheckedFile { file, head }))),
        Err(SnapshotError::Input(error)) => Err(FileError::Read(error)),
        Err(why) => Ok(Err(why)),
    }
}

/// One writing of the file.
#[derive(Clone)]
pub struct WriteJob {
    /// The file.
    pub file: StateFile,
    /// The file as this process has last read or written it.
    pub known: Option<Stamp>,
    /// The longest limits of any session in the table.
    pub limits: Limits,
    /// The time now.
    pub now: Moment,
    /// User and group that the file is to have.
    pub owner: Option<(u32, u32)>,
    /// Skip it when another process has written these changes meanwhile.
    pub changes_only: bool,
}

/// Outcome of a writing.
pub struct Written {
    /// Identifies the new file.
    pub stamp: Stamp,
    /// The file that was there and was refused.
    pub refused: Option<RefusedFile>,
}

impl WriteJob {
    /// Writes the file. If another process has written it since, its sessions are merged into the
    /// table first. May take long, and ends early when `is_stopped`. `None`: nothing was written.
    pub fn write(
        &self,
        header: &ZoneHeader,
        words: &[AtomicU128],
        patience: &Patience,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Option<Written>, FileError> {
        let written = self.merge_and_write(header, words, patience, &is_stopped);
        match written {
            Err(FileError::Write(_)) if is_stopped() => Ok(None),
            written => written,
        }
    }

    fn merge_and_write(
        &self,
        ZoneHeader { identity, counters }: &ZoneHeader,
        words: &[AtomicU128],
        patience: &Patience,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Written>, FileError> {
        let lock = self.file.lock(patience, is_stopped);
        let lock = lock.map_err(FileError::Write)?;
        let changes = counters.changes();
        if self.changes_only && changes == counters.saved_changes.load(Relaxed) {
            return Ok(None);
        }
        let head = SnapshotHeader {
            sip_keys: identity.sip_keys(),
            epoch: identity.epoch(),
            written: self.now,
        };
        let table = Table::new(words, counters).with_zone_limits(self.limits);

        let mut refused = None;
        if self.file.stamp().map_err(FileError::Read)? != self.known {
            let found = find_locked(&self.file, &lock)?;
            refused = found.refused;
            if let Some(checked) = found.checked {
                if checked.sip_keys() != head.sip_keys {
                    return Err(FileError::OtherTable);
                }
                checked.merge_into(&table, head.epoch, &self.limits, self.now)?;
            }
        }

        let now = head.tick();
        // A session that another worker is moving within the table may be missed. It is in the next
        // file, and in the last one, which is written when no worker is left.
        // Its pages need not exist for that.
        let walked = if counters.is_unused() { 0 } else { words.len() };
        let live = table
            .sessions()
            .take(walked)
            .filter(|(_, session)| self.limits.is_live(session, now))
            .map(|(key, session)| Word::new(key, &session));
        let replaced = lock.replace(self.owner, |file| {
            snapshot::write(Stoppable { file, is_stopped }, &head, live).map(drop)
        });
        let stamp = replaced.map_err(FileError::Write)?;
        counters.saved_changes.store(changes, Relaxed);
        Ok(Some(Written { stamp, refused }))
    }
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
