//! What `mode=discover` has found out: the lines to copy, best first, and what they stand on.

use std::fmt::Write;

use super::super::pieces::Pieces;
use super::super::shown;
use super::super::time::{ago, date, grouped};
use super::wide::{Column, Wide};
use crate::discover::judge::Findings;

/// Writes them.
pub fn findings(it: &Findings, now: u64, pieces: &mut Pieces<'_>) {
    let _ = writeln!(
        pieces,
        "<p>Watched {} of about {} since {}, {} {}.</p>",
        count(it.requests, "request"),
        count(it.clients, "client"),
        ago(now, it.begun),
        if now < it.until { "until" } else { "and ended" },
        date(it.until)
    );
    if let Some(why) = it.why {
        let _ = writeln!(
            pieces,
            "<p>No line is certain: {}.</p>",
            shown::html(why.as_bytes())
        );
    }
    if it.candidates.is_empty() {
        return;
    }
    let columns = vec![
        Column::words("Line"),
        Column::words("Handed out in"),
        Column::words("Comes back in"),
        Column::numbers("Seen"),
        Column::numbers("Came back"),
        Column::numbers("Requests"),
        Column::numbers("Went astray"),
    ];
    pieces.push("<div class=\"scroll wide\">");
    let mut table = Wide::begin(
        "What may be the id of a session, best first",
        columns,
        pieces,
    );
    for one in &it.candidates {
        table.row(one.directive.as_bytes(), |pieces| {
            let line = shown::html(one.directive.as_bytes());
            let _ = write!(pieces, "<code>{line}</code>");
            if let Some(why) = one.uncertain {
                let why = shown::html(why.as_bytes());
                let _ = write!(pieces, " <small>uncertain: {why}</small>");
            }
        });
        for places in [&one.out, &one.back] {
            table.cell(&match places.is_empty() {
                true => "nowhere".to_owned(),
                false => shown::html(places.join(", ").as_bytes()),
            });
        }
        for number in [one.seen, one.returned, one.requests, one.astray] {
            table.cell(&grouped(number));
        }
    }
    table.end();
    pieces.push("</div>\n");
}

fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{} {what}s", grouped(number)),
    }
}
