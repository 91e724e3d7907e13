//! How far the body of a response was read, by each of those that read it.

use crate::events::{BodyEnd, Reader};

/// How far one body was read.
///
/// ```
/// use sticky_core::events::{BodyEnd, Reader};
/// use sticky_core::read_body::ReadBody;
///
/// let mut body = ReadBody::of_bytes(4711);
/// body.note(Reader::Html, BodyEnd::Whole);
/// body.note(Reader::Json, BodyEnd::GivenUp);
/// let ends: Vec<_> = body.ends().collect();
/// assert_eq!(ends, [(Reader::Html, BodyEnd::Whole), (Reader::Json, BodyEnd::GivenUp)]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadBody {
    /// Of each reader, by its number: 0, or 1 more than the number of the end.
    ends: [u8; Reader::COUNT],
    bytes: u64,
}

impl ReadBody {
    /// So many bytes of it were read, as they came.
    pub fn of_bytes(bytes: u64) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// How many bytes of it were read.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// That reader has read it so far.
    pub fn note(&mut self, reader: Reader, end: BodyEnd) {
        if let Some(place) = self.ends.get_mut(reader.number()) {
            *place = end.number() as u8 + 1;
        }
    }

    /// Those that have read it, and how far.
    pub fn ends(self) -> impl Iterator<Item = (Reader, BodyEnd)> {
        let all = Reader::ALL.iter().zip(self.ends);
        all.filter_map(|(reader, end)| {
            let end = BodyEnd::ALL.get(usize::from(end.checked_sub(1)?))?;
            Some((*reader, *end))
        })
    }
}
