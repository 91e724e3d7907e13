//! The members that paths lead to: a document read from its start. Strings are passed over, and so is
//! what lies in objects and arrays that no path leads into.

use std::sync::Arc;

use super::member::{unescaped, Members, LONGEST_NAME, LONGEST_VALUE};

/// How deep objects and arrays may lie in each other.
const DEPTH: usize = 512;

/// Reads JSON documents, one after the other.
pub(super) struct Tree {
    members: Arc<Members>,
    state: State,
    open: Open,
    /// How many names of each path lead to where the reading is.
    followed: Vec<usize>,
    /// What earlier pieces have brought of the string or number that is being read, where it matters.
    held: Vec<u8>,
    scratch: Vec<u8>,
    /// The value that comes next is an id.
    is_wanted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before, between or behind documents.
    Outside,
    /// A value comes; in an array that has just been opened, its end may come instead.
    Value {
        or_end: bool,
    },
    /// A name comes; in an object that has just been opened, its end may come instead.
    Name {
        or_end: bool,
    },
    Colon,
    /// Behind a value.
    After,
    /// In a string; behind a backslash, the next byte is not its end.
    Text {
        is_name: bool,
        is_escaped: bool,
    },
    /// In a number, `true`, `false` or `null`.
    Scalar,
    /// In an object or array that no path leads into, so many of them deep.
    Passing {
        depth: usize,
    },
    /// In a string there.
    PassingText {
        depth: usize,
        is_escaped: bool,
    },
    /// Not JSON: nothing more is read.
    Broken,
}

impl Tree {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self {
            followed: vec![0; members.paths.len()],
            members,
            state: State::Outside,
            open: Open::default(),
            held: Vec::new(),
            scratch: Vec::new(),
            is_wanted: false,
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            let taken = match self.state {
                State::Outside => match memchr::memchr2(b'{', b'[', rest) {
                    Some(0) => {
                        self.state = self.begin(*byte);
                        1
                    }
                    next => next.unwrap_or(rest.len()),
                },
                State::Text {
                    is_name,
                    is_escaped,
                } => self.text(is_name, is_escaped, rest, found),
                State::Scalar => self.scalar(rest, found),
                State::Passing { depth } => self.pass(depth, rest),
                State::PassingText { depth, is_escaped } => {
                    let taken = usize::from(is_escaped);
                    let text = if is_escaped { after } else { rest };
                    let (len, end) = text_in(text);
                    self.state = match end {
                        Some(b'"') => State::Passing { depth },
                        end => State::PassingText {
                            depth,
                            is_escaped: end.is_some(),
                        },
                    };
                    taken + len + usize::from(end.is_some())
                }
                State::Broken => return,
                _ => {
                    if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                        self.state = self.after(*byte);
                    }
                    usize::from(self.state != State::Scalar)
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// A member is complete when something follows it, the end of its object at least: nothing is left
    /// to hand out.
    pub(super) fn end(&mut self) {
        self.state = State::Broken;
    }

    /// What follows a byte between strings and numbers.
    fn after(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::Colon, b':') => State::Value { or_end: false },
            (State::Name { .. }, b'"') => self.begin_text(true),
            (State::Value { .. }, b'"') => self.begin_text(false),
            (State::After, b',') if self.open.is_in_object() => State::Name { or_end: false },
            (State::After, b',') => State::Value { or_end: false },
            (State::After, b'}' | b']')
            | (State::Name { or_end: true }, b'}')
            | (State::Value { or_end: true }, b']') => self.close(byte),
            (State::Value { .. }, b'{' | b'[') => self.begin(byte),
            (State::Value { .. }, byte) if is_scalar(byte) => {
                self.held.clear();
                State::Scalar
            }
            _ => State::Broken,
        }
    }

    fn begin_text(&mut self, is_name: bool) -> State {
        self.held.clear();
        State::Text {
            is_name,
            is_escaped: false,
        }
    }

    fn begin(&mut self, byte: u8) -> State {
        self.is_wanted = false;
        if !self.leads_on() {
            return State::Passing { depth: 1 };
        }
        match (self.open.push(byte == b'{'), byte) {
            (false, _) => State::Broken,
            (true, b'{') => State::Name { or_end: true },
            (true, _) => State::Value { or_end: true },
        }
    }

    fn close(&mut self, byte: u8) -> State {
        if self.open.is_in_object() != (byte == b'}') {
            return State::Broken;
        }
        self.open.pop();
        if self.open.depth == 0 {
            self.followed.fill(0);
            State::Outside
        } else {
            State::After
        }
    }

    /// Whether an id may stand in the value that comes.
    fn leads_on(&self) -> bool {
        let objects = self.open.objects;
        let mut paths = self.members.paths.iter().zip(&self.followed);
        !self.members.anywhere.is_empty()
            || paths.any(|(path, followed)| *followed >= objects && path.len() > objects)
    }

    /// Reads on in a string; returns how much.
    fn text(
        &mut self,
        is_name: bool,
        is_escaped: bool,
        rest: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> usize {
        let is_read = is_name || self.is_wanted;
        let skipped = usize::from(is_escaped);
        let (len, end) = text_in(rest.get(skipped..).unwrap_or_default());
        let len = skipped + len;
        let written = rest.get(..len).unwrap_or_default();
        if end == Some(b'"') {
            self.state = match is_name {
                true => State::Colon,
                false => State::After,
            };
            if is_read && self.held.is_empty() {
                self.end_text(is_name, written, found);
            } else if is_read {
                self.hold(written);
                let held = std::mem::take(&mut self.held);
                self.end_text(is_name, &held, found);
                self.held = held;
            }
            return len + 1;
        }
        let taken = len + usize::from(end.is_some());
        if is_read {
            self.hold(rest.get(..taken).unwrap_or_default());
        }
        self.state = State::Text {
            is_name,
            is_escaped: end.is_some(),
        };
        taken
    }

    fn end_text(&mut self, is_name: bool, written: &[u8], found: &mut dyn FnMut(&[u8])) {
        if is_name {
            self.is_wanted = written.len() <= LONGEST_NAME && self.follow(written);
        } else {
            self.hand_out(written, found);
        }
    }

    /// Reads on in a number or a word; returns how much.
    fn scalar(&mut self, rest: &[u8], found: &mut dyn FnMut(&[u8])) -> usize {
        let len = rest.iter().take_while(|byte| is_scalar(**byte)).count();
        if self.is_wanted {
            self.hold(rest.get(..len).unwrap_or_default());
        }
        if len < rest.len() {
            self.state = State::After;
            if self.is_wanted && self.held.iter().all(u8::is_ascii_digit) {
                let held = std::mem::take(&mut self.held);
                self.hand_out(&held, found);
            }
            self.is_wanted = false;
        }
        len
    }

    /// Reads on where nothing matters but the end; returns how much.
    fn pass(&mut self, depth: usize, rest: &[u8]) -> usize {
        let Some(at) = rest.iter().position(|byte| MATTERS[usize::from(*byte)]) else {
            return rest.len();
        };
        self.state = match rest.get(at) {
            Some(b'"') => State::PassingText {
                depth,
                is_escaped: false,
            },
            Some(b'{' | b'[') => State::Passing { depth: depth + 1 },
            _ if depth > 1 => State::Passing { depth: depth - 1 },
            _ if self.open.depth == 0 => State::Outside,
            _ => State::After,
        };
        at + 1
    }

    /// Follows the paths by a name; returns whether its value is an id.
    fn follow(&mut self, written: &[u8]) -> bool {
        let name = unescaped(written, &mut self.scratch).unwrap_or_default();
        let Some(outer) = self.open.objects.checked_sub(1) else {
            return false;
        };
        let mut is_wanted = self.members.has(name);
        for (path, followed) in self.members.paths.iter().zip(&mut self.followed) {
            // What stood before in this object leads nowhere any more.
            *followed = outer.min(*followed);
            if *followed == outer && path.get(outer).is_some_and(|step| **step == *name) {
                *followed += 1;
                is_wanted |= *followed == path.len();
            }
        }
        is_wanted
    }

    /// Holds one byte more than can count at most, which tells that it is too much.
    fn hold(&mut self, bytes: &[u8]) {
        let room = (LONGEST_VALUE + 1).saturating_sub(self.held.len());
        self.held
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn hand_out(&mut self, written: &[u8], found: &mut dyn FnMut(&[u8])) {
        self.is_wanted = false;
        if written.len() <= LONGEST_VALUE {
            if let Some(value) = unescaped(written, &mut self.scratch) {
                found(value);
            }
        }
    }
}

/// How far a string goes on, and what stands there, if anything: its end or a backslash.
fn text_in(rest: &[u8]) -> (usize, Option<u8>) {
    let len = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    (len, rest.get(len).copied())
}

/// What tells strings and the ends of objects and arrays.
static MATTERS: [bool; 256] = {
    let mut matters = [false; 256];
    let mut bytes: &[u8] = b"\"{}[]";
    while let Some((byte, rest)) = bytes.split_first() {
        matters[*byte as usize] = true;
        bytes = rest;
    }
    matters
};

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

/// The objects and arrays that the reading is in.
#[derive(Default)]
struct Open {
    /// A bit for each, set for an object.
    kinds: [u64; DEPTH / 64],
    depth: usize,
    objects: usize,
}

impl Open {
    /// `false`: it would lie too deep.
    fn push(&mut self, is_object: bool) -> bool {
        let Some(kinds) = self.kinds.get_mut(self.depth / 64) else {
            return false;
        };
        let bit = 1 << (self.depth % 64);
        *kinds = if is_object {
            *kinds | bit
        } else {
            *kinds & !bit
        };
        self.depth += 1;
        self.objects += usize::from(is_object);
        true
    }

    fn pop(&mut self) {
        self.objects -= usize::from(self.is_in_object());
        self.depth = self.depth.saturating_sub(1);
    }

    fn is_in_object(&self) -> bool {
        self.depth.checked_sub(1).is_some_and(|depth| {
            let kinds = self.kinds.get(depth / 64);
            kinds.is_some_and(|kinds| kinds & 1 << (depth % 64) != 0)
        })
    }
}
