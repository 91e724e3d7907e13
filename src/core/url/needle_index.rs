//! What costs less than to search each of some needles: where bytes come one by one, which of them may
//! end at a byte; where there are several, one search for all of them.

use aho_corasick::packed::Searcher;
use aho_corasick::Span;
use memchr::memmem::Finder;

/// Some of the needles, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NeedleSet(u32);

impl NeedleSet {
    /// How many needles are told apart.
    pub(crate) const MAX: usize = u32::BITS as usize;
}

/// So many needles are searched at once. The search of one is cheaper than half of that for all.
const MIN_AT_ONCE: usize = 3;

/// The needles by their last bytes, and the search for all of them.
#[derive(Clone, Debug)]
pub(crate) struct NeedleIndex {
    last_bytes: Box<[NeedleSet; 256]>,
    /// `None`: they are few, or the processor cannot.
    at_once: Option<AtOnce>,
}

/// Searches all needles at once.
#[derive(Clone, Debug)]
pub(crate) struct AtOnce {
    searcher: Searcher,
    /// The length of the shortest one.
    pub(crate) shortest: usize,
}

impl AtOnce {
    fn of(needles: &[&[u8]]) -> Option<Self> {
        let shortest = needles.iter().map(|needle| needle.len()).min()?;
        if needles.len() < MIN_AT_ONCE || shortest == 0 {
            return None;
        }
        let searcher = Searcher::new(needles)?;
        Some(Self { searcher, shortest })
    }

    /// Where the first needle begins that begins at `from` or behind it.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let span = Span::from(from..bytes.len());
        let rest = bytes.get(from..)?;
        (rest.len() >= self.shortest)
            .then(|| self.searcher.find_in(bytes, span))
            .flatten()
            .map(|found| found.start())
    }
}

impl NeedleIndex {
    pub(crate) fn of<'a>(needles: impl Iterator<Item = &'a Finder<'static>>) -> Self {
        let needles: Vec<&[u8]> = needles
            .take(NeedleSet::MAX)
            .map(|needle| needle.needle())
            .collect();
        let mut sets = Box::new([NeedleSet::default(); 256]);
        for (index, needle) in needles.iter().enumerate() {
            if let Some(set) = needle
                .last()
                .and_then(|last| sets.get_mut(usize::from(*last)))
            {
                set.0 |= 1 << index;
            }
        }
        Self {
            last_bytes: sets,
            at_once: AtOnce::of(&needles),
        }
    }

    /// The search for all, where that is cheaper than one for each.
    #[inline]
    pub(crate) fn at_once(&self) -> Option<&AtOnce> {
        self.at_once.as_ref()
    }

    #[inline]
    pub(crate) fn ending_in(&self, byte: u8) -> NeedleSet {
        let set = self.last_bytes.get(usize::from(byte));
        set.copied().unwrap_or_default()
    }
}

impl Iterator for NeedleSet {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let first = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (first < u32::BITS).then_some(first as usize)
    }
}
