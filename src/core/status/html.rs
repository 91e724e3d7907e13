//! The report as a page: whole by itself, without a script, which only keeps it up to date.

mod bars;
mod cluster;
mod discovered;
mod hands;
mod overview;
mod servers;
mod wide;
mod words;
mod zones;

use std::fmt::Write;
use std::sync::OnceLock;

use base64::prelude::{Engine, BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::address::{Form, Query};
use super::pieces::Pieces;
use super::time::{ago, date, grouped};
use super::{shown, Mode, Report, Standing, Sums, Upstream, Verdict, View, Wanted};
use crate::events::{BodyEnd, Forget, Move, Skip, Source, Status};

use bars::Row;
use overview::Rows;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Of more upstreams than that, a page shows one in full, the one that is asked for, and the others
/// in a line each.
pub const DETAILED: usize = 20;

/// The value of Content-Security-Policy with which the page is sent: nothing is loaded from
/// anywhere, and no script but its own runs.
pub fn content_security_policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
             connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
            hash(STYLE),
            hash(SCRIPT)
        )
    })
}

/// How much of the page is written.
pub struct Steps {
    path: Vec<u8>,
    chosen: Option<Vec<u8>>,
    next: Step,
    /// The upstreams of the overview.
    rows: Rows,
    /// The zones that are shown.
    zones: Vec<usize>,
}

/// What is written next.
#[derive(Clone, Copy)]
enum Step {
    Head,
    /// The verdict of an upstream is looked at.
    Look(usize),
    /// A line of the overview.
    Row(usize),
    Upstream(usize),
    /// Whether a zone is shown is looked at.
    Zone(usize),
    Rest,
}

impl Steps {
    /// See [`Writing::page`](super::Writing::page).
    pub fn new(path: &[u8], chosen: Option<&[u8]>) -> Self {
        Self {
            path: path.to_vec(),
            chosen: chosen.map(<[u8]>::to_vec),
            next: Step::Head,
            rows: Rows::default(),
            zones: Vec::new(),
        }
    }

    /// Writes the next step. Returns whether there are more.
    pub fn step(&mut self, view: &dyn View, pieces: &mut Pieces<'_>) -> bool {
        let about = view.about();
        let upstreams = view.upstreams();
        let (is_short, is_one) = (upstreams <= DETAILED, upstreams <= 1);
        self.next = match self.next {
            Step::Head => {
                let chosen = self.chosen.as_deref();
                head(about, &self.path, chosen, pieces);
                hands::notice(about, chosen, pieces);
                pieces.push("<main id=\"main\" tabindex=\"-1\">\n");
                if upstreams == 0 {
                    pieces.push(
                        "<section><h2>No upstream is sticky</h2><p class=\"none\">A \
                         <code>sticky</code> directive in an upstream block makes it so.</p>\
                         </section>\n",
                    );
                }
                match is_one {
                    true => Step::Upstream(0),
                    false => Step::Look(0),
                }
            }
            Step::Look(at) if at < upstreams => {
                self.rows.look(at, view);
                Step::Look(at + 1)
            }
            Step::Look(_) => {
                self.rows.begin(pieces);
                Step::Row(0)
            }
            Step::Row(at) if at < upstreams => {
                self.rows.row(at, view, pieces);
                Step::Row(at + 1)
            }
            Step::Row(_) => {
                self.rows.end(pieces);
                Step::Upstream(0)
            }
            Step::Upstream(at) if is_short && at < upstreams => {
                upstream(at, &view.upstream(at, Wanted::All), view, pieces);
                Step::Upstream(at + 1)
            }
            Step::Upstream(_) => Step::Zone(0),
            Step::Zone(at) if at < view.zones() && self.zones.len() < DETAILED => {
                let is_long = view.zones() > DETAILED;
                if !is_long || view.zone(at).trouble(about.now).is_some() {
                    self.zones.push(at);
                }
                Step::Zone(at + 1)
            }
            Step::Zone(_) => {
                zones::zones(&self.zones, view, pieces);
                cluster::cluster(about, pieces);
                Step::Rest
            }
            Step::Rest => {
                end(about, pieces);
                return false;
            }
        };
        true
    }
}

fn end(about: &Report<'_>, pieces: &mut Pieces<'_>) {
    words::glossary(pieces);
    pieces
        .push("</main>\n<footer><p>nginx ")
        .push(shown::html(about.nginx.as_bytes()));
    pieces
        .push(", ngx_http_sticky_rs ")
        .push(shown::html(about.version.as_bytes()));
    pieces
        .push("</p></footer>\n<script>")
        .push(SCRIPT)
        .push("</script>\n</body>\n</html>\n");
}

fn head(report: &Report<'_>, path: &[u8], chosen: Option<&[u8]>, pieces: &mut Pieces<'_>) {
    let start = shown::html(Form::link_start(path).as_bytes());
    let query = chosen.map_or_else(String::new, Query::for_upstream);
    let query = shown::html(query.as_bytes());
    pieces.push(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>Sticky sessions",
    );
    if let Some(name) = chosen {
        pieces.push(": ").push(shown::html(name));
    }
    pieces
        .push("</title>\n<style>")
        .push(STYLE)
        .push("</style>\n</head>\n<body>\n");
    pieces.push("<a class=\"skip\" href=\"#main\">Skip to the upstreams</a>\n");
    pieces.push("<header><h1>Sticky sessions</h1>\n<p id=\"when\">");
    pieces
        .push(date(report.now))
        .push("</p>\n<p id=\"note\" role=\"status\"></p>\n");
    let _ = writeln!(
        pieces,
        "<nav aria-label=\"This page\"><button id=\"pause\" type=\"button\" hidden>Pause</button>\
         <a href=\"{}\">Refresh</a><a href=\"{start}json{query}\">JSON</a>\
         <a href=\"{start}metrics{query}\">Metrics</a>{}</nav></header>",
        if query.is_empty() { "?" } else { &query },
        match chosen {
            Some(_) => "<a href=\"?\">All upstreams</a>",
            None => "",
        }
    );
}

fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "flat",
        known => known.name(),
    }
}

fn upstream(at: usize, it: &Upstream<'_>, view: &dyn View, pieces: &mut Pieces<'_>) {
    let (zone, report) = (it.zone.map(|at| view.zone(at)), view.about());
    let zone = zone.as_ref();
    let _ = writeln!(
        pieces,
        "<section data-k=\"{0}\" aria-labelledby=\"u{at}\"><h2 id=\"u{at}\">{0}{1}</h2>",
        shown::html(it.name),
        match (it.is_nginx, it.is_dry_run) {
            (true, _) => "<small>by nginx itself, read-only</small>",
            (false, true) => "<small>dry run: nothing is steered or sent</small>",
            (false, false) => "",
        }
    );
    let verdict = Verdict::of(it, zone, report.now);
    let _ = write!(
        pieces,
        "<p class=\"verdict {}\"{}><strong>{}</strong> {}",
        class(verdict.standing),
        it.sums.as_ref().map_or_else(String::new, |sums| {
            format!(
                " data-hits=\"{}\" data-with=\"{}\"",
                sums.steered(),
                sums.judged()
            )
        }),
        match (it.is_dry_run, it.mode) {
            (true, _) => "Dry run.",
            (false, Mode::Discover) => "Discovery.",
            (false, _) => verdict.standing.word(),
        },
        shown::html(verdict.text.as_bytes())
    );
    if let Some(cause) = verdict.cause {
        let name = cause.name();
        let _ = write!(pieces, " <a href=\"#{name}\">What to look at: {name}</a>");
    }
    pieces.push("<span class=\"recent\"></span></p>\n<pre><code>");
    for (at, line) in it.directives.iter().enumerate() {
        if at > 0 {
            pieces.push("\n");
        }
        pieces.push(shown::html(line));
    }
    pieces.push("</code></pre>\n");
    if let Some(findings) = &it.discovered {
        discovered::findings(findings, report.now, pieces);
    }
    pieces.push("<div class=\"grid\">\n");
    servers::servers(it, report, pieces);
    if let (Some(token), false) = (&report.token, it.is_nginx) {
        hands::session(it, token, pieces);
    }
    if let Some(sums) = it.sums.as_ref().filter(|sums| sums.total() > 0) {
        counts(it, sums, report.now, pieces);
    }
    pieces.push("</div></section>\n");
}

fn counts(it: &Upstream<'_>, sums: &Sums, now: u64, pieces: &mut Pieces<'_>) {
    let mut since = sums.since.map_or_else(String::new, |since| {
        format!("since {}, {}", date(since), ago(now, since))
    });
    if let Some(grown) = sums.grown.filter(|grown| Some(*grown) > sums.since) {
        since.push_str("; some of the minutes after ");
        since.push_str(&date(grown));
        since.push_str(" are missing, when the configuration grew");
    }
    bars::table(
        "Requests",
        &since,
        &[
            Row::new(
                match it.is_dry_run {
                    true => "Would go to their session’s server",
                    false => "Steered to their session’s server",
                },
                sums.steered(),
            ),
            Row::new("Left to the balancer", sums.balanced()).second(),
        ],
        pieces,
    );
    let outcomes = Status::ALL.iter().zip(sums.requests);
    let outcomes = outcomes.map(|(status, count)| Row::new(status.name(), count).linked());
    let outcomes: Vec<_> = outcomes.collect();
    bars::table("Outcomes", "$sticky_status", &outcomes, pieces);
    if it.mode.learns() {
        let learned = Source::ALL.iter().map(|it| it.name()).zip(sums.learned);
        bars::table("Sessions learned", "by source", &some(learned), pieces);
    }
    bodies(it, sums, pieces);
    let skipped = Skip::ALL.iter().zip(sums.skipped);
    let skipped = skipped.filter(|(_, count)| *count > 0);
    let skipped: Vec<_> = skipped
        .map(|(skip, count)| Row::new(skip.name(), count).titled(words::of_skip(*skip)))
        .collect();
    let moved = some(Move::ALL.iter().map(|it| it.name()).zip(sums.moved));
    let forgotten = some(Forget::ALL.iter().map(|it| it.name()).zip(sums.forgotten));
    for (caption, more, rows) in [
        ("Not learned", "requests, by reason", skipped),
        ("Sessions moved", "by reason", moved),
        ("Sessions forgotten", "by reason", forgotten),
    ] {
        if !rows.is_empty() {
            bars::table(caption, more, &rows, pieces);
        }
    }
}

/// What has read bodies, and how far: to their end, mostly.
fn bodies(it: &Upstream<'_>, sums: &Sums, pieces: &mut Pieces<'_>) {
    let mut named = Vec::new();
    for (reader, ends) in it.bodies(sums) {
        let ends = BodyEnd::ALL.iter().zip(ends);
        named.extend(ends.filter(|(_, count)| **count > 0).map(|(end, count)| {
            let name = match end {
                BodyEnd::Whole => reader.name().to_owned(),
                _ => format!("{}: {}", reader.name(), end.name()),
            };
            (name, words::of_end(*end), *count)
        }));
    }
    if named.is_empty() {
        return;
    }
    let all = named.iter();
    let rows = all.map(|(name, title, count)| Row::new(name, *count).titled(title));
    let more = format!("by source, {} bytes", grouped(sums.body_bytes));
    bars::table("Bodies read", &more, &rows.collect::<Vec<_>>(), pieces);
}

/// A row for each that is not 0.
fn some(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<Row<'static>> {
    let some = counts.filter(|(_, count)| *count > 0);
    some.map(|(name, count)| Row::new(name, count)).collect()
}
