//! What an operator does with all sessions of a server, or with a part of them: at once in a small
//! table, in a thread in a large one.

use std::thread;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;
use sticky_core::table::bulk::{change_part, Bulk, Part};
use sticky_core::table::{tick_at, Limits, ZoneHeader};

use crate::ngx::background_task::{self, BackgroundTask};
use crate::ngx::clock::monotonic_seconds;

use super::cluster::Noted;
use super::succession;
use super::table_zone::{table_of, TableZone};

/// A table of so many words is changed at once: in three milliseconds, if all of it moves.
const SMALL: usize = 1 << 14;

/// And in so many passes over it, one for each number of the server: a name may have many addresses.
const FEW: usize = 16;

/// How long a thread waits for the journal at a time: not for ever, as the store may be away.
const PATIENCE: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(2);

/// Work that was begun.
pub enum Begun {
    /// It is done: so many sessions were changed.
    Done(usize),
    /// A thread does it, and tells how many.
    Running(BackgroundTask<usize>),
}

/// Changes parts of the sessions in a zone, those of one server under each of its numbers. `None`: there
/// is no table, or no thread.
/// Other nginx are told where that is `noted`.
pub fn begin(
    zone: &TableZone,
    parts: Vec<Part>,
    bulk: Bulk,
    limits: Limits,
    noted: Option<&Noted<'_>>,
) -> Option<Begun> {
    let (header, rest) = zone.split::<ZoneHeader, AtomicU128>()?;
    if rest.len() <= SMALL && parts.len() <= FEW && zone.replaced().is_empty() {
        let table = table_of((header, rest), zone.conf().longest.get());
        let table = table.with_journal(noted.and_then(|noted| noted.journal((header, rest))));
        let now = tick_at(header.identity.epoch(), monotonic_seconds());
        let count = |part| change_part(&table, None, part, &bulk, (&limits, now), &|| false);
        return Some(Begun::Done(parts.iter().map(count).sum()));
    }
    let task = succession::task(
        zone,
        noted.map(|it| (it.zone, it.scope)),
        move |table, before, epoch| {
            let now = tick_at(epoch, monotonic_seconds());
            let stopped = &|| {
                // What is noted goes to the store first.
                let is_crowded = || table.journal().is_some_and(|it| it.journal().is_crowded());
                let end = Instant::now() + PATIENCE;
                while is_crowded() && !background_task::is_stopped() && Instant::now() < end {
                    thread::sleep(NAP);
                }
                background_task::is_stopped()
            };
            let count = |part| change_part(table, before, part, &bulk, (&limits, now), stopped);
            parts.iter().map(count).sum()
        },
    );
    task?.ok().map(Begun::Running)
}
