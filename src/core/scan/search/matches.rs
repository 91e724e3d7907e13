//! The matches of several needles in a block of bytes.

use memchr::memmem::Finder;

use crate::url::{Names, NeedleIndex, NeedleSet, MAX_NAMES, MAX_PREFIXES};

/// What a body is searched for, [`MAX_NEEDLES`] at most, prepared once per configuration.
pub(in crate::scan) trait Needles {
    fn nth(&self, index: usize) -> Option<&Finder<'static>>;

    /// The length of the longest one; 0 without any.
    fn longest(&self) -> usize;

    /// What is known of all of them.
    fn index(&self) -> &NeedleIndex;
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
    fn index(&self) -> &NeedleIndex {
        self.needle_index()
    }
}

/// The matches in the order of their ends. So a needle that contains another one comes in the same
/// order, whether or not the piece ends between their ends.
pub(in crate::scan) struct Matches<'a, N> {
    needles: &'a N,
    /// Where the next match of the first needle ends, if it is the only one: mostly it is.
    first: usize,
    several: Option<Box<Several>>,
}

/// The same of several needles.
enum Several {
    AtOnce(AtOnceMatches),
    /// Where the next match of each needle ends, and how many these are.
    Each([usize; MAX_NEEDLES], usize),
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
        let several = needles.nth(1).is_some();
        let first = || {
            let needle = needles.nth(0)?;
            let end = from.end + usize::from(0 < from.needle);
            let start = end.saturating_sub(needle.needle().len());
            Some(find(needle, bytes, start))
        };
        Self {
            needles,
            several: several.then(|| Several::new(needles, bytes, from)),
            first: match several {
                true => NOWHERE,
                false => first().unwrap_or(NOWHERE),
            },
        }
    }

    /// The next match. `bytes` must be the same as before, though their address may have changed.
    #[inline(always)]
    pub(in crate::scan) fn next(&mut self, bytes: &[u8]) -> Option<Match> {
        if let Some(several) = &mut self.several {
            return several.next(self.needles, bytes);
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
}

impl Several {
    #[inline(never)]
    fn new<N: Needles>(needles: &N, bytes: &[u8], from: Match) -> Box<Self> {
        Box::new(match needles.index().at_once() {
            Some(_) => Self::AtOnce(AtOnceMatches::new(needles.longest(), from)),
            None => Self::each(needles, bytes, from),
        })
    }

    fn each<N: Needles>(needles: &N, bytes: &[u8], from: Match) -> Self {
        let mut ends = [NOWHERE; MAX_NEEDLES];
        let mut count = 0;
        for (index, next) in ends.iter_mut().enumerate() {
            let Some(needle) = needles.nth(index) else {
                break;
            };
            count += 1;
            let end = from.end + usize::from(index < from.needle);
            *next = find(needle, bytes, end.saturating_sub(needle.needle().len()));
        }
        Self::Each(ends, count)
    }

    #[inline(never)]
    fn next<N: Needles>(&mut self, needles: &N, bytes: &[u8]) -> Option<Match> {
        if let Self::AtOnce(matches) = self {
            match matches.next(needles, bytes) {
                Ok(next) => return next,
                // There are too many in one place.
                Err(from) => *self = Self::each(needles, bytes, from),
            }
        }
        let Self::Each(ends, count) = self else {
            return None;
        };
        let ends = ends.get_mut(..*count)?;
        let matches = ends.iter().zip(0..);
        let nearest = matches
            .map(|(end, needle)| Match { end: *end, needle })
            .min()?;
        if nearest.end == NOWHERE {
            return None;
        }
        let literal = needles.nth(nearest.needle)?;
        let start = (nearest.end + 1).saturating_sub(literal.needle().len());
        *ends.get_mut(nearest.needle)? = find(literal, bytes, start);
        Some(nearest)
    }
}

/// So many matches may wait for others that end earlier.
const MAX_AHEAD: usize = 8;

/// The matches of several needles, searched in one pass, which finds them in the order of their
/// beginnings.
struct AtOnceMatches {
    /// What was found and not handed out, in the order of the ends.
    ahead: [Match; MAX_AHEAD],
    count: usize,
    /// All that begin before are found.
    searched: usize,
    /// The next match is this one or a later one.
    from: Match,
}

impl AtOnceMatches {
    /// The matches from `from` on, the longest needle having so many bytes.
    fn new(longest: usize, from: Match) -> Self {
        Self {
            ahead: [Match { end: 0, needle: 0 }; MAX_AHEAD],
            count: 0,
            searched: from.end.saturating_sub(longest),
            from,
        }
    }

    /// `Err`: there are too many, from this one on.
    fn next<N: Needles>(&mut self, needles: &N, bytes: &[u8]) -> Result<Option<Match>, Match> {
        let Some(at_once) = needles.index().at_once() else {
            return Err(self.from);
        };
        loop {
            let first = self.ahead.first().filter(|_| self.count > 0).copied();
            // What begins later ends later.
            if let Some(first) = first.filter(|first| self.searched + at_once.shortest > first.end)
            {
                self.count -= 1;
                self.ahead.copy_within(1.., 0);
                self.from = Match {
                    end: first.end,
                    needle: first.needle + 1,
                };
                return Ok(Some(first));
            }
            let Some(start) = at_once.find(bytes, self.searched) else {
                if first.is_none() {
                    return Ok(None);
                }
                self.searched = bytes.len();
                continue;
            };
            self.searched = start + 1;
            let rest = bytes.get(start..).unwrap_or_default();
            for needle in 0..MAX_NEEDLES {
                let Some(literal) = needles.nth(needle).map(Finder::needle) else {
                    break;
                };
                let end = start + literal.len();
                let next = Match { end, needle };
                if rest.starts_with(literal) && next >= self.from && !self.insert(next) {
                    return Err(self.from);
                }
            }
        }
    }

    /// False: there is no room.
    fn insert(&mut self, next: Match) -> bool {
        if self.count == MAX_AHEAD {
            return false;
        }
        let known = self.ahead.get(..self.count).unwrap_or_default();
        let at = known.partition_point(|other| *other < next);
        self.ahead.copy_within(at..MAX_AHEAD - 1, at + 1);
        if let Some(place) = self.ahead.get_mut(at) {
            *place = next;
        }
        self.count += 1;
        true
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
    /// Those of no needle.
    pub(in crate::scan) fn none() -> Self {
        Self {
            ends: [NONE; MAX_NEEDLES],
            from: [0; MAX_NEEDLES],
            count: 0,
            searched: 0,
        }
    }

    /// The matches from `first` on, which counts in bytes that begin at `offset`.
    pub(in crate::scan) fn start<N: Needles>(&mut self, needles: &N, offset: u64, first: Match) {
        self.count = 0;
        self.searched = 0;
        for (index, (from, known)) in self.from.iter_mut().zip(&mut self.ends).enumerate() {
            let Some(needle) = needles.nth(index) else {
                break;
            };
            self.count += 1;
            let end = first.end + usize::from(index < first.needle);
            *from = offset + end.saturating_sub(needle.needle().len()) as u64;
            *known = NONE;
        }
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
            for index in 0..self.count {
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
            for index in needles.index().ending_in(*byte) {
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Several(Vec<Finder<'static>>, NeedleIndex);

    impl Several {
        fn of(needles: &[&str]) -> Self {
            let needles = needles
                .iter()
                .map(|needle| Finder::new(needle).into_owned());
            let needles: Vec<_> = needles.collect();
            let index = NeedleIndex::of(needles.iter());
            Self(needles, index)
        }
    }

    impl Needles for Several {
        fn nth(&self, index: usize) -> Option<&Finder<'static>> {
            self.0.get(index)
        }

        fn longest(&self) -> usize {
            let lengths = self.0.iter().map(|needle| needle.needle().len());
            lengths.max().unwrap_or(0)
        }

        fn index(&self) -> &NeedleIndex {
            &self.1
        }
    }

    /// All matches from `from` on, compared at each place.
    fn naive(needles: &Several, text: &[u8], from: Match) -> Vec<(usize, usize)> {
        let mut matches = Vec::new();
        for end in 0..=text.len() {
            for (needle, literal) in needles.0.iter().enumerate() {
                if text[..end].ends_with(literal.needle()) && (Match { end, needle }) >= from {
                    matches.push((end, needle));
                }
            }
        }
        matches
    }

    #[test]
    fn matches_come_in_the_order_of_their_ends_however_the_needles_overlap() {
        let nested = (1..=12).map(|len| "a".repeat(len)).collect::<Vec<_>>();
        let nested: Vec<&str> = nested.iter().map(String::as_str).collect();
        let sets: [&[&str]; 7] = [
            &["sid"],
            &["sid", "token"],
            &["sid", "token", "cart"],
            &["sid", "jsid", "jsessionid", "sidsid", "dsi"],
            &["abc", "ab", "bc", "c", "cab"],
            &["token", "ticket", "tok", "ken", "ent"],
            &nested,
        ];
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut count = 0;
        for set in sets {
            let needles = Several::of(set);
            assert!(set.len() > 2 || needles.index().at_once().is_none());
            for _ in 0..400 {
                let mut text = Vec::new();
                for _ in 0..random(30) {
                    match random(3) {
                        0 => text.extend_from_slice(&b"-----------------------"[..random(23)]),
                        1 => text.push(b"sidabcken"[random(9)]),
                        _ => text.extend_from_slice(set[random(set.len())].as_bytes()),
                    }
                }
                let from = Match {
                    end: random(2) * random(text.len() + 2),
                    needle: random(set.len()),
                };
                let mut matches = Matches::new(&needles, &text, from);
                let found = std::iter::from_fn(|| matches.next(&text));
                let found: Vec<_> = found.map(|found| (found.end, found.needle)).collect();
                let expected = naive(&needles, &text, from);
                assert_eq!(found, expected, "{set:?} in {}", text.escape_ascii());
                count += found.len();
            }
        }
        assert!(count > 10_000);
    }
}
