//! Finds the session ids in a page by looking for the bytes of the name first and at a hit only for
//! what surrounds it: parsing every page would cost ten times as much as nginx's own `sub_filter`.
//!
//! What is found:
//! - the value of any attribute that is a URL with the name in its query, character references
//!   decoded; the lists and prefixes of `srcset`, `style`, `onclick` and `<meta content="5; url=…">`
//!   are taken apart at quotes, white space, `<`, `>`, parentheses and backslashes;
//! - `<input name=NAME value=…>` and `<button name=NAME value=…>`;
//! - outside tags (text, comments, scripts) a string between such delimiters that is a URL with the
//!   name in its query.
//!
//! Bounds: a tag is looked at up to [`REACH`] bytes before a hit and read up to [`REACH`] bytes from
//! its start, a string up to [`RUN`] bytes to each side of the hit; so at most about twice [`REACH`]
//! is ever carried over a border of pieces. A quoted value with a `>` in it may be up to [`QUOTED`]
//! bytes long, or the rest of its tag is not read. `<base href>` counts when it stands in the head and in
//! the first 16 KB. The name must stand literally: characters of it written as references are not
//! seen, nor `%XX` for characters that need no escape. However a page is cut into pieces, the same
//! ids come out in the same order.

mod border;
mod head;
mod hit;
mod hits;
mod last;
mod strings;
mod tag;
mod whole;
mod window;

use std::sync::Arc;

use self::head::Head;
use self::hit::Reader;
use self::hits::{Found, Hits};
use self::window::{Progress, Window};
use super::Learner;
use crate::url::{Names, Site, MAX_NAME};

/// How far a tag reaches, in bytes: one that starts further before a hit is not looked at, and one
/// that has not ended by then is not read.
pub const REACH: usize = 8 * 1024;

/// How long a quoted value with a `>` in it may be, in bytes: a tag with a longer one is not read
/// beyond it.
pub const QUOTED: usize = 1024;

/// How far a string reaches to each side of a hit, in bytes.
pub const RUN: usize = 2 * 1024;

/// Bytes of the next piece that join the carried ones at first: enough for most tags.
const STEP: usize = 256;

/// Learns the session ids of one page.
pub struct HtmlLearner {
    reader: Reader,
    names: Arc<Names>,
    head: Head,
    /// The tail of what has been fed that a hit may still need; nothing before it matters.
    carry: Vec<u8>,
    /// Where the carry stands in the page.
    offset: u64,
    /// The first name that has not been examined comes here or later, counted in the carry.
    resume: Found,
    ended: bool,
}

impl HtmlLearner {
    /// A learner for one response.
    pub fn new(names: Arc<Names>, site: Site) -> Self {
        Self {
            reader: Reader::new(Arc::clone(&names), site),
            names,
            head: Head::new(),
            carry: Vec::new(),
            offset: 0,
            resume: Found { end: 0, name: 0 },
            ended: false,
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

    /// The names that start before the border, and those as close behind it. Returns the one that
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
        let behind = self
            .names
            .longest_anchor()
            .saturating_sub(1)
            .min(piece.len());
        self.join(border, piece, behind);
        let end = border + behind;
        let names = Arc::clone(&self.names);
        // The carry may grow meanwhile, but what is searched stays.
        let next = |learner: &Self| {
            let searched = learner.carry.get(..end).unwrap_or_default();
            Hits::new(&names, searched, learner.resume).next()
        };
        while let Some(name) = next(self) {
            self.resume = name;
            if self.examine_joined(border, piece, to_end, name, found) {
                return Some(name);
            }
            self.resume.name += 1;
        }
        self.resume = Found {
            end: end + 1,
            name: 0,
        };
        None
    }

    /// The names that end further behind the border.
    fn read_piece(
        &mut self,
        border: usize,
        piece: &[u8],
        to_end: bool,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Found> {
        let names = Arc::clone(&self.names);
        let first = Found {
            end: self.resume.end.saturating_sub(border),
            ..self.resume
        };
        let start = self.offset + border as u64;
        for name in Hits::new(&names, piece, first) {
            let joined = Found {
                end: border + name.end,
                ..name
            };
            let window = Window {
                bytes: piece,
                from_start: border == 0,
                to_end,
            };
            let waits = match self.reader.examine(&window, name, start, found) {
                Progress::Done => false,
                Progress::NeedsAfter => true,
                Progress::NeedsBefore => {
                    self.join(border, piece, name.end);
                    self.examine_joined(border, piece, to_end, joined, found)
                }
            };
            if waits {
                return Some(joined);
            }
        }
        None
    }

    /// Examines a name with the carried bytes before it and as much of the piece after it as it
    /// needs. Returns whether it needs more than there is.
    fn examine_joined(
        &mut self,
        border: usize,
        piece: &[u8],
        to_end: bool,
        name: Found,
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
            match self.reader.examine(&window, name, self.offset, found) {
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

    /// Keeps of what has come what a later name, or the one that waits, may need.
    fn keep_tail(&mut self, border: usize, piece: &[u8], waiting: Option<Found>) {
        self.carry.truncate(border);
        let mut keep = border::first_needed(&self.carry, piece);
        if let Some(name) = waiting {
            keep = keep.min(name.end.saturating_sub(REACH + MAX_NAME));
        }
        // All names that end in what has come are examined, but for the one that waits.
        let next = Found {
            end: border + piece.len() + 1,
            name: 0,
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

impl Learner for HtmlLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        if self.ended || piece.is_empty() {
            return;
        }
        if let Some((at, href)) = self.head.feed(piece) {
            let place = self.offset + (self.carry.len() + at) as u64;
            self.reader.rebase(place, href);
        }
        self.read(piece, false, found);
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        if !self.ended {
            self.read(&[], true, found);
            self.ended = true;
            self.carry = Vec::new();
        }
    }
}
