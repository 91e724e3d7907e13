//! Finds the session ids in an event stream (HTML Standard, 9.2): in the URLs and in the JSON of its
//! data lines, as in the `endpoint` event of MCP, whose data is `/messages?session_id=…`.
//!
//! Lines end with CR, LF or both; the data lines of one event are one text, with a line feed between
//! them; a line without anything ends the event. Other fields and comments teach nothing. Nor does an
//! event without a name in it: most are passed over whole.

use std::iter::Peekable;

use super::json::JsonLearner;
use super::search::hits::{Found, Hits, Needles};
use super::source::Source;
use super::text::TextLearner;
use super::Learner;
use crate::http::header_value::is_value;

/// A byte order mark may stand before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

const FIELD: &[u8] = b"data";

const START: Found = Found { end: 0, needle: 0 };

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

impl State {
    fn start(after_cr: bool, begins_event: bool) -> Self {
        Self::Start {
            after_cr,
            begins_event,
        }
    }
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
        let (names, members) = (self.urls.needles(), self.json.needles());
        let mut in_urls = hits(&*names, piece).peekable();
        let mut in_json = hits(&*members, piece).peekable();
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            let ends_line = matches!(byte, b'\r' | b'\n');
            let (state, left) = match self.state {
                State::Mark(len) => match MARK.get(len) {
                    Some(expected) if byte == expected => (State::Mark(len + 1), after),
                    Some(_) if len > 0 => (State::Other, rest),
                    _ => (State::start(false, true), rest),
                },
                State::Start {
                    after_cr: true,
                    begins_event,
                } if *byte == b'\n' => (State::start(false, begins_event), after),
                State::Start { begins_event, .. } if ends_line => {
                    if !begins_event {
                        self.json.restart();
                    }
                    (State::start(*byte == b'\r', true), after)
                }
                State::Start { begins_event, .. } => {
                    let at = piece.len() - rest.len();
                    let quiet = match begins_event && members.are_few() {
                        true => first_behind(&mut in_urls, at).min(first_behind(&mut in_json, at)),
                        false => at,
                    };
                    let quiet = piece.get(at..quiet.min(piece.len())).unwrap_or_default();
                    match events_in(quiet).and_then(|len| rest.split_at_checked(len)) {
                        Some((events, left)) => (State::start(events.ends_with(b"\r"), true), left),
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
                    let next = end.map(|_| State::start(after_cr, false));
                    (next.unwrap_or(self.state), left)
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

fn hits<'a, N: Needles>(needles: &'a N, bytes: &'a [u8]) -> impl Iterator<Item = Found> + 'a {
    let mut hits = Hits::new(needles, bytes, START);
    std::iter::from_fn(move || hits.next(bytes))
}

/// Where a needle ends that ends behind `at`.
fn first_behind(hits: &mut Peekable<impl Iterator<Item = Found>>, at: usize) -> usize {
    while hits.next_if(|hit| hit.end <= at).is_some() {}
    hits.peek().map_or(usize::MAX, |hit| hit.end)
}

/// How long the events are that end in these bytes; `None` when none does.
fn events_in(bytes: &[u8]) -> Option<usize> {
    let mut line_ends = memchr::memchr2_iter(b'\r', b'\n', bytes).rev();
    let last = line_ends.find(|at| {
        matches!(
            bytes.get(..=*at),
            Some(
                [.., b'\n', b'\n'] | [.., b'\r' | b'\n', b'\r'] | [.., b'\r' | b'\n', b'\r', b'\n']
            )
        )
    });
    last.map(|at| at + 1)
}
