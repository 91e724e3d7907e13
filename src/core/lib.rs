//! The rules of session affinity, without nginx: what a directive means, where a request or a
//! response carries a session id, and the table that remembers which peer holds which session.
//!
//! Bytes, numbers and `now` go in, decisions come out. Nothing here has a clock, a socket, an
//! nginx type or unsafe code.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod digest;
pub mod directive;
pub mod http;
pub mod peer_id;
pub mod rewrite;
pub mod route_cookie;
pub mod scan;
pub mod snapshot;
pub mod table;
pub mod url;
