//! The one door to a session table: in a shared zone, or in the worker with `zone=off`.

use std::cell::{Cell, OnceCell};
use std::hash::{BuildHasher, Hasher, RandomState};

use portable_atomic::AtomicU128;
use sticky_core::table::key::{Key, Keyer, ScopedKeyer};
use sticky_core::table::local::LocalTable;
use sticky_core::table::tick::tick_at;
use sticky_core::table::tick::Tick;
use sticky_core::table::word::{Limits, PeerId};
use sticky_core::table::{Claim, Evicted, Learned, LookUp, Swept, Table, ZoneHeader};

use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::{Level, Log};
use crate::ngx::shm::Zone;

use super::snapshot::State;

/// Size of a zone whose size no directive gives.
pub const DEFAULT_SIZE: usize = 1 << 20;

/// Sessions that a worker holds with `zone=off`: as many as a zone of the default size.
const LOCAL_SESSIONS: usize = 1 << 16;

/// A table that has had no forced eviction for so long, in seconds, is not full any more.
const CALM: u64 = 60;

/// For so long, in seconds, the workers of two configurations serve at once: nginx starts the new
/// ones, waits for 0.1 s and tells the old ones to go (ngx_master_process_cycle()).
const OVERLAP: Tick = 5;

/// A zone with a session table in it.
pub type TableZone = Zone<ZoneConf>;

/// What the module keeps for each zone.
#[derive(Default)]
pub struct ZoneConf {
    /// Under which the words of any upstream in the zone are judged.
    pub longest: Cell<Option<Limits>>,
    /// `state=`.
    pub state: OnceCell<State>,
    /// How far the sweep of the table has come.
    pub swept: Cell<Swept>,
}

/// The sessions of one upstream.
pub struct Sessions<'c> {
    place: Place<'c>,
    scope: &'c [u8],
    keyer: OnceCell<ScopedKeyer>,
    /// The shared table and its tick 0, from the first use on: a zone stays where it is.
    opened: OnceCell<(Table<'c>, u64)>,
    /// Second of the monotonic clock in which the configuration was read.
    read_at: u64,
}

enum Place<'c> {
    Shared(&'c TableZone),
    Local {
        table: Box<LocalTable>,
        keyer: Keyer,
        epoch: u64,
        /// Tick of the latest eviction of a live session, plus 1.
        evicted_last: Cell<u64>,
    },
}

impl<'c> Sessions<'c> {
    /// The sessions of upstream `scope` in a zone, which may hold those of others too.
    pub fn shared(zone: &'c TableZone, scope: &'c [u8], limits: Limits) -> Self {
        let longest = &zone.conf().longest;
        longest.set(Some(
            longest.get().map_or(limits, |known| known.longer(limits)),
        ));
        Self::new(Place::Shared(zone), scope)
    }

    /// The sessions of upstream `scope` in this worker alone.
    pub fn local(scope: &'c [u8]) -> Self {
        let (k0, k1) = random_key();
        let table = Box::new(LocalTable::new(LOCAL_SESSIONS));
        let place = Place::Local {
            table,
            keyer: Keyer::new(k0, k1),
            epoch: epoch(),
            evicted_last: Cell::new(0),
        };
        Self::new(place, scope)
    }

    fn new(place: Place<'c>, scope: &'c [u8]) -> Self {
        Self {
            place,
            scope,
            keyer: OnceCell::new(),
            opened: OnceCell::new(),
            read_at: monotonic_seconds(),
        }
    }

    /// Gives the zone its size where no directive did.
    pub fn default_size(&self) {
        if let Place::Shared(zone) = &self.place {
            zone.default_size(DEFAULT_SIZE);
        }
    }

    /// The key of a session id. `None`: the zone is not there.
    #[inline]
    pub fn key(&self, id: &[u8]) -> Option<Key> {
        let keyer = self.keyer.get().or_else(|| self.new_keyer())?;
        Some(keyer.key(id))
    }

    #[cold]
    fn new_keyer(&self) -> Option<&ScopedKeyer> {
        let keyer = match &self.place {
            Place::Local { keyer, .. } => keyer.scope(self.scope),
            Place::Shared(zone) => {
                let (prelude, _) = zone.split::<ZoneHeader, AtomicU128>()?;
                let (k0, k1) = prelude.header.sip_keys();
                Keyer::new(k0, k1).scope(self.scope)
            }
        };
        Some(self.keyer.get_or_init(|| keyer))
    }

    /// What the table knows of a session whose id a request has brought, which confirms it.
    pub fn recall(&self, key: Key, limits: &Limits) -> LookUp {
        match self.open() {
            Some(Open::Shared(table, now)) => {
                let found = table.look_up(key, limits, now);
                if let LookUp::Found(session) = &found {
                    if table.is_due(session, limits, now) {
                        table.touch(key, limits, now);
                    }
                }
                found
            }
            Some(Open::Local(table, now)) => recall_local(table, key, limits, now),
            None => LookUp::Unknown,
        }
    }

    /// What the table knows of a session, which is left as it is.
    pub fn look_up(&self, key: Key, limits: &Limits) -> LookUp {
        match self.open() {
            Some(Open::Shared(table, now)) => table.look_up(key, limits, now),
            Some(Open::Local(table, now)) => table.look_up(key, limits, now),
            None => LookUp::Unknown,
        }
    }

    /// Whether a session, whose holder this worker does not know, may have begun under a newer
    /// configuration, which has that server. Then it is not this worker's to move.
    #[cold]
    pub fn is_ahead(&self, key: Key, limits: &Limits) -> bool {
        let Some(Open::Shared(table, now)) = self.open() else {
            return false;
        };
        let passed = monotonic_seconds().saturating_sub(self.read_at);
        match table.look_up(key, limits, now) {
            LookUp::Found(session) => {
                let age = now.saturating_sub(session.created);
                // In the same second, too: a session may say that it began one second early.
                u64::from(age) <= passed && age <= OVERLAP
            }
            LookUp::Unknown | LookUp::Expired => false,
        }
    }

    /// See [`Table::touch`].
    pub fn touch(&self, key: Key, limits: &Limits) {
        match self.open() {
            Some(Open::Shared(table, now)) => table.touch(key, limits, now),
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
            Some(Open::Shared(table, now)) => table.reassign(key, from, to, limits, now),
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
        let (learned, now) = match self.open() {
            Some(Open::Shared(table, now)) => {
                (table.learn(key, peer, claim, limits, now, gone), now)
            }
            Some(Open::Local(table, now)) => {
                (table.learn(key, peer, claim, limits, now, gone), now)
            }
            None => return Learned::Refused,
        };
        if matches!(
            learned,
            Learned::New {
                evicted: Evicted::Unconfirmed | Evicted::Confirmed
            }
        ) && self.place.note_full(now)
        {
            self.say_full();
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

    #[inline]
    fn open(&self) -> Option<Open<'_>> {
        match &self.place {
            Place::Shared(zone) => {
                let opened = self.opened.get();
                let (table, epoch) = opened.or_else(|| self.open_zone(zone))?;
                Some(Open::Shared(table, tick_at(*epoch, monotonic_seconds())))
            }
            Place::Local { table, epoch, .. } => {
                Some(Open::Local(table, tick_at(*epoch, monotonic_seconds())))
            }
        }
    }

    #[cold]
    fn open_zone(&self, zone: &'c TableZone) -> Option<&(Table<'c>, u64)> {
        let (prelude, words) = zone.split::<ZoneHeader, AtomicU128>()?;
        let table = Table::new(words, &prelude.counters);
        let table = match zone.conf().longest.get() {
            Some(longest) => table.shared_under(longest),
            None => table,
        };
        let epoch = prelude.header.epoch();
        Some(self.opened.get_or_init(|| (table, epoch)))
    }
}

impl Place<'_> {
    /// A live session has had to go. True once for each time that the table becomes full.
    fn note_full(&self, now: Tick) -> bool {
        match self {
            Place::Shared(zone) => zone
                .split::<ZoneHeader, AtomicU128>()
                .is_some_and(|(prelude, _)| prelude.header.note_full(now, CALM)),
            Place::Local { evicted_last, .. } => {
                let mark = u64::from(now) + 1;
                let latest = evicted_last.replace(mark);
                latest == 0 || mark.saturating_sub(latest) >= CALM
            }
        }
    }
}

/// Out of line: it would make the way to the shared table longer.
#[inline(never)]
fn recall_local(table: &LocalTable, key: Key, limits: &Limits, now: Tick) -> LookUp {
    let found = table.look_up(key, limits, now);
    if let LookUp::Found(session) = &found {
        if table.is_due(session, limits, now) {
            table.touch(key, limits, now);
        }
    }
    found
}

enum Open<'a> {
    Shared(&'a Table<'a>, Tick),
    Local(&'a LocalTable, Tick),
}

/// Tick 0 of a new table. It is past: what comes back in the second in which it was learned needs one
/// before that, see `Limits::refreshed`.
pub(super) fn epoch() -> u64 {
    monotonic_seconds().wrapping_sub(1)
}

/// 128 bits from the operating system, by way of the standard library's hash maps.
pub(super) fn random_key() -> (u64, u64) {
    let word = || RandomState::new().build_hasher().finish();
    (word(), word())
}
