//! The bytes around a match that are in memory, and how an examiner asks for more: a piece may end
//! anywhere.

/// The bytes around a match.
pub(in crate::scan) struct Window<'a> {
    pub(in crate::scan) bytes: &'a [u8],
    /// No byte before these can matter.
    pub(in crate::scan) from_start: bool,
    /// No byte will follow these.
    pub(in crate::scan) to_end: bool,
}

/// Whether a match could be examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Progress {
    Done,
    /// Bytes before the window are needed.
    NeedsBefore,
    /// Bytes after the window are needed.
    NeedsAfter,
}
