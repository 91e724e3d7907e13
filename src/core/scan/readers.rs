//! Which learners read a body: by its media type, and by what the directive says.

use std::sync::Arc;

use super::forms::FormsLearner;
use super::html::HtmlLearner;
use super::inflate::{Coding, Inflating};
use super::json::{JsonLearner, Members, ScriptLearner};
use super::media::{is_json, is_page, is_text};
use super::sse::SseLearner;
use super::text::TextLearner;
use super::Learner;
use crate::directive::{LearnSet, PageLearner};
use crate::parameter::{is_value, parameter};
use crate::url::{Names, Site};

/// What reads the bodies of an upstream's responses, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct Readers {
    names: Arc<Names>,
    members: Arc<Members>,
    page: Option<PageLearner>,
    json: bool,
    sse: bool,
    text: bool,
}

/// The body of one response.
pub struct Body<'a> {
    /// Its Content-Type, with parameters.
    pub media_type: &'a [u8],
    /// How it is compressed.
    pub coding: Option<Coding>,
    /// The id that its request has brought and whose session needs no learning; it may be handed out
    /// all the same.
    pub known: &'a [u8],
}

impl Readers {
    /// The readers of a directive.
    pub fn new(learn: &LearnSet, names: &Arc<Names>) -> Self {
        Self {
            names: Arc::clone(names),
            members: Arc::new(Members::new(&learn.members)),
            page: learn.page,
            json: learn.json,
            sse: learn.sse,
            text: learn.text,
        }
    }

    /// Whether a body of this type would be read, were it not compressed.
    #[inline]
    pub fn read(&self, media_type: &[u8]) -> bool {
        (is_page(media_type) && (self.page.is_some() || self.json))
            || (self.json && holds_json(media_type))
            || (self.sse && is_event_stream(media_type))
            || (self.text && is_text(media_type))
    }

    /// What reads a body; `None`: nothing does. A page is read by `html` or `forms`, by `text` when
    /// neither is there; an event stream by `sse`, else by `text`; and what holds JSON by `json` too.
    pub fn learner(&self, body: &Body<'_>, site: &Site) -> Option<Box<dyn Learner>> {
        let (media_type, known) = (body.media_type, body.known);
        let names = || Arc::clone(&self.names);
        let json = || JsonLearner::new(Arc::clone(&self.members), names()).knowing(known);
        let text = || TextLearner::new(names(), site.clone()).knowing(known);
        let is_page = is_page(media_type);
        let is_stream = is_event_stream(media_type);

        let mut all: Vec<Box<dyn Learner>> = Vec::new();
        match self.page.filter(|_| is_page) {
            Some(PageLearner::Html) => {
                all.push(Box::new(
                    HtmlLearner::new(names(), site.clone()).knowing(known),
                ));
            }
            Some(PageLearner::Forms) => {
                let charset = parameter(media_type, b"charset");
                let charset = charset.as_deref();
                all.push(Box::new(FormsLearner::new(names(), site.clone(), charset)));
            }
            None => {}
        }
        if self.json && is_page {
            all.push(Box::new(ScriptLearner::new(json())));
        }
        if self.json && holds_json(media_type) {
            all.push(Box::new(json()));
        }
        if self.sse && is_stream {
            all.push(Box::new(SseLearner::new(text(), json())));
        }
        let is_read_already = (is_page && self.page.is_some()) || (is_stream && self.sse);
        if self.text && is_text(media_type) && !is_read_already {
            all.push(Box::new(text()));
        }

        let learner: Box<dyn Learner> = match all.len() {
            0 => return None,
            1 => all.pop()?,
            _ => Box::new(Several(all)),
        };
        Some(match body.coding {
            Some(coding) => Box::new(Inflating::new(coding, learner)),
            None => learner,
        })
    }
}

/// JSON, and plain text: Engine.IO sends its packets so.
fn holds_json(media_type: &[u8]) -> bool {
    is_json(media_type) || is_value(media_type, b"text/plain")
}

fn is_event_stream(media_type: &[u8]) -> bool {
    is_value(media_type, b"text/event-stream")
}

/// Learners that read the same body.
struct Several(Vec<Box<dyn Learner>>);

impl Learner for Several {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        for learner in &mut self.0 {
            learner.feed(piece, found);
        }
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        for learner in &mut self.0 {
            learner.end(found);
        }
    }
}
