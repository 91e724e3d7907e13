//! Messages for a configuration that is refused, beyond those that follow from the words of a
//! directive alone (`sticky_core::directive::error`).

use std::os::raw::c_char;

use sticky_core::directive::server_parameters::ServerError;
use sticky_core::directive::status::StatusError;
use sticky_core::directive::DirectiveError;
use sticky_core::discover::sample::MOST_UPSTREAMS;
use thiserror::Error;

use super::cluster::ClusterRefusal;
use super::key_file::KeyFileError;
use super::state_file::StateFileError;
use super::statsd::StatsdRefusal;

/// What can be used in place of a balancer that cannot be steered.
pub const STEERED_BALANCERS: &str =
    "round robin (no directive), \"least_conn\", \"random\", \"hash\" or \"ip_hash\"";

/// Why a directive is refused. Displays as nginx writes it before the file and the line.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The directive is in one block twice.
    #[error("\"sticky\" directive is duplicate")]
    Duplicate,
    /// The directive is not in an upstream.
    #[error("\"{0}\" directive is not allowed here, expected inside of an \"upstream\" block")]
    Outside(&'static str),
    /// A text that is the same for all requests.
    #[error(
        "invalid value \"{}\" in \"{directive}\" directive, expected a variable",
        .value.escape_ascii()
    )]
    NoVariable {
        /// The directive.
        directive: &'static str,
        /// The text.
        value: Vec<u8>,
    },
    /// A directive of Tengine.
    #[error(
        "unknown directive \"session_sticky\", which is of Tengine, expected \"sticky\" with \
         \"name=\", \"domain=\", \"path=\" and \"expires=\" in place of \"cookie=\", \"domain=\", \
         \"path=\" and \"maxage=\""
    )]
    Tengine,
    /// The words are wrong.
    #[error(transparent)]
    Words(DirectiveError),
    /// Those of `sticky_status` are.
    #[error(transparent)]
    Status(StatusError),
    /// Those of `sticky_statsd` are, or its server cannot be used.
    #[error(transparent)]
    Statsd(StatsdRefusal),
    /// Those of `sticky_cluster` are, or something that it needs is missing.
    #[error(transparent)]
    Cluster(ClusterRefusal),
    /// `sticky_status` shows an upstream that is not sticky.
    #[error(
        "\"upstream={}\" in \"sticky_status\" directive names no upstream with \"sticky\", {hint}{at}",
        .name.escape_ascii()
    )]
    NotSticky {
        /// The name.
        name: Vec<u8>,
        /// What may have been meant.
        hint: String,
        /// Where the directive stands, as nginx appends it to a message.
        at: String,
    },
    /// The session table needs 128-bit atomics.
    #[error(
        "\"sticky mode=query\" needs a processor with 128-bit atomic instructions to share \
         sessions between workers, use \"zone=off\" with \"worker_processes 1\""
    )]
    NotLockFree,
    /// A key for the session table cannot be made.
    #[error("the system gives no random numbers for the key of a session table")]
    NoRandomNumbers,
    /// The key cannot be read.
    #[error(transparent)]
    Key(KeyFileError),
    /// The zone cannot have the state file.
    #[error(transparent)]
    State(StateFileError),
    /// A zone of `sticky learn` has one user.
    #[error(
        "sticky zone \"{}\" is already used in upstream \"{}\"",
        .zone.escape_ascii(),
        .upstream.escape_ascii()
    )]
    ZoneInUse {
        /// Its name.
        zone: Vec<u8>,
        /// The upstream that uses it.
        upstream: Vec<u8>,
    },
    /// More upstreams are to be watched than there is memory for.
    #[error("too many upstreams with \"sticky mode=discover\", expected {MOST_UPSTREAMS} at most")]
    TooManyWatched,
    /// A parameter that is not the same in all upstreams of a share.
    #[error(
        "\"{parameter}\" in upstream \"{}\" is not that of upstream \"{}\"{at}, expected the same \
         in all upstreams of \"share={}\"",
        .upstream.escape_ascii(),
        .other.escape_ascii(),
        .share.escape_ascii()
    )]
    Share {
        /// The parameter.
        parameter: &'static str,
        /// The share.
        share: Vec<u8>,
        /// The upstream.
        upstream: Vec<u8>,
        /// The upstream from which it differs.
        other: Vec<u8>,
        /// Where that one's directive stands, as nginx appends it to a message.
        at: String,
    },
    /// An upstream bears the name of a share of others, in the same zone.
    #[error(
        "\"share={0}\" of upstream \"{1}\"{other_at} would have the sessions of upstream \"{0}\", \
         expected \"share={0}\" there too, or another name{at}",
        .upstream.escape_ascii(),
        .other.escape_ascii()
    )]
    SharedName {
        /// Its name.
        upstream: Vec<u8>,
        /// Where its directive stands, as nginx appends it to a message.
        at: String,
        /// An upstream of the share.
        other: Vec<u8>,
        /// Where that one's directive stands.
        other_at: String,
    },
    /// What the `server` directive says of sessions is wrong.
    #[error(transparent)]
    Server(ServerError),
    /// The upstream does not count sessions.
    #[error(
        "\"max_sessions\" of \"server\" has no effect in upstream \"{}\", expected \"sticky \
         mode=query\" without \"zone=off\", or \"sticky learn\"{at}",
        .upstream.escape_ascii()
    )]
    NoLimit {
        /// The upstream.
        upstream: Vec<u8>,
        /// Where the directive stands, as nginx appends it to a message.
        at: String,
    },
    /// The balancer does not know `down`.
    #[cfg(not(nginx_since = "1.29.6"))]
    #[error("balancing method does not support parameter \"drain\"")]
    NoDrain,
    /// A directive that does nothing in this upstream.
    #[error(
        "\"{directive}\" has no effect in upstream \"{}\" without {needed}",
        .upstream.escape_ascii()
    )]
    NoEffect {
        /// Its name.
        directive: &'static str,
        /// The upstream.
        upstream: Vec<u8>,
        /// What is missing.
        needed: &'static str,
    },
    /// nginx's own handler has refused the directive.
    #[error("\"sticky\" directive failed")]
    Passed(*mut c_char),
    /// The balancer cannot be steered.
    #[error(
        "\"{directive}\" cannot be combined with \"sticky\" in upstream \"{}\": it is not built on \
         round robin of nginx, expected {STEERED_BALANCERS}{at}",
        .upstream.escape_ascii()
    )]
    Balancer {
        /// The balancer's directive.
        directive: &'static str,
        /// The upstream.
        upstream: Vec<u8>,
        /// Where the directive stands, as nginx appends it to a message.
        at: String,
    },
    /// Another module has taken the upstream over.
    #[error(
        "\"sticky\" has no effect in upstream \"{}\", another module balances it",
        .0.escape_ascii()
    )]
    NotHooked(Vec<u8>),
    /// No memory is left, or nginx has logged the reason.
    #[error("\"sticky\" directive failed")]
    Reported,
}
