//! Configuration: directives to types, and the index of an upstream's peers.

pub mod cluster;
pub mod cluster_drains;
pub mod cluster_zone;
pub mod clustered;
pub mod cookie_variables;
pub mod counted;
pub mod directives;
pub mod discovery;
pub mod doubts;
pub mod error;
pub mod key_file;
pub mod nginx_forms;
pub mod peer_index;
pub mod share;
pub mod state_file;
pub mod statsd;
pub mod status_page;
pub mod types;
