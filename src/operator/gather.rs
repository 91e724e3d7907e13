//! From nginx's configuration, its peers and the zones to a [`Report`].

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::counters::{DrainedBy, Place, ServerSums, SessionCounts};
use sticky_core::digest;
use sticky_core::discover::judge::judge;
use sticky_core::events::Reader;
use sticky_core::status::{
    self, Mode, Report, Server, ServerDrain, StateFile, Sums, View, Wanted, Watched,
};
use sticky_core::table::ZoneHeader;

use crate::config::directives::DRAINING;
use crate::config::types::{MainConf, Rule, Sticky, UpstreamConf};
use crate::ngx::clock::{monotonic_seconds, unix_seconds};
use crate::ngx::peers::{Identity, PeerList};
use crate::ngx::request::nginx_version;
use crate::ngx::upstream::Upstream;
use crate::zone::cluster;
use crate::zone::counters::UpstreamCounters;
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::TableZone;

/// Upstreams, of each of which what is known is gathered when it is asked for.
pub struct Gathered<'c> {
    /// What there is beside them.
    pub about: Report<'c>,
    upstreams: Vec<Upstream<'c>>,
    /// The zones with their sessions.
    zones: Vec<&'c TableZone>,
    /// Their places, by where they are.
    places: HashMap<*const TableZone, usize>,
    /// A sample of `mode=discover` was judged.
    has_judged: Cell<bool>,
}

impl<'c> Gathered<'c> {
    /// Of these upstreams.
    pub fn new(upstreams: Vec<Upstream<'c>>) -> Self {
        let mut gathered = Self {
            about: Report {
                version: env!("CARGO_PKG_VERSION"),
                nginx: nginx_version(),
                now: unix_seconds().try_into().unwrap_or_default(),
                ..Report::default()
            },
            upstreams,
            zones: Vec::new(),
            places: HashMap::new(),
            has_judged: Cell::new(false),
        };
        for us in &gathered.upstreams {
            let Some(zone) = us.srv_conf::<UpstreamConf<'c>>().and_then(zone_of) else {
                continue;
            };
            let zones = &mut gathered.zones;
            gathered
                .places
                .entry(ptr::from_ref(zone))
                .or_insert_with(|| {
                    zones.push(zone);
                    zones.len() - 1
                });
        }
        gathered
    }
}

/// The part of this nginx in a cluster, if it has one.
pub fn cluster<'c>(main: &'c MainConf<'_>) -> Option<status::Cluster<'c>> {
    let conf = main.cluster.get()?;
    let shown = cluster::shown(main.cluster_zone.get()?)?;
    let counted = shown.statistics;
    Some(status::Cluster {
        store: Cow::Borrowed(&conf.shown_url),
        is_up: shown.is_up,
        last_contact: known(counted.last_contact),
        // It hears its own entries, too, but only when it has sent some.
        nodes: counted.nodes.max(1),
        lag: counted.lag,
        pending: shown.pending,
        sent: counted.records_out,
        received: counted.records_in,
        dropped: shown.dropped,
        refused: counted.refused_sealed + counted.refused_malformed + counted.refused_records,
        lost: counted.store_lost,
    })
}

/// The zone with the sessions of an upstream that this module serves.
fn zone_of<'c>(conf: &'c UpstreamConf<'c>) -> Option<&'c TableZone> {
    conf.active()?.rule.sessions().and_then(Sessions::zone)
}

impl View for Gathered<'_> {
    fn about(&self) -> &Report<'_> {
        &self.about
    }

    fn upstreams(&self) -> usize {
        self.upstreams.len()
    }

    fn upstream(&self, at: usize, wanted: Wanted) -> status::Upstream<'_> {
        let gather = || {
            let us = *self.upstreams.get(at)?;
            let conf = us.srv_conf::<UpstreamConf<'_>>()?;
            Some(upstream(us, conf, conf.sticky.get()?, self, wanted))
        };
        gather().unwrap_or_default()
    }

    fn zones(&self) -> usize {
        self.zones.len()
    }

    fn zone(&self, at: usize) -> status::Zone<'_> {
        let zone = self.zones.get(at);
        zone.map_or_else(status::Zone::default, |zone| read(zone, self.about.now))
    }

    fn took_long(&self) -> bool {
        self.has_judged.take()
    }
}

fn upstream<'c>(
    us: Upstream<'c>,
    conf: &'c UpstreamConf<'c>,
    sticky: &'c Sticky<'c>,
    gathered: &Gathered<'_>,
    wanted: Wanted,
) -> status::Upstream<'c> {
    let zone = zone_of(conf).and_then(|zone| gathered.places.get(&ptr::from_ref(zone)).copied());
    let mut shown = status::Upstream {
        name: us.name(),
        mode: match &sticky.rule {
            Rule::Cookie(..) => Mode::Cookie,
            Rule::Query(..) => Mode::Query,
            Rule::Rewrite(_) => Mode::Rewrite,
            Rule::Discover(_) => Mode::Discover,
            Rule::NginxForm(form) if form.learn.is_some() => Mode::Learn,
            Rule::NginxForm(_) => Mode::Nginx,
        },
        is_nginx: conf.active().is_none(),
        is_dry_run: sticky.is_dry_run,
        zone,
        ..status::Upstream::default()
    };
    if matches!(wanted, Wanted::Sums | Wanted::All) {
        shown.readers = match &sticky.rule {
            Rule::Query(_, _, readers) => readers.readers().collect(),
            Rule::Rewrite(_) => vec![Reader::Rewrite],
            Rule::Cookie(..) | Rule::Discover(_) | Rule::NginxForm(_) => Vec::new(),
        };
        shown.sums = sticky.counters.get().and_then(sums);
        if let Rule::Discover(discovery) = &sticky.rule {
            shown.watched = discovery.watch.get().map(|watch| Watched {
                requests: watch.sample.requests(),
                until: watch.sample.until(),
            });
        }
    }
    match wanted {
        Wanted::Servers | Wanted::All => shown.servers = servers(us, conf, sticky),
        Wanted::Counts => shown.servers = sticky.counters.get().map_or_else(Vec::new, counts),
        Wanted::Sums => {}
    }
    if wanted == Wanted::All {
        if let Rule::Discover(discovery) = &sticky.rule {
            shown.discovered = discovery.watch.get().map(|watch| judge(&watch.sample));
            gathered.has_judged.set(true);
        }
        shown.directives = conf.shown.borrow().clone();
        shown.share = match &sticky.rule {
            Rule::Query(rule, ..) => rule.share.as_deref(),
            _ => None,
        };
    }
    shown
}

fn sums(counters: &UpstreamCounters<'_>) -> Option<Sums> {
    let sums = counters.sums()?;
    Some(Sums {
        since: known(sums.since),
        grown: counters.grown(),
        requests: sums.requests,
        learned: sums.learned,
        skipped: sums.skipped,
        moved: sums.moved,
        forgotten: sums.forgotten,
        bodies: sums.bodies,
        body_bytes: sums.body_bytes,
        planned: sums.planned,
    })
}

/// A time that is 0 where it is not known.
fn known(at: u64) -> Option<u64> {
    (at != 0).then_some(at)
}

/// The servers of an upstream by what the configuration calls them, each once: as nginx's balancer
/// has them where this worker can see that, else as they are configured. All addresses of a name
/// that is resolved at run time are one.
fn servers<'c>(us: Upstream<'c>, conf: &UpstreamConf<'c>, sticky: &Sticky<'c>) -> Vec<Server<'c>> {
    let met = || Some(sticky.met_peers()?.0);
    let mut servers = match PeerList::of_zone(us).or_else(met) {
        Some(peers) => of_peers(us, conf, peers),
        None => of_configuration(us, conf),
    };
    if us.has_resolved() {
        // A name that has no address yet.
        servers.extend(us.labels().into_iter().map(|label| Server {
            name: Cow::Borrowed(label),
            ..Server::default()
        }));
    }
    keep_first(&mut servers);
    if let Some(counters) = sticky.counters.get() {
        count(&mut servers, counters);
    }
    servers
}

/// Keeps the first of each name.
fn keep_first(servers: &mut Vec<Server<'_>>) {
    /// Of so few, a set would cost more than all the rest.
    const FEW: usize = 8;

    let is_new: Vec<bool> = match servers.len() {
        ..=FEW => {
            let before = |at: usize| servers.iter().take(at);
            let all = servers.iter().enumerate();
            all.map(|(at, server)| before(at).all(|other| other.name != server.name))
                .collect()
        }
        _ => {
            let mut seen = HashSet::new();
            let all = servers.iter();
            all.map(|server| seen.insert(&server.name[..])).collect()
        }
    };
    let mut is_new = is_new.into_iter();
    servers.retain(|_| is_new.next() == Some(true));
}

/// What is counted of each server, and nothing else.
fn counts<'c>(counters: &UpstreamCounters<'c>) -> Vec<Server<'c>> {
    let all = counters.servers().map(|(name, place, sums, sessions)| {
        let mut server = Server {
            name: Cow::Borrowed(name),
            ..Server::default()
        };
        add_counts(&mut server, counters, place, sums, sessions);
        server
    });
    all.collect()
}

fn add_counts(
    server: &mut Server<'_>,
    counters: &UpstreamCounters<'_>,
    place: Place,
    sums: ServerSums,
    sessions: Option<SessionCounts>,
) {
    server.hits = Some(sums.hits);
    server.max_sessions = counters.limit(place).map(|limit| limit.get().into());
    if let Some(sessions) = sessions {
        server.sessions = Some(status::Sessions {
            in_use: sessions.in_use,
            unused: sessions.not_in_use,
            counted: known(sessions.counted),
        });
        server.last_use = known(sessions.last_use);
    }
}

/// Adds what is counted of each server.
fn count(servers: &mut [Server<'_>], counters: &UpstreamCounters<'_>) {
    // In the order of the names.
    let counted: Vec<_> = counters.servers().collect();
    for server in servers {
        let place = counted.binary_search_by_key(&&server.name[..], |(name, ..)| name);
        let Some((_, place, sums, sessions)) = place.ok().and_then(|place| counted.get(place))
        else {
            continue;
        };
        server.drain = drain(*place, counters);
        server.is_full = counters.is_full(*place);
        add_counts(server, counters, *place, *sums, *sessions);
    }
}

fn drain(place: Place, counters: &UpstreamCounters<'_>) -> Option<ServerDrain> {
    if !counters.may_have_drains() {
        return None;
    }
    let drain = counters.drain(place)?;
    Some(ServerDrain {
        is_announced: drain.by == DrainedBy::Server,
        since: counters.drained_since(place).unwrap_or_default(),
        until: drain.until,
    })
}

fn of_peers<'c>(us: Upstream<'c>, conf: &UpstreamConf<'c>, peers: PeerList) -> Vec<Server<'c>> {
    let routes = conf.routes.borrow();
    let mut found = Vec::new();
    peers.walk(us, |peer| {
        let route: Option<Vec<u8>> = match peer.identity {
            Identity::Sid(sid) => (sid != digest::server_id(peer.name)).then(|| sid.to_vec()),
            Identity::Server(position) => {
                position.and_then(|at| Some(routes.get(at)?.as_ref()?.to_vec()))
            }
        };
        let server = Server {
            name: Cow::Owned(peer.label.to_vec()),
            route: route.map(Cow::Owned),
            is_backup: peer.handle.is_backup(),
            ..Server::default()
        };
        found.push((server, peer.handle));
    });
    let states = found.into_iter().map(|(mut server, handle)| {
        if let Some(state) = peers.state(handle) {
            set_down(&mut server, state.down);
        }
        server
    });
    states.collect()
}

fn of_configuration<'c>(us: Upstream<'c>, conf: &UpstreamConf<'c>) -> Vec<Server<'c>> {
    let routes = conf.routes.borrow();
    let servers = us.addresses().into_iter().map(|address| {
        let route = routes.get(address.position).and_then(Option::as_deref);
        let mut server = Server {
            name: Cow::Borrowed(address.name),
            route: match route {
                Some(route) => Some(Cow::Owned(route.to_vec())),
                None => (!address.sid.is_empty()).then_some(Cow::Borrowed(address.sid)),
            },
            is_backup: address.is_backup,
            ..Server::default()
        };
        set_down(&mut server, address.down);
        server
    });
    servers.collect()
}

fn set_down(server: &mut Server<'_>, down: usize) {
    server.is_draining = down & DRAINING != 0;
    server.is_down = down & !DRAINING != 0;
}

fn read(zone: &TableZone, now: u64) -> status::Zone<'_> {
    let mut read = status::Zone {
        name: zone.name(),
        ..status::Zone::default()
    };
    let file = zone.conf().snapshot.get();
    read.state = file.map(|snapshot| StateFile {
        path: Cow::Borrowed(snapshot.file().path().as_os_str().as_bytes()),
        ..StateFile::default()
    });
    let Some((header, rest)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return read;
    };
    let (counters, notes) = (&header.counters, &header.notes);
    read.capacity = header.split(rest).1.len() as u64;
    let scanned_at = known(notes.scanned_at.load(Relaxed));
    let is_unused = counters.is_unused();
    if is_unused || scanned_at.is_some() {
        let (live, in_use) = (
            counters.live.load(Relaxed),
            counters.confirmed.load(Relaxed),
        );
        read.sessions = Some(status::Sessions {
            in_use,
            unused: live.saturating_sub(in_use),
            counted: if is_unused { Some(now) } else { scanned_at },
        });
    }
    read.learned = counters.learned.load(Relaxed);
    read.evicted_in_use = counters.evicted_in_use.load(Relaxed);
    read.evicted_unused = counters.evicted_unused.load(Relaxed);
    // A tick and 1, in seconds from the epoch of the zone.
    let last = known(counters.last_eviction.load(Relaxed));
    let since = header.identity.epoch().wrapping_sub(1);
    read.last_eviction = last.map(|last| {
        let ago = monotonic_seconds().saturating_sub(since.wrapping_add(last));
        now.saturating_sub(ago)
    });
    read.refused = counters.refused.load(Relaxed);
    if let Some(file) = &mut read.state {
        file.written = known(notes.state_written_at.load(Relaxed));
        file.errors = notes.state_errors.load(Relaxed);
        file.is_failing = counters.state_error.load(Relaxed) != 0;
    }
    read
}
