//! What the threads of the cluster need to know of a configuration. Plain data: they ask nginx nothing.

use std::collections::HashMap;
use std::time::Duration;

use sticky_core::cluster::keys::Seals;
use sticky_core::cluster::Liveness;
use sticky_core::table::{Fingerprint, Limits};

use super::store::Access;

/// All of it.
pub struct Plan {
    /// Where the store is.
    pub access: Access,
    /// What all keys in it begin with.
    pub prefix: Vec<u8>,
    /// The keys of seals.
    pub seals: Seals,
    /// How long workers wait for what other nodes have.
    pub wait: Duration,
    /// The zones that take part.
    pub tables: Vec<TablePlan>,
}

/// A zone of sessions that takes part.
pub struct TablePlan {
    /// Its name.
    pub zone: Box<[u8]>,
    /// The longest limits of any scope in it, as look-ups have them.
    pub longest: Limits,
    /// Whose sessions are in it.
    pub scopes: Vec<ScopePlan>,
}

/// A scope.
pub struct ScopePlan {
    /// What it travels by.
    pub digest: u64,
    /// Its name.
    pub name: Box<[u8]>,
    /// How long its sessions live.
    pub liveness: Liveness,
    /// What its servers are called, but for those that are resolved at run time.
    pub servers: Vec<Vec<u8>>,
}

impl Plan {
    /// The stream in the store.
    pub fn stream(&self) -> Vec<u8> {
        self.key(b"stream")
    }

    /// A key in the store.
    pub fn key(&self, name: &[u8]) -> Vec<u8> {
        [&self.prefix, name].concat()
    }
}

impl TablePlan {
    /// Whose sessions those of each server are, by what a zone with that key knows servers by.
    pub fn by_server(&self, keys: (u64, u64)) -> HashMap<Fingerprint, &ScopePlan> {
        let all = self.scopes.iter().flat_map(|scope| {
            let servers = scope.servers.iter();
            servers.map(move |server| (Fingerprint::new(keys, &scope.name, server), scope))
        });
        all.collect()
    }

    /// The scope whose sessions live longest: for those of which nothing else is known.
    pub fn fallback(&self) -> Option<&ScopePlan> {
        let scopes = self.scopes.iter();
        scopes.max_by_key(|scope| scope.liveness.limits.expires)
    }
}
