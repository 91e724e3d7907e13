//! A session lives as long as a response of it is open: a WebSocket, an event stream, a download, a
//! long poll.

use sticky_core::table::{Claim, LookUp};

use crate::config::types::Rule;
use crate::ngx::open;

use super::context::{HolderState, RequestContext};

/// So many open responses are looked at in a second.
const IN_A_SECOND: usize = 1 << 14;

/// How many are to be looked at, once a second in every worker, also in one that ends when its last
/// request has.
pub fn due() -> usize {
    open::count().min(IN_A_SECOND)
}

/// Looks at so many open responses as long as it `may_go_on`, and returns how many are left.
pub fn look_at(due: usize, may_go_on: &dyn Fn() -> bool) -> usize {
    match open::each(due, may_go_on, RequestContext::stay_alive) {
        // Others have ended meanwhile.
        shown if shown < due && may_go_on() => 0,
        shown => due - shown,
    }
}

impl RequestContext<'_> {
    /// The response is still open: its sessions are in use.
    fn stay_alive(&self) {
        let Rule::Query(_, sessions, _) = &self.sticky.rule else {
            return;
        };
        let limits = &sessions.limits();
        if let Some(key) = self.request_key.get() {
            if self.holder_state.get() != HolderState::Foreign {
                sessions.touch(key, limits);
            }
        }
        let Some(ids) = self.learned.get() else {
            return;
        };
        for key in ids.begun() {
            // It does not become one that a request has come back to, nor does it begin anew.
            if matches!(sessions.look_up(key, limits), LookUp::Found(_)) {
                sessions.learn(key, &ids.peer, Claim::ResponseOnly, limits, &mut |_| false);
            }
        }
    }
}
