//! Shared memory: session tables, their use, adoption over a reload, housekeeping, state files; and the
//! zone of counters.

pub mod adopt;
pub mod bulk;
pub mod cluster;
pub mod counted_servers;
pub mod counters;
pub mod housekeeping;
pub mod journals;
pub mod samples;
pub mod session_counts;
pub mod sessions;
pub mod snapshot;
pub mod succession;
pub mod table_zone;
