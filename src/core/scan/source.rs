//! The formats of bodies that session ids are learned from: what `learn=` calls each, which bodies
//! it applies to, and the learner that reads them.

use std::fmt;
use std::sync::Arc;

use super::combined::Combined;
use super::forms::FormsLearner;
use super::html::HtmlLearner;
use super::inflate::Coding;
use super::json::{EngineIoLearner, JsonLearner, Members, ScriptLearner};
use super::literals::{LiteralLearner, LiteralNames};
use super::sse::SseLearner;
use super::text::TextLearner;
use super::xml::{XmlLearner, XmlNames};
use super::{Found, FoundIn, Learner};
use crate::events;
use crate::http::header_value::{is_value, parameter};
use crate::http::media_type::{is_json, is_of_engine_io, is_page, is_text, is_xml};
use crate::url::{Names, Site};

/// All sources of ids in bodies. Of those that find URLs, only the first one that reads a body is
/// used.
pub static SOURCES: [&Source; 7] = [&HTML, &FORMS, &JSON, &SSE, &TEXT, &XML, &SCRIPT];

/// `learn=html`: all links and forms of a page.
pub static HTML: Source = Source {
    word: "html",
    counted_as: events::Source::Html,
    read_as: events::Reader::Html,
    reads: is_page,
    reads_short: |_| false,
    finds_urls: true,
    finds_members: false,
    learner: |of| HtmlLearner::begin(of.names, of.site, of.body.known),
};

/// `learn=forms`: the forms of a page.
pub static FORMS: Source = Source {
    word: "forms",
    counted_as: events::Source::Forms,
    read_as: events::Reader::Forms,
    reads: is_page,
    reads_short: |_| false,
    finds_urls: true,
    finds_members: false,
    learner: |of| {
        let charset = parameter(of.body.media_type, b"charset");
        let learner = FormsLearner::new(Arc::clone(of.names), of.site.clone(), charset.as_deref());
        Box::new(learner)
    },
};

/// `learn=json`: JSON, the scripts of pages, and plain text, as which Engine.IO sends its packets;
/// its older versions send other types. Where ids are segments of paths, also the strings of JSON that
/// are URLs or paths.
pub static JSON: Source = Source {
    word: "json",
    counted_as: events::Source::Json,
    read_as: events::Reader::Json,
    reads: |media_type| {
        is_json(media_type) || is_value(media_type, b"text/plain") || is_page(media_type)
    },
    reads_short: is_of_engine_io,
    finds_urls: false,
    finds_members: true,
    learner: |of| {
        let learner = json(of);
        if is_page(of.body.media_type) {
            Box::new(ScriptLearner::new(learner))
        } else if is_of_engine_io(of.body.media_type) {
            Box::new(EngineIoLearner::new(learner))
        } else if let Some(segments) = of.segments {
            let urls = TextLearner::new(Arc::clone(segments), of.site.clone());
            let urls = OfJson(urls.knowing(of.body.known));
            Box::new(Combined(vec![Box::new(learner), Box::new(urls)]))
        } else {
            Box::new(learner)
        }
    },
};

/// `learn=sse`: the URLs and the JSON in event streams.
pub static SSE: Source = Source {
    word: "sse",
    counted_as: events::Source::Sse,
    read_as: events::Reader::Sse,
    reads: |media_type| is_value(media_type, b"text/event-stream"),
    reads_short: |_| false,
    finds_urls: true,
    finds_members: true,
    learner: |of| Box::new(SseLearner::new(text(of), json(of))),
};

/// `learn=text`: the URLs in any text.
pub static TEXT: Source = Source {
    word: "text",
    counted_as: events::Source::Text,
    read_as: events::Reader::Text,
    reads: is_text,
    reads_short: |_| false,
    finds_urls: true,
    finds_members: false,
    learner: |of| Box::new(text(of)),
};

/// `learn=xml`: XML.
pub static XML: Source = Source {
    word: "xml",
    counted_as: events::Source::Xml,
    read_as: events::Reader::Xml,
    reads: is_xml,
    reads_short: |_| false,
    finds_urls: false,
    finds_members: false,
    learner: |of| {
        let learner = XmlLearner::new(Arc::clone(of.elements), Arc::clone(of.names));
        Box::new(learner.knowing(of.body.known))
    },
};

/// `learn=script`: object literals in the scripts of a page.
pub static SCRIPT: Source = Source {
    word: "script",
    counted_as: events::Source::Script,
    read_as: events::Reader::Script,
    reads: is_page,
    reads_short: |_| false,
    finds_urls: false,
    finds_members: false,
    learner: |of| {
        let learner = LiteralLearner::new(Arc::clone(of.literals), Arc::clone(of.names));
        Box::new(ScriptLearner::of_literals(learner.knowing(of.body.known)))
    },
};

/// The longest body that is read where the media type says little, in bytes: downloads and scripts
/// have the types that Engine.IO has used.
pub const MAX_SHORT: u64 = 8 * 1024;

/// A format of bodies, and how session ids are learned from it.
pub struct Source {
    /// Its word in `learn=`.
    pub word: &'static str,
    /// What is learned from it counts as this.
    pub counted_as: events::Source,
    /// Bodies that it reads count as read by this.
    pub read_as: events::Reader,
    /// Whether it reads bodies of a media type, which may have parameters.
    pub reads: fn(&[u8]) -> bool,
    /// Whether it reads bodies of a media type that are short: [`MAX_SHORT`] at most.
    pub reads_short: fn(&[u8]) -> bool,
    /// Whether it finds ids in URLs.
    pub finds_urls: bool,
    /// Whether it finds ids in members of JSON.
    pub finds_members: bool,
    /// Makes a learner for one body.
    pub learner: fn(&LearnerContext<'_>) -> Box<dyn Learner>,
}

/// The body of one response.
pub struct Body<'a> {
    /// Its Content-Type, with parameters.
    pub media_type: &'a [u8],
    /// How it is compressed.
    pub coding: Option<Coding>,
    /// The id of the request, if its session is known: it need not be learned again. The learner
    /// may hand it out nevertheless.
    pub known: &'a [u8],
}

/// What a learner is made from.
pub struct LearnerContext<'a> {
    /// The body to read.
    pub body: &'a Body<'a>,
    /// The site whose links count.
    pub site: &'a Site,
    /// The names of ids, and the prefixes before them.
    pub names: &'a Arc<Names>,
    /// These prefixes alone, where there are any.
    pub segments: Option<&'a Arc<Names>>,
    /// The members of JSON that are ids.
    pub members: &'a Arc<Members>,
    /// The elements and attributes of XML that are ids.
    pub elements: &'a Arc<XmlNames>,
    /// The members of object literals that are ids.
    pub literals: &'a Arc<LiteralNames>,
}

impl Source {
    /// The source that `learn=` calls so.
    pub fn named(word: &[u8]) -> Option<&'static Self> {
        let mut all = SOURCES.into_iter();
        all.find(|source| source.word.as_bytes() == word)
    }
}

impl Source {
    /// Whether it finds what programs read rather than browsers.
    pub fn is_for_programs(&self) -> bool {
        self.finds_members || [&TEXT, &XML, &SCRIPT].contains(&self)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for Source {}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}

/// Finds the URLs in the strings of JSON.
struct OfJson(TextLearner);

impl Learner for OfJson {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        self.0.feed(piece, &mut as_json(found));
    }

    fn end(&mut self, found: &mut Found<'_>) {
        self.0.end(&mut as_json(found));
    }
}

fn as_json<'a>(found: &'a mut Found<'a>) -> impl FnMut(&[u8], FoundIn) -> bool + 'a {
    |id, found_in| {
        let source = events::Source::Json;
        found(id, FoundIn { source, ..found_in })
    }
}

fn json(of: &LearnerContext<'_>) -> JsonLearner {
    JsonLearner::new(Arc::clone(of.members), Arc::clone(of.names)).knowing(of.body.known)
}

fn text(of: &LearnerContext<'_>) -> TextLearner {
    TextLearner::new(Arc::clone(of.names), of.site.clone()).knowing(of.body.known)
}
