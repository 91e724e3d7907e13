//! Which learners read a body: by its media type, and by what the directive says.

use std::sync::Arc;

use super::inflate::{Coding, Inflating};
use super::json::Members;
use super::source::{Reading, Source, SOURCES};
use super::Learner;
use crate::scan::learn_set::LearnSet;
use crate::url::{Names, Site};

/// What reads the bodies of an upstream's responses, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct Readers {
    names: Arc<Names>,
    members: Arc<Members>,
    sources: Vec<&'static Source>,
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
        let all = SOURCES.into_iter();
        Self {
            names: Arc::clone(names),
            members: Arc::new(Members::new(&learn.members)),
            sources: all.filter(|one| learn.bodies.contains(one)).collect(),
        }
    }

    /// Whether a body of this type would be read, were it not compressed.
    #[inline]
    pub fn read(&self, media_type: &[u8]) -> bool {
        self.sources.iter().any(|source| (source.reads)(media_type))
    }

    /// What reads a body; `None`: nothing does.
    pub fn learner(&self, body: &Body<'_>, site: &Site) -> Option<Box<dyn Learner>> {
        let reading = Reading {
            body,
            site,
            names: &self.names,
            members: &self.members,
        };
        let mut all: Vec<Box<dyn Learner>> = Vec::new();
        let mut are_urls_read = false;
        for source in &self.sources {
            if (source.reads)(body.media_type) && !(source.finds_urls && are_urls_read) {
                are_urls_read |= source.finds_urls;
                all.push((source.learner)(&reading));
            }
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
