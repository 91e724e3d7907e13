//! What workers do besides requests: a bounded amount of work every second, and the rest when they
//! end.

use portable_atomic::AtomicU128;
use sticky_core::table::{tick_at, Limits, Swept, Table, ZoneHeader};

use crate::ngx::background_task;
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::cycle::{self, Cycle, Role};

use super::sessions::{TableZone, ZoneConf};

/// Words of a table that are swept per second: 1 MB of them, in less than a millisecond.
const SWEPT_AT_ONCE: usize = 1 << 16;

/// Called once a second in every worker. Worker 0 and draining workers look after the tables.
pub fn tick(running: Cycle<'_>) {
    let does_housekeeping = matches!(cycle::role(), Role::Worker(0) | Role::Single);
    if !does_housekeeping && !cycle::is_draining() {
        return;
    }
    for zone in running.zones::<ZoneConf>() {
        let Some(limits) = zone.conf().longest.get() else {
            continue;
        };
        if !cycle::is_draining() {
            sweep(zone, &limits);
        }
        if let Some(snapshot) = zone.conf().snapshot.get() {
            snapshot.tick(zone, limits);
        }
    }
}

/// Frees the words of sessions that ended long ago, a part of the table at a time.
fn sweep(zone: &TableZone, limits: &Limits) {
    let Some((header, words)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return;
    };
    let table = Table::new(words, &header.counters);
    let now = tick_at(header.identity.epoch(), monotonic_seconds());
    let mut swept = zone.conf().swept.take();
    swept += table.sweep(swept.next, SWEPT_AT_ONCE, limits, now);
    if swept.next == 0 {
        table.publish(&swept);
        swept = Swept::default();
    }
    zone.conf().swept.set(swept);
}

/// Called before a worker ends. Worker 0 writes the state files, for another nginx that may have been
/// started meanwhile; the others only those of tables that no other worker has.
pub fn leave_worker(running: Cycle<'_>) {
    background_task::stop_all();
    // With `master_process off`, leave_master() is called, too.
    let Role::Worker(number) = cycle::role() else {
        return;
    };
    if !cycle::is_terminating() {
        write(running, cycle::is_terminating, number == 0);
    }
}

/// Called before nginx ends, when no worker is left: writes the state files.
pub fn leave_master(running: Cycle<'_>) {
    write(running, || false, true);
}

fn write(running: Cycle<'_>, is_stopped: fn() -> bool, all: bool) {
    for zone in running.zones::<ZoneConf>() {
        let conf = zone.conf();
        if let (Some(snapshot), Some(limits)) = (conf.snapshot.get(), conf.longest.get()) {
            if all || snapshot.is_alone_with(zone) {
                snapshot.finish(zone, limits, running.workers_owner(), !all, is_stopped);
            }
        }
    }
}
