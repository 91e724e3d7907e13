//! Finds the session ids in an event stream (HTML Standard, 9.2): in the URLs and in the JSON of its
//! data lines, as in the `endpoint` event of MCP, whose data is `/messages?session_id=…`.
//!
//! Lines end with CR, LF or both; the data lines of one event are one text, with a line feed between
//! them; a line without anything ends the event. Other fields and comments teach nothing. Nor does an
//! event without a name in it: most are passed over whole.

use super::json::JsonLearner;
use super::text::TextLearner;
use super::Learner;

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

#[derive(Clone, Copy)]
enum State {
    /// So many bytes of the mark have come.
    Mark(usize),
    /// At the start of a line; behind a CR, a LF belongs to it.
    Start {
        after_cr: bool,
        begins_event: bool,
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

    /// Whether an id may stand in a whole event.
    fn may_hold(&self, event: &[u8]) -> bool {
        self.urls.may_hold(event) || self.json.may_hold(event)
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
            let start = State::Start {
                after_cr: false,
                begins_event: true,
            };
            let (state, left) = match self.state {
                State::Mark(len) => match MARK.get(len) {
                    Some(expected) if byte == expected => (State::Mark(len + 1), after),
                    Some(_) if len > 0 => (State::Other, rest),
                    _ => (start, rest),
                },
                State::Start {
                    after_cr: true,
                    begins_event,
                } if *byte == b'\n' => {
                    let after_cr = false;
                    let state = State::Start {
                        after_cr,
                        begins_event,
                    };
                    (state, after)
                }
                State::Start { begins_event, .. } if ends_line => {
                    if !begins_event {
                        self.json.restart();
                    }
                    let state = State::Start {
                        after_cr: *byte == b'\r',
                        begins_event: true,
                    };
                    (state, after)
                }
                State::Start { begins_event, .. } => {
                    let event = begins_event.then(|| event_in(rest)).flatten();
                    match event.filter(|(event, _)| !self.may_hold(event)) {
                        Some((_, left)) => (start, left),
                        None => (State::Field(0), rest),
                    }
                }
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
                        .split_at_checked(end.map_or(rest.len(), |end| end + 1))
                        .unwrap_or((rest, &[]));
                    let after_cr = end.is_some() && line.ends_with(b"\r");
                    if matches!(self.state, State::Data) {
                        if after_cr {
                            self.read(line.get(..line.len() - 1).unwrap_or_default(), found);
                            self.read(b"\n", found);
                        } else {
                            self.read(line, found);
                        }
                    }
                    let next = State::Start {
                        after_cr,
                        begins_event: false,
                    };
                    (end.map_or(self.state, |_| next), left)
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

/// The event that the bytes begin with, when it has ended in them, and what follows it.
fn event_in(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let line = bytes.get(at..)?;
        let end = memchr::memchr2(b'\r', b'\n', line)?;
        at += match line.get(end..)? {
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            [b'\r', _, ..] => end + 1,
            // A LF may follow.
            _ => return None,
        };
        if end == 0 {
            return bytes.split_at_checked(at);
        }
    }
}
