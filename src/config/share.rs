//! `share=`: upstreams that have their sessions in common.
//!
//! All of them have one scope in the session table and in the registry of their zone, so a server has
//! one number in all of them. A number that an upstream does not know is a server of another one of
//! the share, which keeps its sessions, or of none, which has lost them.

use std::collections::{BTreeMap, BTreeSet};

use sticky_core::counters::Place;
use sticky_core::directive::QueryRule;
use sticky_core::table::{Fingerprint, PeerId};

use crate::ngx::conf::Conf;
use crate::ngx::peers::PeerList;
use crate::ngx::upstream::Upstream;
use crate::zone::sessions::{Scope, Sessions};

use super::error::Refusal;
use super::peer_index::{names_in_table, PeerIndex};
use super::types::{Rule, Sticky, UpstreamConf};

fn share_of<'a>(sticky: &'a Sticky<'_>) -> Option<&'a [u8]> {
    match &sticky.rule {
        Rule::Query(rule, ..) => rule.share.as_deref(),
        _ => None,
    }
}

/// Refuses the rule of an upstream that cannot be of its share. The directive is being read.
pub fn check(cf: Conf<'_>, us: Upstream<'_>, rule: &QueryRule) -> Result<(), Refusal> {
    let Some(share) = &rule.share else {
        return Ok(());
    };
    for other in cf.upstreams() {
        let Some(conf) = other.srv_conf::<UpstreamConf<'_>>() else {
            continue;
        };
        let Some(sticky) = conf.sticky.get() else {
            continue;
        };
        let Rule::Query(known, ..) = &sticky.rule else {
            continue;
        };
        if known.share.as_ref() != Some(share) {
            continue;
        }
        // All others are as this one.
        return match rule.differs_in(known) {
            None => Ok(()),
            Some(parameter) => Err(Refusal::Share {
                parameter,
                share: share.clone(),
                upstream: us.name().to_vec(),
                other: other.name().to_vec(),
                at: sticky.at.to_string(),
            }),
        };
    }
    Ok(())
}

/// Tells the upstreams of each share of each other. Called when all have been read.
pub fn complete<'c>(cf: Conf<'c>) -> Result<(), Refusal> {
    let mut shares: BTreeMap<&[u8], Vec<&Sticky<'c>>> = BTreeMap::new();
    let mut upstreams = Vec::new();
    for us in cf.upstreams() {
        let conf = us.srv_conf::<UpstreamConf<'c>>();
        let Some(sticky) = conf.and_then(UpstreamConf::active) else {
            continue;
        };
        match share_of(sticky) {
            Some(name) => shares.entry(name).or_default().push(sticky),
            None => upstreams.push(sticky),
        }
    }
    for sticky in upstreams {
        let shared = shares.get(sticky.upstream).and_then(|all| all.first());
        let zone_of = |sticky: &Sticky<'c>| {
            let name = sticky.rule.sessions().and_then(Sessions::zone_name);
            name.map(<[u8]>::to_vec)
        };
        if let Some(shared) = shared {
            let zone = zone_of(sticky);
            if zone.is_some() && zone == zone_of(shared) {
                return Err(Refusal::SharedName {
                    upstream: sticky.upstream.to_vec(),
                    at: sticky.at.to_string(),
                    other: shared.upstream.to_vec(),
                    other_at: shared.at.to_string(),
                });
            }
        }
    }
    for (name, all) in shares {
        for sticky in &all {
            let others = all.iter().filter(|other| !std::ptr::eq(**other, *sticky));
            let others: Vec<_> = others.map(|other| other.us).collect();
            warn(cf, name, sticky, &others);
            // It is empty: the configuration is completed once.
            let _ = sticky.sharers.set(others);
        }
    }
    Ok(())
}

/// Warns of an upstream that has no session in common with any other.
fn warn(cf: Conf<'_>, share: &[u8], sticky: &Sticky<'_>, others: &[Upstream<'_>]) {
    let (share, upstream) = (share.escape_ascii(), sticky.upstream.escape_ascii());
    let at = sticky.at;
    if others.is_empty() {
        cf.warn_elsewhere(format_args!(
            "\"share={share}\" is in no other upstream, upstream \"{upstream}\"{at}"
        ));
        return;
    }
    if sticky.us.has_resolved() || others.iter().any(|other| other.has_resolved()) {
        return;
    }
    let own = names(sticky.us);
    if !others.iter().any(|other| !names(*other).is_disjoint(&own)) {
        cf.warn_elsewhere(format_args!(
            "no server is also in another upstream of \"share={share}\", expected the same \
             addresses, or the same \"route=\" for what is one server, upstream \"{upstream}\"{at}"
        ));
    }
}

/// What the servers of an upstream are called in a session table, but those that are resolved at run
/// time.
fn names(us: Upstream<'_>) -> BTreeSet<Vec<u8>> {
    let names = labelled_names(us).into_iter();
    names.map(|(_, name)| name).collect()
}

/// The same, each with what the configuration calls the server.
pub fn labelled_names(us: Upstream<'_>) -> Vec<(&[u8], Vec<u8>)> {
    let Some(conf) = us.srv_conf::<UpstreamConf<'_>>() else {
        return Vec::new();
    };
    let routes = conf.routes.borrow();
    let addresses = us.addresses();
    let peers = addresses.iter().map(|address| {
        let route = routes.get(address.position).and_then(Option::as_deref);
        let route = route.or((!address.sid.is_empty()).then_some(address.sid));
        (address.name, route)
    });
    let names = names_in_table(&peers.collect::<Vec<_>>()).into_iter();
    names
        .filter_map(|(at, name)| Some((addresses.get(at)?.name, name)))
        .collect()
}

/// Whether a server that this upstream does not know is one of another upstream of its share.
#[cold]
pub fn has_elsewhere(sticky: &Sticky<'_>, server: PeerId) -> bool {
    let (Some(others), Some(sessions)) = (sticky.sharers.get(), sticky.rule.sessions()) else {
        return false;
    };
    let is_in_zone = others.iter().any(|other| {
        let conf = other.srv_conf::<UpstreamConf<'_>>();
        conf.and_then(UpstreamConf::active).is_some_and(|other| {
            PeerList::of_zone(other.us)
                .is_some_and(|peers| other.peer_index(peers).by_number(server).is_some())
        })
    });
    is_in_zone || is_fixed_elsewhere(sticky, others, sessions, server)
}

/// The same for servers that never change.
fn is_fixed_elsewhere(
    sticky: &Sticky<'_>,
    others: &[Upstream<'_>],
    sessions: &Sessions<'_>,
    server: PeerId,
) -> bool {
    let registration = sessions
        .registry()
        .and_then(|registry| registry.registration(server));
    let Some(server) = registration.and_then(|it| it.fingerprint()) else {
        return false;
    };
    let servers = sticky.sharers_servers.get_or_init(|| {
        let fixed = others.iter().filter(|us| PeerList::of_zone(**us).is_none());
        let names = fixed.flat_map(|us| names(*us));
        names
            .flat_map(|name| {
                let earlier = sessions.earlier_fingerprints(&name);
                sessions.fingerprint(&name).into_iter().chain(earlier)
            })
            .collect::<BTreeSet<Fingerprint>>()
    });
    servers.contains(&server)
}

/// A session has come to a server: counts it in each upstream of the share that has the server.
#[cold]
#[inline(never)]
pub fn arrived(sticky: &Sticky<'_>, index: &PeerIndex<'_>, server: PeerId) {
    let place = index.by_number(server).and_then(|peer| peer.counters);
    if let (Some(counters), Some(place)) = (sticky.counters.get(), place) {
        counters.arrived(place);
    }
    for other in sticky.sharers.get().into_iter().flatten() {
        let conf = other.srv_conf::<UpstreamConf<'_>>();
        let Some(other) = conf.and_then(UpstreamConf::active) else {
            continue;
        };
        let Some(counters) = other.counters.get().filter(|it| it.has_limits()) else {
            continue;
        };
        let place = match PeerList::of_zone(other.us) {
            Some(peers) => {
                let index = other.peer_index(peers);
                index.by_number(server).and_then(|peer| peer.counters)
            }
            None => fixed_place(sticky, other, server),
        };
        if let Some(place) = place {
            counters.arrived(place);
        }
    }
}

/// Where an upstream whose servers never change counts the one of that number.
fn fixed_place(sticky: &Sticky<'_>, other: &Sticky<'_>, server: PeerId) -> Option<Place> {
    let sessions = sticky.rule.sessions()?;
    let registration = sessions.registry()?.registration(server);
    let server = registration.and_then(|it| it.fingerprint())?;
    let names = labelled_names(other.us).into_iter();
    let mut labels = names.filter(|(_, name)| sessions.is_known_by(name, server));
    other.counters.get()?.server(labels.next()?.0)
}

/// Whose sessions those of an upstream are.
pub fn scope<'c>(cf: Conf<'c>, us: Upstream<'c>, rule: &QueryRule) -> Result<Scope<'c>, Refusal> {
    match &rule.share {
        None => Ok(Scope::Upstream(us.name())),
        Some(share) => cf
            .pool()
            .and_then(|pool| pool.copy(share))
            .map(Scope::Share)
            .ok_or(Refusal::Reported),
    }
}
