//! `state=FILE`: when the session table of a zone is read from its file and written to it.
//!
//! A table that is new in this nginx starts with the sessions of the file. From then on worker 0
//! writes the file every minute, in a thread, because disks are slow. It also checks whether another
//! process has written it, from another table: during an upgrade of the binary two nginx run side by
//! side, and where one cannot use the other's table, they exchange sessions through the file. The last
//! write is the master's, when nginx ends.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use portable_atomic::AtomicU128;
use sticky_core::counters::KeptDrain;
use sticky_core::snapshot::Moment;
use sticky_core::table::{Limits, UsableServers, ZoneHeader};

use crate::ngx::clock::{monotonic_seconds, unix_seconds};
use crate::ngx::log::Level;
use crate::ngx::shm::{Adopt, Zone};

mod directory;
mod file;
mod transfer;
mod writer;

pub use file::StateFile;
pub use transfer::{CheckedFile, FileError};
pub use writer::{tick, Writer};

use directory::{Directory, Patience};
use transfer::{is_from, FoundFile, KnownFile, RefusedFile, WriteJob, Written};

/// Seconds between two writes.
const INTERVAL: u64 = 60;

/// Seconds between two writes while another process writes the file, too, and after a failed write.
const SHORT_INTERVAL: u64 = 1;

/// How long nginx waits for locks, in all, when it starts and when it ends: a stranger may have them.
const START_OR_END_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a worker does at its end. The master writes the files again.
const WORKER_LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// What became of a writing. `None`: it was not needed.
type Outcome = Result<Option<Written>, FileError>;

/// What a process knows of the servers that have sessions in a zone.
#[derive(Default)]
pub struct KnownServers {
    /// Those that can be used now.
    pub usable: UsableServers,
    /// Those that get no new sessions.
    pub drains: Vec<KeptDrain>,
}

/// What this process knows of the servers that have sessions in the zone of a name.
pub type Usable<'f> = &'f dyn Fn(&[u8]) -> KnownServers;

/// The time now, by both clocks.
pub fn now() -> Moment {
    Moment {
        monotonic: monotonic_seconds(),
        wall: unix_seconds().try_into().unwrap_or_default(),
    }
}

/// The state file of a zone, and what this process has done with it.
pub struct Snapshot {
    file: StateFile,
    writer: Rc<Writer>,
    /// The file as this process has last read or written it.
    last_known: Cell<Option<KnownFile>>,
    /// When the latest write began, in seconds of the monotonic clock.
    write_began: Cell<Option<u64>>,
    /// A SipHash key that the table had before, or that other nginx still have, by the configuration.
    old_key: Cell<Option<(u64, u64)>>,
}

impl Snapshot {
    /// A zone is kept in `file`.
    pub fn new(file: StateFile, writer: Rc<Writer>) -> Self {
        Self {
            file,
            writer,
            last_known: Cell::new(None),
            write_began: Cell::new(None),
            old_key: Cell::new(None),
        }
    }

    /// The file.
    pub fn file(&self) -> &StateFile {
        &self.file
    }

    /// Sessions under this key are found in the table, too.
    pub fn set_old_key(&self, key: Option<(u64, u64)>) {
        self.old_key.set(key);
    }

    /// What writes it.
    pub fn writer(&self) -> &Rc<Writer> {
        &self.writer
    }

    /// Reads the file for a new table, if there is a usable one. `fill` puts its sessions into the
    /// table and returns their number.
    pub fn read_into<T: Adopt>(
        &self,
        zone: &Zone<T>,
        fill: impl FnOnce(CheckedFile) -> Result<usize, FileError>,
    ) {
        let found = transfer::find(&self.file, self.writer.start_patience());
        let read = found.and_then(|FoundFile { checked, refused }| {
            if let Some(refused) = refused {
                self.log_refused(zone, &refused);
            }
            let Some(checked) = checked else {
                return Ok(());
            };
            let known = checked.known();
            self.last_known.set(Some(known));
            note_written(zone, known);
            let count = fill(checked)?;
            self.log(
                zone,
                Level::Notice,
                format_args!("is read, {count} sessions"),
            );
            Ok(())
        });
        if let Err(error) = read {
            self.log_error(zone, &error);
        }
    }

    /// Whether the file is to be written now. Asks `is_foreign`, whether another process has written
    /// it, only if that decides.
    fn is_due<T: Adopt>(
        &self,
        zone: &Zone<T>,
        now: u64,
        is_foreign: impl FnOnce() -> bool,
    ) -> bool {
        let (Some(began), Some((header, _))) = (self.write_began.get(), split(zone)) else {
            return true;
        };
        if now < began + SHORT_INTERVAL {
            return false;
        }
        let is_troubled = header.counters.state_error.load(Relaxed) != 0;
        let has_news = now >= began + INTERVAL && !header.counters.is_unused();
        // While two processes write one file, each answers the other at once.
        is_troubled || has_news || is_foreign()
    }

    /// Whether another process has written the file, from another table.
    fn is_foreign<T: Adopt>(&self, zone: &Zone<T>) -> bool {
        let last_known = self.last_known.get().map(|known| known.stamp);
        let is_ours = |stamp| split(zone).is_some_and(|(header, _)| is_from(header, stamp));
        let stamp = self.file.stamp();
        stamp.is_ok_and(|stamp| stamp != last_known && !is_ours(stamp))
    }

    fn job(&self, limits: Limits, owner: Option<(u32, u32)>, known: KnownServers) -> WriteJob {
        WriteJob {
            file: self.file.clone(),
            known: self.last_known.get(),
            limits,
            now: now(),
            owner,
            usable: known.usable,
            old_key: self.old_key.get(),
            drains: known.drains,
        }
    }

    fn end<T: Adopt>(&self, zone: &Zone<T>, outcome: Outcome) {
        let written = match outcome {
            Ok(Some(written)) => written,
            Ok(None) => return,
            Err(error) => return self.log_error(zone, &error),
        };
        self.last_known.set(Some(written.file));
        note_written(zone, written.file);
        if let Some(refused) = written.refused {
            self.log_refused(zone, &refused);
        }
        let logged = split(zone).map(|(header, _)| header.counters.state_error.swap(0, Relaxed));
        if logged.is_some_and(|logged| logged != 0) {
            self.log(zone, Level::Error, format_args!("is written again"));
        }
    }

    /// Logs an error, unless it was the last one that any process has logged.
    fn log_error<T: Adopt>(&self, zone: &Zone<T>, error: &FileError) {
        if let Some((header, _)) = split(zone) {
            header.notes.state_errors.fetch_add(1, Relaxed);
        }
        let text = error.to_string();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = hasher.finish().max(1);
        let logged =
            split(zone).map(|(header, _)| header.counters.state_error.swap(digest, Relaxed));
        if logged != Some(digest) {
            self.log(zone, Level::Error, format_args!("{text}"));
        }
    }

    fn log_refused<T: Adopt>(&self, zone: &Zone<T>, RefusedFile { why, kept }: &RefusedFile) {
        let kept = kept.as_os_str().as_bytes().escape_ascii();
        self.log(
            zone,
            Level::Error,
            format_args!("is refused, {why}, kept as \"{kept}\""),
        );
    }

    fn log<T: Adopt>(&self, zone: &Zone<T>, level: Level, what: fmt::Arguments<'_>) {
        zone.log().write(
            level,
            format_args!(
                "sticky: state file \"{}\" {what}, zone \"{}\"",
                self.file.path().as_os_str().as_bytes().escape_ascii(),
                zone.name().escape_ascii()
            ),
        );
    }
}

/// Notes for operators of which time the file is.
fn note_written<T: Adopt>(zone: &Zone<T>, file: KnownFile) {
    if let Some((header, _)) = split(zone) {
        let at = file.stamp.modified_at();
        header.notes.state_written_at.store(at, Relaxed);
    }
}

fn split<T: Adopt>(zone: &Zone<T>) -> Option<(&ZoneHeader, &[AtomicU128])> {
    zone.split()
}

/// A zone with a state file.
pub struct KeptZone<'c, T> {
    /// The zone.
    pub zone: &'c Zone<T>,
    /// Its file.
    pub snapshot: &'c Snapshot,
    /// The longest limits of any session in it.
    pub limits: Limits,
}

/// Which process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The last one.
    Nginx,
    /// The worker that writes all files. The master goes on.
    FirstWorker,
}

/// Writes the files once more, in a process that is about to end.
pub fn finish<T: Adopt>(
    kept: &[KeptZone<'_, T>],
    owner: Option<(u32, u32)>,
    ending: Ending,
    usable: Usable<'_>,
    is_stopped: fn() -> bool,
) {
    let patience = Patience::new(match ending {
        Ending::Nginx => START_OR_END_LOCK_TIMEOUT,
        Ending::FirstWorker => WORKER_LOCK_TIMEOUT,
    });
    for KeptZone {
        zone,
        snapshot,
        limits,
    } in kept
    {
        snapshot.writer.forget();
        let Some((header, words)) = split(zone) else {
            continue;
        };
        // By now its sessions are in the zone that has replaced it, or will be.
        let is_replaced = ending == Ending::FirstWorker && header.identity.is_replaced();
        // A file that is there is as good as one without a session.
        let is_idle = || {
            header.counters.is_unused() && snapshot.file.stamp().is_ok_and(|file| file.is_some())
        };
        if is_replaced || is_idle() {
            continue;
        }
        let job = snapshot.job(*limits, owner, usable(zone.name()));
        let outcome = job.write(header, words, &patience, is_stopped);
        snapshot.end(zone, outcome);
    }
}

/// Warns of directories that `user`, who is not the user of this process, can replace: then it is
/// that user who decides where this process writes.
pub fn warn_of_replaceable<T: Adopt>(kept: &[KeptZone<'_, T>], user: u32, groups: &[u32]) {
    let mut known: Vec<&Directory> = Vec::new();
    for KeptZone { zone, snapshot, .. } in kept {
        let directory = snapshot.file.directory();
        if known.iter().any(|known| known.is(directory)) {
            continue;
        }
        known.push(directory);
        if directory.is_replaceable_by(user, groups) {
            snapshot.log(
                zone,
                Level::Warn,
                format_args!(
                    "is in a directory that the user of the workers can replace: \
                     let root own \"{}\" and what is above",
                    directory.parent().as_os_str().as_bytes().escape_ascii()
                ),
            );
        }
    }
}
