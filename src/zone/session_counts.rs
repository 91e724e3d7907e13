//! How many sessions each server has: counted in a thread when somebody asks for it, and by every
//! whole sweep.

use std::collections::HashMap;
use std::sync::Arc;

use sticky_core::counters::{Counters, CountersHeader, Place, SessionCounts};
use sticky_core::table::{tick_at, Fingerprint, Limits, Registry, Tallies, Tally, Tick};

use crate::ngx::background_task;
use crate::ngx::clock::monotonic_seconds;

use super::counted_servers::{Before, CountedServers, ServerPlaces};
use super::counters::{self, CountersZone};
use super::table_zone::{Parts, TableZone};

/// Seconds between two counts of a zone, whoever asks for them.
const LEAST_BETWEEN: u64 = 2;

/// Words between two looks whether the thread is to end: 1 MB of them, less than a millisecond.
const PIECE: usize = 1 << 16;

/// What a thread is to count.
struct Wanted {
    limits: Limits,
    servers: Arc<CountedServers>,
    resolved: ServerPlaces,
}

/// Starts a thread that counts the sessions of zones, each with its servers that are resolved at run
/// time, and notes them in the zone of counters: of those that nobody has counted a moment ago.
pub fn start<'z>(
    zones: impl Iterator<Item = (&'z TableZone, ServerPlaces)>,
    counters: &CountersZone,
) {
    let Some(opened) = counters::opened(counters) else {
        return;
    };
    let now = monotonic_seconds();
    let wanted = zones.filter_map(|(zone, resolved)| {
        let servers = Arc::clone(zone.conf().servers.get()?);
        let wanted = Wanted {
            limits: zone.conf().longest.get()?,
            resolved,
            servers,
        };
        let place = wanted.servers.zone?;
        let may_count = opened.may_count(place, now, LEAST_BETWEEN);
        may_count.then_some((zone, wanted))
    });
    let (zones, wanted): (Vec<_>, Vec<_>) = wanted.unzip();
    if zones.is_empty() {
        return;
    }
    let clocks = (now, counters::now());
    // It notes its outcome itself, and whoever unmaps the zones waits for it. Without a thread, the
    // sweep counts, too.
    let _ = TableZone::task_beside(&zones, counters, move |tables, (header, words)| {
        let header: &CountersHeader = header;
        if let Some(counters) = Counters::open(header, words) {
            for (parts, wanted) in tables.iter().zip(&wanted) {
                count_one(*parts, wanted, &counters, clocks);
            }
        }
    });
}

/// `clocks` are seconds of the monotonic clock, and since 1970.
fn count_one(
    (header, rest): Parts<'_>,
    wanted: &Wanted,
    counters: &Counters<'_>,
    (monotonic, unix): (u64, u64),
) {
    let table = header.table(rest);
    let now = tick_at(header.identity.epoch(), monotonic);
    let places = wanted.servers.places(header);
    let places = || places.iter().chain(&wanted.resolved);
    // While some sessions stand in the table that this one replaces, there are more than it has.
    let is_whole = header.identity.is_whole();
    let before = is_whole.then(|| Before::of(counters, places(), monotonic));
    let mut tallies = Tallies::default();
    let mut from = 0;
    // The memory of a table that was never used does not exist.
    while !table.is_unused() {
        if background_task::is_stopped() {
            return;
        }
        from = table.tally(from, PIECE, &wanted.limits, now, &mut tallies);
        if from == 0 {
            break;
        }
    }
    let (registry, _) = header.split(rest);
    let before = before.as_ref();
    let clocks = (now, unix, unix);
    note(counters, &registry, &tallies, places(), before, clocks);
}

/// A whole sweep begins.
pub fn sweeps(
    zone: &TableZone,
    (header, _): Parts<'_>,
    counters: &CountersZone,
    resolved: &ServerPlaces,
) {
    let (Some(servers), Some(counters)) = (zone.conf().servers.get(), counters::opened(counters))
    else {
        return;
    };
    if servers.are_many(resolved.len()) {
        return;
    }
    let places = servers.places(header).iter().chain(resolved);
    let is_whole = header.identity.is_whole();
    let before = is_whole.then(|| Before::of(&counters, places, monotonic_seconds()));
    zone.conf().before_sweep.replace(before);
    zone.conf().sweep_began.set(counters::now());
}

/// Notes what a whole sweep has seen, which has ended at `now`. Of a zone with many servers, has a thread
/// count instead.
pub fn swept(
    zone: &TableZone,
    (header, rest): Parts<'_>,
    counters: &CountersZone,
    resolved: ServerPlaces,
    now: Tick,
) {
    let Some(servers) = zone.conf().servers.get() else {
        return;
    };
    if servers.are_many(resolved.len()) {
        start(std::iter::once((zone, resolved)), counters);
        return;
    }
    let Some(counters) = counters::opened(counters) else {
        return;
    };
    let (registry, _) = header.split(rest);
    let places = servers.places(header).iter().chain(&resolved);
    let tallies = zone.conf().tallies.borrow();
    let before = zone.conf().before_sweep.take();
    note(
        &counters,
        &registry,
        &tallies,
        places,
        before.as_ref(),
        (now, counters::now(), zone.conf().sweep_began.get()),
    );
}

/// `now` as a tick of the zone, and in seconds since 1970, and since when was counted: a count that has
/// begun later is not replaced.
fn note<'p>(
    counters: &Counters<'_>,
    registry: &Registry<'_>,
    tallies: &Tallies,
    servers: impl Iterator<Item = &'p (Fingerprint, Place)>,
    before: Option<&Before>,
    (tick, unix, began): (Tick, u64, u64),
) {
    let mut by_server: HashMap<Fingerprint, Tally> = HashMap::new();
    for given in registry.registrations() {
        let tally = tallies.of(given.number);
        if let Some(server) = given.fingerprint().filter(|_| !tally.is_empty()) {
            by_server.entry(server).or_default().add(tally);
        }
    }
    // A server may be known by two names.
    let mut by_place: HashMap<Place, Tally> = HashMap::new();
    for (server, place) in servers {
        let tally = by_place.entry(*place).or_default();
        if let Some(more) = by_server.get(server) {
            tally.add(*more);
        }
    }
    for (place, tally) in by_place {
        let ago = u64::from(tick.saturating_sub(tally.last_seen));
        let last_use = match tally.is_empty() {
            true => 0,
            false => unix.saturating_sub(ago),
        };
        let counts = SessionCounts {
            in_use: tally.in_use.into(),
            not_in_use: tally.not_in_use.into(),
            last_use,
            counted: began,
        };
        let known = counters.sessions(place);
        if known.is_none_or(|known| known.counted <= began || known.counted > unix) {
            counters.set_sessions(place, &counts);
        }
        if let Some(before) = before {
            before.note(counters, place, counts.in_use + counts.not_in_use);
        }
    }
}
