//! A worker's index of an upstream's peers: finds them by what a session, a cookie, a response or
//! nginx calls them. Rebuilt when peers come or go.

use std::borrow::Borrow;
use std::cell::Ref;
use std::ops::Deref;

use sticky_core::table::PeerId;
use sticky_core::{digest, peer_id};

use crate::ngx::peers::{Identity, PeerHandle, PeerKey, PeerList};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;

/// An upstream's peers, and where to find them by each of their names.
#[derive(Default)]
pub struct PeerIndex {
    generation: Option<usize>,
    peers: Vec<Peer>,
    by_id: Slots<PeerId>,
    by_name: Slots<Box<[u8]>>,
    by_value: Slots<Box<[u8]>>,
    /// Under nginx's own forms of the directive, backup peers are looked up apart.
    backup_by_value: Slots<Box<[u8]>>,
    by_key: Slots<PeerKey>,
}

/// Positions of peers by a key, of which the first peer counts. Mostly the first slot looked at is the
/// right one, however many there are.
///
/// Not std's HashMap, because every hit goes through it: with rustc-hash's hasher a hit of `mode=query`
/// takes 17 instructions more, one of `mode=cookie` 71 (`make bench-instructions`).
struct Slots<K> {
    /// At least half of them are empty, so that every search ends.
    slots: Vec<Option<(K, usize)>>,
    /// Shifts a hash to as many bits as the number of a slot has.
    shift: u32,
}

/// A key that a peer is found by.
trait Spread {
    /// A number that mostly differs from those of other keys.
    fn spread(&self) -> u64;
}

impl Spread for PeerId {
    #[inline]
    fn spread(&self) -> u64 {
        self.get().into()
    }
}

impl Spread for PeerKey {
    #[inline]
    fn spread(&self) -> u64 {
        self.number() as u64
    }
}

impl Spread for [u8] {
    #[inline]
    fn spread(&self) -> u64 {
        // The first and the last eight bytes, or all of a shorter one.
        let (start, end) = match (self.first_chunk(), self.last_chunk()) {
            (Some(start), Some(end)) => (u64::from_le_bytes(*start), u64::from_le_bytes(*end)),
            _ => (0, self.iter().fold(0, |all, b| all << 8 | u64::from(*b))),
        };
        start.rotate_left(29) ^ end
    }
}

impl Spread for Box<[u8]> {
    fn spread(&self) -> u64 {
        (**self).spread()
    }
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            shift: 0,
        }
    }
}

impl<K: Spread + Eq> Slots<K> {
    /// Room for that many peers.
    fn for_peers(peers: usize) -> Self {
        let bits = usize::BITS - peers.leading_zeros() + 1;
        Self {
            slots: std::iter::repeat_with(|| None).take(1 << bits).collect(),
            shift: u64::BITS - bits,
        }
    }

    fn push(&mut self, key: K, position: usize) {
        let mut at = self.first_slot(key.spread());
        while let Some(slot) = self.slots.get_mut(at) {
            match slot {
                Some((known, _)) if *known == key => return,
                Some(_) => at = self.next_slot(at),
                None => {
                    *slot = Some((key, position));
                    return;
                }
            }
        }
    }

    #[inline]
    fn position<Q: Spread + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let mut at = self.first_slot(key.spread());
        loop {
            match self.slots.get(at)? {
                Some((known, position)) if known.borrow() == key => return Some(*position),
                Some(_) => at = self.next_slot(at),
                None => return None,
            }
        }
    }

    #[inline]
    fn first_slot(&self, spread: u64) -> usize {
        // The golden ratio (Fibonacci hashing): every bit counts in the high ones.
        (spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline]
    fn next_slot(&self, at: usize) -> usize {
        (at + 1) % self.slots.len()
    }
}

/// An upstream's index, as it is handed to a request.
pub enum IndexView<'a> {
    /// Of peers that never change: outlives the request.
    Fixed(&'a PeerIndex),
    /// Of the peers that exist now.
    Now(Ref<'a, PeerIndex>),
}

impl Deref for IndexView<'_> {
    type Target = PeerIndex;

    #[inline]
    fn deref(&self) -> &PeerIndex {
        match self {
            Self::Fixed(index) => index,
            Self::Now(index) => index,
        }
    }
}

/// The first primary and the first backup peer that have a server id.
#[derive(Clone, Copy, Default)]
pub struct Candidates {
    /// Of the primary list.
    pub primary: Option<PeerHandle>,
    /// Of the backup list.
    pub backup: Option<PeerHandle>,
}

impl Candidates {
    /// Whether there is one.
    pub fn is_some(self) -> bool {
        self.primary.is_some() || self.backup.is_some()
    }
}

/// What clients see of a peer.
#[derive(Default)]
pub struct ClientView {
    /// See [`Peer::value`].
    pub value: Vec<u8>,
    /// See [`Peer::pair`].
    pub pair: Vec<u8>,
    /// See [`Peer::set_cookie`].
    pub set_cookie: Vec<u8>,
}

/// A peer in the index.
pub struct Peer {
    /// Its id in the session table.
    pub id: PeerId,
    /// Its value in cookies and links; under nginx's own forms of the directive its server id; empty in
    /// `mode=query`.
    pub value: Box<[u8]>,
    /// Name and value of its cookie in `mode=cookie`.
    pub pair: Box<[u8]>,
    /// Its whole Set-Cookie, if that is always the same; else empty.
    pub set_cookie: Box<[u8]>,
    /// Its place in nginx's list.
    pub handle: PeerHandle,
}

impl PeerIndex {
    /// Whether the peers are still the same.
    pub fn is_of(&self, list: PeerList) -> bool {
        self.generation == Some(list.generation())
    }

    /// Indexes the peers of a list. `routes` are the `route=` of the `server` directives, for an nginx
    /// that does not know that parameter. `client_view` tells what clients see of a peer with that position,
    /// name and route.
    pub fn read(
        list: PeerList,
        us: Upstream<'_>,
        routes: &[Option<Box<[u8]>>],
        separate_backups: bool,
        client_view: impl Fn(usize, &[u8], Option<Box<[u8]>>) -> ClientView,
    ) -> Self {
        let generation = list.generation();
        let mut found = Vec::new();
        list.walk(us, |peer| {
            let route: Option<Box<[u8]>> = match peer.identity {
                Identity::Sid(sid) => (sid != digest::server_id(peer.name)).then(|| sid.into()),
                Identity::Server(position) => position.and_then(|at| routes.get(at)?.clone()),
            };
            let name: Box<[u8]> = peer.name.into();
            found.push((name, route, peer.handle));
        });
        // A server with a route keeps its sessions when its address changes.
        let mut names: Vec<&[u8]> = Vec::with_capacity(found.len());
        for (name, route, _) in &found {
            names.push(route.as_deref().unwrap_or(name));
        }
        let ids = peer_id::peer_ids(&names);
        let count = found.len();
        let mut read = Self {
            generation: Some(generation),
            peers: Vec::with_capacity(count),
            by_id: Slots::for_peers(count),
            by_name: Slots::for_peers(count),
            by_value: Slots::for_peers(count),
            backup_by_value: Slots::for_peers(count),
            by_key: Slots::for_peers(count),
        };
        for (index, ((name, route, handle), id)) in found.into_iter().zip(ids).enumerate() {
            let ClientView {
                value,
                pair,
                set_cookie,
            } = client_view(index, &name, route);
            // Of equal names the first counts: an address that is listed twice is one peer.
            read.by_id.push(id, index);
            read.by_name.push(name, index);
            let by_value = if separate_backups && handle.is_backup() {
                &mut read.backup_by_value
            } else {
                &mut read.by_value
            };
            read.by_key.push(handle.key(), index);
            by_value.push(value.as_slice().into(), index);
            read.peers.push(Peer {
                id,
                pair: pair.into(),
                set_cookie: set_cookie.into(),
                value: value.into(),
                handle,
            });
        }
        read
    }

    /// The peer with that id in the session table.
    pub fn by_id(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(self.by_id.position(&id)?)
    }

    /// The peer, called `name`, that answers a request.
    pub fn answering(&self, r: Request<'_>, name: &[u8]) -> Option<&Peer> {
        let key = r.upstream().map(|exchange| exchange.peer_key());
        key.and_then(|key| self.by_key(key)).or_else(|| {
            // It has been replaced by another one of the same name.
            self.peers.get(self.by_name.position(name)?)
        })
    }

    /// The peer with that key.
    pub fn by_key(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(self.by_key.position(&key)?)
    }

    /// The first server id for which `test` holds.
    pub fn find(&self, test: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let mut values = self.peers.iter().map(|peer| &peer.value[..]);
        values.find(|value| test(value))
    }

    /// The first peers with that server id.
    pub fn candidates(&self, sid: &[u8]) -> Candidates {
        let first = |map: &Slots<Box<[u8]>>| {
            let peer = self.peers.get(map.position(sid)?)?;
            Some(peer.handle)
        };
        Candidates {
            primary: first(&self.by_value),
            backup: first(&self.backup_by_value),
        }
    }

    /// The peer with that value in cookies and links.
    pub fn by_value(&self, value: &[u8]) -> Option<&Peer> {
        self.peers.get(self.by_value.position(value)?)
    }
}
