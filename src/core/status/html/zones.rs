//! The zones with the sessions.

use std::fmt::Write;

use super::super::pieces::Pieces;
use super::super::time::{ago, grouped, per_cent};
use super::super::{shown, StateFile, View, Zone};
use super::bars::bar;
use super::wide::{Column, Wide};
use super::DETAILED;

/// Writes the table of those that are shown: of more zones than a page shows in full, those with
/// trouble.
pub fn zones(shown_ones: &[usize], view: &dyn View, pieces: &mut Pieces<'_>) {
    let count = view.zones();
    if count == 0 {
        return;
    }
    let now = view.about().now;
    let is_long = count > DETAILED;
    let zones: Vec<Zone<'_>> = shown_ones.iter().map(|at| view.zone(*at)).collect();
    pieces.push("<section aria-labelledby=\"zones\"><h2 id=\"zones\">Zones</h2>\n");
    if is_long {
        let all = grouped(count as u64);
        let text = match zones.len() {
            0 => " zones, none of them with trouble.",
            _ => " zones in all; those with trouble, 20 at most:",
        };
        pieces
            .push("<p class=\"none\">")
            .push(all)
            .push(text)
            .push("</p>\n");
    }
    for zone in &zones {
        if let Some(trouble) = zone.trouble(now) {
            let _ = writeln!(
                pieces,
                "<p class=\"verdict look\"><strong>{}</strong> {}</p>",
                shown::html(zone.name),
                shown::html(trouble.as_bytes())
            );
        }
    }
    if !zones.is_empty() {
        table(&zones, now, pieces);
    }
    pieces.push("</section>\n");
}

fn table(zones: &[Zone<'_>], now: u64, pieces: &mut Pieces<'_>) {
    let columns = vec![
        Column::words("Zone"),
        Column::numbers("Sessions"),
        Column::numbers("In use"),
        Column::numbers("Room for"),
        Column::numbers("Learned"),
        Column::numbers("Evicted in use"),
        Column::numbers("Evicted not in use"),
        Column::numbers("Refused"),
        Column::words("State file"),
    ];
    pieces.push("<div class=\"scroll\">");
    let mut table = Wide::begin(
        "Session tables <small>counts since the zone was made</small>",
        columns,
        pieces,
    );
    for zone in zones {
        table.row(zone.name, |pieces| {
            pieces.push(shown::html(zone.name));
            if let Some(sessions) = zone.sessions {
                bar(&[sessions.in_use, sessions.unused], zone.capacity, pieces);
            }
        });
        match zone.sessions {
            None => {
                table.cell("<small>not counted yet</small>");
                table.cell("–");
            }
            Some(sessions) => {
                let all = sessions.in_use + sessions.unused;
                let counted = sessions
                    .counted
                    .map_or_else(String::new, |at| format!(", counted {}", ago(now, at)));
                table.cell(&format!(
                    "{}<br><small>{} % full{counted}</small>",
                    grouped(all),
                    per_cent(all, zone.capacity)
                ));
                table.cell(&grouped(sessions.in_use));
            }
        }
        for number in [
            zone.capacity,
            zone.learned,
            zone.evicted_in_use,
            zone.evicted_unused,
            zone.refused,
        ] {
            table.cell(&grouped(number));
        }
        let file = zone.state.as_ref().map(|file| state(file, now));
        table.cell(file.as_deref().unwrap_or("none"));
    }
    table.end();
    pieces.push("</div>\n");
}

fn state(file: &StateFile<'_>, now: u64) -> String {
    let mut text = shown::html(&file.path);
    text.push_str("<br><small>");
    match file.written {
        Some(at) => text.push_str(&format!("written {}", ago(now, at))),
        None => text.push_str("not written yet"),
    }
    if file.errors > 0 {
        text.push_str(&format!(", {} errors", grouped(file.errors)));
    }
    text.push_str("</small>");
    if file.is_failing {
        text.push_str(" <span class=\"word bad\">fails</span>");
    }
    text
}
