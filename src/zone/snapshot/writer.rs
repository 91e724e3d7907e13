//! The one thread that writes the state files of a configuration, one after the other: which are due,
//! and what it costs in all.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;
use sticky_core::table::ZoneHeader;

use crate::ngx::background_task::{self, BackgroundTask, Panicked};
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::shm::{Adopt, Zone};

use super::directory::Patience;
use super::transfer::FileError;
use super::{KeptZone, Outcome, Usable, START_OR_END_LOCK_TIMEOUT};

/// At most 1 / `TIME_SHARE` of the time is spent on writing, however many files there are.
const TIME_SHARE: u32 = 20;

/// How many files are looked at in a second, in case another process has written them.
const LOOKS_AT_ONCE: usize = 64;

/// How long the thread waits for locks before it gives up until the next time: longer than another
/// nginx takes to write any file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

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

/// Called once a second with all such zones of a configuration, in the worker that does the
/// housekeeping: writes the files that are due.
pub fn tick<T: Adopt>(kept: &[KeptZone<'_, T>], usable: Usable<'_>) {
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
        writer.start(kept, due, usable, now);
    }
}

impl Writer {
    /// For the locks of all files while nginx starts.
    pub(super) fn start_patience(&self) -> &Patience {
        &self.start_patience
    }

    /// The process ends: what is under way does not matter any more.
    pub(super) fn forget(&self) {
        drop(self.batch.take());
    }

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
                snapshot.is_foreign(zone)
            })
        });
        let due = due.map(|(index, _)| index).collect();
        self.turn.set(next.unwrap_or(turn));
        due
    }

    fn start<T: Adopt>(
        &self,
        kept: &[KeptZone<'_, T>],
        due: Vec<usize>,
        usable: Usable<'_>,
        now: u64,
    ) {
        self.began.set(Some(now));
        let due_zones = || due.iter().filter_map(|index| kept.get(*index));
        let mut jobs = Vec::new();
        for KeptZone {
            zone,
            snapshot,
            limits,
        } in due_zones()
        {
            snapshot.write_began.set(Some(now));
            jobs.push(snapshot.job(*limits, None, usable(zone.name())));
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
