//! A worker's knowledge of an upstream's peers, read again when they come or go.

use std::borrow::Borrow;

use sticky_core::digest;
use sticky_core::word::PeerId;

use crate::conf::Rule;
use crate::module;
use crate::ngx::balancer::Bearers;
use crate::ngx::peers::{Identity, PeerHandle, PeerKey, PeerList};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;

/// A worker's map of an upstream's peers: by what a session word, a cookie or a response knows.
#[derive(Default)]
pub struct Directory {
    generation: Option<usize>,
    peers: Vec<Peer>,
    by_id: Sorted<PeerId>,
    by_name: Sorted<Box<[u8]>>,
    by_value: Sorted<Text>,
    /// Under nginx's own forms of the directive, a backup peer of the same value.
    backup_by_value: Sorted<Text>,
    by_key: Sorted<PeerKey>,
}

/// Positions of peers, by a key, of which the first peer counts. A request asks once or twice among
/// few: that is cheaper than a hash of the key.
struct Sorted<K>(Vec<(K, usize)>);

impl<K> Default for Sorted<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord> Sorted<K> {
    fn push(&mut self, key: K, position: usize) {
        self.0.push((key, position));
    }

    /// To be called before the first look.
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|later, earlier| later.0 == earlier.0);
    }

    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.first_not(|known| known.borrow() < key)
            .filter(|(known, _)| known.borrow() == key)
            .map(|(_, position)| *position)
    }

    /// The first key for which `is_before` does not hold.
    fn first_not(&self, is_before: impl Fn(&K) -> bool) -> Option<&(K, usize)> {
        let at = self.0.partition_point(|(known, _)| is_before(known));
        self.0.get(at)
    }
}

/// Bytes, and their start as a number, which mostly tells two of them apart. In the order of that.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Text(u64, Box<[u8]>);

impl Text {
    fn start(bytes: &[u8]) -> u64 {
        bytes.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(Self::start(bytes), bytes.into())
    }
}

impl Sorted<Text> {
    fn of(&self, bytes: &[u8]) -> Option<usize> {
        let start = Text::start(bytes);
        let is_before =
            |Text(other, text): &Text| *other < start || (*other == start && **text < *bytes);
        self.first_not(is_before)
            .filter(|(Text(_, text), _)| **text == *bytes)
            .map(|(_, position)| *position)
    }
}

/// A peer in the directory.
pub struct Peer {
    /// What stands in its sessions' words.
    pub id: PeerId,
    /// What stands in its clients' cookies, its server id under nginx's own forms of the directive;
    /// empty in other modes.
    pub value: Box<[u8]>,
    /// The cookie that stands for it, name and value, in `mode=cookie`.
    pub pair: Box<[u8]>,
    /// Where nginx has it.
    pub handle: PeerHandle,
}

impl Directory {
    /// The peers are still the same.
    pub fn is_of(&self, list: PeerList) -> bool {
        self.generation == Some(list.generation())
    }

    /// Reads the peers.
    pub fn read(list: PeerList, us: Upstream<'_>, rule: &Rule<'_>) -> Self {
        let generation = list.generation();
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
        let mut read = Self {
            generation: Some(generation),
            ..Self::default()
        };
        for (index, ((name, route, handle), id)) in found.into_iter().zip(ids).enumerate() {
            let value = match rule {
                Rule::Cookie(rule) => rule.recipe.value(index, &name),
                Rule::Rewrite(rule) => rule.recipe.value(index, &name),
                Rule::Query(..) => Vec::new(),
                Rule::Native(_) => match route {
                    Some(route) => route.into_vec(),
                    None => digest::server_id(&name),
                },
            };
            // An address that is listed twice is one peer: the first.
            read.by_id.push(id, index);
            read.by_name.push(name, index);
            let by_value = match rule {
                Rule::Native(_) if handle.is_backup() => &mut read.backup_by_value,
                _ => &mut read.by_value,
            };
            read.by_key.push(handle.key(), index);
            by_value.push(value.as_slice().into(), index);
            read.peers.push(Peer {
                id,
                pair: match rule {
                    Rule::Cookie(rule) => [&rule.name, &b"="[..], &value].concat().into(),
                    _ => Box::default(),
                },
                value: value.into(),
                handle,
            });
        }
        read.by_id.sort();
        read.by_name.sort();
        read.by_value.sort();
        read.backup_by_value.sort();
        read.by_key.sort();
        read
    }

    /// The peer that a session's word names.
    pub fn by_id(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(self.by_id.position(&id)?)
    }

    /// The peer that answers a request, whose name is `name`.
    pub fn answering(&self, r: Request<'_>, name: &[u8]) -> Option<&Peer> {
        let key = r.upstream().map(|exchange| exchange.peer_key());
        key.and_then(|key| self.by_key(key)).or_else(|| {
            // It has left, and one of the same name has come.
            self.peers.get(self.by_name.position(name)?)
        })
    }

    /// The peer with that key.
    pub fn by_key(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(self.by_key.position(&key)?)
    }

    /// The server id for which `test` holds.
    pub fn find(&self, test: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let mut values = self.peers.iter().map(|peer| &peer.value[..]);
        values.find(|value| test(value))
    }

    /// The peers with that server id.
    pub fn bearers(&self, sid: &[u8]) -> Bearers {
        let first = |map: &Sorted<Text>| {
            let peer = self.peers.get(map.of(sid)?)?;
            Some(peer.handle)
        };
        Bearers {
            primary: first(&self.by_value),
            backup: first(&self.backup_by_value),
        }
    }

    /// The peer that a cookie names.
    pub fn by_value(&self, value: &[u8]) -> Option<&Peer> {
        self.peers.get(self.by_value.of(value)?)
    }
}
