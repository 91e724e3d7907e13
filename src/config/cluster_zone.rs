//! The zone of the cluster, and what its threads need to know of the configuration.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sticky_core::cluster::Liveness;
use sticky_core::directive::cluster::StoreAddress;
use sticky_core::table::Fingerprint;

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::process;
use crate::ngx::shm::ZoneError;
use crate::ngx::upstream::Upstream;
use crate::zone::cluster::drains::AgreedDrains;
use crate::zone::cluster::plan::{Plan, ScopePlan, TablePlan};
use crate::zone::cluster::store::{Access, Address, Tls};
use crate::zone::cluster::{self, Noted};
use crate::zone::journals::NotedScope;
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::TableKeys;

use super::cluster::{ClusterConf, ClusteredScope, ClusteredZone};
use super::cluster_drains::{ClusterDrains, DrainableServer};
use super::clustered;
use super::error::Refusal;
use super::share;
use super::types::{MainConf, UpstreamConf};

/// The name of a zone that there is not: its keys are those of servers of upstreams without a zone.
const NO_ZONE: &[u8] = b"";

/// Makes the zone, if anything is shared. Called when all upstreams have been read.
pub fn add<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let clustered = main.clustered.borrow();
    if main.cluster.get().is_none() || (clustered.is_empty() && without_zone(main).is_empty()) {
        return Ok(());
    }
    let zone = cluster::add(cf);
    let zone = zone.map_err(|(ZoneError::Reported | ZoneError::OutOfMemory)| Refusal::Reported)?;
    for scope in clustered.iter().flat_map(|clustered| &clustered.scopes) {
        let noted = Noted {
            zone,
            scope: NotedScope {
                digest: scope.digest,
                period: Liveness::of(&scope.limits).period,
            },
        };
        for us in &scope.upstreams {
            let sticky = us.srv_conf::<UpstreamConf<'c>>();
            let sticky = sticky.and_then(UpstreamConf::active);
            if let Some(sessions) = sticky.and_then(|sticky| sticky.rule.sessions()) {
                sessions.note(noted);
            }
        }
    }
    // It is empty: the configuration is completed once.
    let _ = main.cluster_zone.set(zone);
    Ok(())
}

/// Called when a worker starts, and five times a second in every worker: what operators have ordered at
/// other nodes is done.
pub fn carry_out_drains(running: Cycle<'_>) {
    let main = running.main_conf::<MainConf<'_>>();
    if let Some(drains) = main.and_then(|main| main.cluster_drains.get()) {
        drains.carry_out();
    }
}

/// The configuration is complete, also when it is only tested.
pub fn begin(new: Cycle<'_>) {
    let Some(main) = new.main_conf::<MainConf<'_>>() else {
        return;
    };
    if let (Some(conf), Some(zone), false) = (
        main.cluster.get(),
        main.cluster_zone.get(),
        process::is_test(),
    ) {
        let clustered = main.clustered.borrow();
        cluster::begin(zone, plan(conf, &clustered));
        drop(clustered);
        if let Some(agreed) = AgreedDrains::of(zone) {
            // It is empty: a configuration is complete once.
            let drains = ClusterDrains::of(agreed, drainable(conf, main));
            let _ = main.cluster_drains.set(drains);
        }
    }
}

fn plan(conf: &ClusterConf<'_>, clustered: &[ClusteredZone<'_>]) -> Plan {
    let rule = &conf.rule;
    let addresses = rule.store.servers.iter().map(|address| match address {
        StoreAddress::Tcp(host, port) => Address::Tcp(host.clone(), *port),
        StoreAddress::Unix(path) => {
            Address::Unix(std::ffi::OsStr::from_bytes(path).to_owned().into())
        }
    });
    Plan {
        access: Access {
            shown: conf.shown_url.escape_ascii().to_string(),
            addresses: addresses.collect(),
            service: rule.store.service.clone(),
            database: rule.store.database.into(),
            user: rule.store.user.clone(),
            password: conf.password.clone(),
            tls: rule.store.tls.then(|| Tls {
                authorities: conf.ca.clone(),
                own: conf.cert.clone(),
            }),
        },
        prefix: rule.prefix.clone().into_bytes(),
        seals: conf.seals(),
        wait: Duration::from_millis(rule.wait),
        tables: clustered.iter().filter_map(table_plan).collect(),
    }
}

fn table_plan(clustered: &ClusteredZone<'_>) -> Option<TablePlan> {
    let zone = clustered.zone;
    Some(TablePlan {
        zone: zone.name().into(),
        longest: zone.conf().longest.get()?,
        scopes: clustered.scopes.iter().map(scope_plan).collect(),
    })
}

fn scope_plan(scope: &ClusteredScope<'_>) -> ScopePlan {
    let upstreams = scope.upstreams.iter();
    let servers = upstreams.flat_map(|us| share::labelled_names(*us));
    ScopePlan {
        digest: scope.digest,
        name: scope.name.into(),
        liveness: Liveness::of(&scope.limits),
        servers: servers.map(|(_, name)| name).collect(),
    }
}

/// The upstreams that have no sessions in common with other nodes, but drains: those without a zone of
/// sessions that do not say `cluster=off`.
fn without_zone<'c>(main: &MainConf<'c>) -> Vec<Upstream<'c>> {
    let all = main.sticky.borrow();
    let has_none = |us: &&Upstream<'c>| {
        let sticky = us.srv_conf::<UpstreamConf<'c>>();
        sticky.and_then(UpstreamConf::active).is_some_and(|sticky| {
            let zone = sticky.rule.sessions().and_then(Sessions::zone);
            zone.is_none() && !clustered::is_apart(sticky)
        })
    };
    all.iter().filter(has_none).copied().collect()
}

/// The servers whose drains all nodes have in common.
fn drainable<'c>(conf: &ClusterConf<'c>, main: &MainConf<'c>) -> Vec<DrainableServer<'c>> {
    let mut servers = Vec::new();
    for zone in main.clustered.borrow().iter() {
        if let Some(keys) = zone.zone.conf().keys.get() {
            let upstreams = zone.scopes.iter().flat_map(|scope| &scope.upstreams);
            let of_zone = upstreams.filter_map(|us| drainable_in(*us, *keys));
            servers.extend(of_zone.flatten());
        }
    }
    let keys = TableKeys {
        current: conf.key.table_key(NO_ZONE),
        old: conf.old_key.as_ref().map(|key| key.table_key(NO_ZONE)),
    };
    for us in without_zone(main) {
        // Nobody was warned of them.
        let local = clustered::local_servers(us);
        let is_local = |label: &[u8]| local.iter().any(|server| server.name == label);
        let of_upstream = drainable_in(us, keys).into_iter().flatten();
        servers.extend(of_upstream.filter(|server| !is_local(server.label)));
    }
    servers
}

fn drainable_in<'c>(us: Upstream<'c>, keys: TableKeys) -> Option<Vec<DrainableServer<'c>>> {
    let conf = us.srv_conf::<UpstreamConf<'c>>()?;
    let counters = conf.active()?.counters.get()?;
    let mut names: BTreeMap<&'c [u8], Vec<u8>> = BTreeMap::new();
    for (label, name) in share::labelled_names(us) {
        names.entry(label).or_insert(name);
    }
    // Those that are resolved at run time are drained by the name in their line.
    let routes = conf.routes.borrow();
    for (at, label) in us.placed_labels() {
        let route = routes.get(at).and_then(Option::as_deref);
        let name = || route.unwrap_or(label).to_vec();
        names.entry(label).or_insert_with(name);
    }
    let servers = names.into_iter().filter_map(|(label, name)| {
        let of = |keys| Fingerprint::new(keys, us.name(), &name);
        Some(DrainableServer {
            upstream: us.name(),
            counters,
            label,
            place: counters.server(label)?,
            current: of(keys.current),
            old: keys.old.map(of),
        })
    });
    Some(servers.collect())
}
