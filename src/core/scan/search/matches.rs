//! The matches of several needles in a block of bytes.

use memchr::memmem::Finder;

use crate::url::{Names, NeedleSet, MAX_NAMES, MAX_PREFIXES};

/// What a body is searched for, [`MAX_NEEDLES`] at most, prepared once per configuration.
pub(in crate::scan) trait Needles {
    fn nth(&self, index: usize) -> Option<&Finder<'static>>;

    /// The length of the longest one; 0 without any.
    fn longest(&self) -> usize;

    /// Those that end in this byte.
    fn ending_in(&self, byte: u8) -> NeedleSet;
}

/// Each name in three spellings, and a part of each prefix. Of JSON there are fewer: the names, and
/// one for escapes.
pub(in crate::scan) const MAX_NEEDLES: usize = 3 * MAX_NAMES + MAX_PREFIXES;

const _: () = assert!(MAX_NEEDLES <= NeedleSet::MAX && MAX_NAMES < MAX_NEEDLES);

impl Needles for Names {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        Names::nth(self, index).map(|name| &name.literal)
    }

    fn longest(&self) -> usize {
        self.longest_literal()
    }

    #[inline]
    fn ending_in(&self, byte: u8) -> NeedleSet {
        self.literals_ending_in(byte)
    }
}

/// The matches in the order of their ends. So a needle that contains another one comes in the same
/// order, whether or not the piece ends between their ends.
pub(in crate::scan) struct Matches<'a, N> {
    needles: &'a N,
    /// Where the next match of the first needle ends; mostly there is no other.
    first: usize,
    /// The same of the others, and how many these are.
    others: [usize; MAX_NEEDLES - 1],
    count: usize,
}

/// A match of a needle, ordered by where it ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Match {
    pub(in crate::scan) end: usize,
    pub(in crate::scan) needle: usize,
}

impl<'a, N: Needles> Matches<'a, N> {
    /// The matches from `from` on.
    #[inline(always)]
    pub(in crate::scan) fn new(needles: &'a N, bytes: &[u8], from: Match) -> Self {
        let end = from.end + usize::from(0 < from.needle);
        let mut matches = Self {
            needles,
            first: match needles.nth(0) {
                Some(needle) => find(needle, bytes, end.saturating_sub(needle.needle().len())),
                None => NOWHERE,
            },
            others: [NOWHERE; MAX_NEEDLES - 1],
            count: 0,
        };
        if needles.nth(1).is_some() {
            matches.find_others(bytes, from);
        }
        matches
    }

    #[inline(never)]
    fn find_others(&mut self, bytes: &[u8], from: Match) {
        for (next, index) in self.others.iter_mut().zip(1..) {
            let Some(needle) = self.needles.nth(index) else {
                break;
            };
            self.count = index;
            let end = from.end + usize::from(index < from.needle);
            *next = find(needle, bytes, end.saturating_sub(needle.needle().len()));
        }
    }

    /// The next match. `bytes` must be the same as before, though their address may have changed.
    #[inline(always)]
    pub(in crate::scan) fn next(&mut self, bytes: &[u8]) -> Option<Match> {
        if self.count != 0 {
            return self.nearest(bytes);
        }
        let end = self.first;
        if end == NOWHERE {
            return None;
        }
        if let Some(needle) = self.needles.nth(0) {
            self.first = find(
                needle,
                bytes,
                (end + 1).saturating_sub(needle.needle().len()),
            );
        }
        Some(Match { end, needle: 0 })
    }

    /// The same of several needles.
    #[inline(never)]
    fn nearest(&mut self, bytes: &[u8]) -> Option<Match> {
        let mut nearest = Match {
            end: self.first,
            needle: 0,
        };
        for (end, needle) in self.others.iter().take(self.count).zip(1..) {
            nearest = nearest.min(Match { end: *end, needle });
        }
        let Match { end, needle } = nearest;
        let place = match needle.checked_sub(1) {
            None => Some(&mut self.first),
            Some(other) => self.others.get_mut(other),
        };
        let (place, literal) = place.zip(self.needles.nth(needle))?;
        if end == NOWHERE {
            return None;
        }
        *place = find(
            literal,
            bytes,
            (end + 1).saturating_sub(literal.needle().len()),
        );
        Some(nearest)
    }
}

/// Where a match ends that is not there.
const NOWHERE: usize = usize::MAX;

/// The same in a body of which more and more comes: what has been searched is not searched again.
/// Offsets count in the body.
pub(in crate::scan) struct NextMatches {
    /// Where the next match of each needle ends.
    ends: [u64; MAX_NEEDLES],
    /// No match begins before.
    from: [u64; MAX_NEEDLES],
    /// How many needles there are.
    count: usize,
    /// All is searched up to here.
    searched: u64,
}

/// No match has been found yet.
const NONE: u64 = u64::MAX;

/// So many bytes more than the needle are compared with it, which costs less than a search.
const FEW: usize = 8;

impl NextMatches {
    /// The matches from `first` on, which counts in bytes that begin at `offset`.
    pub(in crate::scan) fn new<N: Needles>(needles: &N, offset: u64, first: Match) -> Self {
        let mut matches = Self {
            ends: [NONE; MAX_NEEDLES],
            from: [0; MAX_NEEDLES],
            count: 0,
            searched: 0,
        };
        for (index, from) in matches.from.iter_mut().enumerate() {
            let Some(needle) = needles.nth(index) else {
                break;
            };
            matches.count += 1;
            let end = first.end + usize::from(index < first.needle);
            *from = offset + end.saturating_sub(needle.needle().len()) as u64;
        }
        matches
    }

    /// The next match in these bytes, which begin at `offset` of the body.
    pub(in crate::scan) fn next<N: Needles>(
        &mut self,
        needles: &N,
        bytes: &[u8],
        offset: u64,
    ) -> Option<Match> {
        let end = offset + bytes.len() as u64;
        if self.searched + FEW as u64 >= end {
            self.search_few(needles, bytes, offset);
        } else {
            self.searched = end;
            for index in 0..MAX_NEEDLES {
                let Some(needle) = needles.nth(index) else {
                    break;
                };
                self.search(index, needle, bytes, offset);
            }
        }
        let ends = self.ends.get(..self.count)?;
        let nearest = ends.iter().fold(NONE, |least, end| least.min(*end));
        let index = ends.iter().position(|end| *end == nearest)?;
        let needle = needles.nth(index).filter(|_| nearest != NONE)?;
        *self.ends.get_mut(index)? = NONE;
        *self.from.get_mut(index)? += 1;
        self.search(index, needle, bytes, offset);
        Some(Match {
            end: (nearest - offset) as usize,
            needle: index,
        })
    }

    /// The same for a few bytes that have come: at each place, only the needles that end in its
    /// byte are compared.
    #[inline]
    fn search_few<N: Needles>(&mut self, needles: &N, bytes: &[u8], offset: u64) {
        let mut at = self.searched.saturating_sub(offset) as usize;
        self.searched = offset + bytes.len() as u64;
        while let Some(byte) = bytes.get(at) {
            at += 1;
            for index in needles.ending_in(*byte) {
                let Some(needle) = needles.nth(index).map(Finder::needle) else {
                    continue;
                };
                let Some((end, from)) = self.ends.get_mut(index).zip(self.from.get_mut(index))
                else {
                    continue;
                };
                let place = offset + at.saturating_sub(needle.len()) as u64;
                let before = bytes.get(..at).unwrap_or_default();
                if *end == NONE && place >= *from && before.ends_with(needle) {
                    (*from, *end) = (place, offset + at as u64);
                }
            }
        }
    }

    /// Searches the next match of a needle, if it is not known.
    #[inline]
    fn search(&mut self, index: usize, needle: &Finder<'_>, bytes: &[u8], offset: u64) {
        let Some((end, from)) = self.ends.get_mut(index).zip(self.from.get_mut(index)) else {
            return;
        };
        // In few bytes it was not noted how far they are searched.
        *from = offset.max(*from);
        let rest = bytes.get((*from - offset) as usize..);
        let rest = rest.unwrap_or_default();
        let len = needle.needle().len();
        let Some(last) = rest.len().checked_sub(len).filter(|_| *end == NONE) else {
            return;
        };
        let found = match last < FEW {
            true => find_by_comparing(needle.needle(), rest),
            false => needle.find(rest),
        };
        *from += found.unwrap_or(last + 1) as u64;
        if found.is_some() {
            *end = *from + len as u64;
        }
    }
}

fn find_by_comparing(needle: &[u8], bytes: &[u8]) -> Option<usize> {
    let mut places = bytes.windows(needle.len());
    places.position(|place| place.last() == needle.last() && place == needle)
}

/// Where the first match from there on ends.
#[inline(always)]
fn find(needle: &Finder<'_>, bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let at = needle.find(rest);
    at.map_or(NOWHERE, |at| from + at + needle.needle().len())
}
