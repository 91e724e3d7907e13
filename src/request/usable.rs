//! Which peers a session's request may go to: as nginx's balancers test them, but also a server
//! that is being drained, and once more one that has closed a kept connection.

use sticky_core::availability::Availability;
pub use sticky_core::availability::Unavailable;
use sticky_core::load::Load;
use sticky_core::table::{PeerId, UsableServers};

use crate::config::counted;
use crate::config::directives::DRAINING;
use crate::config::peer_index::PeerIndex;
use crate::config::types::{MainConf, Sticky, UpstreamConf};
use crate::ngx::balancer::{Attempt, LoadRules, NotTaken};
use crate::ngx::cycle::Cycle;
use crate::ngx::peers::{PeerHandle, PeerList, PeerLoad, PeerState};
use crate::zone::snapshot::KnownServers;

impl From<NotTaken> for Unavailable {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Left => Self::Left,
            NotTaken::Refused => Self::Failed,
        }
    }
}

/// A server that is being drained keeps its sessions.
#[inline]
fn availability(peer: PeerState) -> Availability {
    Availability {
        is_down: peer.down & !DRAINING != 0,
        has_failed: peer.has_failed,
        is_full: peer.is_full,
    }
}

/// Whether a peer can be used.
#[inline]
pub fn test(peer: PeerState) -> Result<(), Unavailable> {
    availability(peer).test()
}

/// The same for a peer as it is now.
pub fn check(peers: PeerList, peer: PeerHandle) -> Result<(), Unavailable> {
    test(peers.state(peer).ok_or(Unavailable::Left)?)
}

/// Whether requests can go to the peer that a number in the session table means now.
pub fn is_usable(
    sticky: &Sticky<'_>,
    index: &PeerIndex<'_>,
    peers: PeerList,
    holder: PeerId,
) -> bool {
    let peer = index.by_number(holder);
    peer.is_some_and(|peer| check(peers, peer.handle).is_ok() && !sticky.is_drained(peer))
}

/// The same of a server that is what it was when the index of peers was built. `None`: it may not be.
#[inline(always)]
pub fn is_usable_at_once(sticky: &Sticky<'_>, peers: PeerList, holder: PeerId) -> Option<bool> {
    let peer = sticky.fixed_index()?.by_number_as_built(holder)?;
    Some(check(peers, peer.handle).is_ok() && !sticky.is_drained(peer))
}

/// The servers that have sessions in the zone of that name and can be used now, or could if they
/// had not `max_conns` connections: of the upstreams of which this worker has met a request. None
/// in a process that serves no requests.
pub fn servers_of(running: Cycle<'_>, zone: &[u8]) -> KnownServers {
    let mut usable = UsableServers::default();
    let Some(main) = running.main_conf::<MainConf<'_>>() else {
        return KnownServers::default();
    };
    let by_zone = main.by_zone.borrow();
    for us in by_zone.get(zone).into_iter().flatten() {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        let met = conf.and_then(|conf| conf.active()?.met_peers());
        let Some((peers, index)) = met else { continue };
        for (server, peer) in index.registered() {
            match check(peers, peer.handle) {
                Ok(()) | Err(Unavailable::Full) => usable.extend([server]),
                Err(Unavailable::Left | Unavailable::Failed | Unavailable::Drained) => {}
            }
        }
    }
    let drains = counted::drains_in(main, zone);
    KnownServers { usable, drains }
}

/// `balance_factor`: per cent of its share of the active requests that a peer may have.
pub struct Bound(pub u32);

impl LoadRules for Bound {
    type Error = Unavailable;

    fn test(&self, peer: PeerState) -> Result<(), Unavailable> {
        test(peer)
    }

    fn is_usable(&self, peer: PeerState) -> bool {
        // One that is being drained gets requests of its own sessions alone.
        peer.down == 0 && test(peer).is_ok()
    }

    /// The least loaded, if the session's own has its share.
    fn choose(
        &self,
        wanted: PeerLoad,
        others: &[PeerLoad],
        is_tried: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let load = |peer: &PeerLoad| Load {
            active: peer.active as u64,
            weight: peer.weight as u64,
        };
        let own = load(&wanted);
        let all = others.iter().map(load).fold(own, |sum, one| Load {
            active: sum.active + one.active,
            weight: sum.weight + one.weight,
        });
        if !own.is_over(self.0, all) {
            return None;
        }
        let mut least = (None, own);
        for (at, other) in others.iter().map(load).enumerate() {
            if other.is_below(least.1) && !is_tried(at) {
                least = (Some(at), other);
            }
        }
        least.0
    }
}

/// Takes the peer of another session than the one that was tried. For few requests, as
/// [`take_again`]: a function of its own, so that the way of nearly all is short.
#[cold]
#[inline(never)]
pub fn take_other(attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
    attempt.take(peer, test)
}

/// Takes the peer of the attempt before, which has failed on a kept connection, once more. nginx
/// does not count such an attempt (ngx_http_upstream_next()), but its balancers count the failure.
#[cfg(not(nginx_since = "1.29.6"))]
#[cold]
#[inline(never)]
pub fn take_again(attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
    attempt.take(peer, |state| availability(state).test_again())
}

/// Takes the peer of the attempt before, which has failed on a kept connection, once more. nginx
/// does not count such an attempt (ngx_http_upstream_next()), but its balancers count the failure,
/// and go to no peer twice.
#[cfg(nginx_since = "1.29.6")]
#[cold]
#[inline(never)]
pub fn take_again(attempt: &Attempt<'_>, peer: PeerHandle) -> Result<(), Unavailable> {
    attempt.forgive(peer)?;
    attempt.take(peer, |state| availability(state).test_again())
}
