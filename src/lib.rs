//! Session affinity for nginx, as a dynamic module.
//!
//! ```text
//! module.rs                     what nginx sees
//!     │
//! conf, upstream, native,       policy, in the order of a request's life
//! filter, rewrite, zone,
//! state, housekeeping
//!     │              │
//! sticky-core        ngx        the rules; safe views of nginx
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod carried;
mod conf;
mod cookie;
mod directory;
mod filter;
mod finding;
mod housekeeping;
#[allow(unsafe_code)]
mod module;
mod native;
#[allow(unsafe_code)]
mod ngx;
mod rewrite;
mod state;
mod status;
mod upstream;
mod zone;
