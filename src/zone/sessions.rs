//! The sessions of an upstream, in a shared zone, or in the worker's own memory with `zone=off`.

mod keys;
mod servers;
mod whole;

use std::cell::{Cell, OnceCell};
use std::fmt;

use portable_atomic::AtomicU128;
use sticky_core::table::{
    tick_at, Asked, Claim, Epoch, FirstLook, Key, Learned, Limits, LocalTable, LookUp, PeerId,
    Predecessor, Registration, Registry, Table, Tick, ZoneHeader, ZoneIdentity,
};

use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::{Level, Log};

use self::keys::Keys;
use self::whole::Whole;
use super::cluster::Noted;
use super::succession;
use super::table_zone::{epoch, random_key, table_of, Parts, TableZone};

/// Size of a zone whose size no directive gives.
pub const DEFAULT_SIZE: usize = 1 << 20;

/// Sessions that a worker holds with `zone=off`: as many as a zone of the default size.
const LOCAL_SESSIONS: usize = 1 << 16;

/// A table counts as full until so many seconds after it last had to evict a live session.
const FULL_FOR: u64 = 60;

/// Seconds for which the workers of two configurations take requests at once: nginx starts the new
/// ones, waits for 0.1 s and tells the old ones to quit (ngx_master_process_cycle()).
const OVERLAP: Tick = 5;

/// Name of what stands for no server: none has it.
const NOBODY: &[u8] = b"";

/// Whose sessions they are. Displays as the end of a line of the log.
#[derive(Clone, Copy)]
pub enum Scope<'c> {
    /// Of the upstream of that name.
    Upstream(&'c [u8]),
    /// Of all upstreams with `share=` of that name.
    Share(&'c [u8]),
}

impl<'c> Scope<'c> {
    /// What tells them from others in the same zone. A share that bears the name of an upstream goes
    /// on with the sessions of that one.
    pub fn name(self) -> &'c [u8] {
        match self {
            Scope::Upstream(name) | Scope::Share(name) => name,
        }
    }
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Upstream(name) => write!(f, "upstream \"{}\"", name.escape_ascii()),
            Scope::Share(name) => write!(f, "share \"{}\"", name.escape_ascii()),
        }
    }
}

/// The sessions of one upstream, or of several that share theirs.
pub struct Sessions<'c> {
    storage: Storage<'c>,
    scope: Scope<'c>,
    keys: OnceCell<Keys>,
    /// The shared table, from the first use on: a zone never moves.
    opened: OnceCell<Opened<'c>>,
    /// When the configuration was read, in seconds of the monotonic clock.
    read_at: u64,
    /// How long they live in the table.
    limits: Cell<Limits>,
    /// What finds them, from the second use on, where that is one look.
    whole: OnceCell<Whole<'c>>,
    /// Where their changes are noted, if other nginx have them, too.
    noted: OnceCell<Noted<'c>>,
}

struct Opened<'c> {
    table: Table<'c>,
    identity: &'c ZoneIdentity,
    epoch: u64,
    /// What the table has replaced, as long as it is not whole.
    predecessor: Option<Predecessor<'c>>,
}

enum Storage<'c> {
    Shared(&'c TableZone),
    Local {
        table: Box<LocalTable>,
        keys: (u64, u64),
        epoch: u64,
        /// Tick of the latest eviction of a live session, plus 1; 0 before the first.
        evicted_last: Cell<u64>,
    },
}

impl<'c> Sessions<'c> {
    /// The sessions of `scope` in a zone, which may hold those of others too.
    pub fn shared(zone: &'c TableZone, scope: Scope<'c>, limits: Limits) -> Self {
        let sessions = Self::new(Storage::Shared(zone), scope, limits);
        sessions.set_limits(limits);
        sessions
    }

    /// How long sessions live in the table.
    #[inline(always)]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Sets what [`Sessions::limits`] returns. Only while the configuration is read, and to no less
    /// than before.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
        if let Storage::Shared(zone) = &self.storage {
            let longest = &zone.conf().longest;
            longest.set(Some(
                longest.get().map_or(limits, |known| known.longer(limits)),
            ));
        }
    }

    /// The sessions of an upstream in this worker alone. `None`: the system has no random numbers to
    /// give.
    pub fn local(upstream: &'c [u8], limits: Limits) -> Option<Self> {
        let keys = random_key()?;
        let table = Box::new(LocalTable::new(LOCAL_SESSIONS));
        let storage = Storage::Local {
            table,
            keys,
            epoch: epoch(),
            evicted_last: Cell::new(0),
        };
        Some(Self::new(storage, Scope::Upstream(upstream), limits))
    }

    fn new(storage: Storage<'c>, scope: Scope<'c>, limits: Limits) -> Self {
        Self {
            storage,
            scope,
            keys: OnceCell::new(),
            opened: OnceCell::new(),
            read_at: monotonic_seconds(),
            limits: Cell::new(limits),
            whole: OnceCell::new(),
            noted: OnceCell::new(),
        }
    }

    /// Where their changes are noted, if other nginx have them, too.
    pub fn noted(&self) -> Option<&Noted<'c>> {
        self.noted.get()
    }

    /// Other nginx have them, too: what becomes of them is noted. Before their first use.
    pub fn note(&self, noted: Noted<'c>) {
        // It is empty: a configuration is completed once.
        let _ = self.noted.set(noted);
    }

    /// Gives the zone its size where no directive did.
    pub fn default_size(&self) {
        if let Storage::Shared(zone) = &self.storage {
            zone.default_size(DEFAULT_SIZE);
        }
    }

    /// For how many seconds a live session has existed.
    pub fn age(&self, key: Key, limits: &Limits) -> Option<Tick> {
        let now = match self.open()? {
            Open::Shared(_, now) | Open::Parted(_, _, now) | Open::Local(_, now) => now,
        };
        match self.look_up(key, limits) {
            LookUp::Found(session) => Some(now.saturating_sub(session.created)),
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    /// The epoch of the zone's registry. To be asked before a session is looked up, for
    /// [`Sessions::is_same_since`].
    pub fn epoch(&self) -> Epoch {
        match self.registry() {
            Some(registry) => registry.epoch(),
            None => Epoch::default(),
        }
    }

    /// Whether a number of a server still means the one that it meant in `epoch`.
    #[inline]
    pub fn is_same_since(&self, number: PeerId, epoch: Epoch) -> bool {
        self.registry()
            .is_none_or(|registry| registry.is_same_since(number, epoch))
    }

    /// The registry of the zone; with `zone=off` there is none.
    #[inline(always)]
    pub fn registry(&self) -> Option<Registry<'c>> {
        match &self.storage {
            Storage::Shared(zone) => {
                let opened = self.opened.get();
                opened.or_else(|| self.open_zone(zone))?.table.registry()
            }
            Storage::Local { .. } => None,
        }
    }

    /// Looks up the session of an id that a request has sent, and tells whether it is to be
    /// [touched](Self::touch) if the request goes by it.
    #[inline]
    pub fn ask(&self, key: Key, limits: &Limits) -> Asked {
        match self.whole.get() {
            Some(whole) => match whole.ask(key) {
                FirstLook::Live(held) => Asked::Live(held),
                FirstLook::Unknown => Asked::Unknown,
                FirstLook::Untold(look) => whole.ask_after(look, key, limits),
            },
            None => self.ask_otherwise(key, limits),
        }
    }

    /// The same at the first use, with two tables, and with `zone=off`.
    #[inline(never)]
    fn ask_otherwise(&self, key: Key, limits: &Limits) -> Asked {
        self.prepare();
        match self.open() {
            Some(Open::Shared(table, now)) => {
                let found = table.look_up(key, limits, now);
                Asked::of(key, found, |session| table.is_due(session, limits, now))
            }
            Some(Open::Parted(table, before, now)) => {
                let found = before.look_up(table, key, limits, now);
                Asked::of(key, found, |session| table.is_due(session, limits, now))
            }
            Some(Open::Local(table, now)) => {
                let found = table.look_up(key, limits, now);
                Asked::of(key, found, |session| table.is_due(session, limits, now))
            }
            None => Asked::Unknown,
        }
    }

    /// Looks up a session without changing it.
    pub fn look_up(&self, key: Key, limits: &Limits) -> LookUp {
        match self.open() {
            Some(Open::Shared(table, now)) => table.look_up(key, limits, now),
            Some(Open::Parted(table, before, now)) => before.look_up(table, key, limits, now),
            Some(Open::Local(table, now)) => table.look_up(key, limits, now),
            None => LookUp::Unknown,
        }
    }

    /// Whether a session, whose server this worker does not know, may have begun under a newer
    /// configuration, which has that server. Then this worker must not move it.
    #[cold]
    pub fn is_ahead(&self, key: Key, limits: &Limits) -> bool {
        let Some(Open::Shared(_, now) | Open::Parted(_, _, now)) = self.open() else {
            return false;
        };
        let passed = monotonic_seconds().saturating_sub(self.read_at);
        match self.look_up(key, limits) {
            LookUp::Found(session) if self.is_at_nobody(session.peer) => false,
            LookUp::Found(session) => {
                let age = now.saturating_sub(session.created);
                // Equal counts, too: `created` may be one second early.
                u64::from(age) <= passed && age <= OVERLAP
            }
            LookUp::Unknown | LookUp::Expired => false,
        }
    }

    /// See [`Table::touch`].
    pub fn touch(&self, key: Key, limits: &Limits) {
        match self.open() {
            Some(Open::Shared(table, now)) => table.touch(key, limits, now),
            Some(Open::Parted(table, before, now)) => before.touch(table, key, limits, now),
            Some(Open::Local(table, now)) => table.touch(key, limits, now),
            None => {}
        }
    }

    /// See [`Table::forget_entered`].
    #[cold]
    pub fn forget_entered(&self, key: Key, limits: &Limits) -> bool {
        match self.open() {
            Some(Open::Shared(table, now)) => table.forget_entered(key, limits, now),
            Some(Open::Parted(table, before, now)) => {
                before.forget_entered(table, key, limits, now)
            }
            Some(Open::Local(table, now)) => table.forget_entered(key, limits, now),
            None => false,
        }
    }

    /// Whose sessions they are.
    pub fn scope(&self) -> Scope<'c> {
        self.scope
    }

    /// The zone that holds the sessions; with `zone=off` there is none.
    pub fn zone(&self) -> Option<&'c TableZone> {
        match self.storage {
            Storage::Shared(zone) => Some(zone),
            Storage::Local { .. } => None,
        }
    }

    /// The time now, as sessions have it. `None`: the zone does not exist yet.
    pub fn now(&self) -> Option<Tick> {
        match self.open()? {
            Open::Shared(_, now) | Open::Parted(_, _, now) | Open::Local(_, now) => Some(now),
        }
    }

    /// Name of the zone that holds the sessions.
    pub fn zone_name(&self) -> Option<&'c [u8]> {
        match self.storage {
            Storage::Shared(zone) => Some(zone.name()),
            Storage::Local { .. } => None,
        }
    }

    /// See [`Table::reassign_to`].
    pub fn reassign(&self, key: Key, from: PeerId, to: &Registration, limits: &Limits) -> bool {
        match self.open() {
            Some(Open::Shared(table, now)) => table.reassign_to(key, from, to, limits, now),
            Some(Open::Parted(table, before, now)) => {
                before.reassign_to(table, key, from, to, limits, now)
            }
            Some(Open::Local(table, now)) => table.reassign(key, from, to.number, limits, now),
            None => false,
        }
    }

    /// See [`Table::end`].
    pub fn end(&self, key: Key, holder: PeerId, limits: &Limits) -> bool {
        match self.open() {
            Some(Open::Shared(table, now)) => table.end(key, holder, limits, now),
            Some(Open::Parted(table, before, now)) => before.end(table, key, holder, limits, now),
            Some(Open::Local(table, now)) => table.end(key, holder, limits, now),
            None => false,
        }
    }

    /// See [`Table::learn_of`]. Logs when the table begins to evict live sessions.
    #[inline]
    pub fn learn(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        limits: &Limits,
        gone: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        let Some(whole) = self.whole.get() else {
            return self.learn_otherwise(key, peer, claim, limits, gone);
        };
        let (table, now) = whole.table();
        let learned = table.learn_of(key, peer, claim, limits, now, gone);
        if matches!(learned, Learned::New { evicted: Some(_) }) {
            self.evicted(now);
        }
        learned
    }

    /// The same where there is more than one key or table, or no zone.
    #[inline(never)]
    fn learn_otherwise(
        &self,
        key: Key,
        peer: &Registration,
        claim: Claim,
        limits: &Limits,
        gone: &mut dyn FnMut(PeerId) -> bool,
    ) -> Learned {
        self.prepare();
        let (learned, now) = match self.open() {
            Some(Open::Shared(table, now)) => {
                (table.learn_of(key, peer, claim, limits, now, gone), now)
            }
            Some(Open::Parted(table, before, now)) => {
                let learned = before.learn_of(table, key, peer, claim, limits, now, gone);
                (learned, now)
            }
            Some(Open::Local(table, now)) => {
                let number = peer.number;
                (table.learn(key, number, claim, limits, now, gone), now)
            }
            None => return Learned::Refused,
        };
        if matches!(learned, Learned::New { evicted: Some(_) }) {
            self.evicted(now);
        }
        learned
    }

    /// A live session was evicted.
    #[cold]
    #[inline(never)]
    fn evicted(&self, now: Tick) {
        if self.storage.note_full(now) {
            self.log_full();
        }
    }

    /// Logged once each time the table becomes full.
    fn log_full(&self) {
        let zone = match &self.storage {
            Storage::Shared(zone) => zone.name(),
            Storage::Local { .. } => b"off",
        };
        Log::cycle().write(
            Level::Error,
            format_args!(
                "sticky: the session table is full, for each new session the one used longest ago \
                 is forgotten, zone \"{}\", {}",
                zone.escape_ascii(),
                self.scope
            ),
        );
    }

    #[inline(always)]
    fn open(&self) -> Option<Open<'_>> {
        match &self.storage {
            Storage::Shared(zone) => {
                let opened = self.opened.get();
                let opened = opened.or_else(|| self.open_zone(zone))?;
                let now = tick_at(opened.epoch, monotonic_seconds());
                Some(match &opened.predecessor {
                    Some(before) if !opened.identity.is_whole() => {
                        Open::Parted(&opened.table, before, now)
                    }
                    _ => Open::Shared(&opened.table, now),
                })
            }
            Storage::Local { table, epoch, .. } => {
                Some(Open::Local(table, tick_at(*epoch, monotonic_seconds())))
            }
        }
    }

    #[cold]
    fn open_zone(&self, zone: &'c TableZone) -> Option<&Opened<'c>> {
        let (header, rest) = zone.split::<ZoneHeader, AtomicU128>()?;
        let limits = zone.conf().longest.get();
        let noting = &|parts: Parts<'c>| self.noted.get()?.journal(parts);
        let table = table_of((header, rest), limits);
        let opened = Opened {
            table: table.with_journal(noting((header, rest))),
            identity: &header.identity,
            epoch: header.identity.epoch(),
            predecessor: succession::predecessor(zone, noting),
        };
        Some(self.opened.get_or_init(|| opened))
    }
}

impl Storage<'_> {
    /// Notes that a live session was evicted. True once each time the table becomes full.
    fn note_full(&self, now: Tick) -> bool {
        match self {
            Storage::Shared(zone) => zone
                .split::<ZoneHeader, AtomicU128>()
                .is_some_and(|(header, _)| header.identity.note_full(now, FULL_FOR)),
            Storage::Local { evicted_last, .. } => {
                let mark = u64::from(now) + 1;
                let latest = evicted_last.replace(mark);
                latest == 0 || mark.saturating_sub(latest) >= FULL_FOR
            }
        }
    }
}

enum Open<'a> {
    Shared(&'a Table<'a>, Tick),
    /// Some sessions may stand only in the table that it has replaced.
    Parted(&'a Table<'a>, &'a Predecessor<'a>, Tick),
    Local(&'a LocalTable, Tick),
}
