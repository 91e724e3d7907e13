//! Finds the session ids in JSON: the members of a name wherever they stand, or the members at a
//! path of names.
//!
//! Names that count anywhere are searched as bytes, `"sid"`, and only what follows them is read:
//! see `by_name`. A path depends on nesting, so the brackets of the document are followed from
//! its start: see `by_path`. Where the index of an element matters, and in requests, all members
//! are read: see `by_member`. In a document that keeps to the grammar (RFC 8259), all find exactly
//! what a parser finds. In any other they read on; only a backslash outside of strings ends the
//! search by path.
//!
//! A path goes through an array into each of the first 16 objects and arrays in it.
//!
//! Bounds: less than 26 KB are held, for a member that is cut between pieces. An id is a string, or
//! a number as it is written, without sign, fraction and exponent. What stands before, between and
//! behind documents is skipped: the digit of an Engine.IO packet (`0{"sid":"…"}`), the call around
//! JSONP, the next line of a log, and documents that are a string alone: see `outside`.

mod brackets;
mod by_member;
mod by_name;
mod by_path;
mod engine_io;
mod escapes;
mod member;
mod nesting;
mod outside;
mod script;
mod searched;

use std::ops::ControlFlow;
use std::sync::Arc;

use self::by_member::ByMember;
use self::by_name::ByName;
use self::by_path::ByPath;
use super::search::matches::Match;
use super::search::window::{Progress, Window};
use super::search::windowed::{Examine, WindowedSearch};
use super::{Found, FoundIn, Learner, Restart};
use crate::events::Source;
use crate::url::Names;

pub use self::engine_io::EngineIoLearner;
pub use self::member::{Member, MemberPaths};
pub use self::script::ScriptLearner;
pub use self::searched::Members;

/// Where an id is that is a member.
const MEMBER: FoundIn = FoundIn::other(Source::Json);

/// Learns the session ids of one JSON text, or of several in a row.
pub struct JsonLearner {
    members: Arc<Members>,
    names: Arc<Names>,
    search: MemberSearch,
    /// Read the members that are not searched.
    readers: Vec<ByMember>,
    last: Vec<u8>,
}

/// How the members are searched.
enum MemberSearch {
    None,
    ByName(Box<WindowedSearch<ByName>>),
    ByPath(Box<ByPath>),
}

impl JsonLearner {
    /// A learner for one response. `names` say where an id ends ([`Names::id_in`]).
    pub fn new(members: Arc<Members>, names: Arc<Names>) -> Self {
        Self {
            search: MemberSearch::new(&members),
            readers: members.read.iter().cloned().map(ByMember::new).collect(),
            members,
            names,
            last: Vec::new(),
        }
    }

    /// The same, for a response to a request with an id that need not be learned again.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.last = id.to_vec();
        self
    }

    /// Reads a text that is complete, as far as it is known, and in which these are the
    /// [needles](Self::needles). Others were not begun.
    pub(super) fn read_whole(&mut self, text: &[u8], needles: &[Match], found: &mut Found<'_>) {
        let MemberSearch::ByName(search) = &mut self.search else {
            self.feed(text, found);
            self.restart();
            return;
        };
        let mut found = handing_out(&self.names, &mut self.last, found);
        let window = Window {
            bytes: text,
            from_start: true,
            to_end: false,
        };
        for needle in needles {
            let is_known = search.examiner.is_known(text, *needle);
            if !is_known
                && search.examiner.examine(&window, *needle, 0, &mut found) != Progress::Done
            {
                break;
            }
        }
        search.examiner.restart();
    }

    /// The needles without which a text has no id: the first name of each path, and the start of an
    /// escape.
    pub(super) fn needles(&self) -> Arc<Members> {
        Arc::clone(&self.members)
    }
}

impl Restart for JsonLearner {
    fn restart(&mut self) {
        match &mut self.search {
            MemberSearch::ByName(search) => {
                search.restart();
                search.examiner.restart();
            }
            MemberSearch::ByPath(search) => search.restart(),
            MemberSearch::None => {}
        }
        self.readers.iter_mut().for_each(ByMember::restart);
    }
}

impl MemberSearch {
    fn new(members: &Arc<Members>) -> Self {
        if members.paths.is_empty() {
            Self::None
        } else if members.can_be_searched_by_name() {
            let examiner = ByName::new(Arc::clone(members));
            Self::ByName(Box::new(WindowedSearch::new(Arc::clone(members), examiner)))
        } else {
            Self::ByPath(Box::new(ByPath::new(Arc::clone(members))))
        }
    }
}

impl Learner for JsonLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        match &mut self.search {
            MemberSearch::ByName(search) => search.feed(piece, &mut found),
            MemberSearch::ByPath(search) => search.feed(piece, &mut found),
            MemberSearch::None => {}
        }
        let mut visit = |_, value: &[u8]| {
            found(value, MEMBER);
            ControlFlow::Continue(())
        };
        for reader in &mut self.readers {
            let _ = reader.feed(piece, &mut visit);
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        let mut found = handing_out(&self.names, &mut self.last, found);
        match &mut self.search {
            MemberSearch::ByName(search) => search.end(&mut found),
            MemberSearch::ByPath(search) => search.end(),
            MemberSearch::None => {}
        }
        self.readers.iter_mut().for_each(ByMember::end);
    }

    fn has_given_up(&self) -> bool {
        match &self.search {
            MemberSearch::ByPath(search) => search.has_given_up(),
            MemberSearch::ByName(_) | MemberSearch::None => false,
        }
    }
}

/// Takes decoded values and hands out the ids in them.
fn handing_out<'a>(
    names: &'a Names,
    last: &'a mut Vec<u8>,
    found: &'a mut Found<'a>,
) -> impl FnMut(&[u8], FoundIn) -> bool + 'a {
    |value, found_in| {
        let Some(id) = names.id_in(value).filter(|id| *id != last.as_slice()) else {
            return true;
        };
        let is_done = found(id, found_in);
        if is_done {
            last.clear();
            last.extend_from_slice(id);
        }
        is_done
    }
}
