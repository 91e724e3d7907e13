//! Finds the session ids in XML: the content of elements and the values of attributes of some
//! names, in one pass that costs in proportion to the length of the text.
//!
//! Names are local names, whatever their prefix. The content of an element counts if it is text
//! alone, also in CDATA sections; white space around an id does not belong to it. Of references,
//! those to characters (`&#45;`) and the five that XML itself defines are decoded; a value with
//! another one is none. A document type declaration ends the reading: nobody needs one in these
//! messages, and entities are defined there. Encodings that are not a superset of ASCII are not read.
//!
//! In a well-formed document this finds what a parser finds; in any other it reads on. Bounds: less
//! than twice the length of a value is held.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Found, FoundIn, Learner};
use crate::candidates::MAX_CANDIDATES;
use crate::events::Source;
use crate::url::{Names, MAX_ID, MAX_NAMES};

/// The longest way to write an id: a reference for each byte, and some white space.
const MAX_WRITTEN: usize = 6 * MAX_ID + 256;

/// The longest name that is compared, with its prefix.
const MAX_QUALIFIED_NAME: usize = 256;

/// So much of a request's body is read before it is asked whether an id in it has sufficed.
const READ_AT_ONCE: usize = 4 * 1024;

/// The local names of the elements and attributes that are session ids, in the order in which they
/// count; [`MAX_NAMES`] at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlNames(Vec<Box<[u8]>>);

impl XmlNames {
    /// Names from the ninth on are left out; the directive has no more.
    pub fn new(names: &[Box<[u8]>]) -> Self {
        Self(names.iter().take(MAX_NAMES).cloned().collect())
    }

    /// The name of this index.
    pub fn name(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index).map(|name| &**name)
    }

    /// Whether this is one of the names.
    pub fn have(&self, name: &[u8]) -> bool {
        self.0.iter().any(|own| **own == *name)
    }

    /// Visits the ids in the body of a request, or in its start, in the order of the names: those of
    /// one name as they stand in the body, [`MAX_CANDIDATES`] of them at most where there are several
    /// names. `names` say where an id ends.
    pub fn visit_ids(
        self: &Arc<Self>,
        names: &Names,
        body: &[u8],
        visit: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit_with_name(names, body, &mut |_, id| visit(id))
    }

    /// The same, with the index of the name of each.
    pub fn visit_with_name(
        self: &Arc<Self>,
        names: &Names,
        body: &[u8],
        visit: &mut dyn FnMut(usize, Vec<u8>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut reader = XmlReader::new(Arc::clone(self));
        if self.0.len() == 1 {
            let mut read = |name, value: &[u8]| match names.id_in(value) {
                Some(id) => visit(name, id.to_vec()),
                None => ControlFlow::Continue(()),
            };
            let mut pieces = body.chunks(READ_AT_ONCE);
            return pieces.try_for_each(|piece| reader.feed(piece, &mut read));
        }
        let mut ids: [Vec<Vec<u8>>; MAX_NAMES] = Default::default();
        let mut read = |name: usize, value: &[u8]| {
            if let Some((id, of_name)) = names.id_in(value).zip(ids.get_mut(name)) {
                if of_name.len() < MAX_CANDIDATES && !of_name.iter().any(|own| own == id) {
                    of_name.push(id.to_vec());
                }
            }
            ControlFlow::Continue(())
        };
        reader.feed(body, &mut read)?;
        for (name, of_name) in ids.into_iter().enumerate() {
            of_name.into_iter().try_for_each(|id| visit(name, id))?;
        }
        ControlFlow::Continue(())
    }

    /// The index of the local part of a name.
    fn index(&self, qualified: &[u8]) -> Option<usize> {
        if qualified.len() > MAX_QUALIFIED_NAME {
            return None;
        }
        let local = match memchr::memchr(b':', qualified) {
            Some(colon) => qualified.get(colon + 1..)?,
            None => qualified,
        };
        self.0.iter().position(|own| **own == *local)
    }
}

/// Learns the session ids of one XML document.
pub struct XmlLearner {
    reader: XmlReader,
    names: Arc<Names>,
    last: Vec<u8>,
}

impl XmlLearner {
    /// A learner for one response. `names` say where an id ends ([`Names::id_in`]).
    pub fn new(elements: Arc<XmlNames>, names: Arc<Names>) -> Self {
        Self {
            reader: XmlReader::new(elements),
            names,
            last: Vec::new(),
        }
    }

    /// The same, for a response to a request with an id that need not be learned again.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.last = id.to_vec();
        self
    }
}

impl Learner for XmlLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let Self {
            reader,
            names,
            last,
        } = self;
        let _ = reader.feed(piece, &mut |_, value| {
            if let Some(id) = names.id_in(value).filter(|id| *id != last.as_slice()) {
                if found(id, FoundIn::other(Source::Xml)) {
                    last.clear();
                    last.extend_from_slice(id);
                }
            }
            ControlFlow::Continue(())
        });
    }

    /// What is not complete is no id.
    fn end(&mut self, _: &mut Found<'_>) {
        self.reader.state = State::Done;
    }

    fn has_given_up(&self) -> bool {
        self.reader.has_given_up
    }
}

/// Takes the index of a name, and its value.
type Visit<'a> = dyn FnMut(usize, &[u8]) -> ControlFlow<()> + 'a;

struct XmlReader {
    elements: Arc<XmlNames>,
    state: State,
    /// Of the element whose content is read, the index of its name.
    content_of: Option<usize>,
    /// Of the tag that is read.
    tag_of: Option<usize>,
    /// A name, a value or the start of a declaration, as far as it was in earlier pieces.
    held: Vec<u8>,
    /// Text of the content that is not decoded yet.
    text: Vec<u8>,
    content: Vec<u8>,
    /// There is a document type.
    has_given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Behind a `<`.
    Markup,
    /// Behind `<!`.
    Declaration,
    /// In what ends so, of which so many bytes have been matched.
    Until(&'static [u8], usize),
    EndTag,
    ElementName,
    Tag,
    AttributeName,
    /// Behind the name of an attribute; the index of its name.
    Equals(Option<usize>),
    /// Behind the `=`.
    Quote(Option<usize>),
    Value(Option<usize>, u8),
    /// Nothing more is read.
    Done,
}

const COMMENT_END: &[u8] = b"-->";
const CDATA_END: &[u8] = b"]]>";
const INSTRUCTION_END: &[u8] = b"?>";

impl XmlReader {
    fn new(elements: Arc<XmlNames>) -> Self {
        Self {
            elements,
            state: State::Text,
            content_of: None,
            tag_of: None,
            held: Vec::new(),
            text: Vec::new(),
            content: Vec::new(),
            has_given_up: false,
        }
    }

    /// Reads on, until `visit` breaks.
    fn feed(&mut self, piece: &[u8], visit: &mut Visit<'_>) -> ControlFlow<()> {
        let mut at = 0;
        while let Some(rest @ [byte, ..]) = piece.get(at..) {
            at += match self.state {
                State::Text => self.in_text(rest),
                State::Markup => self.in_markup(*byte, visit)?,
                State::Declaration => self.in_declaration(*byte),
                State::Until(end, matched) => self.until(end, matched, rest),
                State::EndTag => match memchr::memchr(b'>', rest) {
                    Some(end) => {
                        self.state = State::Text;
                        end + 1
                    }
                    None => rest.len(),
                },
                State::ElementName | State::AttributeName => self.in_name(rest),
                State::Tag => self.in_tag(*byte),
                State::Equals(name) => match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => 1,
                    b'=' => {
                        self.state = State::Quote(name);
                        1
                    }
                    _ => {
                        self.state = State::Tag;
                        0
                    }
                },
                State::Quote(name) => match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => 1,
                    b'"' | b'\'' => {
                        self.held.clear();
                        self.state = State::Value(name, *byte);
                        1
                    }
                    _ => {
                        self.state = State::Tag;
                        0
                    }
                },
                State::Value(name, quote) => self.in_value(name, quote, rest, visit)?,
                State::Done => return ControlFlow::Continue(()),
            };
        }
        ControlFlow::Continue(())
    }

    fn in_text(&mut self, rest: &[u8]) -> usize {
        let end = memchr::memchr(b'<', rest);
        let len = end.unwrap_or(rest.len());
        if self.content_of.is_some() {
            let mut text = rest.get(..len).unwrap_or_default();
            if self.text.is_empty() && self.content.is_empty() {
                text = text.trim_ascii_start();
            }
            hold(&mut self.text, text);
        }
        if end.is_some() {
            self.state = State::Markup;
        }
        len + usize::from(end.is_some())
    }

    fn in_markup(&mut self, byte: u8, visit: &mut Visit<'_>) -> ControlFlow<(), usize> {
        self.held.clear();
        match byte {
            b'/' => {
                self.state = State::EndTag;
                self.decode_text();
                if let Some(name) = self.content_of.take() {
                    let id = self.content.trim_ascii();
                    if !id.is_empty() {
                        visit(name, id)?;
                    }
                }
            }
            b'!' => {
                self.decode_text();
                self.state = State::Declaration;
            }
            b'?' => {
                self.decode_text();
                self.state = State::Until(INSTRUCTION_END, 0);
            }
            _ => {
                // The element around this one has more than text.
                self.content_of = None;
                self.state = State::ElementName;
                return ControlFlow::Continue(0);
            }
        }
        ControlFlow::Continue(1)
    }

    fn in_declaration(&mut self, byte: u8) -> usize {
        const COMMENT: &[u8] = b"--";
        const CDATA: &[u8] = b"[CDATA[";

        self.held.push(byte);
        let begun = self.held.as_slice();
        if begun == COMMENT {
            self.state = State::Until(COMMENT_END, 0);
        } else if begun == CDATA {
            self.state = State::Until(CDATA_END, 0);
        } else if !COMMENT.starts_with(begun) && !CDATA.starts_with(begun) {
            self.state = State::Done;
            self.has_given_up = true;
        }
        1
    }

    /// Reads on up to the end of a comment, a CDATA section or an instruction. All of these ends
    /// are the same byte once or twice, and a `>`.
    fn until(&mut self, end: &'static [u8], matched: usize, rest: &[u8]) -> usize {
        let first = end.first().copied().unwrap_or_default();
        let (mut matched, mut at) = (matched, 0);
        let is_complete = loop {
            if matched == 0 {
                match memchr::memchr(first, rest.get(at..).unwrap_or_default()) {
                    Some(next) => at += next,
                    None => {
                        at = rest.len();
                        break false;
                    }
                }
            }
            let Some(byte) = rest.get(at) else {
                break false;
            };
            at += 1;
            matched = match end.get(matched) {
                Some(expected) if expected == byte => matched + 1,
                _ if *byte == first => end.len() - 1,
                _ => 0,
            };
            if matched == end.len() {
                break true;
            }
        };
        if end == CDATA_END && self.content_of.is_some() {
            hold(&mut self.content, rest.get(..at).unwrap_or_default());
            self.check_content();
            if is_complete {
                let len = self.content.len().saturating_sub(end.len());
                self.content.truncate(len);
            }
        }
        self.state = match is_complete {
            true => State::Text,
            false => State::Until(end, matched),
        };
        at
    }

    /// Reads on in the name of an element or of an attribute.
    fn in_name(&mut self, rest: &[u8]) -> usize {
        let is_in_name =
            |byte: &&u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'/' | b'>' | b'=');
        let len = rest.iter().take_while(is_in_name).count();
        hold(&mut self.held, rest.get(..len).unwrap_or_default());
        if len < rest.len() {
            let index = self.elements.index(&self.held);
            if self.state == State::ElementName {
                self.tag_of = index;
                self.state = State::Tag;
            } else {
                // A prefix that is declared is no attribute.
                let is_prefix = self.held.starts_with(b"xmlns:");
                self.state = State::Equals(index.filter(|_| !is_prefix));
            }
        }
        len
    }

    fn in_tag(&mut self, byte: u8) -> usize {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'>' => {
                self.content_of = self.tag_of.take();
                self.text.clear();
                self.content.clear();
                self.state = State::Text;
            }
            // The element has no content.
            b'/' => self.tag_of = None,
            b'=' => {}
            _ => {
                self.held.clear();
                self.state = State::AttributeName;
                return 0;
            }
        }
        1
    }

    fn in_value(
        &mut self,
        name: Option<usize>,
        quote: u8,
        rest: &[u8],
        visit: &mut Visit<'_>,
    ) -> ControlFlow<(), usize> {
        let end = memchr::memchr(quote, rest);
        let len = end.unwrap_or(rest.len());
        if name.is_some() {
            hold(&mut self.held, rest.get(..len).unwrap_or_default());
        }
        if end.is_none() {
            return ControlFlow::Continue(len);
        }
        self.state = State::Tag;
        if let Some(name) = name.filter(|_| self.held.len() <= MAX_WRITTEN) {
            let mut value = Vec::new();
            if decode(&self.held, &mut value).is_some() {
                let id = value.trim_ascii();
                if !id.is_empty() {
                    visit(name, id)?;
                }
            }
        }
        ControlFlow::Continue(len + 1)
    }

    /// Decodes the text up to some markup.
    fn decode_text(&mut self) {
        if self.content_of.is_some() && decode(&self.text, &mut self.content).is_none() {
            self.content_of = None;
        }
        self.text.clear();
        self.check_content();
    }

    /// Content that is too long is none.
    fn check_content(&mut self) {
        if self.content.len() > MAX_WRITTEN {
            self.content_of = None;
        }
    }
}

/// Appends up to one byte more than a value can have, which tells that it is too long.
fn hold(held: &mut Vec<u8>, bytes: &[u8]) {
    let room = (MAX_WRITTEN + 1).saturating_sub(held.len());
    held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

/// Appends what is written so in a text or in the value of an attribute (XML 1.0, 4.1 and 4.6).
/// `None`: with a reference to something else, or too long.
fn decode(written: &[u8], value: &mut Vec<u8>) -> Option<()> {
    if written.len() > MAX_WRITTEN {
        return None;
    }
    let mut rest = written;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (plain, reference) = rest.split_at_checked(at)?;
        value.extend_from_slice(plain);
        let end = memchr::memchr(b';', reference)?;
        let name = reference.get(1..end)?;
        let character = match name {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"apos" => '\'',
            b"quot" => '"',
            [b'#', b'x', digits @ ..] => numbered(digits, 16)?,
            [b'#', digits @ ..] => numbered(digits, 10)?,
            _ => return None,
        };
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = reference.get(end + 1..)?;
    }
    value.extend_from_slice(rest);
    Some(())
}

fn numbered(digits: &[u8], radix: u32) -> Option<char> {
    // from_str_radix() would also take a sign.
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    });
    let character = char::from_u32(number.filter(|_| !digits.is_empty())?)?;
    // XML 1.0, 2.2.
    let is_allowed = character >= ' ' || matches!(character, '\t' | '\n' | '\r');
    is_allowed.then_some(character)
}
