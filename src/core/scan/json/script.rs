//! Finds the session ids in the scripts of an HTML page: in the JSON of `<script
//! type="application/json">`, or in the object literals of ordinary ones.

use super::JsonLearner;
use crate::http::media_type::{is_json, is_script};
use crate::scan::html::tag::{Part, Tag, TagState};
use crate::scan::literals::LiteralLearner;
use crate::scan::{Found, Learner, Restart};

/// The longest `<script …>` that is read, in bytes.
const MAX_SCRIPT_TAG: usize = 2 * 1024;

/// Learns the session ids in some scripts of one page.
pub struct ScriptLearner<L = JsonLearner> {
    text: L,
    /// Whether scripts of a type are read; `None` where the tag names none.
    reads: fn(Option<&[u8]>) -> bool,
    state: ScriptState,
    /// The bytes of the current tag so far, without the `<`.
    tag: Vec<u8>,
}

#[derive(Clone, Copy)]
enum ScriptState {
    Text,
    /// Behind a `<`, in a name that may be `script`.
    Name,
    /// Behind `<script`.
    Attributes(TagState),
    Script,
    /// In a script behind a `<`, with this many bytes of `/script`.
    ScriptEnd(usize),
}

impl ScriptLearner {
    /// A learner for the JSON of one response.
    pub fn new(json: JsonLearner) -> Self {
        Self::of(json, |media_type| media_type.is_some_and(is_json))
    }
}

impl ScriptLearner<LiteralLearner> {
    /// A learner for the ordinary scripts of one response.
    pub fn of_literals(literals: LiteralLearner) -> Self {
        Self::of(literals, |media_type| {
            media_type.is_none_or(|media_type| is_script(media_type.trim_ascii()))
        })
    }
}

impl<L: Restart> ScriptLearner<L> {
    fn of(text: L, reads: fn(Option<&[u8]>) -> bool) -> Self {
        Self {
            text,
            reads,
            state: ScriptState::Text,
            tag: Vec::new(),
        }
    }

    /// Takes a byte of the name behind a `<`.
    fn in_name(&mut self, byte: u8) -> ScriptState {
        const NAME: &[u8] = b"script";

        let at = self.tag.len();
        self.tag.push(byte);
        match NAME.get(at) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => ScriptState::Name,
            Some(_) if byte == b'<' => {
                self.tag.clear();
                ScriptState::Name
            }
            Some(_) => ScriptState::Text,
            None if !ends_name(byte) => ScriptState::Text,
            None => self.behind(TagState::Element.after(byte)),
        }
    }

    /// Reads on in the attributes; returns how many bytes.
    fn in_attributes(&mut self, mut state: TagState, rest: &[u8]) -> usize {
        let room = (MAX_SCRIPT_TAG + 1).saturating_sub(self.tag.len());
        let readable = rest.get(..room).unwrap_or(rest);
        if readable.is_empty() {
            self.state = ScriptState::Text;
            return 1;
        }
        let taken = state.read(readable).unwrap_or(readable.len());
        self.tag
            .extend_from_slice(readable.get(..taken).unwrap_or_default());
        self.state = self.behind(state);
        taken
    }

    /// The state behind a part of the tag.
    fn behind(&self, state: TagState) -> ScriptState {
        match state {
            TagState::Ended if self.reads_script() => ScriptState::Script,
            TagState::Ended => ScriptState::Text,
            state => ScriptState::Attributes(state),
        }
    }

    /// Whether the script is read whose tag this is.
    fn reads_script(&self) -> bool {
        let mut tag = Tag::new(&self.tag);
        loop {
            match tag.next() {
                Part::Attribute(attribute) if attribute.name.eq_ignore_ascii_case(b"type") => {
                    return (self.reads)(Some(attribute.value));
                }
                Part::Attribute(_) => {}
                Part::End(_) => return (self.reads)(None),
                Part::Unfinished => return false,
            }
        }
    }
}

impl<L: Restart> Learner for ScriptLearner<L> {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        const END: &[u8] = b"/script";

        let mut at = 0;
        // Where in the piece the script begins that has not been fed yet.
        let mut from = 0;
        while let Some(rest @ [byte, ..]) = piece.get(at..) {
            match self.state {
                ScriptState::Text => {
                    let next = memchr::memchr(b'<', rest);
                    at += next.map_or(rest.len(), |at| at + 1);
                    if next.is_some() {
                        self.tag.clear();
                        self.state = ScriptState::Name;
                    }
                }
                ScriptState::Name => {
                    self.state = self.in_name(*byte);
                    at += 1;
                    from = at;
                }
                ScriptState::Attributes(state) => {
                    at += self.in_attributes(state, rest);
                    from = at;
                }
                ScriptState::Script => {
                    let next = memchr::memchr(b'<', rest);
                    at += next.map_or(rest.len(), |at| at + 1);
                    if next.is_some() {
                        self.state = ScriptState::ScriptEnd(0);
                    }
                }
                // Fed as well: a "</script" in a string ends the script for browsers, too.
                ScriptState::ScriptEnd(len) => match END.get(len) {
                    None if ends_name(*byte) => {
                        self.text
                            .feed(piece.get(from..at).unwrap_or_default(), found);
                        self.text.end(found);
                        self.text.restart();
                        self.state = ScriptState::Text;
                        at += 1;
                    }
                    Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                        self.state = ScriptState::ScriptEnd(len + 1);
                        at += 1;
                    }
                    _ => self.state = ScriptState::Script,
                },
            }
        }
        if matches!(self.state, ScriptState::Script | ScriptState::ScriptEnd(_)) {
            self.text.feed(piece.get(from..).unwrap_or_default(), found);
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        if matches!(self.state, ScriptState::Script | ScriptState::ScriptEnd(_)) {
            self.text.end(found);
        }
        self.state = ScriptState::Text;
    }

    fn has_given_up(&self) -> bool {
        self.text.has_given_up()
    }
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>')
}
