//! Sessions that several nginx share through a stream of records in a store: what a record is, how
//! nodes agree, without a clock, a socket or a thread.
//!
//! Each node has the whole table. What a worker changes in it is noted in a journal in shared memory
//! *before* it is written, so that a reader of the table who sees a change finds its note as well. A
//! sender puts notes into the stream, and a follower applies what the stream has, in its order, which
//! is the same for all nodes: the fold of the stream is the state that they agree on. A node's own
//! change is provisional until its record comes back.

pub mod clock;
mod fold;
mod follower;
pub mod hand_drains;
pub mod header;
pub mod keys;
pub mod lease;
mod liveness;
pub mod manifest;
pub mod nodes;
pub mod place;
mod recent;
mod record;
mod sending;
pub mod statistics;
mod target;
pub mod wire;

pub use fold::Held;
pub use follower::{Applied, Follower, Scopes};
pub use liveness::Liveness;
pub use record::{Change, Record, Seconds};
pub use target::Target;

pub use crate::table::{
    Journal, JournalHead, JournalOf, Kept, Note, Noted, Slot, MOST_SCOPES, SLOTS,
};
