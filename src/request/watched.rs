//! What `mode=discover` keeps of a request that is looked at.

use std::cell::{Cell, RefCell};

use sticky_core::discover::look::Beginning;
use sticky_core::discover::sample::{Exchange, SamplesHeader};
use sticky_core::discover::{Kind, Sighting, MAX_NAME};
use sticky_core::scan::inflate::InflatingLearner;
use sticky_core::scan::Learner;

use crate::zone::samples::Watch;

/// What was seen of a request that is looked at.
pub struct Watched<'r> {
    /// Where it is noted.
    pub watch: Watch<'r>,
    /// Digest of the client.
    pub client: u64,
    /// What the request has brought, until it is noted.
    pub brought: RefCell<Vec<Sighting>>,
    /// Who has answered, once the header of the response has come.
    pub who: Cell<Option<Exchange>>,
    /// How often what has come of a stream was looked at.
    pub looks: Cell<u8>,
    /// The body of the response, if it is read.
    pub body: RefCell<Option<Body>>,
}

/// The body of a response, as far as it is kept.
pub enum Body {
    /// It is not compressed.
    Plain(Beginning),
    /// It is.
    Compressed(Box<InflatingLearner<Beginning>>),
}

impl Body {
    /// Keeps another piece, if there is room. Returns whether there is more.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        match self {
            Body::Plain(beginning) => beginning.feed(piece, &mut |_, _| true),
            Body::Compressed(learner) => learner.feed(piece, &mut |_, _| true),
        }
        !self.beginning().is_full()
    }

    /// What is kept.
    pub fn beginning(&self) -> &Beginning {
        match self {
            Body::Plain(beginning) => beginning,
            Body::Compressed(learner) => learner.learner(),
        }
    }
}

/// Notes what is seen, `most` at most.
pub fn noting<'n>(
    header: &'n SamplesHeader,
    most: usize,
    all: &'n mut Vec<Sighting>,
) -> impl FnMut(Kind, &[u8], &[u8]) + 'n {
    move |kind, name, value| {
        if all.len() < most && name.len() <= MAX_NAME {
            all.push(Sighting {
                kind,
                name: name.into(),
                value: header.hash(value),
            });
        }
    }
}
