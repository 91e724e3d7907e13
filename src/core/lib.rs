//! The rules of session affinity, without nginx: what a directive means, where a request or a
//! response contains a session id, and the table that stores which peer holds which session.
//!
//! Bytes, numbers and `now` go in, decisions come out. There is no clock, no socket, no nginx type
//! and no unsafe code.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod availability;
mod blocks;
pub mod candidates;
pub mod cluster;
pub mod counters;
pub mod digest;
pub mod directive;
pub mod discover;
pub mod events;
pub mod happened;
pub mod http;
pub mod load;
pub mod operator;
pub mod peer_id;
pub mod read_body;
pub mod rewrite;
pub mod route_cookie;
pub mod scan;
pub mod snapshot;
pub mod statsd;
pub mod status;
pub mod table;
pub mod url;
