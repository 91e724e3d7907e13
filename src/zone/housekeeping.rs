//! What workers do besides requests: a bounded amount of work every second, and the rest when they
//! end.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::table::{tick_at, Progress, Swept, Turn, ZoneHeader};

use crate::ngx::background_task;
use crate::ngx::clock::{monotonic_seconds, unix_seconds};
use crate::ngx::cycle::Cycle;
use crate::ngx::process::{self, Role};
use crate::ngx::shm;

use super::adopt;
use super::cluster::{self, ClusterZone, ClusterZoneConf};
use super::counted_servers::ServerPlaces;
use super::counters::{CountersConf, CountersZone};
use super::session_counts;
use super::snapshot::{self, Ending, KeptZone, Usable};
use super::succession;
use super::table_zone::{TableZone, ZoneConf};

/// Words that are swept per second, in all tables together: 1 MB of them, in less than a millisecond.
const SWEPT_AT_ONCE: usize = 1 << 16;

/// Where the sessions of those servers of the zone of that name are noted whose addresses are resolved
/// at run time.
pub type Resolved<'a> = &'a dyn Fn(&[u8]) -> ServerPlaces;

thread_local! {
    /// The table that is to be swept next.
    static TURN: Cell<Turn> = Cell::default();
}

/// Called once a second in every worker. Worker 0 looks after the tables. `usable` tells what it knows
/// of the servers of a zone, `resolved` where the sessions of those are noted whose addresses are
/// resolved at run time.
pub fn tick(running: Cycle<'_>, usable: Usable<'_>, resolved: Resolved<'_>) {
    let does_housekeeping = matches!(process::role(), Role::Worker(0) | Role::Single);
    if !does_housekeeping || process::is_draining() {
        return;
    }
    let zones = running.zones::<ZoneConf>();
    let counters = running.zones::<CountersConf>();
    let counters = counters.first().map(|counters| (*counters, resolved));
    let clusters = running.zones::<ClusterZoneConf>();
    let cluster = clusters.first().copied();
    let mut turn = TURN.get();
    turn.sweep(zones.len(), SWEPT_AT_ONCE, |index, words| {
        let swept = zones.get(index);
        let swept = swept.and_then(|zone| sweep(zone, words, counters, cluster));
        swept.unwrap_or(Progress {
            words: 0,
            is_whole: true,
        })
    });
    TURN.set(turn);
    for zone in &zones {
        succession::tick(zone);
    }
    snapshot::tick(&kept(&zones), usable);
}

/// Frees the words of sessions that ended long ago, in the next part of the table, of so many words
/// at most. `None`: there is nothing in it.
fn sweep(
    zone: &TableZone,
    count: usize,
    counters: Option<(&CountersZone, Resolved<'_>)>,
    cluster: Option<&ClusterZone>,
) -> Option<Progress> {
    let limits = zone.conf().longest.get()?;
    let (header, rest) = zone.split::<ZoneHeader, AtomicU128>()?;
    if header.counters.is_unused() {
        return None;
    }
    let is_shared = zone.conf().keys.get().is_some();
    let journal = cluster.filter(|_| is_shared);
    let journal = journal.and_then(|cluster| cluster::journal_of_zone(cluster, header));
    // Numbers of servers that stand in notes are in use.
    let table = header.table(rest).with_journal(journal);
    let now = tick_at(header.identity.epoch(), monotonic_seconds());
    let mut swept = zone.conf().swept.take();
    let from = swept.next;
    if let Some((counters, resolved)) = counters.filter(|_| from == 0) {
        session_counts::sweeps(zone, (header, rest), counters, &resolved(zone.name()));
    }
    let mut seen = zone.conf().seen.borrow_mut();
    let mut tallies = zone.conf().tallies.borrow_mut();
    swept += table.sweep_and_note(from, count, &limits, now, &mut seen, &mut tallies);
    drop(tallies);
    let is_whole = swept.next == 0;
    let end = if is_whole {
        table.capacity()
    } else {
        swept.next
    };
    if is_whole {
        table.publish(&swept);
        let scanned = unix_seconds().try_into().unwrap_or_default();
        header.notes.scanned_at.store(scanned, Relaxed);
        if let Some(registry) = table.registry() {
            registry.swept(&seen);
        }
        if let Some((counters, resolved)) = counters {
            let resolved = resolved(zone.name());
            session_counts::swept(zone, (header, rest), counters, resolved, now);
        }
        swept = Swept::default();
        seen.clear();
        zone.conf().tallies.borrow_mut().clear();
    }
    zone.conf().swept.set(swept);
    Some(Progress {
        words: end.saturating_sub(from),
        is_whole,
    })
}

fn kept<'c>(zones: &[&'c TableZone]) -> Vec<KeptZone<'c, ZoneConf>> {
    let kept = zones.iter().filter_map(|zone| {
        Some(KeptZone {
            zone,
            snapshot: zone.conf().snapshot.get()?,
            limits: zone.conf().longest.get()?,
        })
    });
    kept.collect()
}

/// Called first when a configuration is complete, also when it is only tested.
pub fn settle_keys(new: Cycle<'_>) {
    for zone in new.zones::<ZoneConf>() {
        adopt::settle_key(zone);
    }
}

/// Called when a configuration is complete, also when it is only tested.
pub fn begin(new: Cycle<'_>) {
    for zone in new.zones::<ZoneConf>() {
        adopt::complete(zone);
    }
    if let Some((user, groups)) = new.workers_user() {
        snapshot::warn_of_replaceable(&kept(&new.zones()), user, &groups);
    }
}

/// Called at the start of a process that serves requests, or helps to.
pub fn enter(running: Cycle<'_>) {
    shm::enter();
    for zone in running.zones::<ZoneConf>() {
        zone.close_file();
    }
}

/// Called before a worker ends. Worker 0 writes the state files, for another nginx that may have been
/// started meanwhile.
pub fn leave_worker(running: Cycle<'_>, usable: Usable<'_>) {
    background_task::stop_all();
    // With `master_process off`, leave_master() is called, too.
    if matches!(process::role(), Role::Worker(0)) && !process::is_terminating() {
        finish(
            running,
            Ending::FirstWorker,
            usable,
            process::is_terminating,
        );
    }
}

/// Called before nginx ends, when no worker is left: writes the state files. The master knows nothing
/// of the servers.
pub fn leave_master(running: Cycle<'_>, known: Usable<'_>) {
    for zone in running.zones::<ZoneConf>() {
        succession::finish(zone);
    }
    finish(running, Ending::Nginx, known, || false);
}

fn finish(running: Cycle<'_>, ending: Ending, usable: Usable<'_>, is_stopped: fn() -> bool) {
    let kept = kept(&running.zones());
    let owner = running.workers_owner();
    snapshot::finish(&kept, owner, ending, usable, is_stopped);
}
