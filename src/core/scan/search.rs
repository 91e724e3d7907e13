//! Looking for the bytes of a name, and reading what surrounds a hit, over the borders of pieces.

pub(super) mod hits;
pub(crate) mod references;
pub(super) mod string_bounds;
pub(super) mod window;
pub(super) mod windowed;
