//! The members that paths lead to: a document read from its start, one byte after the other but for
//! the strings, which are passed over.

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
    /// As much as has come of the string or number that is being read, where that matters.
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
    InName,
    InString,
    /// In a string, behind a backslash.
    Escape {
        in_name: bool,
    },
    /// In a number, `true`, `false` or `null`.
    InScalar,
    /// Behind a value.
    After,
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
        while !rest.is_empty() && self.state != State::Broken {
            let taken = match self.state {
                State::Outside => memchr::memchr2(b'{', b'[', rest).unwrap_or(rest.len()),
                State::InName | State::InString => {
                    memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
                }
                State::InScalar => rest.iter().take_while(|b| is_scalar(**b)).count(),
                _ => 0,
            };
            self.hold(rest.get(..taken).unwrap_or_default());
            rest = rest.get(taken..).unwrap_or_default();
            let Some((byte, after)) = rest.split_first() else {
                break;
            };
            rest = after;
            self.state = self.after(*byte, found);
        }
    }

    pub(super) fn end(&mut self, _: &mut dyn FnMut(&[u8])) {
        // A member is complete when something follows it, the end of its object at least.
        self.state = State::Broken;
    }

    fn after(&mut self, byte: u8, found: &mut dyn FnMut(&[u8])) -> State {
        match (self.state, byte) {
            (State::InString, b'"') => {
                self.hand_out(found);
                State::After
            }
            (State::InName, b'"') => {
                self.is_wanted = self.is_name_wanted();
                State::Colon
            }
            (State::InName | State::InString, _) => {
                self.hold(&[byte]);
                State::Escape {
                    in_name: self.state == State::InName,
                }
            }
            (State::Escape { in_name }, _) => {
                self.hold(&[byte]);
                if in_name {
                    State::InName
                } else {
                    State::InString
                }
            }
            (State::InScalar, _) => {
                let is_number = self.held.iter().all(u8::is_ascii_digit);
                self.is_wanted &= is_number;
                self.hand_out(found);
                self.state = State::After;
                self.after(byte, found)
            }
            (State::Outside, b'{' | b'[') => self.begin(byte),
            (State::Outside | State::Broken, _) => self.state,
            (_, b' ' | b'\t' | b'\n' | b'\r') => self.state,
            (State::Colon, b':') => State::Value { or_end: false },
            (State::Name { .. }, b'"') => {
                self.held.clear();
                State::InName
            }
            (State::Name { or_end: true }, b'}') | (State::Value { or_end: true }, b']') => {
                self.close(byte)
            }
            (State::After, b'}' | b']') => self.close(byte),
            (State::After, b',') if self.open.is_in_object() => State::Name { or_end: false },
            (State::After, b',') => State::Value { or_end: false },
            (State::Value { .. }, b'{' | b'[') => self.begin(byte),
            (State::Value { .. }, b'"') => {
                self.held.clear();
                State::InString
            }
            (State::Value { .. }, byte) if is_scalar(byte) => {
                self.held.clear();
                self.hold(&[byte]);
                State::InScalar
            }
            _ => State::Broken,
        }
    }

    fn begin(&mut self, byte: u8) -> State {
        self.is_wanted = false;
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

    /// Whether the value of the name that has been read is an id. Follows the paths.
    fn is_name_wanted(&mut self) -> bool {
        if self.held.len() > LONGEST_NAME {
            self.held.clear();
        }
        let name = unescaped(&self.held, &mut self.scratch).unwrap_or_default();
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

    fn hold(&mut self, bytes: &[u8]) {
        let is_held = match self.state {
            State::InName | State::Escape { in_name: true } => true,
            State::Outside => false,
            _ => self.is_wanted,
        };
        // One more than can count tells that it is too much.
        let room = (LONGEST_VALUE + 1).saturating_sub(self.held.len());
        if is_held {
            let taken = bytes.get(..room).unwrap_or(bytes);
            self.held.extend_from_slice(taken);
        }
    }

    fn hand_out(&mut self, found: &mut dyn FnMut(&[u8])) {
        if std::mem::take(&mut self.is_wanted) && self.held.len() <= LONGEST_VALUE {
            if let Some(value) = unescaped(&self.held, &mut self.scratch) {
                found(value);
            }
        }
    }
}

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
