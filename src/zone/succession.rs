//! A zone that has replaced one of another size, until no process is left that has only the old
//! one: which tables a worker uses, and what is done with them beside the requests.

use std::io;
use std::rc::Rc;

use portable_atomic::AtomicU128;
use sticky_core::cluster::JournalOf;
use sticky_core::table::{tick_at, Limits, Predecessor, Table, ZoneHeader};

use crate::ngx::background_task::{self, BackgroundTask};
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::Level;
use crate::ngx::shm::{Adopt, OldBlock, Zone};

use super::journals::{journal_in, NotedScope};
use super::table_zone::{parts_of, table_of, Parts, TableZone};

/// So many tables of a zone are used at once at most, if workers of as many configurations with
/// other sizes still have requests. The oldest is not asked then.
const MOST_TABLES: usize = 8;

/// Where a table notes what it changes, if other nginx have its sessions, too.
pub type Noting<'n, 'a> = &'n dyn Fn(Parts<'a>) -> Option<JournalOf<'a>>;

/// What a zone has replaced, if some sessions may stand only there.
pub fn predecessor<'a>(zone: &'a TableZone, noting: Noting<'_, 'a>) -> Option<Predecessor<'a>> {
    let (header, _) = zone.split::<ZoneHeader, AtomicU128>()?;
    let used = in_use(header, zone.replaced());
    chain(
        used.into_iter().map(|(_, parts)| parts),
        zone.conf().longest.get(),
        noting,
    )
}

/// The same of what is in the blocks of a zone and of those that it has replaced, the latest first.
pub fn of_parts<'a>(
    zone: Parts<'a>,
    replaced: &[Parts<'a>],
    limits: Option<Limits>,
    noting: Noting<'_, 'a>,
) -> Option<Predecessor<'a>> {
    let mut is_whole = zone.0.identity.is_whole();
    let mut used = Vec::new();
    for parts in replaced {
        if is_whole || !parts.0.identity.is_valid_for(parts.1.len()) {
            break;
        }
        if !parts.0.identity.is_skipped() {
            is_whole = parts.0.identity.is_whole();
            used.push(*parts);
        }
    }
    chain(used.into_iter(), limits, noting)
}

/// Tables of which each has replaced the next, from the latest on.
fn chain<'a>(
    tables: impl DoubleEndedIterator<Item = Parts<'a>>,
    limits: Option<Limits>,
    noting: Noting<'_, 'a>,
) -> Option<Predecessor<'a>> {
    tables.rev().fold(None, |before, (header, rest)| {
        let table = table_of((header, rest), limits).with_journal(noting((header, rest)));
        Some(Predecessor::new(table, &header.identity, before))
    })
}

/// Starts work in a thread on the sessions of a zone: on its table, on what that has replaced, and
/// with its epoch. Both note what they change, where that is `noted`. `None`: the zone does not exist
/// yet.
pub fn task<U: Adopt, R: Send + 'static>(
    zone: &TableZone,
    noted: Option<(&Zone<U>, NotedScope)>,
    work: impl FnOnce(&Table<'_>, Option<&Predecessor<'_>>, u64) -> R + Send + 'static,
) -> Option<io::Result<BackgroundTask<R>>> {
    let (header, _) = zone.split::<ZoneHeader, AtomicU128>()?;
    let limits = zone.conf().longest.get();
    // Behind the zone itself.
    let used = in_use(header, zone.replaced());
    let places: Vec<usize> = used.iter().map(|(place, _)| place + 1).collect();
    let Some((cluster, scope)) = noted else {
        return zone.task_with_replaced(move |tables: &[(&ZoneHeader, &[AtomicU128])]| {
            on_tables(tables, (&places, limits), &|_| None, work)
        });
    };
    zone.task_with_replaced_beside(
        cluster,
        move |tables: &[(&ZoneHeader, &[AtomicU128])], parts| {
            let noting = |table: Parts<'_>| journal_in(parts, scope, table);
            on_tables(tables, (&places, limits), &noting, work)
        },
    )
}

/// Does work on the first of some tables, which those at some places behind it precede.
fn on_tables<'a, R>(
    tables: &[Parts<'a>],
    (places, limits): (&[usize], Option<Limits>),
    noting: Noting<'_, 'a>,
    work: impl FnOnce(&Table<'_>, Option<&Predecessor<'_>>, u64) -> R,
) -> R {
    let at = |place: &usize| tables.get(*place).copied();
    let before = chain(places.iter().filter_map(at), limits, noting);
    // The zone comes first.
    let newest = tables[0];
    let epoch = newest.0.identity.epoch();
    let table = table_of(newest, limits).with_journal(noting(newest));
    work(&table, before.as_ref(), epoch)
}

/// Of the blocks that a zone has replaced, the latest first, those in which some sessions may stand
/// alone, and their places among them.
fn in_use<'a>(zone: &ZoneHeader, replaced: &'a [Rc<OldBlock>]) -> Vec<(usize, Parts<'a>)> {
    let mut is_whole = zone.identity.is_whole();
    let mut all = Vec::new();
    for (place, block) in replaced.iter().enumerate() {
        // The memory of one that is in use no more may have been freed.
        let Some(parts) = parts_of(block).filter(|_| !is_whole) else {
            break;
        };
        if !parts.0.identity.is_skipped() {
            is_whole = parts.0.identity.is_whole();
            all.push((place, parts));
        }
    }
    all
}

/// How many of the blocks in use, counted from the oldest, are the latest that a process knows.
fn ended(replaced: &[Rc<OldBlock>], used: &[(usize, Parts<'_>)]) -> usize {
    let blocks = used
        .iter()
        .rev()
        .filter_map(|(place, _)| replaced.get(*place));
    blocks.take_while(|block| !block.has_users()).count()
}

/// Called once a second in the worker that does the housekeeping: when the processes have ended
/// that have only what the zone has replaced, copies what is missing and frees that.
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
            let used = in_use(header, zone.replaced());
            let ended = ended(zone.replaced(), &used);
            if ended == 0 {
                return;
            }
            let limits = zone.conf().longest.get();
            let places: Vec<usize> = used.iter().map(|(place, _)| place + 1).collect();
            let started = zone.task_with_replaced(move |tables: &[(&_, &_)]| {
                let used = [0].iter().chain(&places);
                let used: Option<Vec<_>> = used.map(|at| tables.get(*at).copied()).collect();
                if let Some(tables) = used {
                    collapse(&tables, ended, limits, background_task::is_stopped);
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

/// Called when a zone is about to be replaced itself: copies and frees what only processes have
/// used that have ended.
pub fn collapse_before(zone: Parts<'_>, replaced: &[Rc<OldBlock>], limits: Option<Limits>) {
    let used = in_use(zone.0, replaced);
    let ended = ended(replaced, &used);
    if ended > 0 {
        let mut tables = vec![zone];
        tables.extend(used.into_iter().map(|(_, parts)| parts));
        collapse(&tables, ended, limits, || false);
        free_unused(zone.0, replaced);
    }
}

/// What a new zone is to ask besides its own table.
pub struct Needed {
    /// Of the blocks that it has replaced, those that are in use, the latest first.
    pub blocks: Vec<Rc<OldBlock>>,
    /// Some of them could not be kept, although workers have them alone.
    pub is_cut: bool,
}

/// Called when a new zone has replaced the first of these blocks, which is a valid zone. Tables in
/// between that no process has as its latest are passed over from now on.
pub fn needed(replaced: &[Rc<OldBlock>], limits: Option<Limits>) -> Needed {
    let mut used: Vec<(&Rc<OldBlock>, Parts<'_>)> = Vec::new();
    for block in replaced {
        let is_whole = used.last().is_some_and(|it| it.1 .0.identity.is_whole());
        // One that is not kept apart goes with its zone.
        let parts = parts_of(block).filter(|_| block.is_own() && !is_whole);
        let Some(parts) = parts else { break };
        if !parts.0.identity.is_skipped() {
            used.push((block, parts));
        }
    }
    for at in (1..used.len().saturating_sub(1)).rev() {
        if used.get(at).is_some_and(|it| !it.0.has_users()) && pass_over(&used, at, limits) {
            used.remove(at);
        }
    }
    let is_cut = used.len() >= MOST_TABLES;
    while used.len() >= MOST_TABLES {
        // What it has learned until now.
        move_own(&used, used.len() - 1, limits);
        used.pop();
    }
    Needed {
        blocks: used.into_iter().map(|it| Rc::clone(it.0)).collect(),
        is_cut,
    }
}

/// Has the table at that place passed over. Whether all of it stands in the one that has replaced
/// it.
fn pass_over(used: &[(&Rc<OldBlock>, Parts<'_>)], at: usize, limits: Option<Limits>) -> bool {
    let Some((_, (header, _))) = used.get(at).filter(|_| move_own(used, at, limits)) else {
        return false;
    };
    // Meanwhile a worker may have copied into it what was missing, and have freed what it has
    // replaced.
    if header.identity.skip() {
        move_own(used, at, limits);
    }
    true
}

/// Copies what stands in the table at that place alone into the one that has replaced it.
fn move_own(used: &[(&Rc<OldBlock>, Parts<'_>)], at: usize, limits: Option<Limits>) -> bool {
    let tables = used.iter().skip(at).map(|it| it.1);
    let newer = at.checked_sub(1).and_then(|at| used.get(at));
    let (Some(longest), Some(table), Some((_, new))) =
        (limits, chain(tables, limits, &|_| None), newer)
    else {
        return false;
    };
    let now = tick_at(new.0.identity.epoch(), monotonic_seconds());
    table.move_own_into(&table_of(*new, limits), &longest, now, &|| false)
}

/// Called when no worker is left, before the zone is written to its file. Another nginx may go on
/// with what the zone has replaced.
pub fn finish(zone: &TableZone) {
    if let Some(parts) = zone.split::<ZoneHeader, AtomicU128>() {
        collapse_before(parts, zone.replaced(), zone.conf().longest.get());
    }
    let left = zone.replaced().first().filter(|block| block.has_users());
    if let Some((header, _)) = left.and_then(|block| parts_of(block)) {
        header.identity.set_replaced(false);
    }
}

/// Of tables of which each has replaced the next, copies from the last `ended` ones into those
/// before them what is missing there.
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
    let used = in_use(zone, replaced)
        .last()
        .map_or(0, |(place, _)| place + 1);
    for block in replaced.iter().skip(used).filter(|block| block.is_own()) {
        // Another process may be in the middle of something with it.
        if let Some((header, _)) = parts_of(block) {
            header.identity.give_up();
        }
        block.free();
    }
}
