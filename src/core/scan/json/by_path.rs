//! The members that paths lead to: a document read from its start, but only its brackets. A name is
//! looked for as bytes, as [`by_name`](super::by_name) does, and counts where the brackets say that
//! its path is.

use std::sync::Arc;

use super::brackets::Outline;
use super::member::{unescaped, Members, Path, LONGEST_NAME, LONGEST_VALUE};
use super::nesting::Open;

/// Reads JSON documents, one after the other.
pub(super) struct Tree {
    members: Arc<Members>,
    state: State,
    outline: Outline,
    open: Open,
    /// One for each path.
    followed: Vec<Followed>,
    /// What earlier pieces have brought of the string or number that is being read.
    held: Vec<u8>,
    scratch: Vec<u8>,
    /// The value that comes next is an id.
    is_wanted: bool,
    has_anywhere: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before, between or behind documents.
    Outside,
    /// In a document, where only brackets and names matter.
    Within,
    /// Behind a name that leads on, or a value that looks like it.
    Colon,
    /// Behind the colon.
    Value,
    /// In a string that may be such a name, or is an id; behind a backslash, the next byte is not its
    /// end.
    Text { is_name: bool, is_escaped: bool },
    /// In an id that is a number, in `true`, `false` or `null`.
    Scalar,
    /// Not JSON: nothing more is read.
    Broken,
}

/// How far a path has been followed.
struct Followed {
    /// How many of its names lead to where the reading is.
    steps: usize,
    /// Where each of them stands next in this piece, in quotes; its length when nowhere, `None` before
    /// anybody has looked.
    next: Box<[Option<usize>]>,
}

impl Tree {
    pub(super) fn new(members: Arc<Members>) -> Self {
        let followed = |path: &Path| Followed {
            steps: 0,
            next: vec![None; path.steps.len()].into(),
        };
        let has_anywhere = members.paths.iter().any(|path| path.is_anywhere);
        Self {
            followed: members.paths.iter().map(followed).collect(),
            members,
            state: State::Outside,
            outline: Outline::default(),
            open: Open::new(),
            held: Vec::new(),
            scratch: Vec::new(),
            is_wanted: false,
            has_anywhere,
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        for followed in &mut self.followed {
            followed.next.fill(None);
        }
        let mut at = 0;
        while let Some(rest @ [byte, ..]) = piece.get(at..) {
            match self.state {
                State::Outside => match memchr::memchr2(b'{', b'[', rest) {
                    Some(0) => {
                        self.open.push(*byte);
                        self.open.lead_in();
                        self.state = State::Within;
                        at += 1;
                    }
                    next => at += next.unwrap_or(rest.len()),
                },
                State::Within => at = self.within(piece, at),
                State::Text {
                    is_name,
                    is_escaped,
                } => at += self.text(is_name, is_escaped, rest, found),
                State::Scalar => at += self.scalar(rest, found),
                State::Colon | State::Value => at += self.behind_name(*byte),
                State::Broken => return,
            }
        }
    }

    /// A member is complete when something follows it, the end of its object at least: nothing is left
    /// to hand out.
    pub(super) fn end(&mut self) {
        self.state = State::Broken;
    }

    /// Reads on from `from` to what is more than a bracket; returns where that is.
    fn within(&mut self, piece: &[u8], from: usize) -> usize {
        let members = Arc::clone(&self.members);
        let opened = from + usize::from(self.outline.is_escaped);
        let mut at = from;
        let mut searched = from;
        loop {
            let name = self.next_name(&members, piece, searched);
            let end = name.map_or(piece.len(), |(place, _)| place);
            if let Some(stop) = self.brackets(&members, piece, at, end) {
                at = stop + 1;
                searched = searched.max(at);
                if piece.get(stop) != Some(&b'\\') {
                    self.leave();
                } else if !self.outline.in_string {
                    self.state = State::Broken;
                } else if self.is_among_names() {
                    if let Some(text) = self.begin_name(piece, opened, stop) {
                        return text;
                    }
                }
                if self.state != State::Within {
                    return at;
                }
                continue;
            }
            at = end;
            let may_begin = self.is_among_names();
            let Some((_, name)) = name else {
                // What the border cuts may be a name.
                let is_cut = may_begin && self.outline.in_string;
                let text = is_cut.then(|| self.begin_name(piece, opened, at));
                return text.flatten().unwrap_or(at);
            };
            searched = at + 1;
            if may_begin && !self.outline.in_string {
                at += name.len() + 2;
                searched = at;
                if self.follow(name) {
                    self.state = State::Colon;
                    return at;
                }
            }
        }
    }

    /// The first name behind `from` that would lead on here, with its place.
    fn next_name<'a>(
        &mut self,
        members: &'a Members,
        piece: &[u8],
        from: usize,
    ) -> Option<(usize, &'a [u8])> {
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

    /// Follows the brackets up to `end`, or to a place where something else matters, which is
    /// returned: a bracket, or a backslash in what may be a name.
    #[inline(never)] // The reading of blocks needs all the registers.
    fn brackets(
        &mut self,
        members: &Members,
        piece: &[u8],
        from: usize,
        end: usize,
    ) -> Option<usize> {
        let Self { outline, open, .. } = self;
        let bytes = piece.get(from..end).unwrap_or_default();
        let stop = outline.read(bytes, |place, byte, in_string| match byte {
            b'\\' => !in_string || may_name(members, piece, from + place),
            b'{' | b'[' => {
                open.push(byte);
                false
            }
            _ => open.pop(),
        });
        stop.map(|place| from + place)
    }

    /// Whether strings here may be the names of members that matter.
    fn is_among_names(&mut self) -> bool {
        self.open.settle();
        self.open.is_in_object() && (self.has_anywhere || self.open.is_followed())
    }

    /// Reads the string in which `end` lies as a name, when it is short enough and nothing has shown
    /// that it is none; returns where its text begins. That is not before `from`.
    fn begin_name(&mut self, piece: &[u8], from: usize, end: usize) -> Option<usize> {
        let low = from.max(end.saturating_sub(LONGEST_NAME + 1));
        let quote = low + memchr::memrchr(b'"', piece.get(low..end)?)?;
        let before = quote.checked_sub(1).and_then(|at| piece.get(at));
        if before == Some(&b'\\') {
            return None;
        }
        self.begin_text(true);
        Some(quote + 1)
    }

    fn begin_text(&mut self, is_name: bool) {
        self.outline = Outline::default();
        self.held.clear();
        self.state = State::Text {
            is_name,
            is_escaped: false,
        };
    }

    /// What was followed has ended.
    fn leave(&mut self) {
        self.open.leave();
        self.leave_value();
        if self.open.is_empty() {
            self.state = State::Outside;
        }
    }

    /// A value leads nowhere any more.
    fn leave_value(&mut self) {
        self.is_wanted = false;
        let outer = self.open.outer();
        for followed in &mut self.followed {
            followed.steps = followed.steps.min(outer);
        }
    }

    /// Enters the object or array that is the value of a name.
    fn begin(&mut self, byte: u8) {
        self.is_wanted = false;
        self.state = State::Within;
        let objects = self.open.objects();
        let mut paths = self.members.paths.iter().zip(&self.followed);
        if paths.any(|(path, followed)| followed.steps == objects && path.steps.len() > objects) {
            self.open.push(byte);
            self.open.lead_in();
        } else {
            self.leave_value();
            self.open.push(byte);
        }
    }

    /// What follows a name; returns how much of it is read.
    fn behind_name(&mut self, byte: u8) -> usize {
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => return 1,
            (State::Colon, b':') => {
                self.state = State::Value;
                return 1;
            }
            (State::Value, b'{' | b'[') => {
                self.begin(byte);
                return 1;
            }
            (State::Value, b'"') if self.is_wanted => {
                self.begin_text(false);
                return 1;
            }
            (State::Value, _) if self.is_wanted && is_scalar(byte) => {
                self.held.clear();
                self.state = State::Scalar;
            }
            _ => {
                self.leave_value();
                self.state = State::Within;
            }
        }
        0
    }

    /// Reads on in a string; returns how much.
    fn text(
        &mut self,
        is_name: bool,
        is_escaped: bool,
        rest: &[u8],
        found: &mut dyn FnMut(&[u8]),
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
        self.state = State::Text {
            is_name,
            is_escaped: end.is_some(),
        };
        taken
    }

    fn end_text(&mut self, is_name: bool, written: &[u8], found: &mut dyn FnMut(&[u8])) {
        self.state = State::Within;
        if !is_name {
            self.hand_out(written, found);
        } else if written.len() <= LONGEST_NAME {
            let mut scratch = std::mem::take(&mut self.scratch);
            if unescaped(written, &mut scratch).is_some_and(|name| self.follow(name)) {
                self.state = State::Colon;
            }
            self.scratch = scratch;
        }
    }

    /// Reads on in a number or a word; returns how much.
    fn scalar(&mut self, rest: &[u8], found: &mut dyn FnMut(&[u8])) -> usize {
        let len = rest.iter().take_while(|byte| is_scalar(**byte)).count();
        self.hold(rest.get(..len).unwrap_or_default());
        if len < rest.len() {
            self.state = State::Within;
            let held = std::mem::take(&mut self.held);
            match held.iter().all(u8::is_ascii_digit) {
                true => self.hand_out(&held, found),
                false => self.leave_value(),
            }
            self.held = held;
        }
        len
    }

    /// Follows the paths by the name of a member; returns whether its value matters.
    fn follow(&mut self, name: &[u8]) -> bool {
        let outer = self.open.outer();
        let is_followed = self.open.is_followed();
        let mut leads_on = false;
        for (path, followed) in self.members.paths.iter().zip(&mut self.followed) {
            if path.is_anywhere {
                self.is_wanted |= path.has_step(0, name);
            } else if is_followed && followed.steps == outer && path.has_step(outer, name) {
                followed.steps += 1;
                leads_on = true;
                self.is_wanted |= followed.steps == path.steps.len();
            }
        }
        leads_on || self.is_wanted
    }

    /// Holds one byte more than can count at most, which tells that it is too much.
    fn hold(&mut self, bytes: &[u8]) {
        let room = (LONGEST_VALUE + 1).saturating_sub(self.held.len());
        self.held
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn hand_out(&mut self, written: &[u8], found: &mut dyn FnMut(&[u8])) {
        self.leave_value();
        if written.len() <= LONGEST_VALUE {
            if let Some(value) = unescaped(written, &mut self.scratch) {
                found(value);
            }
        }
    }
}

/// Whether the escape at `at` stands for a character of a name: what a border cuts is read anyway.
#[inline]
fn may_name(members: &Members, piece: &[u8], at: usize) -> bool {
    let escape = piece.get(at..).unwrap_or_default();
    let digits = escape.strip_prefix(b"\\u00").and_then(|rest| rest.get(..2));
    digits.is_some_and(|digits| members.has_character(digits))
}

/// How far a string goes on, and what stands there, if anything: its end or a backslash.
fn text_in(rest: &[u8]) -> (usize, Option<u8>) {
    let len = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    (len, rest.get(len).copied())
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
