//! A worker's index of an upstream's peers: finds them by what a session, a cookie, a response or
//! nginx calls them. Rebuilt when peers come or go.

use std::cell::{Cell, Ref};
use std::ops::Deref;

use sticky_core::counters::{HitCounter, Place};
use sticky_core::digest;
use sticky_core::table::{Epoch, Fingerprint, PeerId, Registration};

use crate::ngx::peers::{Identity, PeerHandle, PeerKey, PeerList};
use crate::ngx::request::Request;
use crate::ngx::upstream::Upstream;
use crate::zone::sessions::Sessions;

mod numbers;
mod slots;

use numbers::PeerNumbers;
pub use numbers::{names_in_table, names_of_each};
use slots::Slots;

/// An upstream's peers, and where to find them by each of their names.
#[derive(Default)]
pub struct PeerIndex<'c> {
    list: Option<PeerList>,
    generation: Option<usize>,
    peers: Vec<Peer>,
    numbers: PeerNumbers<'c>,
    by_name: Slots<Box<[u8]>>,
    by_value: Slots<Box<[u8]>>,
    /// Under nginx's own forms of the directive, backup peers are looked up apart.
    backup_by_value: Slots<Box<[u8]>>,
    by_key: Slots<PeerKey>,
}

/// An upstream's index, as it is handed to a request.
pub enum IndexView<'a> {
    /// Of peers that never change: outlives the request.
    Fixed(&'a PeerIndex<'a>),
    /// Of the peers that exist now.
    Now(Ref<'a, PeerIndex<'a>>),
}

impl<'a> Deref for IndexView<'a> {
    type Target = PeerIndex<'a>;

    #[inline]
    fn deref(&self) -> &PeerIndex<'a> {
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
    /// Its position in the index.
    position: usize,
    /// Its number where there is no session table: made from its name, it stays the same.
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
    /// The place of its counters.
    pub counters: Option<Place>,
    /// Where its hits are counted.
    pub hits: HitCounter,
}

impl<'c> PeerIndex<'c> {
    /// Whether the peers are still the same.
    pub fn is_of(&self, list: PeerList) -> bool {
        self.generation == Some(list.generation())
    }

    /// Indexes the peers of a list. `routes` are the `route=` of the `server` directives, for an nginx
    /// that does not know that parameter. `sessions` are those of the upstream, if it has a session
    /// table. `counters` tells the place of the counters of a server that the configuration calls
    /// so, `client_view` what clients see of a peer with that position, name and route.
    pub fn read(
        list: PeerList,
        us: Upstream<'_>,
        routes: &[Option<Box<[u8]>>],
        separate_backups: bool,
        sessions: Option<&Sessions<'c>>,
        counters: impl Fn(&[u8]) -> Option<Place>,
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
            found.push((name, route, peer.handle, counters(peer.label)));
        });
        let names = found
            .iter()
            .map(|(name, route, ..)| (&name[..], route.as_deref()));
        let numbers = PeerNumbers::read(&names.collect::<Vec<_>>(), sessions);
        let count = found.len();
        let mut read = Self {
            list: Some(list),
            generation: Some(generation),
            peers: Vec::with_capacity(count),
            numbers,
            by_name: Slots::for_peers(count),
            by_value: Slots::for_peers(count),
            backup_by_value: match separate_backups {
                true => Slots::for_peers(count),
                false => Slots::default(),
            },
            by_key: Slots::for_peers(count),
        };
        for (index, (name, route, handle, counters)) in found.into_iter().enumerate() {
            let ClientView {
                value,
                pair,
                set_cookie,
            } = client_view(index, &name, route);
            // Of equal names the first counts: an address that is listed twice is one peer.
            read.by_name.push(name, index);
            let by_value = if separate_backups && handle.is_backup() {
                &mut read.backup_by_value
            } else {
                &mut read.by_value
            };
            read.by_key.push(handle.key(), index);
            by_value.push(value.as_slice().into(), index);
            read.peers.push(Peer {
                position: index,
                id: read.numbers.first_number(index),
                pair: pair.into(),
                set_cookie: set_cookie.into(),
                value: value.into(),
                handle,
                counters,
                hits: HitCounter::of(counters),
            });
        }
        read
    }

    /// All peers, the primary ones first.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// The peer that a number in the session table means now.
    #[inline]
    pub fn by_number(&self, number: PeerId) -> Option<&Peer> {
        self.by_number_noting(number, &Cell::default())
    }

    /// The same. Notes the epoch of the registry in which it does, if that is later than
    /// [`PeerIndex::epoch`].
    #[inline]
    pub fn by_number_noting(&self, number: PeerId, epoch: &Cell<Epoch>) -> Option<&Peer> {
        self.peers.get(self.numbers.position(number, epoch)?)
    }

    /// The same, where it means what it meant when the index was built; `None` where it may not.
    #[inline(always)]
    pub fn by_number_as_built(&self, number: PeerId) -> Option<&Peer> {
        self.peers.get(self.numbers.position_as_built(number)?)
    }

    /// The epoch of the registry in which the index was built.
    pub fn epoch(&self) -> Epoch {
        self.numbers.epoch()
    }

    /// What a session of a peer is to be learned under. `None`: the zone has no number left for it.
    #[inline]
    pub fn registration(&self, peer: &Peer) -> Option<Registration> {
        self.numbers.registration(peer.position)
    }

    /// The peer, called `name`, that answers a request.
    #[inline]
    pub fn answering(&self, r: Request<'_>, name: &[u8]) -> Option<&Peer> {
        let key = r.upstream().map(|exchange| exchange.peer_key());
        key.and_then(|key| self.by_key(key))
            .or_else(|| self.by_name(name))
    }

    /// What a session of the peer that answers a request is to be learned under, where that is as it was
    /// when the index was built; `None` where it may not be.
    #[inline(always)]
    pub fn answering_as_built(&self, r: Request<'_>) -> Option<Registration> {
        let peer = self.by_key(r.upstream()?.peer_key())?;
        self.numbers.registration_as_built(peer.position)
    }

    /// What nginx calls a peer. `None`: another one has that name, too.
    #[cold]
    pub fn name(&self, peer: &Peer) -> Option<&[u8]> {
        self.by_name.key(peer.position).map(|name| &**name)
    }

    /// The first peer of that name: for one that has been replaced by another.
    #[cold]
    fn by_name(&self, name: &[u8]) -> Option<&Peer> {
        self.peers.get(self.by_name.position(name)?)
    }

    /// The peer with that key.
    #[inline]
    pub fn by_key(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(self.by_key.position(&key)?)
    }

    /// The list that the peers are in, once they have been read.
    pub fn list(&self) -> Option<PeerList> {
        self.list
    }

    /// What the registry of the zone knows the peers by. Some of them by two.
    pub fn registered(&self) -> impl Iterator<Item = (Fingerprint, &Peer)> + '_ {
        let all = self.numbers.fingerprints();
        all.filter_map(|(server, at)| Some((server, self.peers.get(at)?)))
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
