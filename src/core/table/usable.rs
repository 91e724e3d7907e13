//! The servers that can be used now, as far as one nginx knows, for the choice between two sessions
//! of one id.

use std::collections::HashSet;

use super::fingerprint::Fingerprint;
use super::session::PeerId;
use super::Table;

/// Servers of this configuration that are neither down nor failed. Plain data, so that a thread that
/// merges needs nothing of nginx.
#[derive(Clone, Debug, Default)]
pub struct UsableServers(HashSet<Fingerprint>);

impl UsableServers {
    /// Whether none is known to be usable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<Fingerprint> for UsableServers {
    fn extend<I: IntoIterator<Item = Fingerprint>>(&mut self, servers: I) {
        self.0.extend(servers);
    }
}

impl FromIterator<Fingerprint> for UsableServers {
    fn from_iter<I: IntoIterator<Item = Fingerprint>>(servers: I) -> Self {
        Self(servers.into_iter().collect())
    }
}

impl Table<'_> {
    /// Of two sessions of one id at these servers: whether the first one stays because the other's
    /// server is gone or has failed here. `None`: both can be used, or neither.
    ///
    /// Two sessions of one id are of one upstream. If the server of one is known here, so is the
    /// upstream, and a server that is not among its servers is gone. Where neither is known, the
    /// upstream may be another nginx's alone.
    pub(super) fn stays_as_usable(&self, ours: PeerId, theirs: PeerId) -> Option<bool> {
        let usable = self.usable.filter(|usable| !usable.is_empty())?;
        let is_usable = |peer| {
            let server = self.registry?.registration(peer)?.fingerprint()?;
            Some(usable.0.contains(&server))
        };
        let (ours, theirs) = (is_usable(ours)?, is_usable(theirs)?);
        (ours != theirs).then_some(ours)
    }
}
