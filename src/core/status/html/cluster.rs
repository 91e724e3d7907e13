//! The part of this nginx in a cluster.

use super::super::pieces::Pieces;
use super::super::time::{ago, grouped};
use super::super::{shown, Cluster, Report};

use super::wide::{Column, Wide};

/// Writes the section, where there is a cluster.
pub fn cluster(report: &Report<'_>, pieces: &mut Pieces<'_>) {
    let Some(it) = &report.cluster else {
        return;
    };
    pieces.push("<section aria-labelledby=\"cluster\"><h2 id=\"cluster\">Cluster</h2>\n");
    let (class, text) = verdict(it, report.now);
    pieces.push("<p class=\"verdict ").push(class).push("\">");
    pieces.push(text).push("</p>\n<div class=\"scroll\">");
    let columns = vec![
        Column::words("Store"),
        Column::numbers("Nodes"),
        Column::numbers("Lag, ms"),
        Column::numbers("To be sent"),
        Column::numbers("Sent"),
        Column::numbers("Received"),
        Column::numbers("Dropped"),
        Column::numbers("Refused"),
        Column::numbers("Times lost"),
    ];
    let caption = "Changes of sessions <small>counts since nginx was started</small>";
    let mut table = Wide::begin(caption, columns, pieces);
    table.row(&it.store, |pieces| {
        pieces.push(shown::html(&it.store));
    });
    for number in [
        it.nodes,
        it.lag,
        it.pending,
        it.sent,
        it.received,
        it.dropped,
        it.refused,
        it.lost,
    ] {
        table.cell(&grouped(number));
    }
    table.end();
    pieces.push("</div>\n</section>\n");
}

/// Whether the sessions of all are the same, and in words.
fn verdict(it: &Cluster<'_>, now: u64) -> (&'static str, String) {
    match (it.is_up, it.last_contact) {
        (true, _) => {
            let nodes = match it.nodes {
                0 | 1 => "No other nginx is there.".to_owned(),
                nodes => format!("{} nginx share their sessions.", grouped(nodes)),
            };
            (
                "good",
                format!("<strong>The store answers.</strong> {nodes}"),
            )
        }
        (false, Some(last)) => (
            "look",
            format!(
                "<strong>The store does not answer,</strong> last contact {}. Each nginx goes on \
                 alone; what it learns is sent when the store is back.",
                ago(now, last)
            ),
        ),
        (false, None) => (
            "look",
            "<strong>The store has not answered yet.</strong> This nginx goes on alone.".to_owned(),
        ),
    }
}
