//! The counters of an upstream and of a server in one slot, and the sums of all slots.
//!
//! ```text
//! upstream:  0 requests by status   12 learned by source   28 skipped by reason
//!           44 moved by reason      52 forgotten by reason 58 bodies  59 their bytes
//! server:    0 hits
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::layout::{SERVER_CELLS, UPSTREAM_CELLS};
use crate::events::{Forget, Move, Skip, Source, Status};

const LEARNED: usize = 12;
const SKIPPED: usize = 28;
const MOVED: usize = 44;
const FORGOTTEN: usize = 52;
const BODIES: usize = 58;
const BODY_BYTES: usize = 59;

const HITS: usize = 0;

const _: () = {
    assert!(Status::COUNT <= LEARNED);
    assert!(LEARNED + Source::COUNT <= SKIPPED);
    assert!(SKIPPED + Skip::COUNT <= MOVED);
    assert!(MOVED + Move::COUNT <= FORGOTTEN);
    assert!(FORGOTTEN + Forget::COUNT <= BODIES);
    assert!(BODY_BYTES < UPSTREAM_CELLS && HITS < SERVER_CELLS);
};

/// What has happened with sessions while a request was served, besides its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Happening {
    /// Sessions learned, by the numbers of [`Source`].
    pub learned: [u8; Source::COUNT],
    /// A bit for each [`Skip`] that has happened, by its number.
    pub skipped: u16,
    /// Sessions moved, by the numbers of [`Move`].
    pub moved: [u8; Move::COUNT],
    /// Sessions forgotten, by the numbers of [`Forget`].
    pub forgotten: [u8; Forget::COUNT],
    /// Bodies that were read for session ids.
    pub bodies: u8,
    /// So many bytes of them.
    pub body_bytes: u64,
}

const _: () = assert!(Skip::COUNT <= u16::BITS as usize);

/// The counters of an upstream, of one worker.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamCells<'a>(pub(super) &'a [AtomicU64; UPSTREAM_CELLS]);

impl UpstreamCells<'_> {
    /// A request has ended.
    #[inline(always)]
    pub fn request(&self, status: Status) {
        self.0[status.number()].fetch_add(1, Relaxed);
    }

    /// What has happened while it was served.
    pub fn happened(&self, happening: &Happening) {
        let skipped = |at: usize| (happening.skipped >> at & 1) as u8;
        let skipped: [u8; Skip::COUNT] = std::array::from_fn(skipped);
        for (first, counts) in [
            (LEARNED, &happening.learned[..]),
            (SKIPPED, &skipped),
            (MOVED, &happening.moved),
            (FORGOTTEN, &happening.forgotten),
            (BODIES, &[happening.bodies]),
        ] {
            for (cell, count) in self.0.iter().skip(first).zip(counts) {
                if *count != 0 {
                    cell.fetch_add(u64::from(*count), Relaxed);
                }
            }
        }
        if happening.body_bytes != 0 {
            self.0[BODY_BYTES].fetch_add(happening.body_bytes, Relaxed);
        }
    }
}

/// The counters of a server, of one worker.
#[derive(Clone, Copy, Debug)]
pub struct ServerCells<'a>(pub(super) &'a [AtomicU64; SERVER_CELLS]);

impl ServerCells<'_> {
    /// A request of a session has gone to the session's server, which is this one, and was answered.
    #[inline(always)]
    pub fn hit(&self) {
        self.0[HITS].fetch_add(1, Relaxed);
    }
}

/// What all workers have counted of an upstream. Counters wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UpstreamSums {
    /// Since when it was counted, in seconds since 1970.
    pub since: u64,
    /// Requests, by the numbers of [`Status`].
    pub requests: [u64; Status::COUNT],
    /// Sessions learned, by the numbers of [`Source`].
    pub learned: [u64; Source::COUNT],
    /// Requests in which an id or a response was passed over, by the numbers of [`Skip`].
    pub skipped: [u64; Skip::COUNT],
    /// Sessions moved, by the numbers of [`Move`].
    pub moved: [u64; Move::COUNT],
    /// Sessions forgotten, by the numbers of [`Forget`].
    pub forgotten: [u64; Forget::COUNT],
    /// Bodies that were read for session ids.
    pub bodies: u64,
    /// So many bytes of them.
    pub body_bytes: u64,
}

impl UpstreamSums {
    pub(super) fn add(&mut self, cells: UpstreamCells<'_>) {
        for (sums, first) in [
            (&mut self.requests[..], 0),
            (&mut self.learned, LEARNED),
            (&mut self.skipped, SKIPPED),
            (&mut self.moved, MOVED),
            (&mut self.forgotten, FORGOTTEN),
            (std::slice::from_mut(&mut self.bodies), BODIES),
            (std::slice::from_mut(&mut self.body_bytes), BODY_BYTES),
        ] {
            for (sum, cell) in sums.iter_mut().zip(cells.0.iter().skip(first)) {
                *sum = sum.wrapping_add(cell.load(Relaxed));
            }
        }
    }
}

/// What all workers have counted of a server. Counters wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServerSums {
    /// Since when it was counted, in seconds since 1970.
    pub since: u64,
    /// Requests of its sessions that it has answered.
    pub hits: u64,
}

impl ServerSums {
    pub(super) fn add(&mut self, cells: ServerCells<'_>) {
        self.hits = self.hits.wrapping_add(cells.0[HITS].load(Relaxed));
    }
}
