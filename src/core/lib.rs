//! The rules of session affinity, without nginx: what a directive means, where a request or a
//! response carries a session id, and the table that remembers which peer holds which session.
//!
//! Bytes, numbers and `now` go in, decisions come out. Nothing here has a clock, a socket, an
//! nginx type or unsafe code.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cookie;
pub mod digest;
pub mod directive;
pub mod key;
pub mod links;
pub mod local;
pub mod multipart;
pub mod parameter;
pub mod rewrite;
pub mod scan;
pub mod state;
pub mod step;
pub mod sync;
pub mod table;
pub mod unit;
pub mod url;
pub mod word;
