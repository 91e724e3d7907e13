//! What the tests of a table that replaces another share: zones with servers of their own numbers, and
//! workers that know one of them or several.
#![allow(dead_code)] // Each test file is a crate of its own and uses only a part.

use portable_atomic::AtomicU128;
use sticky_core::table::{
    Claim, Fingerprint, Key, Learned, LookUp, PeerId, Predecessor, Registration, Table, Tick,
    ZoneHeader,
};

use super::table_zone::HOUR;

pub const KEYS: (u64, u64) = (5, 6);

/// Servers in these tests.
pub const SERVERS: u32 = 5;

/// One that no table knows at first.
pub const LATE: u32 = SERVERS;

pub struct Zone {
    pub header: ZoneHeader,
    pub rest: Vec<AtomicU128>,
}

impl Zone {
    /// A zone in which the servers have numbers in an order of its own.
    pub fn new(words: usize, first: u32) -> Zone {
        let rest = (0..words).map(|_| AtomicU128::new(0)).collect();
        let zone = Zone {
            header: ZoneHeader::default(),
            rest,
        };
        zone.header.identity.init(words, 1, 2, 0);
        for number in 0..SERVERS {
            zone.server((first + number) % SERVERS);
        }
        zone
    }

    pub fn table(&self) -> Table<'_> {
        self.header.table(&self.rest)
    }

    pub fn predecessor<'a>(&'a self, before: Option<Predecessor<'a>>) -> Predecessor<'a> {
        Predecessor::new(self.table(), &self.header.identity, before)
    }

    pub fn server(&self, server: u32) -> Registration {
        let registry = self.table().registry().unwrap();
        registry.register(&[fingerprint(server)])[0].unwrap()
    }

    /// Gives all the numbers that are left.
    pub fn fill_registry(&self) {
        let registry = self.table().registry().unwrap();
        let others = (0..registry.capacity() as u32).map(|other| fingerprint(100 + other));
        registry.register(&others.collect::<Vec<_>>());
    }

    /// The server that has a number here.
    pub fn named(&self, number: PeerId) -> u32 {
        let registry = self.table().registry().unwrap();
        let found = registry.registration(number).unwrap().fingerprint();
        (0..=LATE)
            .find(|server| found == Some(fingerprint(*server)))
            .unwrap()
    }
}

pub fn fingerprint(server: u32) -> Fingerprint {
    Fingerprint::new(KEYS, b"shop", format!("10.0.0.{server}:80").as_bytes())
}

/// What a request sees and does, with servers instead of their numbers.
pub trait Worker {
    fn zone(&self) -> &Zone;
    fn look_up(&self, key: Key, now: Tick) -> LookUp;
    fn touch(&self, key: Key, now: Tick);
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool;
    fn forget_entered(&self, key: Key, now: Tick) -> bool;
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned;

    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool;

    fn ends(&self, key: Key, server: u32, now: Tick) -> bool {
        self.end(key, self.zone().server(server).number, now)
    }

    fn holder(&self, key: Key, now: Tick) -> Option<u32> {
        match self.look_up(key, now) {
            LookUp::Found(session) => Some(self.zone().named(session.peer)),
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    fn moves(&self, key: Key, from: u32, to: u32, now: Tick) -> bool {
        let zone = self.zone();
        self.reassign(key, zone.server(from).number, &zone.server(to), now)
    }

    /// A response of `server`. `carried`: its request had the id and found that holder.
    fn learns(
        &self,
        key: Key,
        server: u32,
        carried: Option<Option<u32>>,
        unusable: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let zone = self.zone();
        let claim = match carried {
            None => Claim::ResponseOnly,
            Some(holder) => Claim::RequestCarried {
                holder: holder.map(|holder| zone.server(holder).number),
            },
        };
        self.claims(key, server, claim, unusable, now)
    }

    /// A request that goes to `server`, after it has failed at another one.
    fn enters(
        &self,
        key: Key,
        server: u32,
        failed: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let from = failed.map(|failed| self.zone().server(failed).number);
        self.claims(key, server, Claim::Request { from }, None, now)
    }

    fn claims(
        &self,
        key: Key,
        server: u32,
        claim: Claim,
        unusable: Option<u32>,
        now: Tick,
    ) -> (&'static str, Option<u32>) {
        let zone = self.zone();
        let mut is_unusable = |peer| Some(zone.named(peer)) == unusable;
        match self.learn(key, &zone.server(server), claim, now, &mut is_unusable) {
            Learned::New { .. } => ("new", None),
            Learned::Same => ("same", None),
            Learned::Moved { from } => ("moved", Some(zone.named(from))),
            Learned::Kept { holder } => ("kept", Some(zone.named(holder))),
            Learned::Refused => ("refused", None),
        }
    }
}

/// A worker that knows one table.
pub struct Alone<'a>(pub &'a Zone);

impl Worker for Alone<'_> {
    fn zone(&self) -> &Zone {
        self.0
    }
    fn look_up(&self, key: Key, now: Tick) -> LookUp {
        self.0.table().look_up(key, &HOUR, now)
    }
    fn touch(&self, key: Key, now: Tick) {
        self.0.table().touch(key, &HOUR, now);
    }
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool {
        self.0.table().reassign_to(key, from, to, &HOUR, now)
    }
    fn forget_entered(&self, key: Key, now: Tick) -> bool {
        self.0.table().forget_entered(key, &HOUR, now)
    }
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let table = self.0.table();
        table.learn_of(key, peer, claim, &HOUR, now, unusable)
    }
    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool {
        self.0.table().end(key, holder, &HOUR, now)
    }
}

/// A worker that knows a table and those that it replaces.
pub struct Both<'a>(pub &'a Zone, pub Predecessor<'a>);

impl<'a> Both<'a> {
    /// The zones from the newest to the oldest.
    pub fn new(zones: &[&'a Zone]) -> Self {
        let mut before = None;
        for zone in zones[1..].iter().rev() {
            zone.header.identity.set_whole(before.is_none());
            before = Some(zone.predecessor(before));
        }
        Both(zones[0], before.unwrap())
    }
}

impl Worker for Both<'_> {
    fn zone(&self) -> &Zone {
        self.0
    }
    fn look_up(&self, key: Key, now: Tick) -> LookUp {
        self.1.look_up(&self.0.table(), key, &HOUR, now)
    }
    fn touch(&self, key: Key, now: Tick) {
        self.1.touch(&self.0.table(), key, &HOUR, now);
    }
    fn reassign(&self, key: Key, from: PeerId, to: &Registration, now: Tick) -> bool {
        let new = self.0.table();
        self.1.reassign_to(&new, key, from, to, &HOUR, now)
    }
    fn forget_entered(&self, key: Key, now: Tick) -> bool {
        self.1.forget_entered(&self.0.table(), key, &HOUR, now)
    }
    fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        now: Tick,
        unusable: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let new = self.0.table();
        self.1
            .learn_of(&new, key, peer, claim, &HOUR, now, unusable)
    }
    fn end(&self, key: Key, holder: PeerId, now: Tick) -> bool {
        self.1.end(&self.0.table(), key, holder, &HOUR, now)
    }
}
