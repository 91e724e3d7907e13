//! A zone of shared memory with a session table in it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use portable_atomic::AtomicU128;
use sticky_core::counters::KeptDrain;
use sticky_core::table::{Limits, Numbers, Swept, Table, Tallies, ZoneHeader};

use crate::ngx::background_task::BackgroundTask;
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::shm::{OldBlock, Zone};

use super::counted_servers::{Before, CountedServers};
use super::snapshot::Snapshot;

/// A zone with a session table in it.
pub type TableZone = Zone<ZoneConf>;

/// What the ids in a zone become keys with, if other nginx have its sessions, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TableKeys {
    /// The SipHash key.
    pub current: (u64, u64),
    /// That of nodes that still have, or already have, another one.
    pub old: Option<(u64, u64)>,
}

/// What servers are called, by whose sessions they have.
pub type NamesOfServers = BTreeMap<Box<[u8]>, BTreeSet<Vec<u8>>>;

/// What the module keeps for each zone.
#[derive(Default)]
pub struct ZoneConf {
    /// The longest limits of any upstream in the zone.
    pub longest: Cell<Option<Limits>>,
    /// With `sticky_cluster`.
    pub keys: OnceCell<TableKeys>,
    /// What servers are called in the table, by whose sessions they have: as far as it is needed after
    /// a change of the key.
    pub names: RefCell<NamesOfServers>,
    /// `state=`.
    pub snapshot: OnceCell<Snapshot>,
    /// Progress of the sweep of the table.
    pub swept: Cell<Swept>,
    /// The numbers of the servers whose sessions it has seen.
    pub seen: RefCell<Numbers>,
    /// How many sessions of each it has seen.
    pub tallies: RefCell<Tallies>,
    /// What had come to each server when it began.
    pub before_sweep: RefCell<Option<Before>>,
    /// The servers that have sessions in the zone, once the configuration is complete.
    pub servers: OnceCell<Arc<CountedServers>>,
    /// The servers that get no new sessions, as the state file has them: from when it was read until
    /// the configuration is complete.
    pub drains: RefCell<Vec<KeptDrain>>,
    /// When the sweep of the table began, in seconds since 1970.
    pub sweep_began: Cell<u64>,
    /// What the zone replaces, from when it was made until the configuration is complete.
    pub replaces: RefCell<Option<Rc<OldBlock>>>,
    /// The thread that copies what is missing in a zone that has replaced another one.
    pub moving: RefCell<Option<BackgroundTask<()>>>,
}

/// What is in the block of a zone.
pub type Parts<'a> = (&'a ZoneHeader, &'a [AtomicU128]);

/// What is in the block of a zone that was replaced, or is another nginx's. `None`: it is not of this
/// version of the module.
pub fn parts_of(block: &OldBlock) -> Option<Parts<'_>> {
    let parts = block.split::<ZoneHeader, AtomicU128>();
    parts.filter(|(header, rest)| header.identity.is_valid_for(rest.len()))
}

/// The table of a zone for which the longest limits of all upstreams are those.
pub fn table_of<'a>((header, rest): Parts<'a>, limits: Option<Limits>) -> Table<'a> {
    let table = header.table(rest);
    match limits {
        Some(limits) => table.with_zone_limits(limits),
        None => table,
    }
}

/// Epoch of a new table: one second ago, because a session that comes back in the second in which it
/// was learned needs an earlier one, see `Limits::refreshed`.
pub fn epoch() -> u64 {
    monotonic_seconds().wrapping_sub(1)
}

/// A SipHash key from the operating system. `None`: it has no random numbers to give.
pub fn random_key() -> Option<(u64, u64)> {
    Some((getrandom::u64().ok()?, getrandom::u64().ok()?))
}
