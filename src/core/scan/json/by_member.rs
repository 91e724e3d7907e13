//! Reads JSON member by member, in one pass that costs in proportion to the length of the text,
//! whatever it contains: the bodies of requests, which anybody may write. Also follows what the
//! brackets of a text alone do not tell: the place of an element in its array, and a text that is
//! one string.
//!
//! In a document that keeps to the grammar (RFC 8259) it finds what a parser finds; in any other it
//! reads on.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::brackets::{Brackets, FEW};
use super::escapes::{text_in, unescaped};
use super::member::{MemberPaths, Progress, MAX_WRITTEN_NAME, MAX_WRITTEN_VALUE, NOWHERE};
use super::nesting::{MAX_DEPTH, MAX_ELEMENTS};
use super::outside::Outside;
use crate::candidates::MAX_CANDIDATES;
use crate::url::{Names, MAX_NAMES};

/// So much of a request's body is read before it is asked whether an id in it has sufficed.
const READ_AT_ONCE: usize = 4 * 1024;

/// Takes the index of a member, and its value.
type Visit<'a> = dyn FnMut(usize, &[u8]) -> ControlFlow<()> + 'a;

impl MemberPaths {
    /// Visits the ids in the body of a request, or in its start, in the order of the members: those
    /// of one member as they stand in the body, [`MAX_CANDIDATES`] of them at most where there are
    /// several members. `names` say where an id ends.
    pub fn visit_ids(
        self: &Arc<Self>,
        names: &Names,
        body: &[u8],
        visit: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit_with_member(names, body, &mut |_, id| visit(id))
    }

    /// The same, with the index of the member of each.
    pub fn visit_with_member(
        self: &Arc<Self>,
        names: &Names,
        body: &[u8],
        visit: &mut dyn FnMut(usize, Vec<u8>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut reader = ByMember::new(Arc::clone(self));
        if self.is_one() {
            let mut read = |member, value: &[u8]| match names.id_in(value) {
                Some(id) => visit(member, id.to_vec()),
                None => ControlFlow::Continue(()),
            };
            let mut pieces = body.chunks(READ_AT_ONCE);
            return pieces.try_for_each(|piece| reader.feed(piece, &mut read));
        }
        let mut ids: [Vec<Vec<u8>>; MAX_NAMES] = Default::default();
        let mut read = |member: usize, value: &[u8]| {
            let id = names.id_in(value).zip(ids.get_mut(member));
            if let Some((id, of_member)) = id {
                if of_member.len() < MAX_CANDIDATES && !of_member.iter().any(|own| own == id) {
                    of_member.push(id.to_vec());
                }
            }
            ControlFlow::Continue(())
        };
        reader.feed(body, &mut read)?;
        for (member, of_member) in ids.into_iter().enumerate() {
            of_member.into_iter().try_for_each(|id| visit(member, id))?;
        }
        ControlFlow::Continue(())
    }
}

/// Reads JSON texts, one after the other.
pub(super) struct ByMember {
    paths: Arc<MemberPaths>,
    state: State,
    outside: Outside,
    open: Vec<Level>,
    /// How many objects and arrays are open that no path leads into, and the state there.
    skipped: usize,
    brackets: Brackets,
    /// At the current value.
    progress: Progress,
    /// The current string or number, as far as it was in earlier pieces.
    held: Vec<u8>,
    scratch: Vec<u8>,
}

/// An open object or array.
struct Level {
    is_array: bool,
    is_on_path: bool,
    /// A path may lead on from it by an index.
    has_index: bool,
    progress: Progress,
    /// The index of the current element.
    element: u32,
    /// How many of the elements so far are objects and arrays.
    containers: u8,
}

impl Level {
    fn at_element(&self, paths: &MemberPaths, is_container: bool) -> Progress {
        let leads_on = is_container && self.containers <= MAX_ELEMENTS;
        match self.is_on_path && (leads_on || self.has_index) {
            true => paths.at_element(&self.progress, self.element, leads_on),
            false => NOWHERE,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a text.
    Start,
    /// Before, between or behind documents.
    Outside,
    /// In an object or an array that no path leads into.
    Skipped,
    /// In an object, where a name comes next.
    Name,
    /// In that name. Behind a backslash, the next byte does not end it.
    NameText { has_escapes: bool, is_escaped: bool },
    /// Behind a name.
    Colon,
    /// Behind the colon, or in an array.
    Value,
    /// In a string that is a value.
    Text { is_wanted: bool, is_escaped: bool },
    /// In a number, or in `true`, `false` or `null`.
    Scalar { is_wanted: bool },
    /// Nothing more is read.
    Done,
}

impl ByMember {
    pub(super) fn new(paths: Arc<MemberPaths>) -> Self {
        Self {
            paths,
            state: State::Start,
            outside: Outside::default(),
            open: Vec::new(),
            skipped: 0,
            brackets: Brackets::default(),
            progress: NOWHERE,
            held: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Begins a new text.
    pub(super) fn restart(&mut self) {
        self.state = State::Start;
        self.outside = Outside::default();
        self.open.clear();
    }

    /// Hands out nothing: a member is complete when something follows it, at least the end of its
    /// object.
    pub(super) fn end(&mut self) {
        self.state = State::Done;
    }

    /// Reads on, until `visit` breaks.
    pub(super) fn feed(&mut self, piece: &[u8], visit: &mut Visit<'_>) -> ControlFlow<()> {
        let mut at = 0;
        while let Some(rest @ [byte, ..]) = piece.get(at..) {
            at += match self.state {
                State::Start => self.start(*byte),
                State::Outside => match self.outside.next_document(rest) {
                    Some(0) => {
                        let progress = self.paths.at_document();
                        self.open(*byte, progress);
                        1
                    }
                    next => next.unwrap_or(rest.len()),
                },
                State::Skipped => self.skip(rest),
                State::Name => self.before_name(*byte),
                State::NameText {
                    has_escapes,
                    is_escaped,
                } => self.name(has_escapes, is_escaped, rest),
                State::Colon => self.behind_name(*byte),
                State::Value => self.before_value(*byte),
                State::Text {
                    is_wanted,
                    is_escaped,
                } => self.text(is_wanted, is_escaped, rest, visit)?,
                State::Scalar { is_wanted } => self.scalar(is_wanted, rest, visit)?,
                State::Done => return ControlFlow::Continue(()),
            };
        }
        ControlFlow::Continue(())
    }

    fn start(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            // Whether something follows it is not known before the client may have it.
            b'"' if self.paths.has_text => {
                self.progress = self.paths.at_document();
                self.begin_text();
                1
            }
            _ => {
                self.state = State::Outside;
                0
            }
        }
    }

    fn open(&mut self, bracket: u8, mut progress: Progress) {
        let (is_on_path, has_index) = self.paths.lead_on(&mut progress);
        if self.open.len() >= MAX_DEPTH || !(is_on_path || self.paths.has_anywhere) {
            self.skipped = 1;
            self.brackets = Brackets::default();
            self.state = State::Skipped;
            return;
        }
        let is_array = bracket == b'[';
        self.open.push(Level {
            is_array,
            is_on_path,
            has_index,
            progress,
            element: 0,
            containers: 0,
        });
        self.after_value();
    }

    fn close(&mut self) {
        self.open.pop();
        self.after_value();
    }

    /// What comes next behind a value, or at the start of an object or array.
    fn after_value(&mut self) {
        self.state = match self.open.last() {
            None => State::Outside,
            Some(level) if level.is_array => State::Value,
            Some(_) => State::Name,
        };
    }

    fn skip(&mut self, rest: &[u8]) -> usize {
        let skipped = &mut self.skipped;
        let mut closes = |_, byte| {
            match byte {
                b'{' | b'[' => *skipped += 1,
                b'}' | b']' => *skipped -= 1,
                _ => {}
            }
            *skipped == 0
        };
        // Many are empty, or nearly so.
        let (near, far) = rest.split_at_checked(FEW).unwrap_or((rest, &[]));
        let near_end = self
            .brackets
            .read_few(near, |at, byte, in_string| !in_string && closes(at, byte));
        let end = near_end.or_else(|| {
            let end = self.brackets.read_outside(far, &mut closes);
            end.map(|at| near.len() + at)
        });
        match end {
            Some(at) => {
                self.after_value();
                at + 1
            }
            None => rest.len(),
        }
    }

    fn before_name(&mut self, byte: u8) -> usize {
        match byte {
            b'"' => {
                self.held.clear();
                self.state = State::NameText {
                    has_escapes: false,
                    is_escaped: false,
                };
            }
            b'}' | b']' => self.close(),
            // This is not JSON; a path does not go through it.
            b'{' | b'[' => self.open(byte, NOWHERE),
            _ => {}
        }
        1
    }

    /// Reads on in a name; returns how many bytes.
    fn name(&mut self, has_escapes: bool, is_escaped: bool, rest: &[u8]) -> usize {
        let (written, is_complete, taken) = string_in(rest, is_escaped);
        let has_escapes = has_escapes || is_escaped || memchr::memchr(b'\\', written).is_some();
        if !is_complete {
            self.hold(written, MAX_WRITTEN_NAME);
            self.state = State::NameText {
                has_escapes,
                is_escaped: ends_escaped(written, is_escaped),
            };
            return taken;
        }
        let held = std::mem::take(&mut self.held);
        let joined;
        let written = if held.is_empty() {
            written
        } else {
            joined = [&held, written].concat();
            &joined
        };
        let name = match has_escapes {
            _ if written.len() > MAX_WRITTEN_NAME => None,
            true => unescaped(written, &mut self.scratch),
            false => Some(written),
        };
        self.progress = match (self.open.last(), name) {
            (Some(level), Some(name)) => self.paths.at_member(&level.progress, name),
            _ => NOWHERE,
        };
        self.held = held;
        self.state = State::Colon;
        taken
    }

    fn behind_name(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            b':' => {
                self.state = State::Value;
                1
            }
            _ => {
                self.state = State::Name;
                0
            }
        }
    }

    fn before_value(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b',' => self.next_value(),
            b'}' | b']' => self.close(),
            b'{' | b'[' => {
                if let Some(level) = self.open.last_mut().filter(|level| level.is_array) {
                    level.containers = level.containers.saturating_add(1);
                    self.progress = level.at_element(&self.paths, true);
                }
                self.open(byte, self.progress);
            }
            _ => {
                if let Some(level) = self.open.last().filter(|level| level.is_array) {
                    self.progress = level.at_element(&self.paths, false);
                }
                if byte == b'"' {
                    self.begin_text();
                } else {
                    self.held.clear();
                    let is_wanted = self.paths.reached(&self.progress).is_some();
                    self.state = State::Scalar { is_wanted };
                    return usize::from(!is_scalar(byte));
                }
            }
        }
        1
    }

    /// Behind a comma.
    fn next_value(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.element = level.element.saturating_add(1);
        }
        self.after_value();
    }

    fn begin_text(&mut self) {
        self.held.clear();
        self.state = State::Text {
            is_wanted: self.paths.reached(&self.progress).is_some(),
            is_escaped: false,
        };
    }

    /// Reads on in a string; returns how many bytes.
    fn text(
        &mut self,
        is_wanted: bool,
        is_escaped: bool,
        rest: &[u8],
        visit: &mut Visit<'_>,
    ) -> ControlFlow<(), usize> {
        let (written, is_complete, taken) = string_in(rest, is_escaped);
        if self.open.is_empty() {
            // As all that stands outside of documents.
            if let Some(end) = written.iter().position(|byte| *byte < b' ') {
                self.state = State::Outside;
                return ControlFlow::Continue(end);
            }
        }
        if !is_complete {
            if is_wanted {
                self.hold(written, MAX_WRITTEN_VALUE);
            }
            self.state = State::Text {
                is_wanted,
                is_escaped: ends_escaped(written, is_escaped),
            };
            return ControlFlow::Continue(taken);
        }
        self.after_value();
        if !is_wanted {
            return ControlFlow::Continue(taken);
        }
        if self.held.is_empty() {
            self.hand_out(written, visit)?;
        } else {
            self.hold(written, MAX_WRITTEN_VALUE);
            let held = std::mem::take(&mut self.held);
            let visited = self.hand_out(&held, visit);
            self.held = held;
            visited?;
        }
        ControlFlow::Continue(taken)
    }

    /// Reads on in a number or a word; returns how many bytes.
    fn scalar(
        &mut self,
        is_wanted: bool,
        rest: &[u8],
        visit: &mut Visit<'_>,
    ) -> ControlFlow<(), usize> {
        let len = rest.iter().take_while(|byte| is_scalar(**byte)).count();
        if is_wanted {
            self.hold(rest.get(..len).unwrap_or_default(), MAX_WRITTEN_VALUE);
        }
        if len < rest.len() {
            self.after_value();
            if is_wanted && self.held.iter().all(u8::is_ascii_digit) {
                let held = std::mem::take(&mut self.held);
                let visited = self.hand_out(&held, visit);
                self.held = held;
                visited?;
            }
        }
        ControlFlow::Continue(len)
    }

    /// Holds up to one byte more than `limit`, which tells that it is too long.
    fn hold(&mut self, bytes: &[u8], limit: usize) {
        let room = (limit + 1).saturating_sub(self.held.len());
        self.held
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn hand_out(&mut self, written: &[u8], visit: &mut Visit<'_>) -> ControlFlow<()> {
        let member = self.paths.reached(&self.progress);
        let Some(member) = member.filter(|_| written.len() <= MAX_WRITTEN_VALUE) else {
            return ControlFlow::Continue(());
        };
        match unescaped(written, &mut self.scratch) {
            Some(value) if !value.is_empty() => visit(member, value),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What is written of a string up to its closing quote or the end of the piece, whether the quote
/// is there, and how many bytes both are. With `is_escaped`, the first byte does not close it.
fn string_in(rest: &[u8], is_escaped: bool) -> (&[u8], bool, usize) {
    let mut at = usize::from(is_escaped).min(rest.len());
    loop {
        let (len, end) = text_in(rest.get(at..).unwrap_or_default());
        at += len;
        match end {
            Some(b'"') => return (rest.get(..at).unwrap_or_default(), true, at + 1),
            Some(_) if at + 2 <= rest.len() => at += 2,
            _ => return (rest, false, rest.len()),
        }
    }
}

/// Whether what is written of a string ends in a backslash that escapes what follows.
fn ends_escaped(written: &[u8], is_escaped: bool) -> bool {
    let written = written.get(usize::from(is_escaped)..).unwrap_or_default();
    let backslashes = written.iter().rev().take_while(|byte| **byte == b'\\');
    !backslashes.count().is_multiple_of(2)
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
