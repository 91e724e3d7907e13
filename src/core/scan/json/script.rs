//! Finds the session ids in the JSON of an HTML page: in `<script type="application/json">`.

use super::JsonLearner;
use crate::http::media_type::is_json;
use crate::scan::html::tag::{Part, Tag};
use crate::scan::{Found, Learner};

/// The longest `<script …>` that is read, in bytes.
const MAX_SCRIPT_TAG: usize = 2 * 1024;

/// How much of a tag is read in all to find the `>` that ends it, in bytes: after each `>` in a
/// value the tag is read again.
const MAX_READ: usize = 8 * MAX_SCRIPT_TAG;

/// Learns the session ids in the JSON of one page.
pub struct ScriptLearner {
    json: JsonLearner,
    state: ScriptState,
    /// The bytes of the current tag so far, without the `<`.
    tag: Vec<u8>,
    /// How many bytes of it have been read, each time anew.
    read: usize,
}

#[derive(Clone, Copy)]
enum ScriptState {
    Text,
    /// Behind a `<`, in a name that may be `script`.
    Name,
    /// Behind `<script`.
    Attributes,
    Json,
    /// In JSON behind a `<`, with this many bytes of `/script`.
    JsonEnd(usize),
}

impl ScriptLearner {
    /// A learner for one response.
    pub fn new(json: JsonLearner) -> Self {
        Self {
            json,
            state: ScriptState::Text,
            tag: Vec::new(),
            read: 0,
        }
    }

    fn in_tag(&mut self, byte: u8) -> ScriptState {
        const NAME: &[u8] = b"script";

        let at = self.tag.len();
        self.tag.push(byte);
        match NAME.get(at) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => ScriptState::Name,
            Some(_) => self.not_in_tag(byte),
            None if at == NAME.len() && !ends_name(byte) => ScriptState::Text,
            None if at > MAX_SCRIPT_TAG || self.read > MAX_READ => ScriptState::Text,
            None if byte == b'>' => {
                self.read += self.tag.len();
                match holds_json(&self.tag) {
                    Some(true) => ScriptState::Json,
                    Some(false) => ScriptState::Text,
                    None => ScriptState::Attributes,
                }
            }
            None => ScriptState::Attributes,
        }
    }

    /// The tag is another one. `byte` may begin the next.
    fn not_in_tag(&mut self, byte: u8) -> ScriptState {
        self.tag.clear();
        self.read = 0;
        if byte == b'<' {
            ScriptState::Name
        } else {
            ScriptState::Text
        }
    }
}

impl Learner for ScriptLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        const END: &[u8] = b"/script";

        let mut rest = piece;
        while let Some(byte) = rest.first() {
            let mut taken = 1;
            match self.state {
                ScriptState::Text | ScriptState::Json => {
                    let next = memchr::memchr(b'<', rest);
                    taken = next.map_or(rest.len(), |at| at + 1);
                    if matches!(self.state, ScriptState::Json) {
                        self.json.feed(rest.get(..taken).unwrap_or_default(), found);
                        self.state = next.map_or(ScriptState::Json, |_| ScriptState::JsonEnd(0));
                    } else if next.is_some() {
                        self.tag.clear();
                        self.read = 0;
                        self.state = ScriptState::Name;
                    }
                }
                ScriptState::Name | ScriptState::Attributes => self.state = self.in_tag(*byte),
                // Fed as well: a "</script" in a string ends the script for browsers, too.
                ScriptState::JsonEnd(len) => match END.get(len) {
                    None if ends_name(*byte) => {
                        self.json.end(found);
                        self.json.restart();
                        self.state = ScriptState::Text;
                    }
                    Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                        self.state = ScriptState::JsonEnd(len + 1);
                        self.json.feed(&[*byte], found);
                    }
                    _ => {
                        self.state = ScriptState::Json;
                        taken = 0;
                    }
                },
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        if matches!(self.state, ScriptState::Json | ScriptState::JsonEnd(_)) {
            self.json.end(found);
        }
        self.state = ScriptState::Text;
    }
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>')
}

/// Whether a script is of a JSON type. `None`: the tag is incomplete, as its `>` stands in a value.
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
