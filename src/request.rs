//! A request: what is remembered of it, which session it brings, which server it goes to.

mod begin;
mod choose;
pub mod context;
pub mod count;
mod discover;
mod dry_run;
mod enter;
pub mod lookup;
pub mod nginx_forms;
pub mod open;
pub mod origin;
mod query;
pub mod session_id;
pub mod status;
pub mod steer;
pub mod trace;
pub mod traced;
pub mod usable;
pub mod watched;
