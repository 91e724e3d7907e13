//! The report as a page: whole by itself, without a script, which only keeps it up to date.

mod bars;
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
use super::{shown, Report, Standing, Sums, Upstream, Verdict};
use crate::events::{BodyEnd, Forget, Move, Skip, Source, Status};

use bars::Row;

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

/// Writes the page. `path` is that of the request; `chosen` the upstream that it asks for, which is
/// then the only one in the report.
pub fn page(report: &Report<'_>, path: &[u8], chosen: Option<&[u8]>, out: &mut dyn FnMut(&[u8])) {
    let mut pieces = Pieces::new(out);
    head(report, path, chosen, &mut pieces);
    hands::notice(report, chosen, &mut pieces);
    pieces.push("<main id=\"main\" tabindex=\"-1\">\n");
    if report.upstreams.is_empty() {
        pieces.push(
            "<section><h2>No upstream is sticky</h2><p class=\"none\">A <code>sticky</code> \
             directive in an upstream block makes it so.</p></section>\n",
        );
    }
    let is_short = report.upstreams.len() <= DETAILED;
    if report.upstreams.len() > 1 {
        overview::overview(report, &mut pieces);
    }
    if is_short {
        for (at, it) in report.upstreams.iter().enumerate() {
            upstream(at, it, report, &mut pieces);
        }
    }
    zones::zones(report, &mut pieces);
    words::glossary(&mut pieces);
    pieces
        .push("</main>\n<footer><p>nginx ")
        .push(shown::html(report.nginx.as_bytes()));
    pieces
        .push(", ngx_http_sticky_rs ")
        .push(shown::html(report.version.as_bytes()));
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

fn upstream(at: usize, it: &Upstream<'_>, report: &Report<'_>, pieces: &mut Pieces<'_>) {
    let zone = it.zone.and_then(|zone| report.zones.get(zone));
    let _ = writeln!(
        pieces,
        "<section data-k=\"{0}\" aria-labelledby=\"u{at}\"><h2 id=\"u{at}\">{0}{1}</h2>",
        shown::html(it.name),
        if it.is_nginx {
            "<small>by nginx itself, read-only</small>"
        } else {
            ""
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
                sums.with_id()
            )
        }),
        verdict.standing.word(),
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
            Row::new("Steered to their session’s server", sums.steered()),
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
