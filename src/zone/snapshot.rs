//! `state=FILE`: when the session table of a zone is read from its file and written to it.
//!
//! A table that is new in this nginx starts with the sessions of the file. From then on worker 0
//! writes the file every minute, in a thread, because disks are slow. It also checks whether another
//! process has written it: during an upgrade of the binary two nginx run side by side, each with a
//! table of its own, and exchange sessions through the file. Draining workers do the same when a
//! reload has given the new workers a zone of another size. The last write is the master's, when
//! nginx ends.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;
use sticky_core::snapshot::Moment;
use sticky_core::table::{Limits, ZoneHeader};

use crate::ngx::background_task::{self, BackgroundTask, Panicked};
use crate::ngx::clock::{monotonic_seconds, unix_seconds};
use crate::ngx::cycle;
use crate::ngx::log::Level;
use crate::ngx::shm::{Adopt, Zone};

mod file;
mod transfer;

pub use file::StateFile;
pub use transfer::{CheckedFile, FileError};

use file::Stamp;
use transfer::{FoundFile, RefusedFile, WriteJob, Written};

/// Seconds between two writes.
const INTERVAL: u64 = 60;

/// Seconds between two writes while another process writes the file, too, and after a failed write.
const SHORT_INTERVAL: u64 = 1;

/// At most 1 / `TIME_SHARE` of the time is spent on writing.
const TIME_SHARE: u32 = 20;

/// Result of a write, and how long it took.
type Outcome = (Result<Option<Written>, FileError>, Duration);

fn timed(write: impl FnOnce() -> Result<Option<Written>, FileError>) -> Outcome {
    let begun = Instant::now();
    (write(), begun.elapsed())
}

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
    /// The file as this process has last read or written it.
    last_known: Cell<Option<Stamp>>,
    /// The write under way.
    task: RefCell<Option<BackgroundTask<Outcome>>>,
    /// When the latest write began, in seconds of the monotonic clock.
    write_began: Cell<Option<u64>>,
    /// How long it took.
    write_took: Cell<Duration>,
    /// The last error logged, to avoid repeats.
    logged_error: RefCell<Option<String>>,
}

impl Snapshot {
    /// A zone is kept in `file`.
    pub fn new(file: StateFile) -> Self {
        Self {
            file,
            last_known: Cell::new(None),
            task: RefCell::new(None),
            write_began: Cell::new(None),
            write_took: Cell::new(Duration::ZERO),
            logged_error: RefCell::new(None),
        }
    }

    /// The file.
    pub fn file(&self) -> &StateFile {
        &self.file
    }

    /// Reads the file for a new table, if there is a usable one. `fill` puts its sessions into the
    /// table and returns their number.
    pub fn read_into<T: Adopt>(
        &self,
        zone: &Zone<T>,
        fill: impl FnOnce(CheckedFile) -> Result<usize, FileError>,
    ) {
        let found = transfer::find(&self.file).and_then(|FoundFile { checked, refused }| {
            if let Some(refused) = refused {
                self.log_refused(zone, &refused);
            }
            let Some(checked) = checked else {
                return Ok(());
            };
            self.last_known.set(Some(checked.stamp()));
            let count = fill(checked)?;
            self.log(
                zone,
                Level::Notice,
                format_args!("is read, {count} sessions"),
            );
            Ok(())
        });
        if let Err(error) = found {
            self.log_error(zone, &error);
        }
    }

    /// Called once a second, in the worker that does the housekeeping and in draining ones: writes the
    /// file when that is due.
    pub fn tick<T: Adopt>(&self, zone: &Zone<T>, limits: Limits) {
        match self.task.take() {
            Some(task) if task.is_finished() => {
                let panicked = |Panicked| {
                    let error = FileError::Write(io::Error::other("a panic"));
                    (Err(error), Duration::ZERO)
                };
                self.end(zone, task.outcome().unwrap_or_else(panicked));
            }
            Some(task) => {
                self.task.replace(Some(task));
                return;
            }
            None => {}
        }
        let now = monotonic_seconds();
        if !self.is_due(zone, now) {
            return;
        }
        self.write_began.set(Some(now));
        let job = self.job(limits, None, cycle::is_draining());
        let started = zone.task(move |header: &ZoneHeader, words: &[AtomicU128]| {
            timed(|| job.write(header, words, background_task::is_stopped))
        });
        match started {
            Some(Ok(task)) => drop(self.task.replace(Some(task))),
            Some(Err(error)) => self.end(zone, (Err(FileError::Write(error)), Duration::ZERO)),
            None => {}
        }
    }

    fn is_due<T: Adopt>(&self, zone: &Zone<T>, now: u64) -> bool {
        if cycle::is_draining() && !self.is_alone_with(zone) {
            return false;
        }
        let Some(began) = self.write_began.get() else {
            return true;
        };
        // While two processes write one file, each answers the other at once.
        let is_foreign = || {
            let stamp = self.file.stamp();
            stamp.is_ok_and(|stamp| stamp != self.last_known.get())
        };
        let interval =
            if cycle::is_draining() || self.logged_error.borrow().is_some() || is_foreign() {
                SHORT_INTERVAL
            } else {
                INTERVAL
            };
        now >= began + interval.max((self.write_took.get() * TIME_SHARE).as_secs())
    }

    /// Whether a table that only draining workers still use has changed since it was last written.
    pub fn is_alone_with<T: Adopt>(&self, zone: &Zone<T>) -> bool {
        zone.split::<ZoneHeader, AtomicU128>().is_some_and(
            |(ZoneHeader { identity, counters }, _)| {
                identity.is_replaced() && counters.changes() != counters.saved_changes.load(Relaxed)
            },
        )
    }

    /// Writes the file once more, in a process that is about to end; with `changes_only` only if the
    /// table has changed since it was last written.
    pub fn finish<T: Adopt>(
        &self,
        zone: &Zone<T>,
        limits: Limits,
        owner: Option<(u32, u32)>,
        changes_only: bool,
        is_stopped: fn() -> bool,
    ) {
        drop(self.task.take());
        if let Some((header, words)) = zone.split::<ZoneHeader, AtomicU128>() {
            let job = self.job(limits, owner, changes_only);
            self.end(zone, timed(|| job.write(header, words, is_stopped)));
        }
    }

    fn job(&self, limits: Limits, owner: Option<(u32, u32)>, changes_only: bool) -> WriteJob {
        WriteJob {
            file: self.file.clone(),
            known: self.last_known.get(),
            limits,
            now: now(),
            owner,
            changes_only,
        }
    }

    fn end<T: Adopt>(&self, zone: &Zone<T>, (outcome, took): Outcome) {
        self.write_took.set(took);
        let written = match outcome {
            Ok(Some(written)) => written,
            Ok(None) => return,
            Err(error) => return self.log_error(zone, &error),
        };
        self.last_known.set(Some(written.stamp));
        if let Some(refused) = written.refused {
            self.log_refused(zone, &refused);
        }
        if self.logged_error.take().is_some() {
            self.log(zone, Level::Notice, format_args!("is written again"));
        }
    }

    /// Logs an error, unless it was the last one logged.
    fn log_error<T: Adopt>(&self, zone: &Zone<T>, error: &FileError) {
        let text = error.to_string();
        if self.logged_error.borrow().as_ref() != Some(&text) {
            self.log(zone, Level::Error, format_args!("{text}"));
            self.logged_error.replace(Some(text));
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
