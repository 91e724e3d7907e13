//! The matches of several needles in a block of bytes.

use memchr::memmem::Finder;

use crate::url::{Names, MAX_NAMES};

/// What a body is searched for, [`MAX_NEEDLES`] at most, prepared once per configuration.
pub(in crate::scan) trait Needles {
    fn nth(&self, index: usize) -> Option<&Finder<'static>>;

    /// The length of the longest one; 0 without any.
    fn longest(&self) -> usize;
}

/// The names, and one more for the escapes of JSON.
pub(in crate::scan) const MAX_NEEDLES: usize = MAX_NAMES + 1;

impl Needles for Names {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        Names::nth(self, index).map(|name| &name.literal)
    }

    fn longest(&self) -> usize {
        self.longest_literal()
    }
}

/// The matches in the order of their ends. So a needle that contains another one comes in the same
/// order, whether or not the piece ends between their ends.
pub(in crate::scan) struct Matches<'a, N> {
    needles: &'a N,
    /// The next match of each needle.
    next: [Option<Match>; MAX_NEEDLES],
    count: usize,
}

/// A match of a needle, ordered by where it ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Match {
    pub(in crate::scan) end: usize,
    pub(in crate::scan) needle: usize,
}

impl<'a, N: Needles> Matches<'a, N> {
    /// The matches from `first` on.
    pub(in crate::scan) fn new(needles: &'a N, bytes: &[u8], first: Match) -> Self {
        let mut matches = Self {
            needles,
            next: [None; MAX_NEEDLES],
            count: 0,
        };
        for (index, next) in matches.next.iter_mut().enumerate() {
            let Some(needle) = needles.nth(index) else {
                break;
            };
            matches.count += 1;
            let end = first.end + usize::from(index < first.needle);
            *next = find(
                needle,
                index,
                bytes,
                end.saturating_sub(needle.needle().len()),
            );
        }
        matches
    }

    /// The next match. `bytes` must be the same as before, though their address may have changed.
    #[inline]
    pub(in crate::scan) fn next(&mut self, bytes: &[u8]) -> Option<Match> {
        let next = self.next.get(..self.count)?;
        let found = next.iter().flatten().min().copied()?;
        let next = self.next.get_mut(found.needle);
        if let Some((next, needle)) = next.zip(self.needles.nth(found.needle)) {
            let from = (found.end + 1).saturating_sub(needle.needle().len());
            *next = find(needle, found.needle, bytes, from);
        }
        Some(found)
    }
}

fn find(needle: &Finder<'_>, index: usize, bytes: &[u8], from: usize) -> Option<Match> {
    let at = from + needle.find(bytes.get(from..)?)?;
    Some(Match {
        end: at + needle.needle().len(),
        needle: index,
    })
}
