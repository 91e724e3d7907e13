//! Finds the session ids in JSON: the string members of a name, wherever they stand, or those that
//! a path of names leads to.
//!
//! Names that may stand anywhere are looked for as bytes, `"sid"`, and only what follows them is
//! read; see [`by_name`]. A path needs to know what encloses what, so the brackets of a document are
//! followed from its start; see [`by_path`]. On a document that keeps to the grammar (RFC 8259) both find
//! exactly what a parser finds. Where it does not, they read on; only a backslash outside a string ends
//! the reading of a path.
//!
//! Bounds: nothing is held but the tail that a member may straddle, less than 4 KB. An id is a string,
//! or a number without sign, fraction and exponent as it is written. What stands before, between
//! and behind documents is passed over: the digit of an Engine.IO packet (`0{"sid":"…"}`), the call
//! around JSONP, the next line of a log.

mod brackets;
mod by_name;
mod by_path;
mod member;
mod nesting;
mod script;

use std::sync::Arc;

use self::by_name::Anywhere;
use self::by_path::Tree;
use super::search::windowed::Around;
use super::source::{Reading, Source};
use super::Learner;
use crate::http::header_value::is_value;
use crate::http::media_type::{is_json, is_page};
use crate::url::Names;

pub use self::member::Members;
pub use self::script::ScriptLearner;

/// Learns the session ids of one JSON text, or of several in a row.
pub struct JsonLearner {
    members: Arc<Members>,
    names: Arc<Names>,
    reader: Reader,
    last: Vec<u8>,
}

enum Reader {
    Anywhere(Box<Around<Anywhere>>),
    Tree(Box<Tree>),
}

impl JsonLearner {
    /// A learner for one response. `names` say where an id ends ([`Names::id_in`]).
    pub fn new(members: Arc<Members>, names: Arc<Names>) -> Self {
        Self {
            reader: Reader::new(&members),
            members,
            names,
            last: Vec::new(),
        }
    }

    /// A learner for this body.
    pub(super) fn of(reading: &Reading<'_>) -> Self {
        let learner = Self::new(Arc::clone(reading.members), Arc::clone(reading.names));
        learner.knowing(reading.body.known)
    }

    /// The same, for a response whose request has brought an id that need not be learned.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.last = id.to_vec();
        self
    }

    /// Without one of these, no id stands in a text: each takes the first name of its path, or an
    /// escape.
    pub(super) fn needles(&self) -> Arc<Members> {
        Arc::clone(&self.members)
    }

    /// What comes next has nothing to do with what has come, though something may have been cut.
    pub(super) fn restart(&mut self) {
        self.reader = Reader::new(&self.members);
    }
}

/// As `learn=` has it: what holds JSON, plain text, as which Engine.IO sends its packets, and the scripts
/// of pages.
pub static SOURCE: Source = Source {
    word: "json",
    reads: |media_type| {
        is_json(media_type) || is_value(media_type, b"text/plain") || is_page(media_type)
    },
    finds_urls: false,
    finds_members: true,
    learner: |of| {
        let learner = JsonLearner::of(of);
        match is_page(of.body.media_type) {
            true => Box::new(ScriptLearner::new(learner)),
            false => Box::new(learner),
        }
    },
};

impl Reader {
    fn new(members: &Arc<Members>) -> Self {
        if members.stand_anywhere() {
            let around = Around::new(Arc::clone(members), Anywhere::new(Arc::clone(members)));
            Self::Anywhere(Box::new(around))
        } else {
            Self::Tree(Box::new(Tree::new(Arc::clone(members))))
        }
    }
}

impl Learner for JsonLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        match &mut self.reader {
            Reader::Anywhere(around) => around.feed(piece, &mut found),
            Reader::Tree(tree) => tree.feed(piece, &mut found),
        }
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        match &mut self.reader {
            Reader::Anywhere(around) => around.end(&mut found),
            Reader::Tree(tree) => tree.end(),
        }
    }
}

/// Takes decoded values, and hands the ids in them out.
fn handing_out<'a>(
    names: &'a Names,
    last: &'a mut Vec<u8>,
    found: &'a mut dyn FnMut(&[u8]),
) -> impl FnMut(&[u8]) + 'a {
    |value| {
        if let Some(id) = names.id_in(value).filter(|id| *id != last.as_slice()) {
            last.clear();
            last.extend_from_slice(id);
            found(id);
        }
    }
}
