//! Session affinity for nginx, as a dynamic module.
//!
//! ```text
//! module.rs                     what nginx sees
//!     │
//! conf, upstream, filter, zone  policy, in the order of a request's life
//!     │              │
//! sticky-core        ngx        the rules; safe views of nginx
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod conf;
mod filter;
#[allow(unsafe_code)]
mod module;
#[allow(unsafe_code)]
mod ngx;
mod upstream;
mod zone;
