//! What the words of the page mean, and what to look at.

use std::fmt::Write;

use super::super::pieces::Pieces;
use crate::events::{BodyEnd, Skip, Status};

fn of_status(status: Status) -> &'static str {
    match status {
        Status::None => {
            "The request carried no session id. First visits do. Many of them, where sessions \
             should be: name= or from= do not say where requests carry the id."
        }
        Status::New => {
            "The request carried none, and the response handed one out. Followed by NONE instead \
             of HIT: the client does not bring the id back, or brings it where from= does not \
             look. Only NEW: the browser drops the cookie."
        }
        Status::Hit => "The request went to the server of its session.",
        Status::Miss => {
            "The id is unknown here, so the balancer has chosen. Many of them: the response that \
             hands the id out is not read (learn=, types=, hosts=), more ids were handed out at \
             once than are learned (cap), another upstream or another nginx has learned it, or the \
             zone was emptied."
        }
        Status::Expired => {
            "The session was idle for longer than expires=, or older than lifetime=. Many of them: \
             expires= is shorter than the session of the application."
        }
        Status::Gone => {
            "The server of the session is down, has failed or has left. Its error log, and \
             max_fails= and fail_timeout= of its server line, say more: with max_fails=1, the \
             default, one error is a failure."
        }
        Status::Foreign => "The server of the session is in another upstream of the share=.",
        Status::Full => {
            "The server of the session has max_conns= requests, or more than its share."
        }
    }
}

/// Why an id was not learned.
pub fn of_skip(skip: Skip) -> &'static str {
    match skip {
        Skip::Cap => "more new ids than are learned from one response",
        Skip::Type => "no source of learn= reads that Content-Type",
        Skip::Coding => "nothing reads that Content-Encoding",
        Skip::Size => "the id is too long",
        Skip::Host => "a link to another host, see hosts=",
        Skip::Status => "the server has failed",
        Skip::Cache => "the response is from the cache",
        Skip::Hidden => "its header is not sent to the client (proxy_hide_header)",
        Skip::Shared => "shared caches may keep the response, see cacheable=",
        Skip::GivenUp => "the body is too odd to be read to its end",
        Skip::Refused => "the zone has no place for it",
    }
}

/// How far a body was read, where it was not read to its end.
pub fn of_end(end: BodyEnd) -> &'static str {
    match end {
        BodyEnd::Whole => "",
        BodyEnd::Cut => "no more of a compressed body is read than that",
        BodyEnd::GivenUp => "too odd, broken or costly to be read to its end",
        BodyEnd::Ended => "the client or the server has left before its end",
    }
}

/// A list of the outcomes, each a target for links.
pub fn glossary(pieces: &mut Pieces<'_>) {
    pieces.push(
        "<section aria-labelledby=\"words\"><h2 id=\"words\">What the outcomes mean</h2>\
         <p class=\"none\">More in docs/not-sticky.md, “Why are my sessions not sticky?”.</p><dl>\n",
    );
    for status in Status::ALL {
        let _ = writeln!(
            pieces,
            "<dt id=\"{0}\">{0}</dt><dd>{1}</dd>",
            status.name(),
            of_status(*status)
        );
    }
    pieces.push("</dl></section>\n");
}
