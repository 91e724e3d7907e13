//! Text on its way out, in pieces of bounded size, so that no form is in memory twice.

use std::fmt::{self, Write};

/// So many bytes are collected before they are handed on. A single text may be longer.
const PIECE: usize = 16 * 1024;

/// A text that is being written.
pub struct Pieces<'o> {
    text: Vec<u8>,
    /// Bytes that were handed on.
    handed_on: usize,
    out: &'o mut dyn FnMut(&[u8]),
}

impl<'o> Pieces<'o> {
    /// Hands all pieces to `out`.
    pub fn new(out: &'o mut dyn FnMut(&[u8])) -> Self {
        Self {
            text: Vec::with_capacity(PIECE + PIECE / 4),
            handed_on: 0,
            out,
        }
    }

    /// How many bytes were written.
    pub fn written(&self) -> usize {
        self.handed_on + self.text.len()
    }

    pub fn push(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.text.extend_from_slice(text.as_ref());
        if self.text.len() >= PIECE {
            self.hand_on();
        }
        self
    }

    /// In decimal digits.
    pub fn number(&mut self, mut number: u64) -> &mut Self {
        // By hand: of the three forms, numbers are the most.
        let mut digits = [b'0'; 20];
        let mut length = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            length += 1;
            if number == 0 {
                break;
            }
        }
        let (_, digits) = digits.split_at(digits.len() - length);
        self.push(digits)
    }

    fn hand_on(&mut self) {
        (self.out)(&self.text);
        self.handed_on += self.text.len();
        self.text.clear();
    }
}

impl Write for Pieces<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl Drop for Pieces<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.hand_on();
        }
    }
}
