//! The debug line of each attempt of a request: where its id was found, what is known of its
//! session, why that does not decide, and which server was taken.

use sticky_core::events::Status;

use crate::config::directives::DRAINING;
use crate::config::types::Rule;
use crate::ngx::balancer::{interpose, Attempt, Balancer, Choice, Chooser, RoundRobin};
use crate::ngx::open::Place;
use crate::ngx::peers::PeerKey;
use crate::ngx::request::Request;

use super::context::{HolderState, RequestContext};
use super::origin;
use super::session_id;
use super::trace::Trace;

/// What becomes of an attempt.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// It goes to this peer.
    Peer(&'a [u8]),
    /// It is refused (`no_fallback`).
    Refused,
    /// No peer is left.
    None,
}

impl<'r> RequestContext<'r> {
    /// Writes the line of an attempt, if there is to be one.
    pub fn trace_attempt(&self, outcome: Outcome<'_>) {
        if let Some(trace) = self.trace.get() {
            self.write_attempt(trace, outcome);
        }
    }

    fn write_attempt(&self, trace: &Trace<'_>, outcome: Outcome<'_>) {
        trace.takes_line();
        let number = self.tries.number(self.request);
        let mut line = String::from("sticky: request ");
        if number > 1 {
            line += &format!("attempt {number}, ");
        }
        line += &self.id_in_words();
        line += &match outcome {
            Outcome::Peer(peer) => {
                let by = match self.tries.is_hit(self.request) {
                    _ if self.sticky.is_dry_run => "the balancer in a dry run",
                    true => "its session",
                    false => "the balancer",
                };
                format!("; goes to {} by {by}", peer.escape_ascii())
            }
            Outcome::Refused => "; refused".to_owned(),
            Outcome::None => "; no server is left".to_owned(),
        };
        let upstream = self.sticky.upstream.escape_ascii();
        trace
            .log()
            .debug(format_args!("{line}, upstream \"{upstream}\""));
    }

    /// Where the id stands, what is known of its session, and why that does not decide.
    fn id_in_words(&self) -> String {
        let status = self.status.get();
        let place = origin::place(self.request);
        let place = place
            .as_deref()
            .unwrap_or_default()
            .escape_ascii()
            .to_string();
        if status == Status::None || (status == Status::New && place == "none") {
            return match (&*place, &self.sticky.rule) {
                ("long", _) => "has an id that is too long".to_owned(),
                (_, Rule::Query(rule, ..))
                    if session_id::may_be_out_of_reach(self.request, rule) =>
                {
                    "has no id, or one out of reach in its body".to_owned()
                }
                _ => "has no id".to_owned(),
            };
        }
        let mut words = String::from("has id");
        let hash = self.request_key.get().and_then(|key| self.hash_of(key));
        if let Some(hash) = hash {
            words += &format!(" {hash:08x}");
        }
        if !place.is_empty() {
            words += &format!(" in {place}");
        }
        words
            + &match status {
                Status::None | Status::New | Status::Miss => ", unknown".to_owned(),
                Status::Expired => ", expired".to_owned(),
                Status::Hit => format!(", known{}", self.holder_in_words("")),
                Status::Gone => format!(", known{}", self.holder_in_words(self.why_gone())),
                Status::Full => format!(", known{}", self.holder_in_words(", full")),
                Status::Foreign => ", known, foreign: its server is in another upstream".to_owned(),
            }
    }

    fn holder_in_words(&self, why: &str) -> String {
        let index = self.peer_index();
        let holder = self.holder.get().and_then(|number| index.by_number(number));
        match holder.and_then(|peer| index.name(peer)) {
            Some(name) => format!(" at {}{why}", name.escape_ascii()),
            None => why.to_owned(),
        }
    }

    /// Why the session's server was not taken.
    fn why_gone(&self) -> &'static str {
        let index = self.peer_index();
        let holder = self.holder.get().and_then(|number| index.by_number(number));
        let Some(peer) = holder else {
            return match self.holder_state.get() {
                HolderState::Kept => ", its server is not known here",
                _ => ", its server has left",
            };
        };
        match self.peers.state(peer.handle) {
            None => ", its server has left",
            Some(_) if self.sticky.is_drained(peer) => ", drained",
            Some(state) if state.down & !DRAINING != 0 => ", down",
            Some(state) if state.has_failed => ", failed",
            // In this very request.
            Some(_) => ", failed now",
        }
    }
}

/// A request whose lines are to be written: its chooser, and one more callback.
struct Traced<'r> {
    context: &'r RequestContext<'r>,
    chooser: &'r dyn Chooser,
}

/// Puts a chooser that has lines written before the balancer. Only few requests have such lines,
/// and the others pay nothing for them.
#[cold]
#[inline(never)]
pub fn interpose_traced<'r, C: Chooser>(
    exchange: RoundRobin<'r>,
    context: &'r RequestContext<'r>,
    chooser: &'r C,
) {
    context.trace.set(Trace::begin(context.request));
    let pool = context.request.pool();
    match pool.and_then(|pool| pool.place(Traced { context, chooser })) {
        Some(traced) => interpose(exchange, traced),
        None => interpose(exchange, chooser),
    }
}

impl Chooser for Traced<'_> {
    fn balancer(&self) -> &Balancer {
        self.chooser.balancer()
    }

    fn request(&self) -> Request<'_> {
        self.chooser.request()
    }

    fn choose(&self, attempt: &Attempt<'_>) -> Choice {
        let choice = self.chooser.choose(attempt);
        if matches!(choice, Choice::Refuse | Choice::RefuseWith(_)) {
            self.context.trace_attempt(Outcome::Refused);
        }
        choice
    }

    fn awaits_peer(&self) -> bool {
        true
    }

    fn taken(&self, peer: PeerKey) -> Option<()> {
        let taken = self
            .context
            .request
            .upstream()
            .and_then(|at| at.chosen_peer());
        self.context
            .trace_attempt(taken.map_or(Outcome::None, Outcome::Peer));
        if self.chooser.awaits_peer() {
            return self.chooser.taken(peer);
        }
        Some(())
    }

    fn header_came(&self) {
        self.chooser.header_came();
    }

    fn awaits_header(&self) -> bool {
        self.chooser.awaits_header()
    }

    fn served(&self) {
        self.chooser.served();
    }

    fn place(&self) -> Option<&Place<'_>> {
        self.chooser.place()
    }
}

/// A request that nothing but its balancer steers.
pub struct Unsteered<'r> {
    request: Request<'r>,
    balancer: Balancer,
}

impl<'r> Unsteered<'r> {
    /// Has the lines of such a request written.
    #[cold]
    #[inline(never)]
    pub fn trace(context: &'r RequestContext<'r>, exchange: RoundRobin<'r>) {
        let (request, balancer) = (context.request, Balancer::of(exchange));
        let pool = request.pool();
        if let Some(chooser) = pool.and_then(|pool| pool.place(Unsteered { request, balancer })) {
            interpose_traced(exchange, context, chooser);
        }
    }
}

impl Chooser for Unsteered<'_> {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn request(&self) -> Request<'_> {
        self.request
    }

    fn choose(&self, _: &Attempt<'_>) -> Choice {
        Choice::Balance
    }
}
