//! A session lives as long as a response of it is open: a WebSocket, an event stream, a download, a
//! long poll.

use sticky_core::table::{Claim, LookUp};

use crate::config::types::Rule;
use crate::ngx::open;

use super::context::{HolderState, RequestContext};

/// So many open responses are looked at in a second: some milliseconds.
const AT_ONCE: usize = 1 << 14;

/// Called once a second in every worker, also in one that ends when its last request has.
pub fn tick() {
    open::each(AT_ONCE, RequestContext::stay_alive);
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
