//! A worker's knowledge of an upstream's peers, read again when they come or go.

use std::collections::HashMap;

use sticky_core::digest;
use sticky_core::word::PeerId;

use crate::conf::Rule;
use crate::module;
use crate::ngx::balancer::Bearers;
use crate::ngx::peers::{Identity, PeerHandle, PeerKey, PeerList};
use crate::ngx::upstream::Upstream;

/// A worker's map of an upstream's peers: by what a session word, a cookie or a response knows.
#[derive(Default)]
pub struct Directory {
    generation: Option<usize>,
    peers: Vec<Peer>,
    /// Sorted; an upstream has few peers, and a request asks for one of them.
    by_id: Vec<(PeerId, usize)>,
    by_name: HashMap<Box<[u8]>, usize>,
    by_value: HashMap<Box<[u8]>, usize>,
    /// Under nginx's own forms of the directive, a backup peer of the same value.
    backup_by_value: HashMap<Box<[u8]>, usize>,
    by_key: HashMap<PeerKey, usize>,
}

/// A peer in the directory.
pub struct Peer {
    /// What stands in its sessions' words.
    pub id: PeerId,
    /// What stands in its clients' cookies, its server id under nginx's own forms of the directive;
    /// empty in other modes.
    pub value: Box<[u8]>,
    /// Where nginx has it.
    pub handle: PeerHandle,
}

impl Directory {
    /// Reads the peers again when they have changed.
    pub fn refresh(&mut self, list: PeerList, us: Upstream<'_>, rule: &Rule<'_>) {
        let generation = list.generation();
        if self.generation == Some(generation) {
            return;
        }
        let routes = module::upstream_conf(us).map(|conf| conf.routes.borrow());
        let mut found = Vec::new();
        list.walk(us, |peer| {
            let route: Option<Box<[u8]>> = match peer.identity {
                Identity::Sid(sid) => (sid != digest::server_id(peer.name)).then(|| sid.into()),
                Identity::Server(position) => {
                    position.and_then(|at| routes.as_ref()?.get(at)?.clone())
                }
            };
            let name: Box<[u8]> = peer.name.into();
            found.push((name, route, peer.handle));
        });
        // A server with a route keeps its sessions when its address changes.
        let mut names: Vec<&[u8]> = Vec::with_capacity(found.len());
        for (name, route, _) in &found {
            names.push(route.as_deref().unwrap_or(name));
        }
        let ids = digest::peer_ids(&names);
        *self = Self {
            generation: Some(generation),
            ..Self::default()
        };
        for (index, ((name, route, handle), id)) in found.into_iter().zip(ids).enumerate() {
            let value = match rule {
                Rule::Cookie(rule) => rule.recipe.value(index, &name),
                Rule::Query(..) => Vec::new(),
                Rule::Native(_) => match route {
                    Some(route) => route.into_vec(),
                    None => digest::server_id(&name),
                },
            };
            // An address that is listed twice is one peer: the first.
            self.by_id.push((id, index));
            self.by_name.entry(name).or_insert(index);
            let by_value = match rule {
                Rule::Native(_) if handle.is_backup() => &mut self.backup_by_value,
                _ => &mut self.by_value,
            };
            self.by_key.insert(handle.key(), index);
            by_value.entry(value.as_slice().into()).or_insert(index);
            self.peers.push(Peer {
                id,
                value: value.into(),
                handle,
            });
        }
        self.by_id.sort_unstable();
        self.by_id.dedup_by_key(|(id, _)| *id);
    }

    /// The peer that a session's word names.
    pub fn by_id(&self, id: PeerId) -> Option<&Peer> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.peers.get(self.by_id.get(at)?.1)
    }

    /// The peer that nginx calls so.
    pub fn by_name(&self, name: &[u8]) -> Option<&Peer> {
        self.peers.get(*self.by_name.get(name)?)
    }

    /// The peer with that key.
    pub fn by_key(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(*self.by_key.get(&key)?)
    }

    /// The server id for which `test` holds.
    pub fn find(&self, test: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let mut values = self.peers.iter().map(|peer| &peer.value[..]);
        values.find(|value| test(value))
    }

    /// The peers with that server id.
    pub fn bearers(&self, sid: &[u8]) -> Bearers {
        let first = |map: &HashMap<Box<[u8]>, usize>| {
            let peer = self.peers.get(*map.get(sid)?)?;
            Some(peer.handle)
        };
        Bearers {
            primary: first(&self.by_value),
            backup: first(&self.backup_by_value),
        }
    }

    /// The peer that a cookie names.
    pub fn by_value(&self, value: &[u8]) -> Option<&Peer> {
        self.peers.get(*self.by_value.get(value)?)
    }
}
