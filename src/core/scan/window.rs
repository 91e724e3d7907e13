//! What a reader of hits may see, and what it says when that is not enough: pieces end anywhere.

/// The bytes around a hit that are at hand.
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    /// No byte before these can matter.
    pub(super) from_start: bool,
    /// No byte will come after these.
    pub(super) to_end: bool,
}

/// Whether a hit could be examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    NeedsBefore,
    NeedsAfter,
}
