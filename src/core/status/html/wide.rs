//! Tables with several columns. On a narrow screen each row becomes a card, where each value has
//! the label of its column before it; roles say that they are tables even so.

use std::fmt::Write;

use super::super::pieces::Pieces;
use super::super::shown;

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    label: &'static str,
    is_number: bool,
}

impl Column {
    /// Of words.
    pub const fn words(label: &'static str) -> Self {
        Self {
            label,
            is_number: false,
        }
    }

    /// Of numbers.
    pub const fn numbers(label: &'static str) -> Self {
        Self {
            label,
            is_number: true,
        }
    }

    fn class(self) -> &'static str {
        match self.is_number {
            true => " class=\"n\"",
            false => "",
        }
    }
}

/// A table that is being written: the cells of each row in the order of the columns.
pub struct Wide<'p, 'o> {
    pieces: &'p mut Pieces<'o>,
    columns: Vec<Column>,
    next: usize,
}

impl<'p, 'o> Wide<'p, 'o> {
    /// Labels and caption are those of this crate: nothing in them needs an escape.
    pub fn begin(caption: &str, columns: Vec<Column>, pieces: &'p mut Pieces<'o>) -> Self {
        let _ = write!(
            pieces,
            "<table class=\"cards\" role=\"table\"><caption>{caption}</caption>\
             <thead role=\"rowgroup\"><tr role=\"row\">"
        );
        for column in &columns {
            let (label, class) = (column.label, column.class());
            let _ = write!(
                pieces,
                "<th scope=\"col\" role=\"columnheader\"{class}>{label}</th>"
            );
        }
        pieces.push("</tr></thead><tbody role=\"rowgroup\">\n");
        Self::go_on(columns, pieces)
    }

    /// A table whose beginning is written, and maybe some of its rows.
    pub fn go_on(columns: Vec<Column>, pieces: &'p mut Pieces<'o>) -> Self {
        Self {
            pieces,
            columns,
            next: 0,
        }
    }

    /// Begins a row with its first cell, which `write` fills. By its name, which no other row has,
    /// the script knows it again.
    pub fn row(&mut self, name: &[u8], write: impl FnOnce(&mut Pieces<'o>)) {
        self.end_row();
        let name = shown::html(name);
        let _ = write!(
            self.pieces,
            "<tr role=\"row\" data-k=\"{name}\"><th scope=\"row\" role=\"rowheader\">"
        );
        write(self.pieces);
        self.pieces.push("</th>");
        self.next = 1;
    }

    /// The next cell.
    pub fn cell(&mut self, html: &str) {
        if let Some(column) = self.columns.get(self.next) {
            let (label, class) = (column.label, column.class());
            let _ = write!(
                self.pieces,
                "<td role=\"cell\"{class} data-l=\"{label}\"><span>{html}</span></td>"
            );
        }
        self.next += 1;
    }

    /// Ends the row, if one has begun.
    pub fn end_row(&mut self) {
        if self.next > 0 {
            self.pieces.push("</tr>\n");
            self.next = 0;
        }
    }

    /// Ends the table.
    pub fn end(mut self) {
        self.end_row();
        self.pieces.push("</tbody></table>\n");
    }
}
