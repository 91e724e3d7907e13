//! Shared memory with session tables in it: use, adoption over a reload, housekeeping, state files.

pub mod adopt;
pub mod housekeeping;
pub mod sessions;
pub mod snapshot;
pub mod succession;
pub mod table_zone;
