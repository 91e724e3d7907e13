//! A body that is dear to read, as a line of `inputs.txt`: reader, size of the pieces, names, the
//! parts of links that are searched, what the text begins with, and what is repeated behind it,
//! with tabs between them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::json::{JsonLearner, Member, MemberPaths, Members, ScriptLearner};
use sticky_core::scan::sse::SseLearner;
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::xml::XmlNames;
use sticky_core::scan::Learner;
use sticky_core::url::{LinkPart, Names, Site};

/// The readers of bodies: of responses, JSON by names, by paths, and in the scripts of pages; then of
/// requests.
pub const READERS: [&str; 10] = [
    "html",
    "forms",
    "text",
    "sse",
    "json",
    "json-path",
    "json-page",
    "from=json",
    "from=json-path",
    "from=xml",
];

/// So much of a request's body is read.
const MAX_REQUEST: usize = 64 * 1024;

/// The longest text for the reader of forms.
const MAX_FORMS: usize = 40 * 1024;

/// What a line of `inputs.txt` says.
#[derive(Clone, PartialEq)]
pub struct Input {
    pub reader: String,
    pub piece: usize,
    pub names: Vec<String>,
    pub parts: String,
    pub first: Vec<u8>,
    pub then: Vec<u8>,
}

impl Input {
    /// The inputs of a file.
    pub fn all(lines: &str) -> Vec<Self> {
        let lines = lines.lines().filter(|line| !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    fn parse(line: &str) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        let [reader, piece, names, parts, first, then] = columns[..] else {
            panic!("not an input: {line}");
        };
        assert!(READERS.contains(&reader), "not a reader: {line}");
        Self {
            reader: reader.into(),
            piece: piece.parse().expect("a size"),
            names: names.split(',').map(String::from).collect(),
            parts: parts.into(),
            first: unescaped(first),
            then: unescaped(then),
        }
    }

    /// The text, of at least this length. Shorter for the reader of forms, which stops at 4,096 open
    /// elements: more would make it look cheaper than it is.
    pub fn text(&self, len: usize) -> Vec<u8> {
        let len = match &*self.reader {
            "forms" => len.min(MAX_FORMS),
            _ => len,
        };
        let mut text = self.first.clone();
        while text.len() < len {
            text.extend_from_slice(&self.then);
        }
        if self.is_of_requests() {
            text.truncate(MAX_REQUEST);
        }
        text
    }

    /// What the input has in common with others, of which only the dearest is kept.
    pub fn kind(&self) -> String {
        let names = match self.names.len() {
            1 => "one name",
            _ => "several names",
        };
        let piece = match self.piece {
            ..=63 => "tiny",
            64..=1023 => "small",
            _ => "large",
        };
        format!("{}, {names} in {}, {piece} pieces", self.reader, self.parts)
    }

    /// The text for people, the middle of a long one left out.
    pub fn shown(&self) -> String {
        let text = format!(
            "{} ({})…",
            self.first.escape_ascii(),
            self.then.escape_ascii()
        );
        match text.len() {
            ..=100 => text,
            len => format!("{} [{}] {}", &text[..60], len - 90, &text[len - 30..]),
        }
    }

    /// Whether it is a body of a request, which is read at once.
    pub fn is_of_requests(&self) -> bool {
        self.reader.starts_with("from=")
    }

    /// How many ids are found in the body of a request.
    pub fn ids_in(&self, text: &[u8]) -> usize {
        let names = Names::new(
            self.names
                .iter()
                .map(|name| name.as_bytes().into())
                .collect(),
        );
        let mut count = 0;
        // None of them is live.
        let mut visit = |_| {
            count += 1;
            ControlFlow::Continue(())
        };
        let _ = match &*self.reader {
            "from=xml" => {
                let elements: Vec<_> = self
                    .names
                    .iter()
                    .map(|name| name.as_bytes().into())
                    .collect();
                Arc::new(XmlNames::new(&elements)).visit_ids(&names, text, &mut visit)
            }
            _ => {
                let members: Vec<Member> =
                    self.names.iter().map(|name| self.member(name)).collect();
                Arc::new(MemberPaths::new(&members)).visit_ids(&names, text, &mut visit)
            }
        };
        count
    }

    /// The reader of one body.
    pub fn learner(&self) -> Box<dyn Learner> {
        let names = self.names.iter().map(|name| name.as_bytes().into());
        let names = Names::new(names.collect());
        let names = Arc::new(match &*self.parts {
            "query" => names,
            _ => names.in_parts(vec![LinkPart::Query, LinkPart::Path]),
        });
        let site = || Site::new(b"shop.example", &[b"*.cdn.example"[..].into()]);
        let text = || TextLearner::new(Arc::clone(&names), site());
        let json = || {
            let members: Vec<Member> = self.names.iter().map(|name| self.member(name)).collect();
            JsonLearner::new(Arc::new(Members::new(&members)), Arc::clone(&names))
        };
        match &*self.reader {
            "html" => Box::new(HtmlLearner::new(Arc::clone(&names), site())),
            "forms" => Box::new(FormsLearner::new(Arc::clone(&names), site(), None)),
            "text" => Box::new(text()),
            "sse" => Box::new(SseLearner::new(text(), json())),
            "json-page" => Box::new(ScriptLearner::new(json())),
            _ => Box::new(json()),
        }
    }

    fn member(&self, name: &str) -> Member {
        match &*self.reader {
            "json-path" | "from=json-path" => {
                let path = [b"data"[..].into(), name.as_bytes().into()];
                Member::ByPath(path.into())
            }
            _ => Member::ByName(name.as_bytes().into()),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\t{}\t{}\t{}\t{}\t{}",
            self.reader,
            self.piece,
            self.names.join(","),
            self.parts,
            self.first.escape_ascii(),
            self.then.escape_ascii()
        )
    }
}

/// The bytes that `escape_ascii` has written.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next().expect("an escape") {
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                b'x' => {
                    let digits = [(); 2].map(|()| char::from(bytes.next().expect("two digits")));
                    let [high, low] = digits.map(|digit| digit.to_digit(16).expect("a digit"));
                    (high << 4 | low) as u8
                }
                byte => byte,
            },
            byte => byte,
        };
        out.push(byte);
    }
    out
}
