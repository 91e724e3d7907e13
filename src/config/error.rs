//! What the operator reads when a directive is refused, as far as it takes more than its words to know.

use std::fmt;
use std::os::raw::c_char;

use sticky_core::directive::DirectiveError;

use super::state_file::Unusable;

/// Why a directive is refused. Displays as nginx writes it before the file and the line.
pub enum Refusal {
    /// The directive stands twice in one block.
    Duplicate,
    /// The words are wrong.
    Words(DirectiveError),
    /// The session table needs 128-bit atomics.
    NotLockFree,
    /// The zone cannot have the state file.
    State(Unusable),
    /// A zone of `sticky learn` has one user.
    ZoneInUse {
        /// Its name.
        zone: Vec<u8>,
        /// Who uses it.
        upstream: Vec<u8>,
    },
    #[cfg(not(nginx_since = "1.29.6"))]
    /// What the `server` directive says of sessions is wrong.
    Server(&'static str),
    #[cfg(not(nginx_since = "1.29.6"))]
    /// The balancer does not know `down`.
    NoDrain,
    /// A directive that does nothing in this upstream.
    Idle {
        /// Its name.
        directive: &'static str,
        /// The upstream.
        upstream: Vec<u8>,
        /// What is missing.
        needed: &'static str,
    },
    /// nginx's own handler has refused the directive.
    Passed(*mut c_char),
    /// Another module has taken the upstream over.
    NotHooked(Vec<u8>),
    /// No memory is left, or nginx has written why.
    Reported,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Duplicate => write!(f, "\"sticky\" directive is duplicate"),
            Refusal::Words(error) => error.fmt(f),
            Refusal::State(error) => error.fmt(f),
            Refusal::NotLockFree => write!(
                f,
                "\"sticky mode=query\" needs a processor with 128-bit atomic instructions to share \
                 sessions between workers, use \"zone=off\" with \"worker_processes 1\""
            ),
            Refusal::ZoneInUse { zone, upstream } => write!(
                f,
                "sticky zone \"{}\" is already used in upstream \"{}\"",
                zone.escape_ascii(),
                upstream.escape_ascii()
            ),
            #[cfg(not(nginx_since = "1.29.6"))]
            Refusal::Server(why) => f.write_str(why),
            #[cfg(not(nginx_since = "1.29.6"))]
            Refusal::NoDrain => {
                write!(f, "balancing method does not support parameter \"drain\"")
            }
            Refusal::Idle {
                directive,
                upstream,
                needed,
            } => write!(
                f,
                "\"{directive}\" has no effect in upstream \"{}\" without {needed}",
                upstream.escape_ascii()
            ),
            Refusal::NotHooked(upstream) => write!(
                f,
                "\"sticky\" has no effect in upstream \"{}\", another module balances it",
                upstream.escape_ascii()
            ),
            Refusal::Reported | Refusal::Passed(_) => write!(f, "\"sticky\" directive failed"),
        }
    }
}
