//! How long a session lives where several nodes use it.

use crate::table::{Limits, Tick};

use super::record::Seconds;

/// The part of the idle limit after which other nodes are told again that a session is in use.
const PARTS: Tick = 16;

/// How long the sessions of a scope live in a cluster.
///
/// Other nodes are told that a session is in use when its last use gets into another period, by the
/// store's clock. So what they know is older than its last use by less than a period, and all nodes
/// keep sessions for a period longer: none ends early at any, and none more than a period late.
///
/// Whether a session is live where a record of it comes is a question of whole periods alone, so that
/// nodes that know its last use to different seconds agree on the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Liveness {
    /// For whatever reads or changes the table.
    pub limits: Limits,
    /// Length of a period in seconds.
    pub period: Tick,
}

impl Liveness {
    /// By what the configuration says.
    pub fn of(configured: &Limits) -> Liveness {
        let period = (configured.expires / PARTS).max(1);
        Liveness {
            limits: Limits {
                expires: configured.expires.saturating_add(period),
                ..*configured
            },
            period,
        }
    }

    /// Whether a session is live in the order of the stream. What has expired at any node is not.
    pub fn is_live(&self, seen: Seconds, created: Seconds, now: Seconds) -> bool {
        let period = u64::from(self.period.max(1));
        let periods = (now / period).saturating_sub(seen / period);
        let is_young = |lifetime: Tick| {
            let age = now.saturating_sub(created);
            // What a word says of `created` is not exact, and not the same at all nodes.
            age < u64::from(lifetime).saturating_sub(age / COARSENESS + 1)
        };
        periods < u64::from(self.limits.expires) / period
            && self.limits.lifetime.is_none_or(is_young)
    }
}

/// `created` is exact to such a part of a session's age, see [`Word`](crate::table::Word).
const COARSENESS: u64 = 500;
