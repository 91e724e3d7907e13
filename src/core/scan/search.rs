//! Searches a body that comes in pieces for names, and examines the bytes around each match, also
//! where they are in several pieces.

pub(super) mod ends;
pub(super) mod matches;
pub(super) mod string_bounds;
pub(super) mod window;
pub(super) mod windowed;
