//! Splits a tag into its attributes as browsers do (HTML Standard, 13.2.5.32 to 13.2.5.39).

use std::ops::Range;

/// White space of HTML. A CR counts, because browsers turn it into a line feed.
pub(in crate::scan) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// A start tag that is being read.
pub(in crate::scan) struct Tag<'a> {
    bytes: &'a [u8],
    at: usize,
    name: &'a [u8],
}

/// The next part of a tag. Offsets count from the byte after its `<`.
pub(in crate::scan) enum Part<'a> {
    /// An attribute.
    Attribute(Attribute<'a>),
    /// The tag has ended; the offset after its `>`.
    End(usize),
    /// The bytes end inside the tag.
    Unfinished,
}

/// An attribute as it is written.
#[derive(Clone, Copy)]
pub(in crate::scan) struct Attribute<'a> {
    pub(in crate::scan) name: &'a [u8],
    pub(in crate::scan) value: &'a [u8],
    pub(in crate::scan) value_at: usize,
}

impl<'a> Tag<'a> {
    /// `bytes` begin with the letter that follows the `<`.
    pub(in crate::scan) fn new(bytes: &'a [u8]) -> Self {
        let mut tag = Self {
            bytes,
            at: 0,
            name: &[],
        };
        tag.name = tag.take_until(|b| is_space(b) || b == b'/' || b == b'>');
        tag
    }

    pub(in crate::scan) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(in crate::scan) fn next(&mut self) -> Part<'a> {
        self.take_until(|b| !is_space(b) && b != b'/');
        let from = self.at;
        match self.peek() {
            None => return Part::Unfinished,
            Some(b'>') => {
                self.at += 1;
                return Part::End(self.at);
            }
            // A "=" here belongs to the name.
            Some(_) => self.at += 1,
        }
        self.take_until(|b| is_space(b) || matches!(b, b'/' | b'>' | b'='));
        let name = self.bytes.get(from..self.at).unwrap_or_default();
        self.take_until(|b| !is_space(b));
        match self.peek() {
            None => return Part::Unfinished,
            Some(b'=') => self.at += 1,
            Some(_) => {
                return Part::Attribute(Attribute {
                    name,
                    value: &[],
                    value_at: self.at,
                });
            }
        }
        self.take_until(|b| !is_space(b));
        match self.peek() {
            None => Part::Unfinished,
            Some(quote @ (b'"' | b'\'')) => {
                let value_at = self.at + 1;
                let rest = self.bytes.get(value_at..).unwrap_or_default();
                let Some(len) = memchr::memchr(quote, rest) else {
                    return Part::Unfinished;
                };
                self.at = value_at + len + 1;
                let value = rest.get(..len).unwrap_or_default();
                Part::Attribute(Attribute {
                    name,
                    value,
                    value_at,
                })
            }
            Some(_) => {
                let value_at = self.at;
                let value = self.take_until(|b| is_space(b) || b == b'>');
                if self.peek().is_none() {
                    return Part::Unfinished;
                }
                Part::Attribute(Attribute {
                    name,
                    value,
                    value_at,
                })
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take_until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|b| ends(*b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }
}

/// Where the value of a form field stands and where its tag ends. `None`: the tag is incomplete.
pub(super) fn field_value(mut tag: Tag<'_>) -> Option<(Range<usize>, usize)> {
    let mut value = None;
    loop {
        match tag.next() {
            Part::Unfinished => return None,
            Part::End(end) => return Some((value.unwrap_or_default(), end)),
            Part::Attribute(attribute) => {
                if attribute.name.eq_ignore_ascii_case(b"value") {
                    let end = attribute.value_at + attribute.value.len();
                    value.get_or_insert(attribute.value_at..end);
                }
            }
        }
    }
}
