//! What is counted of a configuration: its sticky upstreams, their servers, and its zones.

use std::collections::BTreeMap;
use std::sync::Arc;

use sticky_core::counters::{first_digest, KeptDrain, Named, Place, SessionLimit};
use sticky_core::scan::learn_set::LearnSet;

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::peers::PeerList;
use crate::ngx::shm::ZoneError;
use crate::ngx::upstream::Upstream;
use crate::zone::counted_servers::{CountedServers, NamedServer, ServerPlaces};
use crate::zone::counters::{self, CountersZone, UpstreamCounters};
use crate::zone::session_counts;
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::ZoneConf;

use super::error::Refusal;
use super::share;
use super::types::{MainConf, Rule, Sticky, UpstreamConf};

/// Makes the zone of counters, if any upstream is sticky. Called when all have been read.
pub fn add_zone<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let upstreams = main.sticky.borrow();
    if upstreams.is_empty() {
        return Ok(());
    }
    let named = Named {
        upstreams: upstreams.len(),
        servers: upstreams.iter().map(|us| us.labels().len()).sum(),
        zones: main.by_zone.borrow().len(),
    };
    let zone = counters::add(cf, named)
        .map_err(|(ZoneError::Reported | ZoneError::OutOfMemory)| Refusal::Reported)?;
    // It is empty: the configuration is completed once.
    let _ = main.counters.set(zone);
    Ok(())
}

/// Gives all of them their counters. Called when the configuration is complete, also when it is only
/// tested.
pub fn begin(new: Cycle<'_>) {
    let Some(main) = new.main_conf::<MainConf<'_>>() else {
        return;
    };
    let Some(zone) = main.counters.get() else {
        return;
    };
    let upstreams = main.sticky.borrow();
    let names = upstreams.iter().map(|us| {
        let labels = us.labels().into_iter().collect();
        (us.name(), labels)
    });
    let by_zone = main.by_zone.borrow();
    let zones: Vec<&[u8]> = by_zone.keys().copied().collect();
    let (counted, zones) = counters::name(zone, &names.collect::<Vec<_>>(), &zones);
    for (us, counters) in upstreams.iter().zip(counted) {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let sticky = conf.and_then(|conf| Some((conf, conf.active()?)));
        if let Some((conf, sticky)) = sticky {
            let counters = counters.limited(session_limits(conf, sticky));
            if counters.has_limits() {
                count_arrivals(sticky);
            }
            watch_first(conf, sticky, &counters);
            // It is empty: a configuration is complete once.
            let _ = sticky.counters.set(counters);
        }
    }
    let places: BTreeMap<&[u8], Option<Place>> = by_zone.keys().copied().zip(zones).collect();
    for zone in new.zones::<ZoneConf>() {
        let kept = zone.conf().drains.take();
        if !kept.is_empty() {
            each_counters(main, zone.name(), |name, counters| {
                counters.restore_drains(name, &kept);
            });
        }
        let sharing = by_zone.get(zone.name()).into_iter().flatten();
        let named = sharing.filter(|us| !us.has_resolved());
        let named = named
            .filter_map(|us| named_servers(*us))
            .flatten()
            .collect();
        let place = places.get(zone.name()).copied().flatten();
        let old = zone.conf().keys.get().and_then(|keys| keys.old);
        let servers = CountedServers::new(place, named, old);
        // It is empty: a configuration is complete once.
        let _ = zone.conf().servers.set(Arc::new(servers));
    }
    begin_sending(new, main, zone);
}

/// Has the first responses of an upstream looked at, if its directive should find ids in them.
fn watch_first(conf: &UpstreamConf<'_>, sticky: &Sticky<'_>, counters: &UpstreamCounters<'_>) {
    let Rule::Query(rule, ..) = &sticky.rule else {
        return;
    };
    if let Some(first) = counters
        .first()
        .filter(|_| rule.learn != LearnSet::default())
    {
        first.begin(first_digest(&conf.shown.borrow().concat()));
        sticky.watches_first.set(!first.is_over());
    }
}

/// What was counted while no configuration had `sticky_statsd` is not sent.
fn begin_sending(new: Cycle<'_>, main: &MainConf<'_>, counters: &CountersZone) {
    let Some(opened) = counters::opened(counters) else {
        return;
    };
    if main.statsd.get().is_none() {
        opened.stop_sending();
    } else if opened.start_sending() {
        for zone in new.zones::<ZoneConf>() {
            let _ = counters::unsent_of_zone(counters, zone);
        }
    }
}

/// The servers of the upstreams in a zone that get no new sessions, for its state file.
pub fn drains_in(main: &MainConf<'_>, zone: &[u8]) -> Vec<KeptDrain> {
    let mut drains = Vec::new();
    each_counters(main, zone, |name, counters| {
        drains.extend(counters.kept_drains(name));
    });
    drains
}

/// Calls a function with the counters of each upstream that has its sessions in a zone.
fn each_counters<'c>(
    main: &MainConf<'c>,
    zone: &[u8],
    mut f: impl FnMut(&[u8], &UpstreamCounters<'c>),
) {
    let by_zone = main.by_zone.borrow();
    for us in by_zone.get(zone).into_iter().flatten() {
        let conf = us.srv_conf::<UpstreamConf<'c>>();
        let sticky = conf.and_then(UpstreamConf::active);
        if let Some(counters) = sticky.and_then(|sticky| sticky.counters.get()) {
            f(us.name(), counters);
        }
    }
}

/// How many sessions servers may have, by what the configuration calls them.
fn session_limits<'c>(
    conf: &UpstreamConf<'c>,
    sticky: &Sticky<'c>,
) -> impl Iterator<Item = (&'c [u8], SessionLimit)> {
    let (limits, default) = (conf.limits.borrow().clone(), sticky.rule.max_sessions());
    sticky.us.placed_labels().filter_map(move |(at, label)| {
        let own = limits.get(at).copied().flatten();
        Some((label, own.or(default)?))
    })
}

/// Some servers of an upstream may have so many sessions only: those that come to them in another
/// upstream of the share count, too.
fn count_arrivals(sticky: &Sticky<'_>) {
    sticky.counts_arrivals.set(true);
    for us in sticky.sharers.get().into_iter().flatten() {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        if let Some(other) = conf.and_then(UpstreamConf::active) {
            other.counts_arrivals.set(true);
        }
    }
}

/// Called once a second in one worker: which servers have as many sessions as they may, and counts
/// those that come near it. Goes on from the upstream of that number, and returns where it has stopped.
pub fn see_limits(main: &MainConf<'_>, from: usize, may_go_on: &dyn Fn() -> bool) -> Option<usize> {
    let mut due = Vec::new();
    let next = main.each_from(from, may_go_on, |us| {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let counters = conf.and_then(|conf| conf.active()?.counters.get());
        if counters.is_some_and(UpstreamCounters::see_limits) {
            due.push(us);
        }
    });
    if !due.is_empty() {
        start_counts(main, &due);
    }
    next
}

fn named_servers(us: Upstream<'_>) -> Option<Vec<NamedServer>> {
    let sticky = us.srv_conf::<UpstreamConf<'_>>()?.active()?;
    let (sessions, counters) = (sticky.rule.sessions()?, sticky.counters.get()?);
    let scope = sessions.scope().name();
    let names = share::labelled_names(us).into_iter();
    let servers = names.filter_map(|(label, name)| {
        Some(NamedServer {
            scope: scope.into(),
            name: name.into(),
            place: counters.server(label)?,
        })
    });
    Some(servers.collect())
}

/// Where the sessions of those servers of a zone are noted whose addresses are resolved at run time,
/// and of others in the same upstreams.
pub fn resolved(main: &MainConf<'_>, zone: &[u8]) -> ServerPlaces {
    let mut places = ServerPlaces::new();
    let by_zone = main.by_zone.borrow();
    let sharing = by_zone.get(zone).into_iter().flatten();
    for us in sharing.filter(|us| us.has_resolved()) {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let sticky = conf.and_then(UpstreamConf::active);
        if let (Some(sticky), Some(peers)) = (sticky, PeerList::of_zone(*us)) {
            let index = sticky.peer_index(peers);
            let all = index.registered();
            places.extend(all.filter_map(|(server, peer)| Some((server, peer.counters?))));
        }
    }
    places
}

/// Starts a thread that counts the sessions in the zones of these upstreams, each zone once in two
/// seconds at most.
pub fn start_counts(main: &MainConf<'_>, upstreams: &[Upstream<'_>]) {
    let Some(counters) = main.counters.get() else {
        return;
    };
    let mut zones = BTreeMap::new();
    for us in upstreams {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let sessions = conf.and_then(|conf| conf.active()?.rule.sessions());
        if let Some(zone) = sessions.and_then(Sessions::zone) {
            zones.insert(zone.name(), zone);
        }
    }
    let zones = zones.into_iter();
    let zones = zones.map(|(name, zone)| (zone, resolved(main, name)));
    session_counts::start(zones, counters);
}
