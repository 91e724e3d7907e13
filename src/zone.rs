//! The one door to a session table: in a shared zone, or in the worker with `zone=off`.

use std::cell::{Cell, OnceCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::Ordering;

use portable_atomic::AtomicU128;
use sticky_core::key::{Key, Keyer, ScopedKeyer};
use sticky_core::local::LocalTable;
use sticky_core::table::{Claim, Evicted, Learned, LookUp, Prelude, Table};
use sticky_core::word::{Limits, PeerId, Tick};

use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::{Level, Log};
use crate::ngx::shm::Zone;

/// Size of a zone whose size no directive gives.
pub const DEFAULT_SIZE: usize = 1 << 20;

/// Sessions that a worker holds with `zone=off`: as many as a zone of the default size.
const LOCAL_SESSIONS: usize = 1 << 16;

/// A table that has had no forced eviction for so long, in seconds, is not full any more.
const CALM: u64 = 60;

/// The sessions of one upstream.
pub struct Sessions<'c> {
    place: Place<'c>,
    scope: &'c [u8],
    keyer: OnceCell<ScopedKeyer>,
    /// Under which the words of any upstream in the zone are judged.
    longest: Cell<Limits>,
    /// Tick of the latest eviction of a live session by this worker, plus 1.
    evicted_last: Cell<u64>,
}

enum Place<'c> {
    Shared(&'c Zone),
    Local {
        table: Box<LocalTable>,
        keyer: Keyer,
        epoch: u64,
    },
}

impl<'c> Sessions<'c> {
    /// The sessions of upstream `scope` in a zone, which may hold those of others too.
    pub fn shared(zone: &'c Zone, scope: &'c [u8], limits: Limits) -> Self {
        Self::new(Place::Shared(zone), scope, limits)
    }

    /// The sessions of upstream `scope` in this worker alone.
    pub fn local(scope: &'c [u8], limits: Limits) -> Self {
        let (k0, k1) = random_key();
        let table = Box::new(LocalTable::new(LOCAL_SESSIONS));
        let place = Place::Local {
            table,
            keyer: Keyer::new(k0, k1),
            epoch: monotonic_seconds(),
        };
        Self::new(place, scope, limits)
    }

    fn new(place: Place<'c>, scope: &'c [u8], limits: Limits) -> Self {
        Self {
            place,
            scope,
            keyer: OnceCell::new(),
            longest: Cell::new(limits),
            evicted_last: Cell::new(0),
        }
    }

    /// Tells two users of one zone of each other's limits.
    pub fn share(&self, other: &Self) {
        if let (Place::Shared(zone), Place::Shared(others)) = (&self.place, &other.place) {
            if std::ptr::eq(*zone, *others) {
                self.longest
                    .set(self.longest.get().longer(other.longest.get()));
            }
        }
    }

    /// Gives the zone its size where no directive did.
    pub fn default_size(&self) {
        if let Place::Shared(zone) = &self.place {
            zone.default_size(DEFAULT_SIZE);
        }
    }

    /// The key of a session id. `None`: the zone is not there.
    pub fn key(&self, id: &[u8]) -> Option<Key> {
        if let Some(keyer) = self.keyer.get() {
            return Some(keyer.key(id));
        }
        let keyer = match &self.place {
            Place::Local { keyer, .. } => keyer.scope(self.scope),
            Place::Shared(zone) => {
                let (prelude, _) = zone.split::<Prelude, AtomicU128>()?;
                let (k0, k1) = prelude.header.sip_keys();
                Keyer::new(k0, k1).scope(self.scope)
            }
        };
        Some(self.keyer.get_or_init(|| keyer).key(id))
    }

    /// What the table knows of a session whose id a request has brought, which confirms it.
    pub fn recall(&self, key: Key, limits: &Limits) -> LookUp {
        let Some(open) = self.open() else {
            return LookUp::Unknown;
        };
        let (found, now) = match &open {
            Open::Shared(table, now, _) => (table.look_up(key, limits, *now), *now),
            Open::Local(table, now) => (table.look_up(key, limits, *now), *now),
        };
        if let LookUp::Found(session) = &found {
            match open {
                Open::Shared(table, ..) if table.is_due(session, limits, now) => {
                    table.touch(key, limits, now);
                }
                Open::Local(table, _) if table.is_due(session, limits, now) => {
                    table.touch(key, limits, now);
                }
                _ => {}
            }
        }
        found
    }

    /// What the table knows of a session, which is left as it is.
    pub fn look_up(&self, key: Key, limits: &Limits) -> LookUp {
        match self.open() {
            Some(Open::Shared(table, now, _)) => table.look_up(key, limits, now),
            Some(Open::Local(table, now)) => table.look_up(key, limits, now),
            None => LookUp::Unknown,
        }
    }

    /// See [`Table::touch`].
    pub fn touch(&self, key: Key, limits: &Limits) {
        match self.open() {
            Some(Open::Shared(table, now, _)) => table.touch(key, limits, now),
            Some(Open::Local(table, now)) => table.touch(key, limits, now),
            None => {}
        }
    }

    /// Name of the zone that the sessions are in.
    pub fn zone_name(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Shared(zone) => Some(zone.name()),
            Place::Local { .. } => None,
        }
    }

    /// See [`Table::reassign`].
    pub fn reassign(&self, key: Key, from: PeerId, to: PeerId, limits: &Limits) -> bool {
        match self.open() {
            Some(Open::Shared(table, now, _)) => table.reassign(key, from, to, limits, now),
            Some(Open::Local(table, now)) => table.reassign(key, from, to, limits, now),
            None => false,
        }
    }

    /// See [`Table::learn`]. Says so in the log when the table begins to evict live sessions.
    pub fn learn(
        &self,
        key: Key,
        peer: PeerId,
        claim: Claim,
        limits: &Limits,
        gone: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let (learned, now, evicted_last) = match self.open() {
            Some(Open::Shared(table, now, evicted_last)) => (
                table.learn(key, peer, claim, limits, now, gone),
                now,
                evicted_last,
            ),
            Some(Open::Local(table, now)) => (
                table.learn(key, peer, claim, limits, now, gone),
                now,
                self.evicted_last.get(),
            ),
            None => return Learned::Refused,
        };
        if matches!(
            learned,
            Learned::New {
                evicted: Evicted::Unconfirmed | Evicted::Confirmed
            }
        ) {
            self.evicted_last.set(u64::from(now) + 1);
            if evicted_last == 0 || u64::from(now) >= evicted_last + CALM {
                self.say_full();
            }
        }
        learned
    }

    /// Once for each time that the table becomes full.
    fn say_full(&self) {
        let zone = match &self.place {
            Place::Shared(zone) => zone.name(),
            Place::Local { .. } => b"off",
        };
        Log::cycle().write(
            Level::Warn,
            format_args!(
                "sticky: the session table is full, live sessions make room for new ones, \
                 zone \"{}\", upstream \"{}\"",
                zone.escape_ascii(),
                self.scope.escape_ascii()
            ),
        );
    }

    fn open(&self) -> Option<Open<'_>> {
        match &self.place {
            Place::Shared(zone) => {
                let (prelude, words) = zone.split::<Prelude, AtomicU128>()?;
                let table = Table::new(words, &prelude.counters).shared_under(self.longest.get());
                let evicted_last = prelude.counters.last_forced.load(Ordering::Relaxed);
                Some(Open::Shared(
                    table,
                    tick(prelude.header.epoch()),
                    evicted_last,
                ))
            }
            Place::Local { table, epoch, .. } => Some(Open::Local(table, tick(*epoch))),
        }
    }
}

enum Open<'a> {
    /// With the tick of the latest eviction of a live session, plus 1.
    Shared(Table<'a>, Tick, u64),
    Local(&'a LocalTable, Tick),
}

fn tick(epoch: u64) -> Tick {
    Tick::try_from(monotonic_seconds().saturating_sub(epoch)).unwrap_or(Tick::MAX)
}

/// Takes a zone into use: as it is when it was kept over a reload, else empty, with the sessions of
/// the zone of another size that it replaces. A name for [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &Zone, before: Option<&Zone>) -> bool {
    let Some((prelude, words)) = zone.split::<Prelude, AtomicU128>() else {
        return false;
    };
    if prelude.header.is_valid_for(words.len()) {
        return true;
    }
    let before = before
        .and_then(|before| before.split::<Prelude, AtomicU128>())
        .filter(|(prelude, words)| prelude.header.is_valid_for(words.len()));
    // The key and the epoch of the replaced zone, or its words would mean nothing here.
    let ((k0, k1), epoch) = match &before {
        Some((old, _)) => (old.header.sip_keys(), old.header.epoch()),
        None => (random_key(), monotonic_seconds()),
    };
    prelude.header.init(words.len(), k0, k1, epoch);
    if let Some((old, old_words)) = before {
        let old = Table::new(old_words, &old.counters);
        Table::new(words, &prelude.counters).copy_from(&old);
    }
    true
}

/// 128 bits from the operating system, by way of the standard library's hash maps.
fn random_key() -> (u64, u64) {
    let word = || RandomState::new().build_hasher().finish();
    (word(), word())
}
