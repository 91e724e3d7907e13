//! What reads one body: a learner for each source of `learn=` that applies to it.

use super::inflate::{Coding, InflatingLearner};
use super::{Found, Learner};
use crate::events::{BodyEnd, Reader};
use crate::read_body::ReadBody;

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

impl Learner for BodyLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        match &mut self.read_as {
            ReadAs::Plain(sources, bytes) => {
                *bytes += piece.len() as u64;
                sources.feed(piece, found);
            }
            ReadAs::Compressed(learner) => learner.feed(piece, found),
        }
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
    One(Reader, Box<dyn Learner>),
    Several(Vec<(Reader, Box<dyn Learner>)>),
}

impl Sources {
    pub(super) fn of(
        first: (Reader, Box<dyn Learner>),
        others: impl Iterator<Item = (Reader, Box<dyn Learner>)>,
    ) -> Self {
        let mut others = others.peekable();
        match others.peek() {
            None => Self::One(first.0, first.1),
            Some(_) => Self::Several(std::iter::once(first).chain(others).collect()),
        }
    }

    fn each(&self, f: &mut dyn FnMut(Reader, &dyn Learner)) {
        match self {
            Self::One(reader, learner) => f(*reader, &**learner),
            Self::Several(all) => all
                .iter()
                .for_each(|(reader, learner)| f(*reader, &**learner)),
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
