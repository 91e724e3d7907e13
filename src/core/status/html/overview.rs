//! All upstreams in a line each.

use super::super::address::Query;
use super::super::pieces::Pieces;
use super::super::time::{grouped, per_cent};
use super::super::{shown, Standing, Verdict, View, Wanted};
use super::wide::{Column, Wide};
use super::{class, DETAILED};

/// The lines.
#[derive(Default)]
pub struct Rows {
    /// Places of the upstreams, in the order of their lines.
    rows: Vec<(u32, Standing)>,
    is_counted: bool,
}

impl Rows {
    /// Looks at an upstream: those to look at come first where there are more than a page shows in full.
    pub fn look(&mut self, at: usize, view: &dyn View) {
        let it = view.upstream(at, Wanted::Sums);
        let zone = it.zone.map(|zone| view.zone(zone));
        let verdict = Verdict::of(&it, zone.as_ref(), view.about().now);
        self.is_counted |= it.sums.is_some();
        // More than any configuration has.
        self.rows
            .push((u32::try_from(at).unwrap_or(u32::MAX), verdict.standing));
    }

    fn is_long(&self) -> bool {
        self.rows.len() > DETAILED
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::words("Upstream"), Column::words("Verdict")];
        if self.is_counted {
            columns.push(Column::numbers("Requests"));
            columns.push(Column::numbers("Went to their server"));
        }
        columns
    }

    /// All were looked at.
    pub fn begin(&mut self, pieces: &mut Pieces<'_>) {
        let mut caption = "All upstreams".to_owned();
        if self.is_long() {
            self.rows
                .sort_by_key(|(_, standing)| std::cmp::Reverse(*standing));
            caption.push_str(" <small>Choose one for all that is known of it.</small>");
        }
        pieces.push("<section aria-label=\"Overview\">");
        pieces
            .push(summary(&self.rows))
            .push("<div class=\"scroll\">");
        Wide::begin(&caption, self.columns(), pieces);
    }

    /// Writes a line.
    pub fn row(&self, at: usize, view: &dyn View, pieces: &mut Pieces<'_>) {
        let Some((at, standing)) = self.rows.get(at).copied() else {
            return;
        };
        let it = view.upstream(at as usize, Wanted::Sums);
        let mut table = Wide::go_on(self.columns(), pieces);
        let target = match self.is_long() {
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
                table.cell(&match sums.judged() {
                    0 => "–".to_owned(),
                    judged => format!("{} %", per_cent(sums.steered(), judged)),
                });
            }
            None if self.is_counted => {
                table.cell("–");
                table.cell("–");
            }
            None => {}
        }
        table.end_row();
    }

    /// All lines are written.
    pub fn end(&self, pieces: &mut Pieces<'_>) {
        Wide::go_on(self.columns(), pieces).end();
        pieces.push("</div></section>\n");
    }
}

/// How many there are of each kind.
fn summary(rows: &[(u32, Standing)]) -> String {
    let count = |of: Standing| rows.iter().filter(|(_, it)| *it == of).count() as u64;
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
