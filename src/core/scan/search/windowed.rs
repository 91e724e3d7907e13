//! Looks for needles in what comes in pieces, and has what surrounds them examined: of most bodies
//! nothing else is read.

use std::sync::Arc;

use super::hits::{Found, Hits, Needles};
use super::window::{Progress, Window};

/// Bytes of the next piece that join the carried ones at first: enough for most tags.
const STEP: usize = 256;

/// What there is to say of a needle that was found.
pub(in crate::scan) trait Examine {
    /// What is looked for.
    type Needles: Needles;

    /// How far the examination of a needle reaches back from its end, in bytes, when it waits for
    /// bytes that have not come.
    const BACK: usize;

    /// Reads what surrounds a needle; `start` is where the window stands in the body.
    fn examine(
        &mut self,
        window: &Window<'_>,
        hit: Found,
        start: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Progress;

    /// The place, counted over both, before which nothing is needed by a needle that ends in later
    /// bytes.
    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize;
}

/// A body, read around the needles in it.
pub(in crate::scan) struct Around<E: Examine> {
    pub(in crate::scan) reader: E,
    needles: Arc<E::Needles>,
    /// The tail of what has been fed that a needle may still need; nothing before it matters.
    carry: Vec<u8>,
    /// Where the carry stands in the body.
    offset: u64,
    /// The first needle that has not been examined comes here or later, counted in the carry.
    resume: Found,
    ended: bool,
}

impl<E: Examine> Around<E> {
    pub(in crate::scan) fn new(needles: Arc<E::Needles>, reader: E) -> Self {
        Self {
            reader,
            needles,
            carry: Vec::new(),
            offset: 0,
            resume: Found { end: 0, needle: 0 },
            ended: false,
        }
    }

    /// Where the next piece stands in the body.
    pub(in crate::scan) fn place(&self) -> u64 {
        self.offset + self.carry.len() as u64
    }

    /// See [`Learner::feed`](crate::scan::Learner::feed).
    pub(in crate::scan) fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        if !self.ended && !piece.is_empty() {
            self.read(piece, false, found);
        }
    }

    /// See [`Learner::end`](crate::scan::Learner::end).
    pub(in crate::scan) fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        if !self.ended {
            self.read(&[], true, found);
            self.ended = true;
            self.carry = Vec::new();
        }
    }

    fn read(&mut self, piece: &[u8], to_end: bool, found: &mut dyn FnMut(&[u8])) {
        let border = self.carry.len();
        let mut waiting = self.read_border(border, piece, to_end, found);
        if waiting.is_none() {
            waiting = self.read_piece(border, piece, to_end, found);
        }
        if !to_end {
            self.keep_tail(border, piece, waiting);
        }
    }

    /// The needles that start before the border, and those as close behind it. Returns the one that
    /// needs bytes that have not come yet.
    fn read_border(
        &mut self,
        border: usize,
        piece: &[u8],
        to_end: bool,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Found> {
        if border == 0 {
            return None;
        }
        let behind = self.needles.longest().saturating_sub(1).min(piece.len());
        self.join(border, piece, behind);
        let end = border + behind;
        let needles = Arc::clone(&self.needles);
        let searched = self.carry.get(..end).unwrap_or_default();
        let mut hits = Hits::new(&*needles, searched, self.resume);
        // The carry may grow meanwhile, but what is searched stays.
        while let Some(hit) = hits.next(self.carry.get(..end).unwrap_or_default()) {
            if self.examine_joined(border, piece, to_end, hit, found) {
                return Some(hit);
            }
        }
        self.resume = Found {
            end: end + 1,
            needle: 0,
        };
        None
    }

    /// The needles that end further behind the border.
    fn read_piece(
        &mut self,
        border: usize,
        piece: &[u8],
        to_end: bool,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Found> {
        let needles = Arc::clone(&self.needles);
        let first = Found {
            end: self.resume.end.saturating_sub(border),
            ..self.resume
        };
        let start = self.offset + border as u64;
        let mut hits = Hits::new(&*needles, piece, first);
        while let Some(hit) = hits.next(piece) {
            let joined = Found {
                end: border + hit.end,
                ..hit
            };
            let window = Window {
                bytes: piece,
                from_start: border == 0,
                to_end,
            };
            let waits = match self.reader.examine(&window, hit, start, found) {
                Progress::Done => false,
                Progress::NeedsAfter => true,
                Progress::NeedsBefore => {
                    self.join(border, piece, hit.end);
                    self.examine_joined(border, piece, to_end, joined, found)
                }
            };
            if waits {
                return Some(joined);
            }
        }
        None
    }

    /// Examines a needle with the carried bytes before it and as much of the piece after it as it
    /// needs. Returns whether it needs more than there is.
    fn examine_joined(
        &mut self,
        border: usize,
        piece: &[u8],
        to_end: bool,
        hit: Found,
        found: &mut dyn FnMut(&[u8]),
    ) -> bool {
        loop {
            let joined = self.carry.len() - border;
            let all = joined == piece.len();
            let window = Window {
                bytes: &self.carry,
                from_start: true,
                to_end: to_end && all,
            };
            match self.reader.examine(&window, hit, self.offset, found) {
                Progress::NeedsAfter if !all => self.join(border, piece, joined * 2 + STEP),
                Progress::NeedsAfter => return true,
                Progress::Done | Progress::NeedsBefore => return false,
            }
        }
    }

    /// Makes the carry hold at least the first `len` bytes of the piece.
    fn join(&mut self, border: usize, piece: &[u8], len: usize) {
        let joined = self.carry.len() - border;
        if let Some(more) = piece.get(joined..len.min(piece.len())) {
            self.carry.extend_from_slice(more);
        }
    }

    /// Keeps of what has come what a later needle, or the one that waits, may need.
    fn keep_tail(&mut self, border: usize, piece: &[u8], waiting: Option<Found>) {
        self.carry.truncate(border);
        let mut keep = self.reader.first_needed(&self.carry, piece);
        if let Some(hit) = waiting {
            keep = keep.min(hit.end.saturating_sub(E::BACK));
        }
        // All needles that end in what has come are examined, but for the one that waits.
        let next = Found {
            end: border + piece.len() + 1,
            needle: 0,
        };
        self.resume = waiting.unwrap_or(next);
        self.resume.end -= keep;
        match keep.checked_sub(border) {
            Some(from) => {
                self.carry.clear();
                self.carry
                    .extend_from_slice(piece.get(from..).unwrap_or_default());
            }
            None => {
                self.carry.extend_from_slice(piece);
                self.carry.drain(..keep);
            }
        }
        self.offset += keep as u64;
    }
}
