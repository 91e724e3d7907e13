//! Drains by hand of the upstreams that take part in `sticky_cluster`: what is ordered at one node is
//! done at all.
//!
//! A drain is of one upstream, so a server is known here by its fingerprint in that, also where its
//! sessions are those of a share. What a server announces itself does not travel: it tells each node
//! that asks it.

use std::collections::{BTreeMap, HashMap};

use sticky_core::counters::{DrainedBy, Place};
use sticky_core::table::Fingerprint;

use crate::ngx::log::{Level, Log};
use crate::zone::cluster::drains::{AgreedDrains, LocalDrain};
use crate::zone::counters::{self, UpstreamCounters};

/// The servers whose drains all nodes have in common.
pub struct ClusterDrains<'c> {
    agreed: AgreedDrains<'c>,
    servers: Vec<DrainableServer<'c>>,
    by_fingerprint: HashMap<Fingerprint, usize>,
    /// Of each upstream, its servers' places in the list above.
    by_upstream: BTreeMap<&'c [u8], Vec<usize>>,
}

/// A server whose drain all nodes have in common.
pub struct DrainableServer<'c> {
    /// The name of its upstream.
    pub upstream: &'c [u8],
    /// What is counted of that.
    pub counters: &'c UpstreamCounters<'c>,
    /// What the configuration calls the server.
    pub label: &'c [u8],
    /// Where it is counted.
    pub place: Place,
    /// What nodes call it.
    pub current: Fingerprint,
    /// What those call it that still have, or already have, another key.
    pub old: Option<Fingerprint>,
}

impl<'c> ClusterDrains<'c> {
    /// Those of some servers.
    pub fn of(agreed: AgreedDrains<'c>, servers: Vec<DrainableServer<'c>>) -> Self {
        let mut by_fingerprint = HashMap::new();
        let mut by_upstream: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, server) in servers.iter().enumerate() {
            for name in std::iter::once(server.current).chain(server.old) {
                by_fingerprint.entry(name).or_insert(at);
            }
            by_upstream.entry(server.upstream).or_default().push(at);
        }
        Self {
            agreed,
            servers,
            by_fingerprint,
            by_upstream,
        }
    }

    /// An operator has drained a server of an upstream, or has put it back, at this node.
    pub fn ordered(&self, upstream: &[u8], label: &[u8]) {
        let now = counters::now();
        let of_upstream = self.by_upstream.get(upstream).into_iter().flatten();
        let mut of_upstream = of_upstream.filter_map(|at| self.servers.get(*at));
        if let Some(server) = of_upstream.find(|server| server.label == label) {
            let drain = server.by_hand().map(|(until, since)| LocalDrain {
                is_drained: true,
                until,
                since,
                ordered: now,
            });
            let drain = drain.unwrap_or(LocalDrain {
                is_drained: false,
                until: None,
                since: now,
                ordered: now,
            });
            self.agreed.order(server.current, &drain);
        }
    }

    /// Does what was ordered at other nodes, and tells them what they cannot know. Called when a worker
    /// starts, and a few times a second in one of them.
    pub fn carry_out(&self) {
        let server_of = |name: Fingerprint| self.servers.get(*self.by_fingerprint.get(&name)?);
        self.agreed.carry_out(
            |name| self.by_fingerprint.contains_key(&name),
            |name, drain, is_first| {
                let Some(server) = server_of(name) else {
                    return;
                };
                if name == server.current {
                    server.carry_out(self.agreed, drain, is_first);
                } else if is_newer(drain, self.agreed.known(server.current)) {
                    // Of a node with another key. Next time it is done.
                    self.agreed.tell(server.current, drain);
                }
            },
        );
        if !self.agreed.is_joined() {
            return;
        }
        let servers = self.servers.iter();
        let drained = servers.filter(|server| server.counters.may_have_drains());
        for (server, (until, since)) in drained.filter_map(|it| Some((it, it.by_hand()?))) {
            if self.agreed.known(server.current).is_none() {
                self.agreed.tell(server.current, &kept(until, since));
            }
        }
    }
}

/// A drain that this node has of before: of a state file, or of before the directive was there.
fn kept(until: Option<u64>, since: u64) -> LocalDrain {
    LocalDrain {
        is_drained: true,
        until,
        since,
        ordered: since,
    }
}

fn is_newer(drain: &LocalDrain, known: Option<LocalDrain>) -> bool {
    known.is_none_or(|known| drain.ordered > known.ordered)
}

impl DrainableServer<'_> {
    /// Until when and since when it is drained by hand here.
    fn by_hand(&self) -> Option<(Option<u64>, u64)> {
        let drain = self.counters.drain(self.place)?;
        let since = self.counters.drained_since(self.place)?;
        (drain.by == DrainedBy::Hand).then_some((drain.until, since))
    }

    /// Does what was ordered elsewhere. `is_first`: this node has done nothing to the server since it takes
    /// part.
    fn carry_out(&self, agreed: AgreedDrains<'_>, drain: &LocalDrain, is_first: bool) {
        let counters = self.counters;
        let before = counters.drain(self.place);
        if drain.is_drained {
            let until = drain.until;
            counters.follow_drain(self.place, until, drain.since);
        } else {
            // Drained by hand later, while this node did not take part.
            let by_hand = self.by_hand().filter(|_| is_first);
            if let Some((until, since)) = by_hand.filter(|(_, since)| *since > drain.ordered) {
                agreed.tell(self.current, &kept(until, since));
                return;
            }
            counters.undrain(self.place);
        }
        let is_new = before.is_some() != drain.is_drained;
        if is_new {
            Log::cycle().write(
                Level::Notice,
                format_args!(
                    "sticky: in the cluster, server \"{}\" {}, upstream \"{}\"",
                    self.label.escape_ascii(),
                    match drain.is_drained {
                        true => "gets no new sessions",
                        false => "gets new sessions",
                    },
                    self.upstream.escape_ascii()
                ),
            );
        }
    }
}
