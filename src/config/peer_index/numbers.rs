//! What an upstream's peers are called in the session table: the numbers that the registry of the zone
//! has given them, or without a zone numbers made from their names.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use sticky_core::peer_id;
use sticky_core::table::{Epoch, Fingerprint, PeerId, Registration, Registry};

use crate::zone::sessions::Sessions;

use super::slots::Slots;

/// The numbers of an upstream's peers.
#[derive(Default)]
pub struct PeerNumbers<'c> {
    /// What gives them, if it may give them to others, too.
    registry: Option<Registered<'c>>,
    /// As they were when the index was built.
    built: Numbering,
    /// As they were later, once numbers were reused.
    renumbered: RefCell<Numbering>,
}

struct Registered<'c> {
    registry: Registry<'c>,
    /// What the peers are registered as, in their order.
    servers: Vec<Fingerprint>,
    /// What sessions of some peers, by their positions, may have been learned under, too.
    aliases: Vec<(Fingerprint, usize)>,
}

#[derive(Default)]
struct Numbering {
    epoch: Epoch,
    /// Sweeps of the zone until then.
    sweeps: u64,
    by_number: Positions,
    /// In the order of the peers.
    registrations: Vec<Option<Registration>>,
    /// Some of them are none, or those of before a change of the key, as no number was left.
    is_short: bool,
}

/// What a peer is called in the session table, and what it may have been called before.
struct TableName {
    name: Vec<u8>,
    alias: Option<Vec<u8>>,
}

/// A server keeps its sessions when its address changes, if a route is its alone. Of several that bear
/// a route each has its own sessions. What one alone had learned is the first one's when another joins,
/// and the one that remains is known by what it had learned beside the others.
fn table_names(peers: &[(&[u8], Option<&[u8]>)]) -> Vec<TableName> {
    let mut bearers: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for (name, route) in peers {
        if let Some(route) = route {
            let names = bearers.entry(route).or_default();
            if !names.contains(name) {
                names.push(name);
            }
        }
    }
    let named = peers.iter().map(|(name, route)| {
        let Some(route) = route else {
            return TableName {
                name: name.to_vec(),
                alias: None,
            };
        };
        let both = [route, &b"\0"[..], name].concat();
        let route = route.to_vec();
        let names = bearers.get(&route[..]).map_or(&[][..], Vec::as_slice);
        match names {
            [first, _, ..] => TableName {
                alias: (first == name).then_some(route),
                name: both,
            },
            _ => TableName {
                name: route,
                alias: Some(both),
            },
        }
    });
    named.collect()
}

/// What each of some servers with these names and routes is called in a session table, and what it may
/// have been called before.
pub fn names_of_each(peers: &[(&[u8], Option<&[u8]>)]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let names = table_names(peers).into_iter();
    names
        .map(|TableName { name, alias }| (name, alias))
        .collect()
}

/// All that servers with these names and routes may be called in a session table, each with the position
/// of the server.
pub fn names_in_table(peers: &[(&[u8], Option<&[u8]>)]) -> Vec<(usize, Vec<u8>)> {
    let names = table_names(peers).into_iter().enumerate();
    names
        .flat_map(|(at, TableName { name, alias })| [Some((at, name)), alias.map(|it| (at, it))])
        .flatten()
        .collect()
}

/// What sessions of peers, by their positions, are under that were learned before the key of the zone
/// was changed.
fn earlier(names: &[TableName], sessions: &Sessions<'_>) -> Vec<(Fingerprint, usize)> {
    if !sessions.has_previous_keys() {
        return Vec::new();
    }
    let all = names.iter().enumerate().flat_map(|(at, it)| {
        let both = [Some(&it.name), it.alias.as_ref()];
        both.into_iter().flatten().map(move |name| (at, &name[..]))
    });
    sessions.note_names(all.clone().map(|(_, name)| name));
    all.flat_map(|(at, name)| {
        let earlier = sessions.earlier_fingerprints(name).into_iter();
        earlier.map(move |server| (server, at))
    })
    .collect()
}

impl<'c> PeerNumbers<'c> {
    /// The numbers of peers with these names and routes, which get them if they have none.
    pub fn read(peers: &[(&[u8], Option<&[u8]>)], sessions: Option<&Sessions<'c>>) -> Self {
        let names = table_names(peers);
        let registered = sessions.and_then(|sessions| {
            let fingerprint = |name: &Vec<u8>| sessions.fingerprint(name);
            let aliases = names.iter().enumerate();
            let earlier = earlier(&names, sessions);
            Some(Registered {
                registry: sessions.registry()?,
                servers: names
                    .iter()
                    .map(|it| fingerprint(&it.name))
                    .collect::<Option<_>>()?,
                aliases: aliases
                    .filter_map(|(at, it)| Some((fingerprint(it.alias.as_ref()?)?, at)))
                    .chain(earlier)
                    .collect(),
            })
        });
        match registered {
            Some(registered) => Self {
                built: registered.numbering(),
                registry: Some(registered),
                renumbered: RefCell::default(),
            },
            None => Self {
                built: Numbering::by_name(&names),
                ..Self::default()
            },
        }
    }

    /// The position of the peer that a number means now. Notes the epoch of the registry in which it
    /// does, if that is later than the one in which the index was built.
    #[inline]
    pub fn position(&self, number: PeerId, epoch: &Cell<Epoch>) -> Option<usize> {
        match &self.registry {
            Some(registered) if registered.registry.epoch() != self.built.epoch => {
                self.position_again(registered, number, epoch)
            }
            _ => self.built.position(number),
        }
    }

    /// The same, if it is the position that the number had when the index was built, and still has.
    #[inline(always)]
    pub fn position_as_built(&self, number: PeerId) -> Option<usize> {
        match &self.registry {
            Some(registered) if registered.registry.epoch() != self.built.epoch => None,
            _ => self.built.position(number),
        }
    }

    #[cold]
    #[inline(never)]
    fn position_again(
        &self,
        registered: &Registered<'_>,
        number: PeerId,
        epoch: &Cell<Epoch>,
    ) -> Option<usize> {
        self.renumbered(registered, |now| {
            epoch.set(now.epoch);
            now.position(number)
        })
    }

    /// The epoch of the registry in which the index was built.
    pub fn epoch(&self) -> Epoch {
        self.built.epoch
    }

    /// The registration of the peer at a position. `None`: no number is left for it.
    #[inline]
    pub fn registration(&self, position: usize) -> Option<Registration> {
        let built = self.built.registrations.get(position).copied().flatten();
        match &self.registry {
            Some(registered)
                if self.built.is_short || registered.registry.epoch() != self.built.epoch =>
            {
                self.renumbered(registered, |now| {
                    now.registrations.get(position).copied().flatten()
                })
            }
            _ => built,
        }
    }

    /// The same, if it is as it was when the index was built.
    #[inline(always)]
    pub fn registration_as_built(&self, position: usize) -> Option<Registration> {
        match &self.registry {
            Some(registered)
                if self.built.is_short || registered.registry.epoch() != self.built.epoch =>
            {
                None
            }
            _ => self.built.registrations.get(position).copied().flatten(),
        }
    }

    /// What the registry knows the peers by, each with a position.
    pub fn fingerprints(&self) -> impl Iterator<Item = (Fingerprint, usize)> + '_ {
        let registered = self.registry.iter();
        registered.flat_map(Registered::fingerprints)
    }

    /// The number that the peer at a position had first; any, if it had none.
    pub fn first_number(&self, position: usize) -> PeerId {
        let built = self.built.registrations.get(position).copied().flatten();
        built.map_or(PeerId::new(0), |built| built.number)
    }

    /// Reads in the numbers as they are now.
    #[cold]
    fn renumbered<R>(&self, registered: &Registered<'_>, read: impl FnOnce(&Numbering) -> R) -> R {
        let mut now = self.renumbered.borrow_mut();
        if !now.is_current(&registered.registry, registered.servers.len()) {
            *now = registered.numbering();
        }
        read(&now)
    }
}

/// Positions of peers by their numbers, of which the first peer counts.
#[derive(Default)]
struct Positions {
    /// By the numbers of a registry, which gives them in order: a position plus 1, or 0.
    in_a_row: Vec<u32>,
    /// By numbers that are made from names.
    spread: Slots<PeerId>,
}

impl Positions {
    fn in_a_row(all: impl Iterator<Item = (PeerId, usize)>) -> Self {
        let mut in_a_row = Vec::new();
        for (number, at) in all {
            let number = number.get() as usize;
            if number >= in_a_row.len() {
                in_a_row.resize(number + 1, 0);
            }
            if let Some(place @ 0) = in_a_row.get_mut(number) {
                *place = at as u32 + 1;
            }
        }
        Self {
            in_a_row,
            spread: Slots::default(),
        }
    }

    #[inline(always)]
    fn of(&self, number: PeerId) -> Option<usize> {
        match self.in_a_row.get(number.get() as usize) {
            Some(position) => (*position as usize).checked_sub(1),
            None => self.spread.position(&number),
        }
    }
}

impl Registered<'_> {
    /// The peers first, then what some of them are called, too.
    fn fingerprints(&self) -> impl Iterator<Item = (Fingerprint, usize)> + '_ {
        let servers = self.servers.iter().copied().enumerate();
        let servers = servers.map(|(at, server)| (server, at));
        servers.chain(self.aliases.iter().copied())
    }

    fn numbering(&self) -> Numbering {
        // Before the entries are read.
        let (epoch, sweeps) = (self.registry.epoch(), self.registry.sweeps());
        let mut registrations = self.registry.register(&self.servers);
        let is_short = registrations.iter().any(Option::is_none);
        let mut positions = HashMap::new();
        for (server, at) in self.fingerprints() {
            positions.entry(server).or_insert(at);
        }
        // All of them: of a server with several numbers, the sessions of each are found.
        let all = self.registry.registrations().filter_map(|given| {
            let at = positions.get(&given.fingerprint()?)?;
            Some((given.number, *at))
        });
        let all: Vec<_> = all.collect();
        for (number, at) in &all {
            // Where no number is left, one that it has had is better than none.
            if let Some(none @ None) = registrations.get_mut(*at) {
                *none = self.registry.registration(*number);
            }
        }
        Numbering {
            epoch,
            sweeps,
            by_number: Positions::in_a_row(all.into_iter()),
            registrations,
            is_short,
        }
    }
}

impl Numbering {
    #[inline(always)]
    fn position(&self, number: PeerId) -> Option<usize> {
        self.by_number.of(number)
    }

    /// Without a registry: numbers that depend on the names alone.
    fn by_name(names: &[TableName]) -> Self {
        let names: Vec<&[u8]> = names.iter().map(|it| &it.name[..]).collect();
        let numbers = peer_id::peer_ids(&names);
        let mut spread = Slots::for_peers(numbers.len());
        for (at, number) in numbers.iter().enumerate() {
            spread.push(*number, at);
        }
        let registered = numbers
            .into_iter()
            .map(Registration::unregistered)
            .map(Some);
        Self {
            by_number: Positions {
                spread,
                in_a_row: Vec::new(),
            },
            registrations: registered.collect(),
            ..Self::default()
        }
    }

    /// Whether it is that of so many peers in the registry as it is now. A short one is until the next
    /// sweep.
    fn is_current(&self, registry: &Registry<'_>, peers: usize) -> bool {
        self.registrations.len() == peers
            && self.epoch == registry.epoch()
            && (self.sweeps == registry.sweeps() || !self.is_short)
    }
}
