//! What reads one body: a learner for each source of `learn=` that applies to it.

use super::inflate::{Coding, InflatingLearner};
use super::{Found, Learner};
use crate::events::{BodyEnd, Reader};
use crate::read_body::ReadBody;

/// So much text is read at once, in bytes: even the dearest takes less than a millisecond.
pub const PART: usize = 16 * 1024;

/// Reads the body of one response, and knows how far each source has read it.
pub struct BodyLearner {
    read_as: ReadAs,
    /// The body is complete.
    is_over: bool,
}

enum ReadAs {
    /// It is not compressed. With the number of its bytes so far.
    Plain(Sources, u64),
    Compressed(Box<InflatingLearner<Sources>>),
}

impl BodyLearner {
    /// With these learners. `coding`: how the body is compressed.
    pub(super) fn new(sources: Sources, coding: Option<Coding>) -> Self {
        Self {
            read_as: match coding {
                None => ReadAs::Plain(sources, 0),
                Some(coding) => {
                    ReadAs::Compressed(Box::new(InflatingLearner::new(coding, sources)))
                }
            },
            is_over: false,
        }
    }

    /// The same of a body that is complete and that one source has read, without decompressing it: so it
    /// mostly is.
    #[inline(always)]
    pub fn read_by_one(&self) -> Option<(Reader, BodyEnd, u64)> {
        match &self.read_as {
            ReadAs::Plain(Sources::One(reader, learner), bytes) if self.is_over => {
                let end = match learner.has_given_up() {
                    true => BodyEnd::GivenUp,
                    false => BodyEnd::Whole,
                };
                Some((*reader, end, *bytes))
            }
            _ => None,
        }
    }

    /// How far the body was read by now.
    pub fn read(&self) -> ReadBody {
        let (sources, bytes, stopped) = match &self.read_as {
            ReadAs::Plain(sources, bytes) => (sources, *bytes, None),
            ReadAs::Compressed(it) => (it.learner(), it.bytes_read(), it.stopped()),
        };
        let mut body = ReadBody::of_bytes(bytes);
        sources.each(&mut |reader, learner| {
            let end = match stopped {
                Some(BodyEnd::Cut) => BodyEnd::Cut,
                Some(BodyEnd::GivenUp) => BodyEnd::GivenUp,
                _ if learner.has_given_up() => BodyEnd::GivenUp,
                None if self.is_over => BodyEnd::Whole,
                _ => BodyEnd::Ended,
            };
            body.note(reader, end);
        });
        body
    }
}

impl BodyLearner {
    /// Reads a piece as long as it may: before each part of at most [`PART`] bytes of text,
    /// `may_read` is asked for so many. `None`: all is read. Otherwise it has stopped behind so many
    /// bytes, and what comes next is to be the rest, even if that has no bytes.
    #[inline]
    pub fn feed_while(
        &mut self,
        piece: &[u8],
        mut may_read: impl FnMut(usize) -> bool,
        found: &mut Found<'_>,
    ) -> Option<usize> {
        match &mut self.read_as {
            // As most pieces are.
            ReadAs::Plain(Sources::One(_, learner), bytes) if piece.len() <= PART => {
                if !piece.is_empty() {
                    if !may_read(piece.len()) {
                        return Some(0);
                    }
                    *bytes += piece.len() as u64;
                    learner.feed(piece, found);
                }
                None
            }
            ReadAs::Plain(sources, bytes) => {
                let mut read = 0;
                for part in piece.chunks(PART) {
                    if !may_read(part.len()) {
                        return Some(read);
                    }
                    *bytes += part.len() as u64;
                    sources.feed(part, found);
                    read += part.len();
                }
                None
            }
            ReadAs::Compressed(learner) => learner.feed_while(piece, &mut may_read, found),
        }
    }
}

impl Learner for BodyLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let read = self.feed_while(piece, |_| true, found);
        debug_assert_eq!(read, None, "it may read all");
    }

    fn end(&mut self, found: &mut Found<'_>) {
        self.is_over = true;
        match &mut self.read_as {
            ReadAs::Plain(sources, _) => sources.end(found),
            ReadAs::Compressed(learner) => learner.end(found),
        }
    }

    fn has_given_up(&self) -> bool {
        match &self.read_as {
            ReadAs::Plain(sources, _) => sources.has_given_up(),
            ReadAs::Compressed(learner) => learner.has_given_up(),
        }
    }
}

/// Learners of the same body, each of another source.
pub(super) enum Sources {
    /// Mostly it is one.
    One(Reader, OwnLearner),
    Several(Vec<(Reader, OwnLearner)>),
}

/// A learner, which is set aside in the end.
pub(super) struct OwnLearner(Option<Box<dyn Learner>>);

impl From<Box<dyn Learner>> for OwnLearner {
    fn from(learner: Box<dyn Learner>) -> Self {
        Self(Some(learner))
    }
}

impl Drop for OwnLearner {
    fn drop(&mut self) {
        if let Some(learner) = self.0.take() {
            learner.set_aside();
        }
    }
}

impl Learner for OwnLearner {
    #[inline]
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        if let Some(learner) = &mut self.0 {
            learner.feed(piece, found);
        }
    }

    #[inline]
    fn end(&mut self, found: &mut Found<'_>) {
        if let Some(learner) = &mut self.0 {
            learner.end(found);
        }
    }

    #[inline]
    fn has_given_up(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|learner| learner.has_given_up())
    }
}

impl Sources {
    pub(super) fn of(
        first: (Reader, OwnLearner),
        mut others: impl Iterator<Item = (Reader, OwnLearner)>,
    ) -> Self {
        match others.next() {
            None => Self::One(first.0, first.1),
            Some(second) => Self::Several([first, second].into_iter().chain(others).collect()),
        }
    }

    fn each(&self, f: &mut dyn FnMut(Reader, &dyn Learner)) {
        match self {
            Self::One(reader, learner) => f(*reader, learner),
            Self::Several(all) => all.iter().for_each(|(reader, learner)| f(*reader, learner)),
        }
    }
}

impl Learner for Sources {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        match self {
            Self::One(_, learner) => learner.feed(piece, found),
            Self::Several(all) => {
                for (_, learner) in all {
                    learner.feed(piece, found);
                }
            }
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        match self {
            Self::One(_, learner) => learner.end(found),
            Self::Several(all) => {
                for (_, learner) in all {
                    learner.end(found);
                }
            }
        }
    }

    fn has_given_up(&self) -> bool {
        let mut has_given_up = false;
        self.each(&mut |_, learner| has_given_up |= learner.has_given_up());
        has_given_up
    }
}
