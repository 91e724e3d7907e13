//! Whose sessions other nginx have, too: the zones that take part in `sticky_cluster`.

use std::collections::BTreeMap;

use sticky_core::cluster::keys::scope_digest;
use sticky_core::cluster::Liveness;
use sticky_core::directive::ZoneChoice;

use crate::ngx::conf::{Conf, Position};
use crate::ngx::cycle::Cycle;
use crate::ngx::log::{Level, Log};
use crate::ngx::process::{self, Role};
use crate::ngx::upstream::{Address, Upstream};
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::TableKeys;

use super::cluster::{ClusterConf, ClusterRefusal, ClusteredScope, ClusteredZone};
use super::error::Refusal;
use super::share;
use super::types::{MainConf, Rule, Sticky, UpstreamConf};

/// Threads of this module live in workers.
const NO_WORKERS: &str =
    "\"sticky_cluster\" needs worker processes, expected no \"master_process off\"";

/// Called when all upstreams have been read: with the directive, their zones get its keys.
pub fn complete<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let Some(conf) = main.cluster.get() else {
        return Ok(());
    };
    let later = |what: String, at: Position<'_>| {
        Refusal::Cluster(ClusterRefusal::Later {
            what,
            at: at.to_string(),
        })
    };
    if Cycle::of(cf).is_some_and(Cycle::is_single) {
        return Err(later(NO_WORKERS.to_owned(), conf.at));
    }
    // By the zone's name: its scopes, and whether they are apart.
    let mut zones: BTreeMap<&[u8], Vec<&Sticky<'c>>> = BTreeMap::new();
    for us in main.sticky.borrow().iter() {
        let sticky = us.srv_conf::<UpstreamConf<'c>>();
        let Some(sticky) = sticky.and_then(UpstreamConf::active) else {
            continue;
        };
        match sticky.rule.sessions().and_then(Sessions::zone) {
            Some(zone) => zones.entry(zone.name()).or_default().push(sticky),
            None => warn_of_local(cf, sticky),
        }
    }
    for all in zones.values() {
        let apart: Vec<_> = all.iter().filter(|sticky| is_apart(sticky)).collect();
        let other = all.iter().find(|sticky| !is_apart(sticky));
        let (Some(sticky), Some(other)) = (apart.first(), other) else {
            if apart.is_empty() {
                main.clustered.borrow_mut().extend(join(cf, conf, all));
            }
            continue;
        };
        let what = format!(
            "\"cluster=off\" in upstream \"{}\", but not in upstream \"{}\" of the same zone{}, \
             expected it in all or in none",
            sticky.upstream.escape_ascii(),
            other.upstream.escape_ascii(),
            other.at,
        );
        return Err(later(what, sticky.at));
    }
    Ok(())
}

/// Called when the configuration is complete, also what stands behind its `http` block. False: nginx is
/// not to start with it. One that runs already goes on alone.
pub fn check(new: Cycle<'_>) -> bool {
    let main = new.main_conf::<MainConf<'_>>();
    let Some(conf) = main.and_then(|main| main.cluster.get()) else {
        return true;
    };
    if !new.is_single() || process::role() != Role::Single {
        return true;
    }
    let level = if new.is_first() {
        Level::Emerg
    } else {
        Level::Error
    };
    Log::cycle().write(level, format_args!("{NO_WORKERS}{}", conf.at));
    !new.is_first()
}

/// Called when the configuration is complete and all zones have their keys: notes the names of servers
/// where sessions may be under another key.
pub fn begin(new: Cycle<'_>) {
    let Some(main) = new.main_conf::<MainConf<'_>>() else {
        return;
    };
    for us in main.sticky.borrow().iter() {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let sessions = conf.and_then(|conf| conf.active()?.rule.sessions());
        if let Some(sessions) = sessions.filter(|sessions| sessions.has_previous_keys()) {
            let names = share::labelled_names(*us);
            sessions.note_names(names.iter().map(|(_, name)| &name[..]));
        }
    }
}

/// `cluster=off`.
pub(super) fn is_apart(sticky: &Sticky<'_>) -> bool {
    matches!(&sticky.rule, Rule::Query(rule, ..) if rule.is_apart)
}

/// The upstreams of one zone have their sessions in common with those of other nginx.
fn join<'c>(
    cf: Conf<'c>,
    conf: &ClusterConf<'c>,
    all: &[&Sticky<'c>],
) -> Option<ClusteredZone<'c>> {
    let zone = all.first()?.rule.sessions()?.zone()?;
    let name = zone.name();
    let old = conf.old_key.as_ref().map(|key| key.table_key(name));
    // It is empty: a zone is joined once.
    let _ = zone.conf().keys.set(TableKeys {
        current: conf.key.table_key(name),
        old,
    });
    if let Some(snapshot) = zone.conf().snapshot.get() {
        snapshot.set_old_key(old);
    }
    let mut scopes: BTreeMap<&'c [u8], ClusteredScope<'c>> = BTreeMap::new();
    for sticky in all {
        warn_of_names(cf, sticky);
        let Some(sessions) = sticky.rule.sessions() else {
            continue;
        };
        let limits = sessions.limits();
        sessions.set_limits(Liveness::of(&limits).limits);
        let scope = sessions.scope().name();
        let known = scopes.entry(scope).or_insert_with(|| ClusteredScope {
            name: scope,
            digest: scope_digest(name, scope),
            limits,
            upstreams: Vec::new(),
        });
        known.upstreams.push(sticky.us);
    }
    Some(ClusteredZone {
        zone,
        scopes: scopes.into_values().collect(),
    })
}

fn warn_of_local(cf: Conf<'_>, sticky: &Sticky<'_>) {
    if matches!(&sticky.rule, Rule::Query(rule, ..) if rule.zone == ZoneChoice::Off && !rule.is_apart)
    {
        cf.warn_elsewhere(format_args!(
            "\"zone=off\" in \"sticky\" directive keeps sessions from \"sticky_cluster\", expected a \
             zone, or \"cluster=off\", too, upstream \"{}\"{}",
            sticky.upstream.escape_ascii(),
            sticky.at
        ));
    }
}

/// The servers of an upstream whose address means another one on each node.
pub(super) fn local_servers<'c>(us: Upstream<'c>) -> Vec<Address<'c>> {
    let routes = us.srv_conf::<UpstreamConf<'_>>();
    let routes = routes.map(|conf| conf.routes.borrow());
    let mut servers = us.addresses();
    servers.retain(|address| {
        let route = routes
            .as_ref()
            .and_then(|all| all.get(address.position)?.as_ref());
        let is_named = route.is_some() || !address.sid.is_empty();
        let is_local = [&b"127."[..], b"[::1]", b"unix:"];
        !is_named && is_local.iter().any(|local| address.name.starts_with(local))
    });
    servers
}

/// Warns of such servers.
fn warn_of_names(cf: Conf<'_>, sticky: &Sticky<'_>) {
    if let Some(server) = local_servers(sticky.us).first() {
        cf.warn_elsewhere(format_args!(
            "server \"{}\" is another one on each nginx of \"sticky_cluster\", expected \"route=NAME\", \
             upstream \"{}\"{}",
            server.name.escape_ascii(),
            sticky.upstream.escape_ascii(),
            sticky.at
        ));
    }
}
