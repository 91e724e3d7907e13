//! The zone of counters of all sticky upstreams: made for the configuration, kept over a reload and
//! an upgrade of nginx, and counted in by workers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portable_atomic::AtomicU128;
use sticky_core::counters::{
    Counted, Counters, CountersHeader, Digest, Drain, DrainCells, FirstCells, KeptDrain, Kind,
    Mark, Named, OwnCounters, Place, RoomCells, ServerSums, SessionCounts, SessionLimit, Shape,
    Unsent, UpstreamSums, ZONE_COUNTS,
};
use sticky_core::table::ZoneHeader;

use crate::ngx::clock;
use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::log::Level;
use crate::ngx::process::{self, Role};
use crate::ngx::shm::{Memory, OldBlock, Zone, ZoneError};

use super::table_zone::{random_key, TableZone};

/// The zone of counters.
pub type CountersZone = Zone<CountersConf>;

/// Its name. The zone of an upstream's sessions has a colon in that place.
const NAME: &[u8] = b"sticky/counters";

/// What the module keeps for the zone.
#[derive(Default)]
pub struct CountersConf {
    /// What the configuration needs.
    shape: Cell<Option<Shape>>,
}

/// Makes the zone for what a configuration has.
pub fn add(cf: Conf<'_>, named: Named) -> Result<&CountersZone, ZoneError> {
    let workers = Cycle::of(cf).map_or(1, Cycle::workers);
    let shape = Shape::for_configuration(named, workers);
    let zone = CountersZone::add(cf, NAME, CountersZone::size_for(shape.bytes()))?;
    zone.conf().shape.set(Some(shape));
    Ok(zone)
}

/// Whether a block is a zone of counters of this version of the module. See
/// [`crate::ngx::shm::Adopt`].
pub fn is_usable(block: &OldBlock) -> bool {
    counters_of(block).is_some()
}

/// Takes the zone into use: unchanged if it was kept; else with what was counted in the one of another
/// size that it replaces. See [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &CountersZone, memory: Memory) -> bool {
    let Some((header, words)) = zone.split::<CountersHeader, AtomicU64>() else {
        return false;
    };
    let Some(shape) = zone.conf().shape.get() else {
        return false;
    };
    let known = Counters::open(header, words).filter(|known| known.shape() == shape);
    let before = match memory {
        Memory::Kept { .. } if known.is_some() => return true,
        Memory::Kept { .. } => None,
        Memory::New { before } => Some(before),
    };
    let Some(begun) = Counters::begin(header, words, shape, before.is_some()) else {
        return false;
    };
    let old = before.and_then(|before| before.into_iter().next());
    if let Some(old) = old.as_deref().and_then(counters_of) {
        begun.take_over(&old, now());
    }
    true
}

fn counters_of(block: &OldBlock) -> Option<Counters<'_>> {
    let (header, words) = block.split::<CountersHeader, AtomicU64>()?;
    Counters::open(header, words)
}

/// The counters in the zone. `None` before it was made.
pub fn opened(zone: &CountersZone) -> Option<Counters<'_>> {
    let (header, words) = zone.split::<CountersHeader, AtomicU64>()?;
    Counters::open(header, words)
}

/// A secret that all workers have. `None`: the system has no random numbers to give.
pub fn secret(zone: &CountersZone) -> Option<(u64, u64)> {
    let (header, _) = zone.split::<CountersHeader, AtomicU64>()?;
    Some(header.secret(random_key()?))
}

/// What is to be sent of a zone of sessions: evicted in use, evicted unused, errors of its file.
pub fn unsent_of_zone<'c>(
    counters: &'c CountersZone,
    zone: &TableZone,
) -> [Option<Unsent<'c>>; ZONE_COUNTS] {
    let unsent = || {
        let place = zone.conf().servers.get()?.zone?;
        let (header, _) = zone.split::<ZoneHeader, AtomicU128>()?;
        let totals = [
            &header.counters.evicted_in_use,
            &header.counters.evicted_unused,
            &header.notes.state_errors,
        ];
        let totals = totals.map(|total| total.load(Relaxed));
        Some(opened(counters)?.unsent_of_zone(place, totals))
    };
    unsent().unwrap_or_default()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    u64::try_from(clock::unix_seconds()).unwrap_or_default()
}

/// Called at the start of a process that serves requests, or helps to.
pub fn enter(running: Cycle<'_>) {
    for zone in running.zones::<CountersConf>() {
        zone.close_file();
    }
}

/// Upstreams, each with what the configuration calls its servers.
pub type Servers<'n> = [(&'n [u8], Vec<&'n [u8]>)];

/// Gives upstreams, their servers and zones of sessions their entries: of each upstream, in their
/// order, its counters, and of each zone its place. The configuration is complete.
pub fn name<'c>(
    zone: &'c CountersZone,
    upstreams: &Servers<'c>,
    zones: &[&[u8]],
) -> (Vec<UpstreamCounters<'c>>, Vec<Option<Place>>) {
    let Some(counters) = opened(zone) else {
        return Default::default();
    };
    let now = now();
    counters.next_configuration();
    let names = upstreams.iter().map(|(name, _)| Digest::of_upstream(name));
    let places = counters.name(Kind::Upstream, &names.collect::<Vec<_>>(), now);
    let labels = upstreams.iter().flat_map(|(name, labels)| {
        let digests = labels.iter();
        digests.map(|label| Digest::of_server(name, label))
    });
    let labels = counters.name(Kind::Server, &labels.collect::<Vec<_>>(), now);
    let zones = zones.iter().map(|name| Digest::of_zone(name));
    let zones = counters.name(Kind::Zone, &zones.collect::<Vec<_>>(), now);
    if places.iter().chain(&labels).any(Option::is_none) {
        log_no_room(zone);
    }
    let mut labels = labels.into_iter();
    let upstreams = upstreams.iter().zip(places).map(|((_, names), place)| {
        let servers = names.iter().copied().zip(labels.by_ref());
        let mark = place.and_then(|place| counters.mark(place));
        let servers: Vec<_> = servers.collect();
        for cells in servers.iter().filter_map(|it| counters.drain(it.1?)) {
            cells.see(now);
            if let (Some(_), Some(mark)) = (cells.drain(), mark) {
                // Nobody has looked at a server while it was not named.
                mark.set_drains();
            }
        }
        UpstreamCounters {
            counters,
            place,
            servers: servers
                .into_iter()
                .filter_map(|(label, place)| Some((label, place?)))
                .collect(),
            mark: place.and_then(|place| counters.mark(place)),
            limits: BTreeMap::new(),
            since: clock::monotonic_seconds(),
        }
    });
    (upstreams.collect(), zones)
}

/// What a configuration has is what its zone was made for; but in one that was kept while its memory
/// was damaged, there may be no room.
fn log_no_room(zone: &CountersZone) {
    zone.log().write(
        Level::Error,
        format_args!("sticky: some upstreams or servers are not counted, the zone is full"),
    );
}

/// What is counted of an upstream.
pub struct UpstreamCounters<'c> {
    /// All of them: a zone never moves, and stays what it is.
    counters: Counters<'c>,
    place: Option<Place>,
    servers: BTreeMap<&'c [u8], Place>,
    /// Whether some of its servers may get no new sessions.
    mark: Option<Mark<'c>>,
    /// How many sessions servers may have.
    limits: BTreeMap<Place, SessionLimit>,
    /// When the configuration was complete, in seconds of the monotonic clock.
    since: u64,
}

impl<'c> UpstreamCounters<'c> {
    /// Where this worker counts. A zone never moves, so that it can be kept.
    pub fn own(&self) -> Option<OwnCounters<'c>> {
        let worker = match process::role() {
            Role::Worker(number) => number,
            Role::Single | Role::Master | Role::Other => 0,
        };
        self.counters.slot(worker)?.own(self.place?)
    }

    /// The same, with how many sessions servers may have that the configuration calls so. Of two that
    /// it calls the same, the smaller number counts.
    pub fn limited(mut self, limits: impl Iterator<Item = (&'c [u8], SessionLimit)>) -> Self {
        for (label, limit) in limits {
            if let Some(place) = self.server(label) {
                let known = self.limits.entry(place).or_insert(limit);
                *known = limit.min(*known);
            }
        }
        self
    }

    /// Whether some of its servers may have so many sessions only.
    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// How many sessions a server may have.
    pub fn limit(&self, server: Place) -> Option<SessionLimit> {
        self.limits.get(&server).copied()
    }

    /// What its first responses had.
    pub fn first(&self) -> Option<FirstCells<'c>> {
        self.counters.first(self.place?)
    }

    /// How many sessions a server has by now.
    fn room(&self, server: Place) -> Option<RoomCells<'c>> {
        self.counters.room(server)
    }

    /// Whether a server has as many sessions as it may.
    pub fn is_full(&self, server: Place) -> bool {
        let limit = self.limit(server);
        limit.is_some_and(|limit| self.room(server).is_some_and(|room| room.is_full(limit)))
    }

    /// A session has come to a server.
    pub fn arrived(&self, server: Place) {
        if let Some(room) = self.room(server) {
            room.come();
        }
        if let Some(mark) = self.mark.filter(|_| self.is_full(server)) {
            mark.set_full();
        }
    }

    /// Called now and then in one worker: which servers have as many sessions as they may. Returns
    /// whether sessions are to be counted now.
    pub fn see_limits(&self) -> bool {
        let Some(mark) = self.mark else {
            return false;
        };
        mark.see_full(|| self.limits.keys().any(|server| self.is_full(*server)));
        let now = clock::monotonic_seconds();
        self.limits.iter().any(|(server, limit)| {
            let room = self.room(*server);
            room.is_some_and(|room| room.is_due(*limit, self.since, now))
        })
    }

    /// Whether some of its servers may get no new sessions: drained, or at their limit.
    #[inline(always)]
    pub fn may_avoid(&self) -> bool {
        self.mark.is_some_and(Mark::is_set)
    }

    /// Whether some of its servers may be drained.
    #[inline(always)]
    pub fn may_have_drains(&self) -> bool {
        self.mark.is_some_and(Mark::may_have_drains)
    }

    /// What is kept of a server's drain.
    fn drain_cells(&self, server: Place) -> Option<DrainCells<'c>> {
        self.counters.drain(server)
    }

    /// The drain of a server.
    pub fn drain(&self, server: Place) -> Option<Drain> {
        self.drain_cells(server)?.drain()
    }

    /// An operator drains a server, until then or for good.
    pub fn drain_by_hand(&self, server: Place, until: Option<u64>) -> Option<()> {
        let cells = self.drain_cells(server)?;
        cells.begin_by_hand(until, now(), self.mark?);
        Some(())
    }

    /// An operator has drained a server at another nginx at that second, until then or for good.
    pub fn follow_drain(&self, server: Place, until: Option<u64>, since: u64) {
        if let (Some(cells), Some(mark)) = (self.drain_cells(server), self.mark) {
            cells.begin_elsewhere(until, since, now(), mark);
        }
    }

    /// An operator puts a server back. Returns what it was.
    pub fn undrain(&self, server: Place) -> Option<Drain> {
        self.drain_cells(server)?.end_by_hand()
    }

    /// Since when a server is drained, in seconds since 1970.
    pub fn drained_since(&self, server: Place) -> Option<u64> {
        let cells = self.drain_cells(server)?;
        cells.drain().map(|_| cells.since())
    }

    /// The drains of the servers, for a state file.
    pub fn kept_drains(&self, upstream: &[u8]) -> Vec<KeptDrain> {
        if !self.may_have_drains() {
            return Vec::new();
        }
        let servers = self.servers.iter();
        let kept = servers.filter_map(|(label, place)| {
            let digest = Digest::of_server(upstream, label);
            self.drain_cells(*place)?.keep(digest)
        });
        kept.collect()
    }

    /// Goes on with the drains that a state file has.
    pub fn restore_drains(&self, upstream: &[u8], kept: &[KeptDrain]) {
        for (label, place) in &self.servers {
            let digest = Digest::of_server(upstream, label);
            let one = kept.iter().find(|kept| kept.server == digest);
            if let (Some(one), Some(cells), Some(mark)) = (one, self.drain_cells(*place), self.mark)
            {
                cells.restore(one, now(), mark);
            }
        }
    }

    /// A server announces whether it wants no new sessions. Returns whether that changes something.
    pub fn announce(&self, server: Place, is_drained: bool) -> bool {
        let (Some(cells), Some(mark)) = (self.drain_cells(server), self.mark) else {
            return false;
        };
        match is_drained {
            true => cells.begin_by_server(now(), mark),
            false => self.may_have_drains() && cells.end_by_server(),
        }
    }

    /// Called now and then in one worker: which servers are there, and whether any is drained.
    pub fn see_drains(&self) {
        let (true, Some(mark)) = (self.may_have_drains(), self.mark) else {
            return;
        };
        let cells = || self.servers.values().filter_map(|at| self.drain_cells(*at));
        cells().for_each(|cells| cells.see(now()));
        mark.clear_drains_unless(|| cells().any(|cells| cells.drain().is_some()));
    }

    /// The place of a server that the configuration calls so.
    pub fn server(&self, label: &[u8]) -> Option<Place> {
        self.servers.get(label).copied()
    }

    /// What all workers have counted.
    pub fn sums(&self) -> Option<UpstreamSums> {
        Some(self.counters.upstream_sums(self.place?))
    }

    /// What all workers have counted of each server, in the order of what the configuration calls it,
    /// and how many sessions it had when they were last counted: `None` if they never were, or are
    /// not known to all workers.
    pub fn servers(
        &self,
    ) -> impl Iterator<Item = (&'c [u8], Place, ServerSums, Option<SessionCounts>)> + '_ {
        self.servers.iter().map(|(label, place)| {
            let sessions = self.counters.sessions(*place);
            (*label, *place, self.counters.server_sums(*place), sessions)
        })
    }

    /// What is to be sent of it.
    pub fn unsent(&self) -> Vec<(Counted, Unsent<'c>)> {
        let unsent = || Some(self.counters.unsent(self.place?));
        unsent().unwrap_or_default()
    }

    /// What is to be sent of each server's hits, by what the configuration calls it.
    pub fn unsent_hits(&self) -> impl Iterator<Item = (&'c [u8], Unsent<'c>)> + '_ {
        self.servers.iter().filter_map(|(label, place)| {
            let unsent = self.counters.unsent_hits(*place)?;
            Some((*label, unsent))
        })
    }

    /// When counts were taken over from a zone of another size, in seconds since 1970: what workers
    /// have counted later that were ending then is missing.
    pub fn grown(&self) -> Option<u64> {
        let grown = self.counters.grown();
        (grown != 0).then_some(grown)
    }
}
