//! The servers of an upstream by all their names.

use sticky_core::digest;

use crate::config::types::{Sticky, UpstreamConf};
use crate::ngx::peers::{Identity, PeerList};
use crate::ngx::upstream::Upstream;

/// A server by its names.
pub struct Named {
    /// What the configuration calls it.
    pub label: Vec<u8>,
    /// Its printable address.
    pub name: Vec<u8>,
    /// `route=`.
    pub route: Option<Vec<u8>>,
}

/// All peers: as nginx's balancer has them where this worker can see that, else as they are
/// configured.
pub fn servers_of(us: Upstream<'_>, conf: &UpstreamConf<'_>, sticky: &Sticky<'_>) -> Vec<Named> {
    let routes = conf.routes.borrow();
    let route_at = |at: usize| Some(routes.get(at)?.as_ref()?.to_vec());
    let met = || Some(sticky.met_peers()?.0);
    let mut servers = Vec::new();
    match PeerList::of_zone(us).or_else(met) {
        Some(peers) => peers.walk(us, |peer| {
            let route = match peer.identity {
                Identity::Sid(sid) => (sid != digest::server_id(peer.name)).then(|| sid.to_vec()),
                Identity::Server(position) => position.and_then(route_at),
            };
            servers.push(Named {
                label: peer.label.to_vec(),
                name: peer.name.to_vec(),
                route,
            });
        }),
        None => servers.extend(us.addresses().into_iter().map(|address| Named {
            label: address.name.to_vec(),
            name: address.name.to_vec(),
            route: match route_at(address.position) {
                Some(route) => Some(route),
                None => (!address.sid.is_empty()).then(|| address.sid.to_vec()),
            },
        })),
    }
    servers
}
