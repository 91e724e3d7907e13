//! Searches the members at paths. The document is read from its start, but only its brackets. Names
//! are searched as bytes, as [`by_name`](super::by_name) does, and count where the brackets say
//! that their path is.

use std::sync::Arc;

use super::brackets::{Brackets, FEW};
use super::escapes::{text_in, unescaped};
use super::member::{MAX_WRITTEN_NAME, MAX_WRITTEN_VALUE};
use super::nesting::Nesting;
use super::outside::Outside;
use super::searched::{Members, Path};
use super::MEMBER;
use crate::scan::Found;

/// Reads JSON documents, one after the other.
pub(super) struct ByPath {
    members: Arc<Members>,
    state: PathState,
    outside: Outside,
    brackets: Brackets,
    nesting: Nesting,
    /// One for each path.
    followed: Vec<PathProgress>,
    /// The current string or number, as far as it was in earlier pieces.
    held: Vec<u8>,
    scratch: Vec<u8>,
    /// The next value is an id.
    is_wanted: bool,
    has_by_name: bool,
    /// The length of the shortest name, in quotes.
    shortest: usize,
    /// The piece has been searched for a name.
    is_searched: bool,
    /// A text was not JSON.
    has_given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathState {
    /// Before, between or behind documents.
    Outside,
    /// In a document, where only brackets and names matter.
    Within,
    /// Behind a name on a path, or a value that looks like one.
    Colon,
    /// Behind the colon.
    Value,
    /// In a string that may be such a name, or is an id. Behind a backslash, the next byte does not
    /// end it.
    Text { is_name: bool, is_escaped: bool },
    /// In an id that is a number, or in `true`, `false` or `null`.
    Scalar,
    /// This is not JSON: nothing more is read.
    Broken,
}

/// How far a path has been followed.
struct PathProgress {
    /// How many of its names lead to the current place.
    steps: usize,
    /// Where each of its names stands next in this piece, in quotes. The length of the piece:
    /// nowhere. `None`: not searched yet.
    next: Box<[Option<usize>]>,
}

impl ByPath {
    pub(super) fn new(members: Arc<Members>) -> Self {
        let followed = |path: &Path| PathProgress {
            steps: 0,
            next: vec![None; path.steps.len()].into(),
        };
        let names = members.paths.iter().flat_map(|path| &path.steps);
        let shortest = names.map(|step| step.quoted.needle().len()).min();
        let shortest = shortest.unwrap_or_default();
        let has_by_name = members.paths.iter().any(|path| path.is_by_name);
        Self {
            followed: members.paths.iter().map(followed).collect(),
            members,
            state: PathState::Outside,
            outside: Outside::default(),
            brackets: Brackets::default(),
            nesting: Nesting::new(),
            held: Vec::new(),
            scratch: Vec::new(),
            is_wanted: false,
            has_by_name,
            shortest,
            is_searched: false,
            has_given_up: false,
        }
    }

    /// Begins a new text.
    pub(super) fn restart(&mut self) {
        self.state = PathState::Outside;
        self.outside = Outside::default();
        self.brackets = Brackets::default();
        self.nesting.clear();
        for followed in &mut self.followed {
            followed.steps = 0;
        }
        self.is_wanted = false;
    }

    pub(super) fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    pub(super) fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        if std::mem::take(&mut self.is_searched) {
            for followed in &mut self.followed {
                followed.next.fill(None);
            }
        }
        let mut at = 0;
        while let Some(rest @ [byte, ..]) = piece.get(at..) {
            match self.state {
                PathState::Outside => match self.outside.next_document(rest) {
                    Some(0) => {
                        self.nesting.push(*byte);
                        self.nesting.follow();
                        self.state = PathState::Within;
                        at += 1;
                    }
                    next => at += next.unwrap_or(rest.len()),
                },
                PathState::Within => at = self.within(piece, at),
                PathState::Text {
                    is_name,
                    is_escaped,
                } => at += self.text(is_name, is_escaped, rest, found),
                PathState::Scalar => at += self.scalar(rest, found),
                PathState::Colon | PathState::Value => at += self.behind_name(*byte),
                PathState::Broken => return,
            }
        }
    }

    /// Hands out nothing: a member is complete when something follows it, at least the end of its
    /// object.
    pub(super) fn end(&mut self) {
        self.state = PathState::Broken;
    }

    /// Reads on from `from` to the next byte that needs another state; returns where that is.
    fn within(&mut self, piece: &[u8], from: usize) -> usize {
        let members = Arc::clone(&self.members);
        let opened = from + usize::from(self.brackets.is_escaped);
        let mut at = from;
        let mut searched = from;
        loop {
            let name = self.next_name(&members, piece, searched);
            let end = name.map_or(piece.len(), |(place, _)| place);
            let stop = match end.saturating_sub(at) < FEW {
                true => self.follow_few(&members, piece, at, end),
                false => self.follow_brackets(&members, piece, at, end),
            };
            if let Some(stop) = stop {
                at = stop + 1;
                searched = searched.max(at);
                if piece.get(stop) != Some(&b'\\') {
                    self.leave();
                } else if !self.brackets.in_string {
                    self.state = PathState::Broken;
                    self.has_given_up = true;
                } else if self.is_among_names() {
                    if let Some(text) = self.begin_name(piece, opened, stop) {
                        return text;
                    }
                }
                if self.state != PathState::Within {
                    return at;
                }
                continue;
            }
            at = end;
            let may_begin = self.is_among_names();
            let Some((_, name)) = name else {
                // The piece may end in a name.
                let is_cut = may_begin && self.brackets.in_string;
                let text = is_cut.then(|| self.begin_name(piece, opened, at));
                return text.flatten().unwrap_or(at);
            };
            searched = at + 1;
            if may_begin && !self.brackets.in_string {
                at += name.len() + 2;
                searched = at;
                if self.follow(name) {
                    self.state = PathState::Colon;
                    return at;
                }
            }
        }
    }

    /// The first name behind `from` that continues a path here, and its place.
    fn next_name<'a>(
        &mut self,
        members: &'a Members,
        piece: &[u8],
        from: usize,
    ) -> Option<(usize, &'a [u8])> {
        // Many small pieces are too short for a name.
        if piece.len() < from + self.shortest {
            return None;
        }
        self.is_searched = true;
        let paths = self.followed.iter_mut().zip(&members.paths);
        let names = paths.filter_map(|(followed, path)| {
            let step = path.steps.get(followed.steps)?;
            let next = followed.next.get_mut(followed.steps)?;
            if next.is_none_or(|next| next < from) {
                let place = step.quoted.find(piece.get(from..)?);
                *next = Some(place.map_or(piece.len(), |place| from + place));
            }
            let place = next.filter(|next| *next < piece.len())?;
            Some((place, &*step.name))
        });
        names.min_by_key(|(place, _)| *place)
    }

    /// Follows the brackets up to `end`. Returns where it stopped before that: at a bracket that
    /// closes something on a path, or at a backslash in what may be a name.
    #[inline(never)] // The loop over blocks needs all registers.
    fn follow_brackets(
        &mut self,
        members: &Members,
        piece: &[u8],
        from: usize,
        end: usize,
    ) -> Option<usize> {
        let Self {
            brackets, nesting, ..
        } = self;
        let bytes = piece.get(from..end).unwrap_or_default();
        let stop = brackets.read(bytes, |place, byte, in_string| match byte {
            b'\\' => !in_string || may_name(members, piece, from + place),
            b'{' | b'[' => {
                nesting.push(byte);
                false
            }
            _ => nesting.pop(),
        });
        stop.map(|place| from + place)
    }

    /// The same in a few bytes.
    fn follow_few(
        &mut self,
        members: &Members,
        piece: &[u8],
        from: usize,
        end: usize,
    ) -> Option<usize> {
        let Self {
            brackets, nesting, ..
        } = self;
        let bytes = piece.get(from..end).unwrap_or_default();
        let stop = brackets.read_few(bytes, |place, byte, in_string| match byte {
            b'\\' => !in_string || may_name(members, piece, from + place),
            b'{' | b'[' => {
                nesting.push(byte);
                false
            }
            _ => nesting.pop(),
        });
        stop.map(|place| from + place)
    }

    /// Whether strings here may be names on a path.
    fn is_among_names(&mut self) -> bool {
        self.nesting.follow_elements();
        self.nesting.is_in_object() && (self.has_by_name || self.nesting.is_followed())
    }

    /// Begins to read the string around `end` as a name, if it is short enough and may be one.
    /// Returns where its text begins, which is not before `from`.
    fn begin_name(&mut self, piece: &[u8], from: usize, end: usize) -> Option<usize> {
        let low = from.max(end.saturating_sub(MAX_WRITTEN_NAME + 1));
        let quote = low + memchr::memrchr(b'"', piece.get(low..end)?)?;
        let before = quote.checked_sub(1).and_then(|at| piece.get(at));
        if before == Some(&b'\\') {
            return None;
        }
        self.begin_text(true);
        Some(quote + 1)
    }

    fn begin_text(&mut self, is_name: bool) {
        self.brackets = Brackets::default();
        self.held.clear();
        self.state = PathState::Text {
            is_name,
            is_escaped: false,
        };
    }

    /// The innermost object or array on a path has ended.
    fn leave(&mut self) {
        self.nesting.leave();
        self.leave_value();
        if self.nesting.is_empty() {
            self.state = PathState::Outside;
        }
    }

    /// The current value is done: each path goes back to the object around it.
    fn leave_value(&mut self) {
        self.is_wanted = false;
        let names = self.nesting.names();
        for followed in &mut self.followed {
            followed.steps = followed.steps.min(names);
        }
    }

    /// Enters the object or array that is the value of a name.
    fn begin(&mut self, byte: u8) {
        self.is_wanted = false;
        self.state = PathState::Within;
        let objects = self.nesting.objects();
        let mut paths = self.members.paths.iter().zip(&self.followed);
        if paths.any(|(path, followed)| followed.steps == objects && path.steps.len() > objects) {
            self.nesting.push(byte);
            self.nesting.follow();
        } else {
            self.leave_value();
            self.nesting.push(byte);
        }
    }

    /// Reads what follows a name; returns how many bytes.
    fn behind_name(&mut self, byte: u8) -> usize {
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => return 1,
            (PathState::Colon, b':') => {
                self.state = PathState::Value;
                return 1;
            }
            (PathState::Value, b'{' | b'[') => {
                self.begin(byte);
                return 1;
            }
            (PathState::Value, b'"') if self.is_wanted => {
                self.begin_text(false);
                return 1;
            }
            (PathState::Value, _) if self.is_wanted && is_scalar(byte) => {
                self.held.clear();
                self.state = PathState::Scalar;
            }
            _ => {
                self.leave_value();
                self.state = PathState::Within;
            }
        }
        0
    }

    /// Reads on in a string; returns how many bytes.
    fn text(
        &mut self,
        is_name: bool,
        is_escaped: bool,
        rest: &[u8],
        found: &mut Found<'_>,
    ) -> usize {
        let skipped = usize::from(is_escaped);
        let (len, end) = text_in(rest.get(skipped..).unwrap_or_default());
        let len = skipped + len;
        let written = rest.get(..len).unwrap_or_default();
        if end == Some(b'"') {
            if self.held.is_empty() {
                self.end_text(is_name, written, found);
            } else {
                self.hold(written);
                let held = std::mem::take(&mut self.held);
                self.end_text(is_name, &held, found);
                self.held = held;
            }
            return len + 1;
        }
        let taken = len + usize::from(end.is_some());
        self.hold(rest.get(..taken).unwrap_or_default());
        self.state = PathState::Text {
            is_name,
            is_escaped: end.is_some(),
        };
        taken
    }

    fn end_text(&mut self, is_name: bool, written: &[u8], found: &mut Found<'_>) {
        self.state = PathState::Within;
        if !is_name {
            self.hand_out(written, found);
        } else if written.len() <= MAX_WRITTEN_NAME {
            let mut scratch = std::mem::take(&mut self.scratch);
            if unescaped(written, &mut scratch).is_some_and(|name| self.follow(name)) {
                self.state = PathState::Colon;
            }
            self.scratch = scratch;
        }
    }

    /// Reads on in a number or a word; returns how many bytes.
    fn scalar(&mut self, rest: &[u8], found: &mut Found<'_>) -> usize {
        let len = rest.iter().take_while(|byte| is_scalar(**byte)).count();
        self.hold(rest.get(..len).unwrap_or_default());
        if len < rest.len() {
            self.state = PathState::Within;
            let held = std::mem::take(&mut self.held);
            match held.iter().all(u8::is_ascii_digit) {
                true => self.hand_out(&held, found),
                false => self.leave_value(),
            }
            self.held = held;
        }
        len
    }

    /// Takes the name of a member; returns whether its value is an id or on a path.
    fn follow(&mut self, name: &[u8]) -> bool {
        let names = self.nesting.names();
        let is_followed = self.nesting.is_followed();
        let mut leads_on = false;
        for (path, followed) in self.members.paths.iter().zip(&mut self.followed) {
            if path.is_by_name {
                self.is_wanted |= path.has_step(0, name);
            } else if is_followed && followed.steps == names && path.has_step(names, name) {
                followed.steps += 1;
                leads_on = true;
                self.is_wanted |= followed.steps == path.steps.len();
            }
        }
        leads_on || self.is_wanted
    }

    /// Holds up to one byte more than an id can have, which tells that it is too long.
    fn hold(&mut self, bytes: &[u8]) {
        let room = (MAX_WRITTEN_VALUE + 1).saturating_sub(self.held.len());
        self.held
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn hand_out(&mut self, written: &[u8], found: &mut Found<'_>) {
        self.leave_value();
        if written.len() <= MAX_WRITTEN_VALUE {
            if let Some(value) = unescaped(written, &mut self.scratch) {
                found(value, MEMBER);
            }
        }
    }
}

/// Whether the escape at `at` stands for a character of a name. An escape at the end of the piece
/// is read anyway.
#[inline]
fn may_name(members: &Members, piece: &[u8], at: usize) -> bool {
    let escape = piece.get(at..).unwrap_or_default();
    let digits = escape.strip_prefix(b"\\u00").and_then(|rest| rest.get(..2));
    digits.is_some_and(|digits| members.has_character(digits))
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
