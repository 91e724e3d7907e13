//! Which of some needles may end at a byte. Where bytes come one by one, that costs less than to
//! search each needle.

use memchr::memmem::Finder;

/// Some of the needles, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NeedleSet(u32);

impl NeedleSet {
    /// How many needles are told apart.
    pub(crate) const MAX: usize = u32::BITS as usize;
}

/// The needles by their last bytes.
#[derive(Clone, Debug)]
pub(crate) struct LastBytes(Box<[NeedleSet; 256]>);

impl LastBytes {
    pub(crate) fn of<'a>(needles: impl Iterator<Item = &'a Finder<'static>>) -> Self {
        let mut sets = Box::new([NeedleSet::default(); 256]);
        for (index, needle) in needles.take(NeedleSet::MAX).enumerate() {
            let last = needle.needle().last();
            if let Some(set) = last.and_then(|last| sets.get_mut(usize::from(*last))) {
                set.0 |= 1 << index;
            }
        }
        Self(sets)
    }

    #[inline]
    pub(crate) fn ending_in(&self, byte: u8) -> NeedleSet {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
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
