//! What was counted and not sent yet to a server that collects counts: the difference of the sums
//! to one more slot, which has what was sent. It is in the zone, too, so that nothing is sent twice
//! or lost when another worker goes on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::entry::Entry;
use super::layout::ZONE_COUNTS;
use super::{Counters, Kind, Place, Slot};
use crate::events::{BodyEnd, Forget, Move, Reader, Source, Status};

/// A counter of an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// Requests by status.
    Request(Status),
    /// Sessions learned.
    Learned(Source),
    /// Sessions moved.
    Moved(Move),
    /// Sessions forgotten.
    Forgotten(Forget),
    /// Bodies of responses that were read.
    Body(Reader, BodyEnd),
    /// Bytes of them.
    BodyBytes,
    /// Requests that have found their server gone because an operator wanted it so.
    Planned,
}

impl Counted {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Counted> {
        let requests = Status::ALL.iter().copied().map(Counted::Request);
        let learned = Source::ALL.iter().copied().map(Counted::Learned);
        let moved = Move::ALL.iter().copied().map(Counted::Moved);
        let forgotten = Forget::ALL.iter().copied().map(Counted::Forgotten);
        let sessions = learned.chain(moved).chain(forgotten);
        let bodies = Reader::ALL.iter().flat_map(|reader| {
            let ends = BodyEnd::ALL.iter();
            ends.map(|end| Counted::Body(*reader, *end))
        });
        let bodies = bodies.chain([Counted::BodyBytes, Counted::Planned]);
        requests.chain(sessions).chain(bodies)
    }
}

/// What is to be sent of one counter. Nobody else sends it, unless it is given back.
#[derive(Debug)]
pub struct Unsent<'a> {
    sent: &'a AtomicU64,
    /// How much has been added.
    pub count: u64,
}

impl<'a> Unsent<'a> {
    /// Of a counter that is at `total` now. `None`: nothing, or another process sends it.
    fn claim(sent: &'a AtomicU64, total: u64) -> Option<Self> {
        let before = sent.load(Relaxed);
        let count = total.wrapping_sub(before);
        // Another process that has read a later sum was faster.
        let is_older = count > u64::MAX / 2;
        if count == 0 || is_older {
            return None;
        }
        let claimed = sent.compare_exchange(before, total, Relaxed, Relaxed);
        claimed.ok().map(|_| Self { sent, count })
    }

    /// The same of a counter that may have begun anew, at 0.
    fn claim_anew(sent: &'a AtomicU64, total: u64) -> Option<Self> {
        let before = sent.load(Relaxed);
        if total < before {
            sent.compare_exchange(before, 0, Relaxed, Relaxed).ok()?;
        }
        Self::claim(sent, total)
    }

    /// It could not be sent.
    pub fn give_back(self) {
        self.sent.fetch_sub(self.count, Relaxed);
    }
}

impl<'a> Counters<'a> {
    /// The slot of what was sent.
    pub(super) fn sent(&self) -> Option<Slot<'a>> {
        self.slot_at(self.shape.slots())
    }

    /// What is to be sent of an upstream.
    pub fn unsent(&self, upstream: Place) -> Vec<(Counted, Unsent<'a>)> {
        let Some(sent) = self.sent().and_then(|sent| sent.upstream(upstream)) else {
            return Vec::new();
        };
        let sums = self.upstream_sums(upstream);
        Counted::all()
            .filter_map(|counted| {
                let unsent = Unsent::claim(sent.of(counted), sums.of(counted))?;
                Some((counted, unsent))
            })
            .collect()
    }

    /// What is to be sent of a server's hits.
    pub fn unsent_hits(&self, server: Place) -> Option<Unsent<'a>> {
        let sent = self.sent()?.server(server)?;
        Unsent::claim(sent.hits(), self.server_sums(server).hits)
    }

    /// What is to be sent of a zone, of which that was counted.
    pub fn unsent_of_zone(
        &self,
        zone: Place,
        totals: [u64; ZONE_COUNTS],
    ) -> [Option<Unsent<'a>>; ZONE_COUNTS] {
        let sent = self.entry(Kind::Zone, zone).map(Entry::sent);
        let mut at = 0;
        totals.map(|total| {
            at += 1;
            Unsent::claim_anew(sent?.get(at - 1)?, total)
        })
    }

    /// From now on nobody sends.
    pub fn stop_sending(&self) {
        self.header.is_behind.store(1, Relaxed);
    }

    /// From now on somebody sends: what was counted while nobody did is left out. Returns whether
    /// there was such a time.
    pub fn start_sending(&self) -> bool {
        if self.header.is_behind.swap(0, Relaxed) == 0 {
            return false;
        }
        let known = |kind| {
            let entries = self.entries(kind);
            entries.filter(|(_, entry)| entry.digest().is_some())
        };
        for (place, _) in known(Kind::Upstream) {
            let _ = self.unsent(place);
        }
        for (place, _) in known(Kind::Server) {
            let _ = self.unsent_hits(place);
        }
        true
    }
}
