//! From the numbers that servers have in one zone or file to those that they have in another zone.

use std::cell::RefCell;

use super::fingerprint::Fingerprint;
use super::registry::{Registration, Registry};
use super::session::{PeerId, Session};

/// Numbers of the servers of another zone or file, in this zone.
pub struct Translation<'a> {
    registry: Option<Registry<'a>>,
    /// By the number there.
    servers: RefCell<Vec<Option<Server>>>,
}

#[derive(Clone, Copy)]
struct Server {
    fingerprint: Fingerprint,
    /// `None`: there is no number left for it here.
    here: Option<Registration>,
}

impl<'a> Translation<'a> {
    /// For a zone with that registry. Without one, numbers are the same everywhere.
    pub fn into(registry: Option<Registry<'a>>) -> Translation<'a> {
        Translation {
            registry,
            servers: RefCell::default(),
        }
    }

    /// Adds what numbers mean there. Each server gets a number here.
    pub fn learn(&self, servers: &[(PeerId, Fingerprint)]) {
        let Some(registry) = self.registry else {
            return;
        };
        let fingerprints: Vec<_> = servers.iter().map(|(_, server)| *server).collect();
        let here = registry.register(&fingerprints);
        let mut known = self.servers.borrow_mut();
        for ((number, fingerprint), here) in servers.iter().zip(here) {
            let index = number.get() as usize;
            if known.len() <= index {
                known.resize(index + 1, None);
            }
            if let Some(place) = known.get_mut(index) {
                *place = Some(Server {
                    fingerprint: *fingerprint,
                    here,
                });
            }
        }
    }

    /// The registration here of the server with that number there. `None`: it means nothing there, or
    /// no number is left for it here.
    pub fn registration(&self, there: PeerId) -> Option<Registration> {
        let Some(registry) = self.registry else {
            return Some(Registration::unregistered(there));
        };
        let mut servers = self.servers.borrow_mut();
        let server = servers.get_mut(there.get() as usize)?.as_mut()?;
        let here = server.here?;
        if registry.hold(&here) {
            return Some(here);
        }
        // It had no sessions here for so long that its number was reused.
        server.here = registry.register(&[server.fingerprint]).pop().flatten();
        server.here
    }

    /// The numbers here of all that are known, by the numbers there.
    pub fn peers(&self) -> Vec<Option<PeerId>> {
        let count = self.servers.borrow().len();
        let peers = (0..count).map(|there| self.registration(PeerId::new(there as u32)));
        peers.map(|peer| Some(peer?.number)).collect()
    }

    /// The session as it is here.
    pub fn session(&self, there: &Session) -> Option<Session> {
        let registration = self.registration(there.peer)?;
        Some(Session {
            peer: registration.number,
            ..*there
        })
    }
}
