//! Finds the session ids in the payloads of older versions of Engine.IO, which Socket.IO 1 and 2
//! send to clients that poll: packets with their lengths in binary (`application/octet-stream`,
//! `\0\x09\x07\xff0{"sid":…`), or JSONP (JavaScript, `___eio[0]("97:0{\"sid\":…");`).
//!
//! Other bodies of these types are read no further than it takes to tell them.

use super::JsonLearner;
use crate::scan::{Found, Learner};

/// The most digits of a length.
const MAX_DIGITS: usize = 10;

/// The start of JSONP, before the number of the request.
const CALL: &[u8] = b"___eio[";

/// What stands behind that number.
const OPENING: &[u8] = b"](\"";

/// The longest escape of a character: `\u0041`.
const MAX_ESCAPE: usize = 6;

/// Learns the session ids of one payload.
pub struct EngineIoLearner {
    json: JsonLearner,
    state: State,
    /// The start of the payload, or of an escape.
    held: Vec<u8>,
    decoded: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    Start,
    Packets,
    /// In the string of JSONP.
    Text,
    /// Nothing more is read.
    Done,
}

impl EngineIoLearner {
    /// A learner for one response.
    pub fn new(json: JsonLearner) -> Self {
        Self {
            json,
            state: State::Start,
            held: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Decodes a piece of the string of JSONP; returns whether the string goes on.
    fn decode(&mut self, piece: &[u8]) -> bool {
        self.decoded.clear();
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            if !self.held.is_empty() {
                rest = after;
                self.held.push(*byte);
                self.decode_escape();
                continue;
            }
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let (text, behind) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            self.decoded.extend_from_slice(text);
            match behind.split_first() {
                Some((b'\\', after)) => {
                    self.held.push(b'\\');
                    rest = after;
                }
                Some(_) => return false,
                None => break,
            }
        }
        true
    }

    /// Decodes the escape that is held, if it is complete (ECMA-262, 12.9.4).
    fn decode_escape(&mut self) {
        let digits = |from: usize| {
            let digits = self.held.get(from..)?;
            let digits = std::str::from_utf8(digits).ok()?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        };
        let character = match self.held.as_slice() {
            [_, b'u', ..] if self.held.len() < MAX_ESCAPE => return,
            [_, b'x', ..] if self.held.len() < 4 => return,
            // Half of a pair is no character, and stands in no id.
            [_, b'u' | b'x', ..] => digits(2).unwrap_or(char::REPLACEMENT_CHARACTER),
            [_, b'n'] => '\n',
            [_, b'r'] => '\r',
            [_, b't'] => '\t',
            [_, byte] => {
                self.decoded.push(*byte);
                self.held.clear();
                return;
            }
            _ => return,
        };
        let mut buffer = [0; 4];
        self.decoded
            .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        self.held.clear();
    }
}

/// What a start of a payload is, and its length.
fn beginning(start: &[u8]) -> Option<State> {
    if let [0, length @ .., 0xff] = start {
        let is_length = (1..=MAX_DIGITS).contains(&length.len());
        return Some(match is_length && length.iter().all(|digit| *digit <= 9) {
            true => State::Packets,
            false => State::Done,
        });
    }
    if let [0, length @ ..] = start {
        let may_be = length.len() <= MAX_DIGITS && length.iter().all(|digit| *digit <= 9);
        return (!may_be).then_some(State::Done);
    }
    let Some(call) = start.strip_prefix(CALL) else {
        return (!CALL.starts_with(start)).then_some(State::Done);
    };
    let digits = call.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let opening = call.get(digits..).unwrap_or_default();
    if opening == OPENING && digits > 0 {
        return Some(State::Text);
    }
    let may_be = digits <= MAX_DIGITS && OPENING.starts_with(opening);
    (!may_be).then_some(State::Done)
}

impl Learner for EngineIoLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let mut rest = piece;
        while let (State::Start, Some((byte, after))) = (self.state, rest.split_first()) {
            self.held.push(*byte);
            rest = after;
            if let Some(state) = beginning(&self.held) {
                self.state = state;
                self.held.clear();
            }
        }
        match self.state {
            State::Packets => self.json.feed(rest, found),
            State::Text => {
                let goes_on = self.decode(rest);
                self.json.feed(&self.decoded, found);
                if !goes_on {
                    self.end(found);
                }
            }
            State::Start | State::Done => {}
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        if matches!(self.state, State::Packets | State::Text) {
            self.json.end(found);
        }
        self.state = State::Done;
    }

    fn has_given_up(&self) -> bool {
        self.json.has_given_up()
    }
}
