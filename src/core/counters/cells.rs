//! The counters of an upstream and of a server in one slot, and the sums of all slots.
//!
//! ```text
//! upstream:  0 requests by status   12 learned by source   28 skipped by reason
//!           44 moved by reason      52 forgotten by reason   64 bodies by reader and end
//!           96 bytes of bodies      97 requests that were planned to move
//! server:    0 hits
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::layout::{SERVER_CELLS, UPSTREAM_CELLS};
use super::unsent::Counted;
use super::Place;
use crate::events::{BodyEnd, Forget, Move, Reader, Skip, Source, Status};
use crate::happened::Happened;
use crate::read_body::ReadBody;

const LEARNED: usize = 12;
const SKIPPED: usize = 28;
const MOVED: usize = 44;
const FORGOTTEN: usize = 52;
const BODIES: usize = 64;
const BODY_BYTES: usize = 96;
const PLANNED: usize = 97;

const HITS: usize = 0;

const _: () = {
    assert!(Status::COUNT <= LEARNED);
    assert!(LEARNED + Source::COUNT <= SKIPPED);
    assert!(SKIPPED + Skip::COUNT <= MOVED);
    assert!(MOVED + Move::COUNT <= FORGOTTEN);
    assert!(FORGOTTEN + Forget::COUNT <= BODIES);
    assert!(BODIES + Reader::COUNT * BodyEnd::COUNT <= BODY_BYTES);
    assert!(BODY_BYTES < PLANNED && PLANNED < UPSTREAM_CELLS);
    assert!(HITS < SERVER_CELLS);
};

/// The counters of an upstream, of one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpstreamCells<'a>(pub(super) &'a [AtomicU64; UPSTREAM_CELLS]);

impl<'a> UpstreamCells<'a> {
    pub(super) fn of(self, counted: Counted) -> &'a AtomicU64 {
        &self.0[match counted {
            Counted::Request(status) => status.number(),
            Counted::Learned(source) => LEARNED + source.number(),
            Counted::Moved(reason) => MOVED + reason.number(),
            Counted::Forgotten(reason) => FORGOTTEN + reason.number(),
            Counted::Body(reader, end) => BODIES + body(reader, end),
            Counted::BodyBytes => BODY_BYTES,
            Counted::Planned => PLANNED,
        }]
    }

    #[inline(always)]
    fn add(self, at: usize, count: u64) {
        if let Some(cell) = self.0.get(at) {
            cell.fetch_add(count, Relaxed);
        }
    }

    /// Something was skipped for these reasons, bits by their numbers. Mostly it is one: responses of a
    /// type that is not read.
    #[inline(always)]
    fn skipped(self, reasons: u16) {
        let mut left = reasons;
        while left != 0 {
            self.add(SKIPPED + left.trailing_zeros() as usize, 1);
            left &= left - 1;
        }
    }
}

/// The place of a reader and an end among those of bodies.
const fn body(reader: Reader, end: BodyEnd) -> usize {
    reader.number() * BodyEnd::COUNT + end.number()
}

/// The counters of a server, of one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerCells<'a>(pub(super) &'a [AtomicU64; SERVER_CELLS]);

impl<'a> ServerCells<'a> {
    pub(super) fn hits(self) -> &'a AtomicU64 {
        &self.0[HITS]
    }
}

/// Where the hits of a server are counted, in the slot of any worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HitCounter(usize);

impl HitCounter {
    /// That of a server in that place; one that has none is not counted.
    pub fn of(server: Option<Place>) -> HitCounter {
        let first = server.map(|server| server.index() * SERVER_CELLS + HITS);
        HitCounter(first.unwrap_or(usize::MAX))
    }
}

/// Where a worker counts what happens in an upstream.
#[derive(Clone, Copy, Debug)]
pub struct OwnCounters<'a> {
    upstream: UpstreamCells<'a>,
    /// All servers of the slot.
    servers: &'a [AtomicU64],
}

impl<'a> OwnCounters<'a> {
    pub(super) fn new(upstream: UpstreamCells<'a>, servers: &'a [AtomicU64]) -> Self {
        Self { upstream, servers }
    }

    /// A request has ended.
    #[inline(always)]
    pub fn request(&self, status: Status) {
        self.upstream.0[status.number()].fetch_add(1, Relaxed);
    }

    /// A request of a session has gone to the session's server, and was answered.
    #[inline(always)]
    pub fn hit(&self, server: HitCounter) {
        if let Some(cell) = self.servers.get(server.0) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// That request has found its server gone because an operator wanted it so.
    pub fn planned(&self) {
        self.upstream.add(PLANNED, 1);
    }

    /// An operator has moved so many sessions.
    pub fn moved_by_hand(&self, count: u64) {
        self.upstream.add(MOVED + Move::Hand.number(), count);
    }

    /// An operator has forgotten so many sessions.
    pub fn forgotten_by_hand(&self, count: u64) {
        self.upstream.add(FORGOTTEN + Forget::Hand.number(), count);
    }

    /// Counts what has happened while a request was served, where that is little, as it mostly is.
    /// Returns whether it is counted.
    #[inline(always)]
    pub fn few(&self, happened: &Happened) -> bool {
        const TYPE: usize = SKIPPED + Skip::Type.number();

        let Some(few) = happened.few() else {
            return false;
        };
        // So that it need not be looked up again behind each addition.
        let upstream = self.upstream;
        if few.is_type_only() {
            upstream.add(TYPE, 1);
            return true;
        }
        if few.is_nothing() {
            return true;
        }
        if let Some(learned) = few.learned() {
            upstream.add(LEARNED + learned, 1);
        }
        match few.skipped_bits() {
            reasons if reasons == 1 << Skip::Type.number() => upstream.add(TYPE, 1),
            reasons => upstream.skipped(reasons),
        }
        true
    }

    /// A body of so many bytes was read by one reader.
    #[inline(always)]
    pub fn body_of_one(&self, reader: Reader, end: BodyEnd, bytes: u64) {
        // So that it need not be looked up again.
        let upstream = self.upstream;
        upstream.add(BODIES + body(reader, end), 1);
        upstream.add(BODY_BYTES, bytes);
    }

    /// The body of a response was read so far.
    pub fn body(&self, read: ReadBody) {
        for (reader, end) in read.ends() {
            self.upstream.add(BODIES + body(reader, end), 1);
        }
        self.upstream.add(BODY_BYTES, read.bytes());
    }

    /// What has happened to sessions while a request was served.
    pub fn happened(&self, happened: &Happened) {
        self.upstream.skipped(happened.skipped_bits());
        happened.each_learned(|number, count| self.upstream.add(LEARNED + number, count.into()));
        happened.each_moved(|number, count| self.upstream.add(MOVED + number, count.into()));
        happened
            .each_forgotten(|number, count| self.upstream.add(FORGOTTEN + number, count.into()));
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
    /// Bodies of responses, by the numbers of [`Reader`] and [`BodyEnd`].
    pub bodies: [[u64; BodyEnd::COUNT]; Reader::COUNT],
    /// Bytes of them.
    pub body_bytes: u64,
    /// Of the requests that are [`Status::Gone`], those that are so because an operator wanted it.
    pub planned: u64,
}

impl UpstreamSums {
    pub(super) fn of(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Request(status) => self.requests[status.number()],
            Counted::Learned(source) => self.learned[source.number()],
            Counted::Moved(reason) => self.moved[reason.number()],
            Counted::Forgotten(reason) => self.forgotten[reason.number()],
            Counted::Body(reader, end) => self.bodies[reader.number()][end.number()],
            Counted::BodyBytes => self.body_bytes,
            Counted::Planned => self.planned,
        }
    }

    pub(super) fn add(&mut self, cells: UpstreamCells<'_>) {
        for (sums, first) in [
            (&mut self.requests[..], 0),
            (&mut self.learned, LEARNED),
            (&mut self.skipped, SKIPPED),
            (&mut self.moved, MOVED),
            (&mut self.forgotten, FORGOTTEN),
            (self.bodies.as_flattened_mut(), BODIES),
            (std::slice::from_mut(&mut self.body_bytes), BODY_BYTES),
            (std::slice::from_mut(&mut self.planned), PLANNED),
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
