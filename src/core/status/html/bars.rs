//! Bars, which are tables with numbers for whoever does not see them.
//!
//! They are SVG: a policy without inline styles lets nothing else have a width of its own.

use std::fmt::Write;

use super::super::pieces::Pieces;
use super::super::time::{grouped, tenths};

/// A line of a table with a bar.
pub struct Row<'a> {
    name: &'a str,
    title: &'a str,
    count: u64,
    is_linked: bool,
    is_second: bool,
}

impl<'a> Row<'a> {
    /// Names are those of this crate: nothing in them needs an escape.
    pub fn new(name: &'a str, count: u64) -> Self {
        Self {
            name,
            title: "",
            count,
            is_linked: false,
            is_second: false,
        }
    }

    /// The name leads to what is said of it further down.
    pub fn linked(self) -> Self {
        Self {
            is_linked: true,
            ..self
        }
    }

    /// In the second colour.
    pub fn second(self) -> Self {
        Self {
            is_second: true,
            ..self
        }
    }

    /// Says more under the name.
    pub fn titled(self, title: &'a str) -> Self {
        Self { title, ..self }
    }
}

/// A table with a bar in each row, as long as its part of the longest.
pub fn table(caption: &str, more: &str, rows: &[Row<'_>], pieces: &mut Pieces<'_>) {
    let _ = write!(
        pieces,
        "<div><table><caption>{caption} <small>{more}</small></caption>"
    );
    if rows.is_empty() {
        pieces.push("</table><p class=\"none\">None yet.</p></div>\n");
        return;
    }
    pieces.push("<tbody>\n");
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0);
    for row in rows {
        pieces.push("<tr><th scope=\"row\">");
        match row.is_linked {
            true => drop(write!(pieces, "<a href=\"#{0}\">{0}</a>", row.name)),
            false => drop(pieces.push(row.name)),
        }
        if !row.title.is_empty() {
            let _ = write!(pieces, " <small>{}</small>", row.title);
        }
        match row.is_second {
            true => bar(&[0, row.count], most, pieces),
            false => bar(&[row.count], most, pieces),
        }
        let _ = writeln!(
            pieces,
            "</th><td class=\"n\">{}</td></tr>",
            grouped(row.count)
        );
    }
    pieces.push("</tbody></table></div>\n");
}

/// Parts one after the other, each in its colour.
pub fn bar(parts: &[u64], whole: u64, pieces: &mut Pieces<'_>) {
    pieces.push("<svg aria-hidden=\"true\"><rect class=\"t\" width=\"100%\" height=\"100%\"/>");
    let mut start = 0;
    for (part, class) in parts.iter().zip(["a", "b"]) {
        // What is there is seen.
        let width = tenths(*part, whole).max(u64::from(*part > 0) * 4);
        if width > 0 {
            let _ = write!(
                pieces,
                "<rect class=\"{class}\" x=\"{}.{}%\" width=\"{}.{}%\" height=\"100%\"/>",
                start / 10,
                start % 10,
                width / 10,
                width % 10
            );
        }
        start += width;
    }
    pieces.push("</svg>");
}
