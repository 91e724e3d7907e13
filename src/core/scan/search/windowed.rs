//! Searches a body that comes in pieces for needles, and has the bytes around each match examined.
//! Of most bodies, nothing else is read.

use std::sync::Arc;

use super::matches::{Match, Matches, Needles, NextMatches};
use super::window::{Progress, Window};
use crate::scan::Found;

/// How much of the piece is first appended to the carried bytes: enough for most tags.
const STEP: usize = 256;

/// A shorter piece is appended to the carried bytes as a whole, and these are not shortened before
/// they have grown by as much: otherwise each small piece would have all of them moved and
/// searched.
const SMALL: usize = 1024;

/// Examines the matches of needles.
pub(in crate::scan) trait Examine {
    type Needles: Needles;

    /// How far the examination of a match reaches back from its end, in bytes, when it waits for
    /// the next piece.
    const BACK: usize;

    /// Examines what surrounds a match; `window_start` is where the window begins in the body.
    fn examine(
        &mut self,
        window: &Window<'_>,
        next: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress;

    /// Whether a match certainly shows nothing new: a quick look at the bytes next to it.
    #[inline(always)]
    fn is_known(&self, _bytes: &[u8], _next: Match) -> bool {
        false
    }

    /// The place, counted over both, before which a match in later bytes needs nothing.
    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize;
}

/// The search of one body.
pub(in crate::scan) struct WindowedSearch<E: Examine> {
    pub(in crate::scan) examiner: E,
    needles: Arc<E::Needles>,
    /// The end of what was fed so far that a match may still need; nothing before it matters.
    carry: Vec<u8>,
    /// Where the carry begins in the body.
    offset: u64,
    /// How many bytes were needed when it was shortened last.
    needed: usize,
    /// The first match that has not been examined is this one or a later one; counted in the carry.
    resume: Match,
    /// It is this one: it needs more bytes.
    is_waiting: bool,
    /// In small pieces, the matches behind it, if they are known; otherwise they are searched anew in
    /// each piece.
    next: NextMatches,
    is_next_known: bool,
    ended: bool,
}

impl<E: Examine> WindowedSearch<E> {
    pub(in crate::scan) fn new(needles: Arc<E::Needles>, examiner: E) -> Self {
        Self {
            examiner,
            needles,
            carry: Vec::new(),
            offset: 0,
            needed: 0,
            resume: Match { end: 0, needle: 0 },
            is_waiting: false,
            next: NextMatches::none(),
            is_next_known: false,
            ended: false,
        }
    }

    /// Begins another body with these needles. The examiner has to forget the one before.
    pub(in crate::scan) fn restart_with(&mut self, needles: &Arc<E::Needles>) {
        if !Arc::ptr_eq(&self.needles, needles) {
            self.needles = Arc::clone(needles);
        }
        self.restart();
    }

    /// How many bytes it has allocated.
    pub(in crate::scan) fn allocated(&self) -> usize {
        self.carry.capacity()
    }

    /// Begins another body. The examiner has to forget the one before.
    pub(in crate::scan) fn restart(&mut self) {
        self.carry.clear();
        self.offset = 0;
        self.needed = 0;
        self.resume = Match { end: 0, needle: 0 };
        self.is_waiting = false;
        self.is_next_known = false;
        self.ended = false;
    }

    /// See [`Learner::feed`](crate::scan::Learner::feed).
    pub(in crate::scan) fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        if !self.ended && !piece.is_empty() {
            self.read(piece, false, found);
        }
    }

    /// See [`Learner::end`](crate::scan::Learner::end).
    pub(in crate::scan) fn end(&mut self, found: &mut Found<'_>) {
        if !self.ended {
            self.read(&[], true, found);
            self.ended = true;
            self.carry.clear();
        }
    }

    fn read(&mut self, piece: &[u8], to_end: bool, found: &mut Found<'_>) {
        if piece.len() < SMALL {
            return self.read_small(piece, to_end, found);
        }
        self.is_next_known = false;
        let carried = self.carry.len();
        let mut waiting = self.read_across(carried, piece, to_end, found);
        if waiting.is_none() {
            waiting = self.read_piece(carried, piece, to_end, found);
        }
        if !to_end {
            self.carry_over(carried, piece, waiting);
        }
    }

    /// Reads a piece where it is appended to the carry.
    #[inline(never)]
    fn read_small(&mut self, piece: &[u8], to_end: bool, found: &mut Found<'_>) {
        if piece.is_empty() && !self.is_waiting {
            return;
        }
        self.carry.extend_from_slice(piece);
        let window = Window {
            bytes: &self.carry,
            from_start: true,
            to_end,
        };
        let mut needs_more = |next: Match| {
            let progress = self.examiner.examine(&window, next, self.offset, found);
            progress == Progress::NeedsAfter
        };
        let needles = &*self.needles;
        let is_waiting = self.is_waiting && self.is_next_known;
        let mut waiting = None;
        if is_waiting && needs_more(self.resume) {
            waiting = Some(self.resume);
        } else {
            if !self.is_next_known {
                self.next.start(needles, self.offset, self.resume);
                self.is_next_known = true;
            }
            while let Some(next) = self.next.next(needles, window.bytes, self.offset) {
                if needs_more(next) {
                    waiting = Some(next);
                    break;
                }
            }
        }
        self.resume_at(waiting);
        if self.carry.len() >= self.needed + SMALL {
            self.shorten(waiting);
        }
    }

    /// Keeps of the carry what may be needed.
    #[inline(never)]
    fn shorten(&mut self, waiting: Option<Match>) {
        self.carry_over(self.carry.len(), &[], waiting);
    }

    /// The search goes on at the match that waits, or behind what is in the carry.
    fn resume_at(&mut self, waiting: Option<Match>) {
        self.is_waiting = waiting.is_some();
        self.resume = waiting.unwrap_or(Match {
            end: self.carry.len() + 1,
            needle: 0,
        });
    }

    /// Examines the matches that start in the carry, and those that start as close behind it.
    /// Returns the one that needs the next piece.
    fn read_across(
        &mut self,
        carried: usize,
        piece: &[u8],
        to_end: bool,
        found: &mut Found<'_>,
    ) -> Option<Match> {
        if carried == 0 {
            return None;
        }
        let behind = self.needles.longest().saturating_sub(1).min(piece.len());
        self.join(carried, piece, behind);
        let end = carried + behind;
        let needles = Arc::clone(&self.needles);
        let searched = self.carry.get(..end).unwrap_or_default();
        let mut matches = Matches::new(&*needles, searched, self.resume);
        // The carry may grow meanwhile, but the bytes that are searched stay the same.
        while let Some(next) = matches.next(self.carry.get(..end).unwrap_or_default()) {
            if self.examine_joined(carried, piece, to_end, next, found) {
                return Some(next);
            }
        }
        self.is_waiting = false;
        self.resume = Match {
            end: end + 1,
            needle: 0,
        };
        None
    }

    /// Examines the matches in the rest of the piece.
    fn read_piece(
        &mut self,
        carried: usize,
        piece: &[u8],
        to_end: bool,
        found: &mut Found<'_>,
    ) -> Option<Match> {
        let needles = Arc::clone(&self.needles);
        let first = Match {
            end: self.resume.end.saturating_sub(carried),
            ..self.resume
        };
        let start = self.offset + carried as u64;
        let mut matches = Matches::new(&*needles, piece, first);
        while let Some(next) = matches.next(piece) {
            if self.examiner.is_known(piece, next) {
                continue;
            }
            let joined = Match {
                end: carried + next.end,
                ..next
            };
            let window = Window {
                bytes: piece,
                from_start: carried == 0,
                to_end,
            };
            let waits = match self.examiner.examine(&window, next, start, found) {
                Progress::Done => false,
                Progress::NeedsAfter => true,
                Progress::NeedsBefore => {
                    self.join(carried, piece, next.end);
                    self.examine_joined(carried, piece, to_end, joined, found)
                }
            };
            if waits {
                return Some(joined);
            }
        }
        None
    }

    /// Examines a match with the carried bytes before it and as much of the piece behind it as it
    /// needs. Returns whether it needs the next piece, too.
    fn examine_joined(
        &mut self,
        carried: usize,
        piece: &[u8],
        to_end: bool,
        next: Match,
        found: &mut Found<'_>,
    ) -> bool {
        loop {
            let joined = self.carry.len() - carried;
            let all = joined == piece.len();
            let window = Window {
                bytes: &self.carry,
                from_start: true,
                to_end: to_end && all,
            };
            match self.examiner.examine(&window, next, self.offset, found) {
                Progress::NeedsAfter if !all => self.join(carried, piece, joined * 2 + STEP),
                Progress::NeedsAfter => return true,
                Progress::Done | Progress::NeedsBefore => return false,
            }
        }
    }

    /// Appends the piece to the carry, up to its first `len` bytes.
    fn join(&mut self, carried: usize, piece: &[u8], len: usize) {
        let joined = self.carry.len() - carried;
        if let Some(more) = piece.get(joined..len.min(piece.len())) {
            self.carry.extend_from_slice(more);
        }
    }

    /// Keeps the bytes that a later match, or the one that waits, may need.
    #[inline(always)]
    fn carry_over(&mut self, carried: usize, piece: &[u8], waiting: Option<Match>) {
        self.carry.truncate(carried);
        let mut keep = self.examiner.first_needed(&self.carry, piece);
        if let Some(waiting) = waiting {
            keep = keep.min(waiting.end.saturating_sub(E::BACK));
        }
        self.is_waiting = waiting.is_some();
        // All matches so far are examined, but for the one that waits.
        let next = Match {
            end: carried + piece.len() + 1,
            needle: 0,
        };
        self.resume = waiting.unwrap_or(next);
        self.resume.end -= keep;
        match keep.checked_sub(carried) {
            Some(from) => {
                let kept = piece.get(from..).unwrap_or_default();
                self.carry.clear();
                // With room for the beginning of the next piece.
                self.carry.reserve(kept.len() + STEP);
                self.carry.extend_from_slice(kept);
            }
            None => {
                self.carry.extend_from_slice(piece);
                self.carry.drain(..keep);
            }
        }
        self.offset += keep as u64;
        self.needed = self.carry.len();
    }
}
