//! Thin, safe views of nginx. All `unsafe` code of the module is here and in `module.rs` with its
//! parts.
//!
//! A view is a pointer that nginx passed to a callback, with the lifetime of that callback. What it
//! points to lives longer: a request as long as its pool, a configuration as long as its cycle. An
//! nginx process runs one callback at a time, so nobody else uses a structure of its own meanwhile.
//!
//! Nothing here knows of sessions, and nothing decides: views show what is there and do what they
//! are told. Files import each other in one direction only, but for a file and its own parts.

pub mod accel_redirect;
pub mod admission;
pub mod background_task;
pub mod balancer;
pub mod chain;
pub mod clock;
pub mod companion;
pub mod complex;
pub mod conf;
pub mod cycle;
pub mod exchange;
pub mod guard;
pub mod header;
pub mod hook;
pub mod log;
pub mod open;
pub mod owned;
pub mod pace;
pub mod peers;
pub mod pool;
pub mod process;
pub mod request;
pub mod shm;
pub mod stepped;
pub mod sys;
pub mod timer;
pub mod upstream;
pub mod variable;
pub mod wide;
