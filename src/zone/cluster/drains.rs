//! What operators order of servers, between this node, whose zone of counters has it by this system's
//! clock, and the others, who go by the store's.

use sticky_core::cluster::hand_drains::HandDrain;
use sticky_core::cluster::header::{ClusterHeader, Flag};
use sticky_core::cluster::Slot;
use sticky_core::table::Fingerprint;

use crate::ngx::clock::{monotonic_now, monotonic_seconds, unix_seconds};

use super::ClusterZone;

/// A server is drained by hand, or was put back. Times are seconds since 1970 by this system's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalDrain {
    /// It gets no new sessions; else it gets them again.
    pub is_drained: bool,
    /// From this second on, its own sessions go elsewhere, too.
    pub until: Option<u64>,
    /// When the drain began.
    pub since: u64,
    /// When this was ordered.
    pub ordered: u64,
}

/// By how many seconds the store's clock is ahead of this system's.
fn ahead(header: &ClusterHeader) -> i64 {
    let store = header.clock.milliseconds(monotonic_now()) / 1000;
    (store as i64).saturating_sub(unix_seconds())
}

impl LocalDrain {
    fn of(drain: &HandDrain, ahead: i64) -> LocalDrain {
        let local = |time: u64| time.saturating_add_signed(-ahead);
        LocalDrain {
            is_drained: drain.is_drained,
            until: drain.until.map(local),
            since: local(drain.since),
            ordered: local(drain.ordered),
        }
    }

    fn by_store(&self, ahead: i64) -> HandDrain {
        let store = |time: u64| time.saturating_add_signed(ahead);
        HandDrain {
            is_drained: self.is_drained,
            until: self.until.map(store),
            since: store(self.since),
            ordered: store(self.ordered),
        }
    }
}

/// The drains that all nodes agree on, as one configuration of this node uses them.
#[derive(Clone, Copy)]
pub struct AgreedDrains<'c>(&'c ClusterHeader);

impl<'c> AgreedDrains<'c> {
    /// `None`: the zone was not made yet.
    pub fn of(zone: &'c ClusterZone) -> Option<Self> {
        let (header, _) = zone.split::<ClusterHeader, Slot>()?;
        Some(Self(header))
    }

    /// An operator has ordered something at this node, which was done.
    pub fn order(self, server: Fingerprint, drain: &LocalDrain) {
        let drain = drain.by_store(ahead(self.0));
        self.0.drains().order(server, &drain, monotonic_seconds());
    }

    /// This node has something of before it took part, or under another key.
    pub fn tell(self, server: Fingerprint, drain: &LocalDrain) {
        let drain = drain.by_store(ahead(self.0));
        self.0.drains().tell(server, &drain, monotonic_seconds());
    }

    /// What is known of a server.
    pub fn known(self, server: Fingerprint) -> Option<LocalDrain> {
        let drain = self.0.drains().shown(server)?;
        Some(LocalDrain::of(&drain, ahead(self.0)))
    }

    /// Whether this node knows what the others know.
    pub fn is_joined(self) -> bool {
        self.0.is(Flag::Joined)
    }

    /// Hands to `done` what is to be done to servers that the configuration has, as `has` says, and
    /// whether it is the first thing.
    pub fn carry_out(
        self,
        has: impl FnMut(Fingerprint) -> bool,
        mut done: impl FnMut(Fingerprint, &LocalDrain, bool),
    ) {
        let ahead = ahead(self.0);
        let drains = self.0.drains();
        drains.carry_out(monotonic_seconds(), has, |server, drain, is_first| {
            done(server, &LocalDrain::of(drain, ahead), is_first);
        });
    }
}
