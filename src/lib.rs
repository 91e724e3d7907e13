//! Session affinity for nginx, as a dynamic module.
//!
//! A file imports only from floors below its own:
//!
//! ```text
//! module      what nginx sees: tables, callbacks, who holds which configuration
//! operator    pages, JSON and metrics for operators
//! response    header and body filter: learn, cookie, rewrite
//! request     what is remembered of a request; its session id; look-up; steering; status
//! config      directives to types, types, index of peers
//! zone        sessions, adoption over a reload, housekeeping, state files
//! core | ngx  the rules (crate sticky-core) | safe views of nginx; neither knows the other
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod config;
#[allow(unsafe_code)]
mod module;
#[allow(unsafe_code)]
mod ngx;
mod operator;
mod request;
mod response;
mod zone;
