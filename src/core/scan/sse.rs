//! Finds the session ids in an event stream (HTML Standard, 9.2): in the URLs and in the JSON of
//! its data lines, as in the `endpoint` event of MCP, whose data is `/messages?session_id=…`.
//!
//! Lines end with CR, LF or both. The data lines of one event are one text, with a line feed
//! between them. An empty line ends the event. Other fields and comments are not read. Events
//! without one of the names, as most are, are skipped as a whole.

mod named;

use std::ops::Range;

use self::named::{Named, NamedIn};
use super::json::JsonLearner;
use super::search::matches::Match;
use super::text::TextLearner;
use super::{Found, FoundIn, Learner, Restart};
use crate::events::Source;

/// A byte order mark may stand before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const FIELD: &[u8] = b"data";

/// How long a piece must be to be searched for events that are skipped, in bytes.
const MIN_SEARCHED: usize = 128;

/// An event that begins so shortly before a name is probably the one with it.
const NEAR: usize = 512;

/// So many members of one event are read where they stand.
const MAX_MEMBERS: usize = 8;

/// Learns the session ids of one event stream.
pub struct SseLearner {
    urls: TextLearner,
    json: JsonLearner,
    /// The id that was handed out last: a URL and a member often have the same.
    last: Vec<u8>,
    /// The data of the current event in the current piece, as far as it has not been read. Lines
    /// are collected, because each reading costs something, however short the line is.
    data: Vec<u8>,
    state: LineState,
}

/// Where an event may have an id.
#[derive(Clone, Copy)]
struct Within {
    urls: bool,
    json: bool,
}

impl Within {
    const BOTH: Self = Self {
        urls: true,
        json: true,
    };

    /// As the names up to there tell.
    fn up_to(end: usize, named: &mut NamedIn<'_>) -> Self {
        let mut within = Self {
            urls: false,
            json: false,
        };
        while let Some(name) = named.take_up_to(end) {
            match name {
                Named::InUrl(_) => within.urls = true,
                Named::Member(_) => within.json = true,
            }
        }
        within
    }
}

#[derive(Clone, Copy)]
enum LineState {
    /// At the start of the stream, with this many bytes of the byte order mark.
    Mark(usize),
    /// At the start of a line. An LF right behind a CR belongs to the line before.
    Start {
        after_cr: bool,
        begins_event: bool,
    },
    /// In the name of a field, with this many bytes of `data`.
    Field(usize),
    /// Behind the colon. One space here is not part of the value.
    Colon,
    Data,
    /// In a line of another field.
    Other,
}

impl LineState {
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
            data: Vec::new(),
            state: LineState::Mark(0),
        }
    }

    /// Reads data, as far as it may have an id in a URL or in JSON.
    fn read(&mut self, data: &[u8], within: Within, found: &mut Found<'_>) {
        let mut found = handing_out(&mut self.last, found);
        if within.urls {
            self.urls.feed(data, &mut found);
        }
        if within.json {
            self.json.feed(data, &mut found);
        }
    }

    /// Reads an event at `at` of a piece without CR that is complete there and has its data in one line, as
    /// most do. Returns where it ends. `None`: it is another one.
    #[inline]
    fn read_event(
        &mut self,
        piece: &[u8],
        at: usize,
        named: &mut NamedIn<'_>,
        found: &mut Found<'_>,
    ) -> Option<usize> {
        let (data, end) = one_line(piece, at)?;
        // With the line feed.
        let text = piece.get(data.start..data.end + 1)?;
        let mut has_url = false;
        let mut members = [Match { end: 0, needle: 0 }; MAX_MEMBERS];
        let mut count = 0;
        while let Some(name) = named.take_up_to(end) {
            match name {
                Named::InUrl(_) => has_url = true,
                Named::Member(name) if name.end > data.start && name.end <= data.end => {
                    if let Some(place) = members.get_mut(count) {
                        place.end = name.end - data.start;
                        place.needle = name.needle;
                    }
                    count += 1;
                }
                Named::Member(_) => {}
            }
        }
        let mut found = handing_out(&mut self.last, found);
        if has_url {
            self.urls.feed(text, &mut found);
        }
        match members.get(..count) {
            Some([]) => {}
            Some(members) => self.json.read_whole(text, members, &mut found),
            None => {
                self.json.feed(text, &mut found);
                self.json.restart();
            }
        }
        Some(end)
    }

    /// Reads the lines that were collected.
    fn read_collected(&mut self, within: Within, found: &mut Found<'_>) {
        if !self.data.is_empty() {
            let mut data = std::mem::take(&mut self.data);
            self.read(&data, within, found);
            data.clear();
            self.data = data;
        }
    }
}

impl Learner for SseLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let (names, members) = (self.urls.needles(), self.json.needles());
        // Small pieces are not searched for events to skip.
        let mut named = match members.are_searched() && piece.len() >= MIN_SEARCHED {
            true => Some(NamedIn::new(piece, &names, &members)),
            false => None,
        };
        // Whether the piece has a CR, once that was asked for.
        let mut has_cr_known = None;
        // Where the current event begins, if it does in this piece and its names are known.
        let mut begun = None;
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            let ends_line = matches!(byte, b'\r' | b'\n');
            let (state, left) = match self.state {
                LineState::Mark(len) => match BYTE_ORDER_MARK.get(len) {
                    Some(expected) if byte == expected => (LineState::Mark(len + 1), after),
                    Some(_) if len > 0 => (LineState::Other, rest),
                    _ => (LineState::start(false, true), rest),
                },
                LineState::Start {
                    after_cr: true,
                    begins_event,
                } if *byte == b'\n' => (LineState::start(false, begins_event), after),
                LineState::Start { begins_event, .. } if ends_line => {
                    if !begins_event {
                        let end = piece.len() - rest.len();
                        // Each of its lines has ended, so that one reader need not know of what
                        // only the other one reads.
                        let within = match (named.as_mut(), begun.take()) {
                            (Some(named), Some(_)) => Within::up_to(end, named),
                            _ => Within::BOTH,
                        };
                        self.read_collected(within, found);
                        self.json.restart();
                    }
                    (LineState::start(*byte == b'\r', true), after)
                }
                LineState::Start { begins_event, .. } => {
                    let at = piece.len() - rest.len();
                    let read = match named.as_mut().filter(|_| begins_event) {
                        Some(named) => {
                            begun = Some(at);
                            let first = named.first_behind(at).min(piece.len());
                            let is_near = first < piece.len() && first - at < NEAR;
                            let has_cr = || memchr::memchr(b'\r', piece).is_some();
                            let read = match is_near && !*has_cr_known.get_or_insert_with(has_cr) {
                                true => self.read_event(piece, at, named, found),
                                false => None,
                            };
                            // Events before the first name are skipped, however they are written.
                            let nameless = || piece.get(at..first).and_then(events_in);
                            read.map(|end| end - at).or_else(nameless)
                        }
                        None => None,
                    };
                    match read.and_then(|len| rest.split_at_checked(len)) {
                        Some((events, left)) => {
                            (LineState::start(events.ends_with(b"\r"), true), left)
                        }
                        None => match rest.strip_prefix(b"data: ") {
                            Some(value) => (LineState::Data, value),
                            None => (LineState::Field(0), rest),
                        },
                    }
                }
                LineState::Field(len) => match FIELD.get(len) {
                    Some(expected) if byte == expected => (LineState::Field(len + 1), after),
                    None if *byte == b':' => (LineState::Colon, after),
                    _ => (LineState::Other, rest),
                },
                LineState::Colon if *byte == b' ' => (LineState::Data, after),
                LineState::Colon => (LineState::Data, rest),
                LineState::Data | LineState::Other => {
                    let end = memchr::memchr2(b'\r', b'\n', rest);
                    let (line, left) = rest
                        .split_at_checked(end.map_or(rest.len(), |end| end + 1))
                        .unwrap_or((rest, &[]));
                    let after_cr = end.is_some() && line.ends_with(b"\r");
                    if matches!(self.state, LineState::Data) {
                        if left.is_empty() && self.data.is_empty() && !after_cr {
                            self.read(line, Within::BOTH, found);
                        } else {
                            let value = line.strip_suffix(b"\r").filter(|_| after_cr);
                            self.data.extend_from_slice(value.unwrap_or(line));
                            self.data.extend(after_cr.then_some(b'\n'));
                        }
                    }
                    let next = end.map(|_| LineState::start(after_cr, false));
                    (next.unwrap_or(self.state), left)
                }
            };
            self.state = state;
            rest = left;
        }
        self.read_collected(Within::BOTH, found);
    }

    fn end(&mut self, _: &mut Found<'_>) {
        // An event without an empty line at its end does not count.
        self.state = LineState::Other;
    }

    fn has_given_up(&self) -> bool {
        self.json.has_given_up()
    }
}

/// Hands out ids, of the same in a row only the first.
fn handing_out<'a>(
    last: &'a mut Vec<u8>,
    found: &'a mut Found<'a>,
) -> impl FnMut(&[u8], FoundIn) -> bool + 'a {
    |id, found_in| {
        let is_last = *last == id;
        let found_in = FoundIn {
            source: Source::Sse,
            ..found_in
        };
        let is_done = is_last || found(id, found_in);
        if is_done && !is_last {
            last.clear();
            last.extend_from_slice(id);
        }
        is_done
    }
}

/// The data of an event at `at`, and where it ends, if one of its lines has data. Lines end with LF.
#[inline]
fn one_line(piece: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let mut at = at;
    let mut data = None;
    loop {
        let rest = piece.get(at..)?;
        let len = memchr::memchr(b'\n', rest)?;
        let line = rest.get(..len)?;
        if line.is_empty() {
            return data.map(|data| (data, at + 1));
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if data.replace(at + len - value.len()..at + len).is_some() {
                return None;
            }
        }
        at += len + 1;
    }
}

/// The length of the events that end in these bytes. `None`: none does.
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
