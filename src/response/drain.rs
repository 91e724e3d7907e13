//! A server announces in a response that it wants no new sessions, or wants them again
//! (`sticky_drain_on`).

use crate::config::types::{LocationConf, MainConf};
use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::request::context::RequestContext;

/// Whether a response of the request's location may announce anything.
#[inline(always)]
pub fn may_be_announced(r: Request<'_>) -> bool {
    r.loc_conf::<LocationConf>()
        .is_some_and(|location| location.drain_on.get().is_some())
}

/// The header of a response of the peer called `name` has come.
#[inline(always)]
pub fn announced(r: Request<'_>, context: &RequestContext<'_>, name: &[u8]) {
    let location = r.loc_conf::<LocationConf>();
    if let Some(number) = location.and_then(|location| location.drain_on.get()) {
        read(r, context, name, number);
    }
}

#[cold]
#[inline(never)]
fn read(r: Request<'_>, context: &RequestContext<'_>, name: &[u8], number: usize) {
    let variable = || r.main_conf::<MainConf<'_>>()?.variable(number);
    // What it is made of has come with this response.
    let value = variable().and_then(|variable| variable.evaluate_anew(r));
    let is_drained = match value {
        None | Some(b"") => return,
        Some(b"0") => false,
        Some(_) => true,
    };
    let Some(counters) = context.sticky.counters.get() else {
        return;
    };
    let index = context.peer_index();
    let server = index.answering(r, name).and_then(|peer| peer.counters);
    if server.is_some_and(|server| counters.announce(server, is_drained)) {
        r.log().write(
            Level::Notice,
            format_args!(
                "sticky: server \"{}\" announces that it wants {}, upstream \"{}\"",
                name.escape_ascii(),
                match is_drained {
                    true => "no new sessions",
                    false => "new sessions again",
                },
                context.sticky.upstream.escape_ascii()
            ),
        );
    }
}
