//! `state=FILE`: when the session table of a zone is read from a file and written to it.
//!
//! A table that is new in this nginx begins with the file. From then on worker 0 writes it every
//! minute, in a thread, because disks are slow; it also looks whether somebody else has written
//! it: during an upgrade of the binary two nginx serve side by side, each with a table of its own,
//! and learn of each other's sessions through the file. So do workers that end, when a reload has
//! given the new ones a zone of another size. When nginx ends, its master writes last.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;
use sticky_core::snapshot::Moment;
use sticky_core::table::word::Limits;
use sticky_core::table::ZoneHeader;

use crate::ngx::background_task::{self, BackgroundTask, Panicked};
use crate::ngx::clock::{monotonic_seconds, unix_seconds};
use crate::ngx::cycle;
use crate::ngx::log::Level;
use crate::ngx::shm::{Adopt, Zone};

mod exchange;
mod file;

pub use exchange::{Trouble, Whole};
pub use file::StateFile;

use exchange::{Found, Plan, Refused, Written};
use file::Stamp;

/// Seconds between two files.
const INTERVAL: u64 = 60;

/// The same while somebody else writes, or after the file could not be written.
const SHORT_INTERVAL: u64 = 1;

/// At most such a part of the time is spent on writing.
const SHARE: u32 = 20;

/// What writing came to, and how long it took.
type Outcome = (Result<Option<Written>, Trouble>, Duration);

fn timed(write: impl FnOnce() -> Result<Option<Written>, Trouble>) -> Outcome {
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

/// The state file of a zone, and what this process knows of it.
pub struct State {
    file: StateFile,
    known: Cell<Option<Stamp>>,
    task: RefCell<Option<BackgroundTask<Outcome>>>,
    /// When this process began to write it the last time, in seconds of the monotonic clock.
    begun: Cell<Option<u64>>,
    /// How long that took.
    took: Cell<Duration>,
    /// The trouble that the log tells of.
    said: RefCell<Option<String>>,
}

impl State {
    /// The state that is kept in a file.
    pub fn new(file: StateFile) -> Self {
        Self {
            file,
            known: Cell::new(None),
            task: RefCell::new(None),
            begun: Cell::new(None),
            took: Cell::new(Duration::ZERO),
            said: RefCell::new(None),
        }
    }

    /// The file.
    pub fn file(&self) -> &StateFile {
        &self.file
    }

    /// What a new table begins with: the file, if there is one that is whole. `fill` puts it into
    /// the table and tells how many sessions there are.
    pub fn begin<T: Adopt>(
        &self,
        zone: &Zone<T>,
        fill: impl FnOnce(Whole) -> Result<usize, Trouble>,
    ) {
        let found = exchange::find(&self.file).and_then(|Found { whole, refused }| {
            if let Some(refused) = refused {
                self.say_refused(zone, &refused);
            }
            let Some(whole) = whole else { return Ok(()) };
            self.known.set(Some(whole.stamp()));
            let count = fill(whole)?;
            self.log(
                zone,
                Level::Notice,
                format_args!("is read, {count} sessions"),
            );
            Ok(())
        });
        if let Err(trouble) = found {
            self.say(zone, &trouble);
        }
    }

    /// Once a second in the worker that keeps house, or one that ends: writes the file when that is
    /// due.
    pub fn tick<T: Adopt>(&self, zone: &Zone<T>, limits: Limits) {
        match self.task.take() {
            Some(task) if task.is_finished() => {
                let panicked = |Panicked| {
                    let trouble = Trouble::Write(io::Error::other("a panic"));
                    (Err(trouble), Duration::ZERO)
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
        self.begun.set(Some(now));
        let plan = self.plan(limits, None, cycle::is_draining());
        let started = zone.task(move |prelude: &ZoneHeader, words: &[AtomicU128]| {
            timed(|| plan.write(prelude, words, background_task::is_stopped))
        });
        match started {
            Some(Ok(task)) => drop(self.task.replace(Some(task))),
            Some(Err(error)) => self.end(zone, (Err(Trouble::Write(error)), Duration::ZERO)),
            None => {}
        }
    }

    fn is_due<T: Adopt>(&self, zone: &Zone<T>, now: u64) -> bool {
        if cycle::is_draining() && !self.is_alone_with(zone) {
            return false;
        }
        let Some(begun) = self.begun.get() else {
            return true;
        };
        // Two that write one file answer each other, until one of them is gone.
        let is_pressing = || {
            let stamp = self.file.stamp();
            stamp.is_ok_and(|stamp| stamp != self.known.get())
        };
        let interval = if cycle::is_draining() || self.said.borrow().is_some() || is_pressing() {
            SHORT_INTERVAL
        } else {
            INTERVAL
        };
        now >= begun + interval.max((self.took.get() * SHARE).as_secs())
    }

    /// Whether sessions have come to a table that no worker has but those that end, since it was
    /// last written.
    pub fn is_alone_with<T: Adopt>(&self, zone: &Zone<T>) -> bool {
        zone.split::<ZoneHeader, AtomicU128>().is_some_and(
            |(ZoneHeader { header, counters }, _)| {
                header.is_replaced() && counters.changes() != counters.written.load(Relaxed)
            },
        )
    }

    /// Writes the file while nothing else goes on in this process, which ends after that; with
    /// `changes_only` if sessions have come to the table since it was last written.
    pub fn finish<T: Adopt>(
        &self,
        zone: &Zone<T>,
        limits: Limits,
        owner: Option<(u32, u32)>,
        changes_only: bool,
        is_stopped: fn() -> bool,
    ) {
        drop(self.task.take());
        if let Some((prelude, words)) = zone.split::<ZoneHeader, AtomicU128>() {
            let plan = self.plan(limits, owner, changes_only);
            self.end(zone, timed(|| plan.write(prelude, words, is_stopped)));
        }
    }

    fn plan(&self, limits: Limits, owner: Option<(u32, u32)>, changes_only: bool) -> Plan {
        Plan {
            file: self.file.clone(),
            known: self.known.get(),
            limits,
            now: now(),
            owner,
            changes_only,
        }
    }

    fn end<T: Adopt>(&self, zone: &Zone<T>, (outcome, took): Outcome) {
        self.took.set(took);
        let written = match outcome {
            Ok(Some(written)) => written,
            Ok(None) => return,
            Err(trouble) => return self.say(zone, &trouble),
        };
        self.known.set(Some(written.stamp));
        if let Some(refused) = written.refused {
            self.say_refused(zone, &refused);
        }
        if self.said.take().is_some() {
            self.log(zone, Level::Notice, format_args!("is written again"));
        }
    }

    /// Once for each trouble.
    fn say<T: Adopt>(&self, zone: &Zone<T>, trouble: &Trouble) {
        let text = trouble.to_string();
        if self.said.borrow().as_ref() != Some(&text) {
            self.log(zone, Level::Error, format_args!("{text}"));
            self.said.replace(Some(text));
        }
    }

    fn say_refused<T: Adopt>(&self, zone: &Zone<T>, Refused { why, kept }: &Refused) {
        let kept = kept.as_os_str().as_bytes().escape_ascii();
        self.log(
            zone,
            Level::Error,
            format_args!("is refused, {why}, kept as \"{kept}\""),
        );
    }

    fn log<T: Adopt>(&self, zone: &Zone<T>, level: Level, what: std::fmt::Arguments<'_>) {
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
