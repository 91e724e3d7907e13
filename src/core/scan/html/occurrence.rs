//! An occurrence of a name in a page: where it stands, and what the bytes next to it allow it to
//! be.

use super::strings::Span;
use crate::scan::search::window::Window;

/// The occurrence that is being examined.
pub(super) struct Occurrence<'w> {
    pub(super) window: &'w Window<'w>,
    /// Where the name stands in the window.
    pub(super) at: usize,
    /// Where it ends there.
    pub(super) end: usize,
    /// Where it stands in the page.
    pub(super) place: u64,
    /// Whether it may be a parameter of a link.
    pub(super) in_link: bool,
    /// Whether it may be the name of a form field.
    pub(super) in_field: bool,
    pub(super) is_letter: bool,
    /// The string around it.
    pub(super) span: Option<Span>,
}

impl Occurrence<'_> {
    /// Where the window begins in the page.
    pub(super) fn window_start(&self) -> u64 {
        self.place - self.at as u64
    }
}
