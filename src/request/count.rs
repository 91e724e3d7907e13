//! Counts a request when it is logged, once.

use sticky_core::counters::Place;
use sticky_core::events::Status;

#[cfg(feature = "steps")]
use crate::config::counted;
#[cfg(feature = "steps")]
use crate::config::types::{MainConf, UpstreamConf};
#[cfg(feature = "steps")]
use crate::ngx::cycle::Cycle;
#[cfg(feature = "steps")]
use crate::ngx::request::Request;

use super::context::RequestContext;

/// A request of a sticky upstream has ended.
#[inline(always)]
pub fn ended(context: &RequestContext<'_>) {
    let counters = context.sticky.counters.get();
    let Some(own) = counters.and_then(|counters| counters.own()) else {
        return;
    };
    let status = context.status.get();
    own.request(status);
    if status == Status::Hit {
        if let Some(name) = context.answered.get() {
            let server = match context.found.get() {
                Some(peer) => peer.counters,
                None => answering(context, name),
            };
            if let Some(server) = server {
                own.hit(server);
            }
        }
    }
}

/// Of servers that come and go, and under nginx's own forms of the directive.
#[inline(never)]
fn answering(context: &RequestContext<'_>, name: &[u8]) -> Option<Place> {
    let index = context.peer_index();
    index.answering(context.request, name)?.counters
}

/// For tests: the sums of all upstreams, `NAME since=N grown=N HIT=N … 127.0.0.1:8081=N …;` for each. As
/// a page that shows them does, has their sessions counted.
#[cfg(feature = "steps")]
pub fn sums(r: Request<'_>, running: Cycle<'_>) -> Option<String> {
    counted::start_counts(running, |_| true);
    let main = r.main_conf::<MainConf<'_>>()?;
    let all = main.sticky.borrow();
    let all = all.iter().filter_map(|us| {
        let sticky = us.srv_conf::<UpstreamConf<'_>>()?.active()?;
        let counters = sticky.counters.get()?;
        let sums = counters.sums()?;
        let grown = counters.grown().unwrap_or_default();
        let name = us.name().escape_ascii();
        let mut text = format!("{name} since={} grown={grown}", sums.since);
        for (status, count) in Status::ALL.iter().zip(sums.requests) {
            text += &format!(" {}={count}", status.name());
        }
        for (label, sums) in counters.server_sums() {
            text += &format!(" {}={}", label.escape_ascii(), sums.hits);
            if let Some(sessions) = counters.sessions(label) {
                text += &format!(
                    " {0}/in_use={1} {0}/not_in_use={2} {0}/last_use={3} {0}/counted={4}",
                    label.escape_ascii(),
                    sessions.in_use,
                    sessions.not_in_use,
                    sessions.last_use,
                    sessions.counted
                );
            }
        }
        Some(text + ";")
    });
    Some(all.collect())
}
