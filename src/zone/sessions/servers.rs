//! The servers of sessions: what the registry of the zone knows them by, and their numbers.

use sticky_core::peer_id;
use sticky_core::table::{Fingerprint, PeerId, Registration};

use crate::ngx::log::{Level, Log};

use super::{Sessions, NOBODY};

impl Sessions<'_> {
    /// What the registry knows the server of that name or `route=` by.
    pub fn fingerprint(&self, server: &[u8]) -> Option<Fingerprint> {
        self.zone()?;
        let keys = self.keys()?.sip_keys;
        Some(Fingerprint::new(keys, self.scope.name(), server))
    }

    /// What it may be known by as well, of sessions that are under other keys.
    pub fn earlier_fingerprints(&self, server: &[u8]) -> Vec<Fingerprint> {
        let keys = self.keys().filter(|keys| keys.has_previous.get());
        let previous = keys.into_iter().flat_map(|keys| &keys.previous);
        let of = |keys| Fingerprint::new(keys, self.scope.name(), server);
        previous.map(|previous| of(previous.sip_keys)).collect()
    }

    /// Whether the registry knows that server by this.
    pub fn is_known_by(&self, server: &[u8], known: Fingerprint) -> bool {
        Some(known) == self.fingerprint(server)
            || self.earlier_fingerprints(server).contains(&known)
    }

    /// The registration of a server that is not among the upstream's: it has left while it answered.
    /// Its sessions are known, so that the next request of each begins anew elsewhere.
    #[cold]
    pub fn registration_of(&self, server: &[u8]) -> Option<Registration> {
        match self.registry() {
            Some(registry) => registry.register(&[self.fingerprint(server)?]).pop()?,
            None => Some(Registration::unregistered(peer_id::peer_id(server))),
        }
    }

    /// Logs that a server has no number, so that its sessions are not kept.
    #[cold]
    pub fn log_no_number(&self) {
        Log::cycle().write(
            Level::Error,
            format_args!(
                "sticky: the zone knows as many servers as it can, sessions of others are not kept, \
                 a larger zone can know more, zone \"{}\", {}",
                self.zone_name().unwrap_or(b"off").escape_ascii(),
                self.scope
            ),
        );
    }

    /// What stands for no server at all, where an operator puts sessions that the next request of each
    /// takes along to wherever it is balanced.
    pub fn nobody(&self) -> Option<Registration> {
        self.registration_of(NOBODY)
    }

    /// Whether a number stands for no server.
    pub fn is_at_nobody(&self, number: PeerId) -> bool {
        self.is_called(number, NOBODY)
    }

    /// Whether a number stands for the server of that name or `route=`.
    pub fn is_called(&self, number: PeerId, server: &[u8]) -> bool {
        let registered = || self.registry()?.registration(number)?.fingerprint();
        registered().is_some_and(|known| self.is_known_by(server, known))
    }

    /// All numbers that stand for servers of these names.
    pub fn numbers_of(&self, servers: &[Vec<u8>]) -> Vec<PeerId> {
        let names = servers.iter().flat_map(|name| {
            let earlier = self.earlier_fingerprints(name);
            self.fingerprint(name).into_iter().chain(earlier)
        });
        let names: Vec<_> = names.collect();
        let all = self.registry().into_iter();
        let all = all.flat_map(|registry| registry.registrations());
        let is_one = |it: &Registration| it.fingerprint().is_some_and(|it| names.contains(&it));
        all.filter(is_one).map(|it| it.number).collect()
    }
}
