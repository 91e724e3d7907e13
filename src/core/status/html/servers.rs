//! The servers of an upstream.

use super::super::pieces::Pieces;
use super::super::time::{ago, grouped, span};
use super::super::{shown, Report, Server, Upstream};
use super::bars::bar;
use super::hands;
use super::wide::{Column, Wide};

/// So many servers of an upstream are shown; JSON and metrics have all.
const MOST_SERVERS: usize = 200;

/// Writes the table.
pub fn servers(it: &Upstream<'_>, report: &Report<'_>, pieces: &mut Pieces<'_>) {
    let now = report.now;
    let token = report.token.as_ref().filter(|_| !it.is_nginx);
    if it.servers.is_empty() {
        pieces.push("<p class=\"none\">No server is known.</p>\n");
        return;
    }
    let has_sessions = it.servers.iter().any(|server| server.sessions.is_some());
    let has_hits = it.servers.iter().any(|server| server.hits.is_some());
    let has_last_use = it.servers.iter().any(|server| server.last_use.is_some());
    let total = |server: &Server<'_>| server.sessions.map_or(0, |it| it.in_use + it.unused);
    let most_sessions = it.servers.iter().map(total).max().unwrap_or(0);
    let most_hits = it.servers.iter().filter_map(|it| it.hits).max();
    let mut caption = "Servers".to_owned();
    if has_sessions {
        caption.push_str(
            " <small><span class=\"key\"></span>sessions in use \
             <span class=\"key b\"></span>not in use</small>",
        );
        let mut counted = it.servers.iter().filter_map(|it| it.sessions?.counted);
        if let Some(at) = counted.next() {
            caption.push_str(&format!(" <small>counted {}</small>", ago(now, at)));
        }
    }
    let mut columns = vec![Column::words("Server")];
    if has_sessions {
        columns.push(Column::numbers("In use"));
        columns.push(Column::numbers("Not in use"));
    }
    if has_hits {
        columns.push(Column::numbers("Requests of its sessions"));
    }
    if has_last_use {
        columns.push(Column::words("Last use"));
    }
    columns.push(Column::words("State"));
    if token.is_some() {
        columns.push(Column::words("By hand"));
    }
    pieces.push("<div class=\"scroll wide\">");
    let mut table = Wide::begin(&caption, columns, pieces);
    for server in it.servers.iter().take(MOST_SERVERS) {
        table.row(&server.name, |pieces| {
            pieces.push(shown::html(&server.name));
            if let Some(route) = &server.route {
                let route = shown::html(route);
                pieces.push(" <small>route=").push(route).push("</small>");
            }
            match (server.sessions, server.hits) {
                (Some(sessions), _) => {
                    bar(&[sessions.in_use, sessions.unused], most_sessions, pieces);
                }
                (None, Some(hits)) => bar(&[hits], most_hits.unwrap_or(0), pieces),
                (None, None) => {}
            }
        });
        let number = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), grouped);
        if has_sessions {
            table.cell(&number(server.sessions.map(|it| it.in_use)));
            table.cell(&number(server.sessions.map(|it| it.unused)));
        }
        if has_hits {
            table.cell(&number(server.hits));
        }
        if has_last_use {
            let last = server.last_use.map(|at| ago(now, at));
            table.cell(last.as_deref().unwrap_or("–"));
        }
        table.cell(&state(server, now));
        if let Some(token) = token {
            table.cell(&hands::of_server(it, server, token));
        }
    }
    table.end();
    let more = it.servers.len().saturating_sub(MOST_SERVERS);
    if more > 0 {
        let more = grouped(more as u64);
        pieces.push("<p class=\"none\">").push(more);
        pieces.push(" more are in JSON and metrics.</p>");
    }
    pieces.push("</div>\n");
}

fn state(server: &Server<'_>, now: u64) -> String {
    let mut words = Vec::new();
    if let Some(drain) = server.drain {
        let left = drain.until.map(|until| until.saturating_sub(now));
        let (name, what) = match left {
            None => ("draining", "no new sessions".to_owned()),
            Some(0) => ("drained", "its sessions go elsewhere".to_owned()),
            Some(left) => (
                "draining",
                format!(
                    "no new sessions, and its own go elsewhere in {}",
                    span(left)
                ),
            ),
        };
        words.push(word("look", name));
        words.extend(left_in(server));
        let by = if drain.is_announced {
            "the server says so"
        } else {
            "by hand"
        };
        let since = match drain.since {
            0 => String::new(),
            since => format!(" {}", ago(now, since)),
        };
        words.push(format!("<small>{what}; {by}{since}</small>"));
    } else if server.is_draining {
        words.push(word("look", "draining"));
        words.extend(left_in(server));
        words.push("<small>no new sessions; as configured</small>".to_owned());
    }
    if server.is_full {
        let most = server.max_sessions.unwrap_or_default();
        words.push(word("look", &format!("at its limit of {}", grouped(most))));
    }
    if server.is_down {
        words.push(word("bad", "down"));
    }
    if server.is_backup {
        words.push(word("flat", "backup"));
    }
    if words.is_empty() {
        words.push(word("flat", "takes new sessions"));
    }
    words.join(" ")
}

fn word(class: &str, text: &str) -> String {
    format!("<span class=\"word {class}\">{text}</span>")
}

/// How many sessions a server still has that is to be emptied.
fn left_in(server: &Server<'_>) -> Option<String> {
    let sessions = server.sessions?;
    Some(match sessions.in_use + sessions.unused {
        0 => word("good", "no session left"),
        1 => word("flat", "1 session left"),
        some => word("flat", &format!("{} sessions left", grouped(some))),
    })
}
