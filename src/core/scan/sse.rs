//! Finds the session ids in an event stream (HTML Standard, 9.2): in the URLs and in the JSON of its
//! data lines, as in the `endpoint` event of MCP, whose data is `/messages?session_id=…`.
//!
//! Lines end with CR, LF or both; the data lines of one event are one text, with a line feed between
//! them; a line without anything ends the event. Other fields and comments teach nothing.

use super::json::JsonLearner;
use super::source::Source;
use super::text::TextLearner;
use super::Learner;
use crate::parameter::is_value;

/// A byte order mark may stand before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

const FIELD: &[u8] = b"data";

/// Learns the session ids of one event stream.
pub struct SseLearner {
    urls: TextLearner,
    json: JsonLearner,
    /// The id that was handed out last: a URL and a member often say the same.
    last: Vec<u8>,
    state: State,
}

/// As `learn=` has it.
pub static SOURCE: Source = Source {
    word: "sse",
    reads: |media_type| is_value(media_type, b"text/event-stream"),
    finds_urls: true,
    finds_members: true,
    learner: |of| Box::new(SseLearner::new(TextLearner::of(of), JsonLearner::of(of))),
};

#[derive(Clone, Copy)]
enum State {
    /// So many bytes of the mark have come.
    Mark(usize),
    /// At the start of a line; behind a CR, a LF belongs to it.
    Start {
        after_cr: bool,
    },
    /// So many bytes of the name of the field have come.
    Field(usize),
    /// Behind the colon: one space is no part of the value.
    Colon,
    Data,
    /// In a line of something else.
    Other,
}

impl SseLearner {
    /// A learner for one response.
    pub fn new(urls: TextLearner, json: JsonLearner) -> Self {
        Self {
            urls,
            json,
            last: Vec::new(),
            state: State::Mark(0),
        }
    }

    fn read(&mut self, data: &[u8], found: &mut dyn FnMut(&[u8])) {
        let last = &mut self.last;
        let mut found = |id: &[u8]| {
            if *last != id {
                last.clear();
                last.extend_from_slice(id);
                found(id);
            }
        };
        self.urls.feed(data, &mut found);
        self.json.feed(data, &mut found);
    }
}

impl Learner for SseLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            let ends_line = matches!(byte, b'\r' | b'\n');
            let begins_line = State::Start {
                after_cr: *byte == b'\r',
            };
            let (state, left) = match self.state {
                State::Mark(len) => match MARK.get(len) {
                    Some(expected) if byte == expected => (State::Mark(len + 1), after),
                    Some(_) if len > 0 => (State::Other, rest),
                    _ => (State::Start { after_cr: false }, rest),
                },
                State::Start { after_cr: true } if *byte == b'\n' => {
                    (State::Start { after_cr: false }, after)
                }
                State::Start { .. } if ends_line => {
                    self.json.restart();
                    (begins_line, after)
                }
                State::Start { .. } => (State::Field(0), rest),
                State::Field(len) => match FIELD.get(len) {
                    Some(expected) if byte == expected => (State::Field(len + 1), after),
                    None if *byte == b':' => (State::Colon, after),
                    _ => (State::Other, rest),
                },
                State::Colon if *byte == b' ' => (State::Data, after),
                State::Colon => (State::Data, rest),
                State::Data | State::Other => {
                    let end = memchr::memchr2(b'\r', b'\n', rest);
                    let (line, left) = rest
                        .split_at_checked(end.unwrap_or(rest.len()))
                        .unwrap_or((rest, &[]));
                    if matches!(self.state, State::Data) {
                        self.read(line, found);
                    }
                    match left.split_first() {
                        None => (self.state, left),
                        Some((end, left)) => {
                            if matches!(self.state, State::Data) {
                                self.read(b"\n", found);
                            }
                            let after_cr = *end == b'\r';
                            (State::Start { after_cr }, left)
                        }
                    }
                }
            };
            self.state = state;
            rest = left;
        }
    }

    fn end(&mut self, _: &mut dyn FnMut(&[u8])) {
        // An event that no empty line ends is none.
        self.state = State::Other;
    }
}
