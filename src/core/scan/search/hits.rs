//! Where needles stand in some bytes.

use memchr::memmem::Finder;

use crate::url::{Names, MAX_NAMES};

/// What a body is searched for, [`MAX_NEEDLES`] at most, prepared once per configuration.
pub(in crate::scan) trait Needles {
    fn nth(&self, index: usize) -> Option<&Finder<'static>>;

    /// The length of the longest; 0 without any.
    fn longest(&self) -> usize;
}

/// The names, and what else has to be looked for.
pub(in crate::scan) const MAX_NEEDLES: usize = MAX_NAMES + 1;

impl Needles for Names {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        Names::nth(self, index).map(|name| &name.anchor)
    }

    fn longest(&self) -> usize {
        self.longest_anchor()
    }
}

/// Where needles stand, in the order of their ends: one that another one contains comes in the same
/// order whether or not the piece ends between their ends.
pub(in crate::scan) struct Hits<'a, N> {
    needles: &'a N,
    /// Where each stands next, as many as there are.
    next: [Option<Found>; MAX_NEEDLES],
    count: usize,
}

/// A needle that stands somewhere, ordered by where it ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Found {
    pub(in crate::scan) end: usize,
    pub(in crate::scan) needle: usize,
}

impl<'a, N: Needles> Hits<'a, N> {
    /// Those from `first` on.
    pub(in crate::scan) fn new(needles: &'a N, bytes: &[u8], first: Found) -> Self {
        let mut hits = Self {
            needles,
            next: [None; MAX_NEEDLES],
            count: 0,
        };
        for (index, next) in hits.next.iter_mut().enumerate() {
            let Some(needle) = needles.nth(index) else {
                break;
            };
            hits.count += 1;
            let end = first.end + usize::from(index < first.needle);
            *next = find(
                needle,
                index,
                bytes,
                end.saturating_sub(needle.needle().len()),
            );
        }
        hits
    }

    /// The next one. `bytes` are the same as before, though they may have moved.
    #[inline]
    pub(in crate::scan) fn next(&mut self, bytes: &[u8]) -> Option<Found> {
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

fn find(needle: &Finder<'_>, index: usize, bytes: &[u8], from: usize) -> Option<Found> {
    let at = from + needle.find(bytes.get(from..)?)?;
    Some(Found {
        end: at + needle.needle().len(),
        needle: index,
    })
}
