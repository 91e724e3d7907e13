//! All upstreams in a line each.

use super::super::address::Query;
use super::super::pieces::Pieces;
use super::super::time::{grouped, per_cent};
use super::super::{shown, Report, Standing, Upstream, Verdict};
use super::wide::{Column, Wide};
use super::{class, DETAILED};

/// Those to look at come first where there are more than a page shows in full.
pub fn overview(report: &Report<'_>, pieces: &mut Pieces<'_>) {
    let verdict = |it: &Upstream<'_>| {
        let zone = it.zone.and_then(|zone| report.zones.get(zone));
        Verdict::of(it, zone, report.now)
    };
    let all = report.upstreams.iter().enumerate();
    let mut rows: Vec<_> = all.map(|(at, it)| (at, it, verdict(it).standing)).collect();
    let is_long = rows.len() > DETAILED;
    let mut caption = "All upstreams".to_owned();
    if is_long {
        rows.sort_by_key(|(.., standing)| std::cmp::Reverse(*standing));
        caption.push_str(" <small>Choose one for all that is known of it.</small>");
    }
    let is_counted = report.upstreams.iter().any(|it| it.sums.is_some());
    let mut columns = vec![Column::words("Upstream"), Column::words("Verdict")];
    if is_counted {
        columns.push(Column::numbers("Requests"));
        columns.push(Column::numbers("Went to their server"));
    }
    pieces.push("<section aria-label=\"Overview\">");
    pieces.push(summary(&rows)).push("<div class=\"scroll\">");
    let mut table = Wide::begin(&caption, columns, pieces);
    for (at, it, standing) in rows {
        let target = match is_long {
            true => shown::html(Query::for_upstream(it.name).as_bytes()),
            false => format!("#u{at}"),
        };
        table.row(it.name, |pieces| {
            let name = shown::html(it.name);
            pieces.push("<a href=\"").push(target).push("\">");
            pieces.push(name).push("</a>");
        });
        table.cell(&word(standing));
        match &it.sums {
            Some(sums) => {
                table.cell(&grouped(sums.total()));
                table.cell(&match sums.with_id() {
                    0 => "–".to_owned(),
                    with_id => format!("{} %", per_cent(sums.steered(), with_id)),
                });
            }
            None if is_counted => {
                table.cell("–");
                table.cell("–");
            }
            None => {}
        }
    }
    table.end();
    pieces.push("</div></section>\n");
}

/// How many there are of each kind.
fn summary(rows: &[(usize, &Upstream<'_>, Standing)]) -> String {
    let count = |of: Standing| rows.iter().filter(|(.., it)| *it == of).count() as u64;
    let (bad, look) = (count(Standing::Bad), count(Standing::Look));
    let good = count(Standing::Good);
    let all = rows.len() as u64;
    let (standing, text) = match (bad, look, good) {
        (0, 0, 0) => return String::new(),
        (0, 0, good) => (
            Standing::Good,
            format!(
                "Sessions hold in {} of {} upstreams.",
                grouped(good),
                grouped(all)
            ),
        ),
        (0, look, _) => (
            Standing::Look,
            format!(
                "{} of {} upstreams: worth a look.",
                grouped(look),
                grouped(all)
            ),
        ),
        (bad, 0, _) => (
            Standing::Bad,
            format!(
                "Sessions break in {} of {} upstreams.",
                grouped(bad),
                grouped(all)
            ),
        ),
        (bad, look, _) => (
            Standing::Bad,
            format!(
                "Sessions break in {} of {} upstreams, {} more: worth a look.",
                grouped(bad),
                grouped(all),
                grouped(look)
            ),
        ),
    };
    format!(
        "<p class=\"verdict {}\"><strong>{text}</strong></p>\n",
        class(standing)
    )
}

fn word(standing: Standing) -> String {
    let word = standing.word().trim_end_matches('.');
    format!("<span class=\"word {}\">{word}</span>", class(standing))
}
