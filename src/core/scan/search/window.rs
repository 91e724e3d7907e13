//! What a reader of hits may see, and what it says when that is not enough: pieces end anywhere.

/// The bytes around a hit that are at hand.
pub(in crate::scan) struct Window<'a> {
    pub(in crate::scan) bytes: &'a [u8],
    /// No byte before these can matter.
    pub(in crate::scan) from_start: bool,
    /// No byte will come after these.
    pub(in crate::scan) to_end: bool,
}

/// Whether a hit could be examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Progress {
    Done,
    NeedsBefore,
    NeedsAfter,
}
