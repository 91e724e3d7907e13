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
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
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

mod directory;
mod file;
mod transfer;

pub use file::StateFile;
pub use transfer::{CheckedFile, FileError};

use directory::{Directory, Patience};
use transfer::{FoundFile, KnownFile, RefusedFile, WriteJob, Written};

/// Seconds between two writes.
const INTERVAL: u64 = 60;

/// Seconds between two writes while another process writes the file, too, and after a failed write.
const SHORT_INTERVAL: u64 = 1;

/// At most 1 / `TIME_SHARE` of the time is spent on writing, however many files there are.
const TIME_SHARE: u32 = 20;

/// How many files are looked at in a second, in case another process has written them.
const LOOKS_AT_ONCE: usize = 64;

/// How long the thread waits for locks before it gives up until the next time: longer than another
/// nginx takes to write any file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// How long nginx waits for locks, in all, when it starts and when it ends: a stranger may have them.
const START_OR_END_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a worker does at its end. The master writes the files again.
const WORKER_LOCK_TIMEOUT: Duration = Duration::from_millis(500);

type Outcome = Result<Option<Written>, FileError>;

/// The time now, by both clocks.
pub fn now() -> Moment {
    Moment {
        monotonic: monotonic_seconds(),
        wall: unix_seconds().try_into().unwrap_or_default(),
    }
}

/// What the state files of a configuration have in common: one thread writes them, one after the
/// other.
pub struct Writer {
    /// The writing under way.
    batch: RefCell<Option<Batch>>,
    /// When the latest one began, in seconds of the monotonic clock.
    began: Cell<Option<u64>>,
    /// How long it took.
    took: Cell<Duration>,
    /// The index of the zone whose file is looked at first.
    turn: Cell<usize>,
    /// For the locks of all files while nginx starts.
    start_patience: Patience,
}

/// The writing of several files.
struct Batch {
    task: BackgroundTask<(Vec<Outcome>, Duration)>,
    /// The indices of the zones.
    zones: Vec<usize>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            batch: RefCell::new(None),
            began: Cell::new(None),
            took: Cell::new(Duration::ZERO),
            turn: Cell::new(0),
            start_patience: Patience::new(START_OR_END_LOCK_TIMEOUT),
        }
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
}

impl Snapshot {
    /// A zone is kept in `file`.
    pub fn new(file: StateFile, writer: Rc<Writer>) -> Self {
        Self {
            file,
            writer,
            last_known: Cell::new(None),
            write_began: Cell::new(None),
        }
    }

    /// The file.
    pub fn file(&self) -> &StateFile {
        &self.file
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
        let found = transfer::find(&self.file, &self.writer.start_patience);
        let read = found.and_then(|FoundFile { checked, refused }| {
            if let Some(refused) = refused {
                self.log_refused(zone, &refused);
            }
            let Some(checked) = checked else {
                return Ok(());
            };
            self.last_known.set(Some(checked.known()));
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
        if cycle::is_draining() && !is_alone_with(zone) {
            return false;
        }
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

    fn is_foreign(&self) -> bool {
        let stamp = self.file.stamp();
        stamp.is_ok_and(|stamp| stamp != self.last_known.get().map(|known| known.stamp))
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

    fn end<T: Adopt>(&self, zone: &Zone<T>, outcome: Outcome) {
        let written = match outcome {
            Ok(Some(written)) => written,
            Ok(None) => return,
            Err(error) => return self.log_error(zone, &error),
        };
        self.last_known.set(Some(written.file));
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

fn split<T: Adopt>(zone: &Zone<T>) -> Option<(&ZoneHeader, &[AtomicU128])> {
    zone.split()
}

/// Whether a table that only draining workers still use has changed since it was last written.
pub fn is_alone_with<T: Adopt>(zone: &Zone<T>) -> bool {
    split(zone).is_some_and(
        |(
            ZoneHeader {
                identity, counters, ..
            },
            _,
        )| {
            identity.is_replaced() && counters.changes() != counters.saved_changes.load(Relaxed)
        },
    )
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

/// Called once a second with all such zones of a configuration, in the worker that does the
/// housekeeping and in draining ones: writes the files that are due.
pub fn tick<T: Adopt>(kept: &[KeptZone<'_, T>]) {
    let Some(writer) = kept.first().map(|first| &first.snapshot.writer) else {
        return;
    };
    match writer.batch.take() {
        Some(batch) if batch.task.is_finished() => writer.end(batch, kept),
        Some(batch) => {
            writer.batch.replace(Some(batch));
            return;
        }
        None => {}
    }
    let now = monotonic_seconds();
    if writer.is_resting(now) {
        return;
    }
    let due = writer.due(kept, now);
    if !due.is_empty() {
        writer.start(kept, due, now);
    }
}

impl Writer {
    fn is_resting(&self, now: u64) -> bool {
        let rest = (self.took.get() * TIME_SHARE).as_secs();
        self.began.get().is_some_and(|began| now < began + rest)
    }

    /// The indices of the zones whose files are to be written.
    fn due<T: Adopt>(&self, kept: &[KeptZone<'_, T>], now: u64) -> Vec<usize> {
        let (mut looks, mut next) = (0, None);
        let turn = self.turn.get().checked_rem(kept.len()).unwrap_or_default();
        let all = kept.iter().enumerate();
        let in_turn = all.clone().skip(turn).chain(all.take(turn));
        let due = in_turn.filter(|(index, KeptZone { zone, snapshot, .. })| {
            snapshot.is_due(zone, now, || {
                if looks == LOOKS_AT_ONCE {
                    next.get_or_insert(*index);
                    return false;
                }
                looks += 1;
                snapshot.is_foreign()
            })
        });
        let due = due.map(|(index, _)| index).collect();
        self.turn.set(next.unwrap_or(turn));
        due
    }

    fn start<T: Adopt>(&self, kept: &[KeptZone<'_, T>], due: Vec<usize>, now: u64) {
        self.began.set(Some(now));
        let due_zones = || due.iter().filter_map(|index| kept.get(*index));
        let mut jobs = Vec::new();
        for KeptZone {
            snapshot, limits, ..
        } in due_zones()
        {
            snapshot.write_began.set(Some(now));
            jobs.push(snapshot.job(*limits, None, cycle::is_draining()));
        }
        let zones: Vec<_> = due_zones().map(|kept| kept.zone).collect();
        let started = Zone::task(&zones, move |tables: &[(&ZoneHeader, &[AtomicU128])]| {
            let begun = Instant::now();
            let patience = Patience::new(LOCK_TIMEOUT);
            let is_stopped = background_task::is_stopped;
            let written = jobs.iter().zip(tables).map(|(job, (header, words))| {
                if is_stopped() {
                    return Ok(None);
                }
                job.write(header, words, &patience, is_stopped)
            });
            (written.collect(), begun.elapsed())
        });
        match started {
            Some(Ok(task)) => drop(self.batch.replace(Some(Batch { task, zones: due }))),
            Some(Err(error)) => {
                let why = error.to_string();
                for KeptZone { zone, snapshot, .. } in due_zones() {
                    let error = io::Error::new(error.kind(), why.clone());
                    snapshot.end(zone, Err(FileError::Write(error)));
                }
            }
            None => {}
        }
    }

    fn end<T: Adopt>(&self, batch: Batch, kept: &[KeptZone<'_, T>]) {
        let (outcomes, took) = batch.task.outcome().unwrap_or_else(|Panicked| {
            let error = |_: &usize| Err(FileError::Write(io::Error::other("a panic")));
            (batch.zones.iter().map(error).collect(), Duration::ZERO)
        });
        self.took.set(took);
        for (index, outcome) in batch.zones.into_iter().zip(outcomes) {
            if let Some(KeptZone { zone, snapshot, .. }) = kept.get(index) {
                snapshot.end(zone, outcome);
            }
        }
    }
}

/// Which process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The last one.
    Nginx,
    /// The worker that writes all files. The master goes on.
    FirstWorker,
    /// A worker that writes only the files of tables that no other process has, if the table has
    /// changed since it was last written.
    Worker,
}

/// Writes the files once more, in a process that is about to end.
pub fn finish<T: Adopt>(
    kept: &[KeptZone<'_, T>],
    owner: Option<(u32, u32)>,
    ending: Ending,
    is_stopped: fn() -> bool,
) {
    let patience = Patience::new(match ending {
        Ending::Nginx => START_OR_END_LOCK_TIMEOUT,
        Ending::FirstWorker | Ending::Worker => WORKER_LOCK_TIMEOUT,
    });
    for KeptZone {
        zone,
        snapshot,
        limits,
    } in kept
    {
        drop(snapshot.writer.batch.take());
        let Some((header, words)) = split(zone) else {
            continue;
        };
        let changes_only = ending == Ending::Worker;
        // A file that is there is as good as one without a session.
        let is_idle = || {
            header.counters.is_unused() && snapshot.file.stamp().is_ok_and(|file| file.is_some())
        };
        if changes_only && !is_alone_with(zone) || is_idle() {
            continue;
        }
        let job = snapshot.job(*limits, owner, changes_only);
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
