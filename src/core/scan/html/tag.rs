//! Splits a tag into its attributes as browsers do (HTML Standard, 13.2.5.32 to 13.2.5.39).

use std::ops::Range;

/// White space of HTML. A CR counts, because browsers turn it into a line feed.
pub(in crate::scan) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// Where in a tag a byte stands, from the name of its element on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scan) enum TagState {
    Element,
    Between,
    Name,
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
    Ended,
}

impl TagState {
    /// The state behind a byte.
    pub(in crate::scan) fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Ended, _) => Self::Ended,
            (Self::Quoted(quote), byte) if byte == quote => Self::Between,
            (Self::Quoted(_), _) => self,
            (_, b'>') => Self::Ended,
            (Self::BeforeValue, b'"' | b'\'') => Self::Quoted(byte),
            (Self::Name | Self::AfterName, b'=') => Self::BeforeValue,
            (Self::Name | Self::AfterName, byte) if is_space(byte) => Self::AfterName,
            (Self::BeforeValue, byte) if is_space(byte) => self,
            (Self::BeforeValue | Self::Unquoted, b'/') => Self::Unquoted,
            (_, byte) if is_space(byte) || byte == b'/' => Self::Between,
            (Self::Element, _) => Self::Element,
            (Self::BeforeValue | Self::Unquoted, _) => Self::Unquoted,
            (Self::Between | Self::Name | Self::AfterName, _) => Self::Name,
        }
    }

    /// Reads on. Returns the offset behind the `>` that ends the tag.
    pub(in crate::scan) fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Self::Quoted(quote) = *self {
                at += memchr::memchr(quote, bytes.get(at..)?)? + 1;
                *self = Self::Between;
                continue;
            }
            *self = self.after(*byte);
            at += 1;
            if *self == Self::Ended {
                return Some(at);
            }
        }
        None
    }

    /// Whether it is the state behind each of these bytes.
    pub(in crate::scan) fn lasts(self, bytes: &[u8]) -> bool {
        match self {
            Self::Quoted(quote) => memchr::memchr(quote, bytes).is_none(),
            _ => bytes.iter().all(|byte| self.after(*byte) == self),
        }
    }
}

/// A start tag that is being read.
pub(in crate::scan) struct Tag<'a> {
    bytes: &'a [u8],
    at: usize,
    name: &'a [u8],
    /// Behind the last byte, when it is unfinished.
    state: TagState,
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
            state: TagState::Element,
        };
        tag.name = tag.take_until(|b| is_space(b) || b == b'/' || b == b'>');
        tag
    }

    pub(in crate::scan) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The state behind the last byte. Only for one that is [unfinished](Part::Unfinished).
    pub(in crate::scan) fn state(&self) -> TagState {
        self.state
    }

    fn unfinished(&mut self, state: TagState) -> Part<'a> {
        self.state = state;
        Part::Unfinished
    }

    pub(in crate::scan) fn next(&mut self) -> Part<'a> {
        self.take_until(|b| !is_space(b) && b != b'/');
        let from = self.at;
        match self.peek() {
            None if from == self.name.len() => return self.unfinished(TagState::Element),
            None => return self.unfinished(TagState::Between),
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
            None if self.at == from + name.len() => return self.unfinished(TagState::Name),
            None => return self.unfinished(TagState::AfterName),
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
            None => self.unfinished(TagState::BeforeValue),
            Some(quote @ (b'"' | b'\'')) => {
                let value_at = self.at + 1;
                let rest = self.bytes.get(value_at..).unwrap_or_default();
                let Some(len) = memchr::memchr(quote, rest) else {
                    return self.unfinished(TagState::Quoted(quote));
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
                    return self.unfinished(TagState::Unquoted);
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

/// Where the value of a form field stands and where its tag ends; of an incomplete tag, the state
/// behind its last byte.
pub(super) fn field_value(mut tag: Tag<'_>) -> Result<(Range<usize>, usize), TagState> {
    let mut value = None;
    loop {
        match tag.next() {
            Part::Unfinished => return Err(tag.state()),
            Part::End(end) => return Ok((value.unwrap_or_default(), end)),
            Part::Attribute(attribute) => {
                if attribute.name.eq_ignore_ascii_case(b"value") {
                    let end = attribute.value_at + attribute.value.len();
                    value.get_or_insert(attribute.value_at..end);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte, the state is the one that reading the tag anew finds.
    #[test]
    fn states_are_those_of_a_tag_that_is_read_anew() {
        let mut number = 1_u32;
        for _ in 0..20_000 {
            let mut tag = b"a".to_vec();
            let mut state = TagState::Element;
            for _ in 0..12 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let byte = b"ax =/'\">\t="[(number >> 16) as usize % 10];
                tag.push(byte);
                let before = state;
                state = state.after(byte);
                assert_eq!(before.lasts(&[byte]), state == before);
                let mut anew = Tag::new(&tag);
                let part = loop {
                    match anew.next() {
                        Part::Attribute(_) => {}
                        part => break part,
                    }
                };
                let shown = tag.escape_ascii().to_string();
                if let Part::End(end) = part {
                    assert_eq!((end, state), (tag.len(), TagState::Ended), "{shown}");
                    let mut whole = TagState::Element;
                    assert_eq!(whole.read(&tag[1..]), Some(end - 1), "{shown}");
                    break;
                }
                assert_eq!(anew.state(), state, "{shown}");
            }
        }
    }
}
