//! The cluster: several nginx that share their sessions through a store. What is kept in shared memory
//! for it, which worker speaks to the store, and when; what is said is in the files of the folder.
//!
//! Nothing here is in the way of a request: workers note what they change in a journal in shared memory
//! (`core/table/journal.rs`), and two threads of one of them do the rest.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU128;
use sticky_core::cluster::header::{ClusterHeader, Flag};
use sticky_core::cluster::statistics::Statistics;
use sticky_core::cluster::{JournalOf, Slot};
use sticky_core::table::ZoneHeader;

use crate::ngx::clock::{monotonic_now, unix_seconds};
use crate::ngx::companion;
use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::log::Level;
use crate::ngx::process::{self, Role};
use crate::ngx::shm::{Memory, OldBlock, Zone, ZoneError};

use super::journals::{journal_in, NotedScope};
use super::table_zone::{random_key, Parts, TableZone, ZoneConf};

mod applying;
pub mod drains;
mod known;
mod lately;
mod link;
pub mod plan;
mod receiver;
mod sender;
mod shared;
mod snapshots;
pub mod store;

use plan::Plan;
use shared::{Context, Shared};

/// The zone of the cluster.
pub type ClusterZone = Zone<ClusterZoneConf>;

/// Its name. The zone of an upstream's sessions has a colon in that place.
const NAME: &[u8] = b"sticky/cluster";

/// How long a process that ends waits for its threads.
const END_PATIENCE: Duration = Duration::from_millis(100);

/// What the module keeps for the zone.
#[derive(Default)]
pub struct ClusterZoneConf {
    /// The generation of the configuration.
    generation: Cell<u64>,
    /// What the threads need.
    plan: OnceCell<Arc<Plan>>,
    /// The threads of this worker, while it has the lease.
    running: RefCell<Option<Arc<Shared>>>,
}

/// Makes the zone.
pub fn add(cf: Conf<'_>) -> Result<&ClusterZone, ZoneError> {
    ClusterZone::add(cf, NAME, ClusterZone::size_for(ClusterHeader::BYTES))
}

/// Whether a block is a zone of the cluster of this version of the module. See
/// [`crate::ngx::shm::Adopt`].
pub fn is_usable(block: &OldBlock) -> bool {
    let parts = block.split::<ClusterHeader, Slot>();
    parts.is_some_and(|(header, slots)| header.is_valid_for(slots.len()))
}

/// Takes the zone into use: unchanged if it was kept; else as that of a new node. See
/// [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &ClusterZone, memory: Memory) -> bool {
    let Some((header, slots)) = zone.split::<ClusterHeader, Slot>() else {
        return false;
    };
    if header.is_valid_for(slots.len()) {
        return true;
    }
    let Some(node) = random_key() else {
        zone.log().write(
            Level::Error,
            format_args!("sticky: no random numbers for the name of a node of the cluster"),
        );
        return false;
    };
    header.begin(slots, node, matches!(memory, Memory::New { .. }));
    // Until the store tells the time, that of this system stands for it.
    let seconds = unix_seconds() - i64::try_from(monotonic_now() / 1000).unwrap_or_default();
    header.guess_clock(slots, seconds.saturating_mul(1000));
    // Of an nginx that starts, a table has no more than its file had.
    let is_start = process::role() == Role::Single && !process::is_upgrade();
    header.set(Flag::InUse, !is_start);
    true
}

/// Whose sessions a table has, for what is to be noted of them.
#[derive(Clone, Copy)]
pub struct Noted<'c> {
    /// The zone of the cluster.
    pub zone: &'c ClusterZone,
    /// The scope.
    pub scope: NotedScope,
}

impl<'c> Noted<'c> {
    /// The journal for the sessions of the scope in a table. `None`: there is no room for the scope.
    pub fn journal(&self, table: Parts<'_>) -> Option<JournalOf<'c>> {
        journal_in(self.zone.split()?, self.scope, table)
    }
}

/// The journal, for whoever looks at the whole table of a zone.
pub fn journal_of_zone<'c>(zone: &'c ClusterZone, table: &ZoneHeader) -> Option<JournalOf<'c>> {
    let (header, slots) = zone.split::<ClusterHeader, Slot>()?;
    let epoch = table.identity.epoch();
    Some(JournalOf::new(header.journal(slots), 0, epoch, 1))
}

/// The configuration is complete, and is not only tested.
pub fn begin(zone: &ClusterZone, plan: Plan) {
    if let Some((header, _)) = zone.split::<ClusterHeader, Slot>() {
        zone.conf().generation.set(header.next_generation());
    }
    // It is empty: a configuration is complete once.
    let _ = zone.conf().plan.set(Arc::new(plan));
}

/// What operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whether the store answers.
    pub is_up: bool,
    /// What is counted.
    pub statistics: Statistics,
    /// Notes that were not sent yet.
    pub pending: u64,
    /// Notes for which there was no room.
    pub dropped: u64,
}

/// What operators see. `None`: the zone was not made yet.
pub fn shown(zone: &ClusterZone) -> Option<Shown> {
    let (header, slots) = zone.split::<ClusterHeader, Slot>()?;
    let journal = header.journal(slots);
    Some(Shown {
        is_up: header.is(Flag::Up),
        statistics: header.statistics.read(),
        pending: journal.unsent(),
        dropped: journal.dropped(),
    })
}

/// Called at the start of a worker, before it serves: waits until the node has what the others have.
pub fn enter(running: Cycle<'_>) {
    for zone in running.zones::<ClusterZoneConf>() {
        zone.close_file();
        if matches!(process::role(), Role::Worker(_)) {
            join(zone, running);
        }
    }
}

fn join(zone: &ClusterZone, running: Cycle<'_>) {
    let (Some((header, _)), Some(plan)) =
        (zone.split::<ClusterHeader, Slot>(), zone.conf().plan.get())
    else {
        return;
    };
    let end = Instant::now() + plan.wait;
    let is_waiting = || !header.is(Flag::Joined) && !header.is(Flag::InUse);
    while is_waiting() && Instant::now() < end && !process::is_terminating() {
        tick_of(zone, running);
        std::thread::sleep(Duration::from_millis(2));
    }
    header.set(Flag::InUse, true);
    // Whoever empties the tables has seen that nobody uses them, and is done soon.
    while header.is(Flag::Emptying) && Instant::now() < end + EMPTYING_PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    tick_of(zone, running);
}

/// How long a worker waits for tables to be emptied, if it has waited in vain for their content.
const EMPTYING_PATIENCE: Duration = Duration::from_secs(5);

/// Called five times a second in every worker.
pub fn tick(running: Cycle<'_>) {
    for zone in running.zones::<ClusterZoneConf>() {
        tick_of(zone, running);
    }
}

fn tick_of(zone: &ClusterZone, running: Cycle<'_>) {
    let Some((header, _)) = zone.split::<ClusterHeader, Slot>() else {
        return;
    };
    if let Some(shared) = zone.conf().running.borrow().as_ref() {
        shared.write_lines(|level, line| zone.log().write(level, format_args!("{line}")));
    }
    let is_over = |shared: &Arc<Shared>| {
        // The threads note themselves that they are there. This one does so while they wait.
        !header.lease.beat(shared.lease, monotonic_now()) || shared.is_ended()
    };
    let mut mine = zone.conf().running.borrow_mut();
    if mine.as_ref().is_some_and(is_over) {
        if let Some(shared) = mine.take() {
            shared.end();
            header.lease.give_back(shared.lease);
        }
    }
    if mine.is_none() && !process::is_draining() && !process::is_terminating() {
        *mine = take(zone, header, running);
    }
}

/// Takes the lease if it is to be had, and starts the threads.
fn take(zone: &ClusterZone, header: &ClusterHeader, running: Cycle<'_>) -> Option<Arc<Shared>> {
    let plan = zone.conf().plan.get()?;
    let all: Vec<&TableZone> = running.zones::<ZoneConf>();
    // In the order of the plan.
    let tables = plan.tables.iter().map(|table| {
        let mut zones = all.iter();
        zones.find(|zone| *zone.name() == *table.zone).copied()
    });
    let tables: Vec<&TableZone> = tables.collect::<Option<_>>()?;
    let generation = zone.conf().generation.get();
    let lease = header.lease.take(
        generation,
        std::process::id(),
        monotonic_now(),
        process::is_gone,
    )?;
    let shared = Arc::new(Shared::new(lease));
    for work in [sender::run as Work, receiver::run] {
        let (plan, kept) = (Arc::clone(plan), Arc::clone(&shared));
        let started = TableZone::companion_beside::<_, _, AtomicU128, _, _>(
            &tables,
            zone,
            move |tables, (header, slots)| {
                let _ended = shared::Ended(&kept);
                work(&Context {
                    header,
                    slots,
                    tables,
                    plan: &plan,
                    shared: &kept,
                });
            },
        );
        if !matches!(started, Some(Ok(()))) {
            shared.end();
            header.lease.give_back(lease);
            return None;
        }
    }
    Some(shared)
}

type Work = fn(&Context<'_>);

/// Called before a worker ends.
pub fn leave_worker(running_cycle: Cycle<'_>) {
    let zones = running_cycle.zones::<ClusterZoneConf>();
    let running = zones.iter().filter_map(|zone| {
        let shared = zone.conf().running.take()?;
        Some((zone, shared))
    });
    let running: Vec<_> = running.collect();
    if running.is_empty() {
        return;
    }
    if !companion::stop(END_PATIENCE) {
        running_cycle
            .zones::<ZoneConf>()
            .iter()
            .for_each(|zone| zone.keep_replaced_for_ever());
    }
    for (zone, shared) in running {
        shared.end();
        if let Some((header, _)) = zone.split::<ClusterHeader, Slot>() {
            header.lease.give_back(shared.lease);
        }
        shared.write_lines(|level, line| zone.log().write(level, format_args!("{line}")));
    }
}
