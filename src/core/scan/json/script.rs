//! The JSON in an HTML page: what stands in `<script type="application/json">`.

use super::JsonLearner;
use crate::http::media_type::is_json;
use crate::scan::html::tag::{Part, Tag};
use crate::scan::Learner;

/// The longest `<script …>` that is read, in bytes.
const LONGEST: usize = 2 * 1024;

/// How much of a tag is read in all to tell which `>` ends it, in bytes: each one in a value has it read
/// once more.
const READ: usize = 8 * LONGEST;

/// Learns the session ids in the JSON of one page.
pub struct ScriptLearner {
    json: JsonLearner,
    state: State,
    /// What has come of the tag that is being read, without the `<`.
    tag: Vec<u8>,
    /// What has been read of it, over and over.
    read: usize,
}

#[derive(Clone, Copy)]
enum State {
    Text,
    /// Behind a `<`, in a name that may become `script`.
    Name,
    /// In `<script`, behind its name.
    Attributes,
    Json,
    /// The same, behind a `<`: so many bytes of `/script` have come.
    JsonEnd(usize),
}

impl ScriptLearner {
    /// A learner for one response.
    pub fn new(json: JsonLearner) -> Self {
        Self {
            json,
            state: State::Text,
            tag: Vec::new(),
            read: 0,
        }
    }

    fn in_tag(&mut self, byte: u8) -> State {
        const NAME: &[u8] = b"script";

        let at = self.tag.len();
        self.tag.push(byte);
        match NAME.get(at) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => State::Name,
            Some(_) => self.not_in_tag(byte),
            None if at == NAME.len() && !ends_name(byte) => State::Text,
            None if at > LONGEST || self.read > READ => State::Text,
            None if byte == b'>' => {
                self.read += self.tag.len();
                match holds_json(&self.tag) {
                    Some(true) => State::Json,
                    Some(false) => State::Text,
                    None => State::Attributes,
                }
            }
            None => State::Attributes,
        }
    }

    /// A name of another tag; a `<` begins the next one.
    fn not_in_tag(&mut self, byte: u8) -> State {
        self.tag.clear();
        self.read = 0;
        if byte == b'<' {
            State::Name
        } else {
            State::Text
        }
    }
}

impl Learner for ScriptLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        const END: &[u8] = b"/script";

        let mut rest = piece;
        while let Some(byte) = rest.first() {
            let mut taken = 1;
            match self.state {
                State::Text | State::Json => {
                    let next = memchr::memchr(b'<', rest);
                    taken = next.map_or(rest.len(), |at| at + 1);
                    if matches!(self.state, State::Json) {
                        self.json.feed(rest.get(..taken).unwrap_or_default(), found);
                        self.state = next.map_or(State::Json, |_| State::JsonEnd(0));
                    } else if next.is_some() {
                        self.tag.clear();
                        self.read = 0;
                        self.state = State::Name;
                    }
                }
                State::Name | State::Attributes => self.state = self.in_tag(*byte),
                // JSON with such an end in a string would end for browsers too, so that it may be read.
                State::JsonEnd(len) => match END.get(len) {
                    None if ends_name(*byte) => {
                        self.json.end(found);
                        self.json.restart();
                        self.state = State::Text;
                    }
                    Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                        self.state = State::JsonEnd(len + 1);
                        self.json.feed(&[*byte], found);
                    }
                    _ => {
                        self.state = State::Json;
                        taken = 0;
                    }
                },
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        if matches!(self.state, State::Json | State::JsonEnd(_)) {
            self.json.end(found);
        }
        self.state = State::Text;
    }
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>')
}

/// Whether a script is of a JSON type. `None`: the tag goes on, the `>` stands in a value.
fn holds_json(tag: &[u8]) -> Option<bool> {
    let mut tag = Tag::new(tag);
    let mut is_json_type = None;
    loop {
        match tag.next() {
            Part::Attribute(attribute) if attribute.name.eq_ignore_ascii_case(b"type") => {
                is_json_type.get_or_insert(is_json(attribute.value));
            }
            Part::Attribute(_) => {}
            Part::End(_) => return Some(is_json_type.unwrap_or(false)),
            Part::Unfinished => return None,
        }
    }
}
