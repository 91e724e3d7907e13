//! A zone that has replaced one of another size, until no process is left that has only the old one:
//! which tables a worker uses, and what is done with them beside the requests.

use std::rc::Rc;

use portable_atomic::AtomicU128;
use sticky_core::table::{tick_at, Limits, Predecessor, ZoneHeader};

use crate::ngx::background_task;
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::Level;
use crate::ngx::shm::OldBlock;

use super::table_zone::{parts_of, table_of, Parts, TableZone};

/// What a zone has replaced, if some sessions may stand only there.
pub fn predecessor(zone: &TableZone) -> Option<Predecessor<'_>> {
    let (header, _) = zone.split::<ZoneHeader, AtomicU128>()?;
    let mut before = None;
    for (header, rest) in in_use(header, zone.replaced()).into_iter().rev() {
        let table = table_of((header, rest), zone.conf().longest.get());
        before = Some(Predecessor::new(table, &header.identity, before));
    }
    before
}

/// Of the blocks that a zone has replaced, the latest first, those in which some sessions may stand
/// alone.
fn in_use<'a>(zone: &ZoneHeader, replaced: &'a [Rc<OldBlock>]) -> Vec<Parts<'a>> {
    let mut is_whole = zone.identity.is_whole();
    let mut all = Vec::new();
    for block in replaced {
        // The memory of one that is in use no more may have been freed.
        match parts_of(block).filter(|_| !is_whole) {
            Some(parts) => all.push(parts),
            None => break,
        }
        is_whole = all.last().is_some_and(|it| it.0.identity.is_whole());
    }
    all
}

/// How many of the blocks in use, counted from the oldest, nobody uses who does not know what has
/// replaced them.
fn ended(replaced: &[Rc<OldBlock>]) -> usize {
    let blocks = replaced.iter().rev();
    blocks.take_while(|block| !block.has_users()).count()
}

/// Called once a second in the worker that does the housekeeping: when the processes have ended that
/// have only what the zone has replaced, copies what is missing and frees that.
pub fn tick(zone: &TableZone) {
    // Mostly, and of thousands of zones.
    if zone.replaced().is_empty() {
        return;
    }
    let Some((header, _)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return;
    };
    let moving = &zone.conf().moving;
    match moving.take() {
        Some(task) if task.is_finished() => {
            free_unused(header, zone.replaced());
            if header.identity.is_whole() {
                log_freed(zone);
            }
        }
        Some(task) => drop(moving.replace(Some(task))),
        None => {
            let count = in_use(header, zone.replaced()).len();
            let ended = zone.replaced().get(..count).map_or(0, ended);
            if ended == 0 {
                return;
            }
            let limits = zone.conf().longest.get();
            let started = zone.task_with_replaced(move |tables: &[(&_, &_)]| {
                if let Some(tables) = tables.get(..=count) {
                    collapse(tables, ended, limits, background_task::is_stopped);
                }
            });
            // Without a thread, at another time.
            moving.replace(started.and_then(Result::ok));
        }
    }
}

fn log_freed(zone: &TableZone) {
    zone.log().write(
        Level::Notice,
        format_args!(
            "sticky: the last worker of the configuration before has ended, the memory of its zone \
             of another size is freed, zone \"{}\"",
            zone.name().escape_ascii()
        ),
    );
}

/// Called when a zone is about to be replaced itself: copies and frees what only processes have used
/// that have ended.
pub fn collapse_before(zone: Parts<'_>, replaced: &[Rc<OldBlock>], limits: Option<Limits>) {
    let mut tables = vec![zone];
    tables.extend(in_use(zone.0, replaced));
    let count = tables.len() - 1;
    let ended = replaced.get(..count).map_or(0, ended);
    if ended > 0 {
        collapse(&tables, ended, limits, || false);
        free_unused(zone.0, replaced);
    }
}

/// Called when no worker is left, before the zone is written to its file. Another nginx may go on with
/// what the zone has replaced.
pub fn finish(zone: &TableZone) {
    if let Some(parts) = zone.split::<ZoneHeader, AtomicU128>() {
        collapse_before(parts, zone.replaced(), zone.conf().longest.get());
    }
    let left = zone.replaced().first().filter(|block| block.has_users());
    if let Some((header, _)) = left.and_then(|block| parts_of(block)) {
        header.identity.set_replaced(false);
    }
}

/// Of tables of which each has replaced the next, copies from the last `ended` ones into those before
/// them what is missing there.
fn collapse(
    tables: &[(&ZoneHeader, &[AtomicU128])],
    ended: usize,
    limits: Option<Limits>,
    is_stopped: fn() -> bool,
) {
    let Some(longest) = limits else {
        return;
    };
    for pair in tables.windows(2).rev().take(ended) {
        let [new, old] = pair else { return };
        let identity = &new.0.identity;
        let now = tick_at(identity.epoch(), monotonic_seconds());
        let before = Predecessor::new(table_of(*old, limits), &old.0.identity, None);
        if !before.move_into(&table_of(*new, limits), &longest, now, &is_stopped) {
            return;
        }
        identity.set_whole(true);
    }
}

fn free_unused(zone: &ZoneHeader, replaced: &[Rc<OldBlock>]) {
    let used = in_use(zone, replaced).len();
    replaced.iter().skip(used).for_each(|block| block.free());
}
