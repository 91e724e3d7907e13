//! How bodies can be read. The file of a learner says what `learn=` calls it and which bodies it
//! reads; [`SOURCES`] lists them all.

use std::fmt;
use std::sync::Arc;

use super::json::Members;
use super::readers::Body;
use super::{forms, html, json, sse, text, Learner};
use crate::url::{Names, Site};

/// All that `learn=` can name of bodies. Of those that find URLs, the first one here that reads a body
/// is the only one.
pub static SOURCES: [&Source; 5] = [
    &html::SOURCE,
    &forms::SOURCE,
    &json::SOURCE,
    &sse::SOURCE,
    &text::SOURCE,
];

/// A way to read bodies.
pub struct Source {
    /// Its word in `learn=`.
    pub word: &'static str,
    /// Whether it reads bodies of a media type, which may have parameters.
    pub reads: fn(&[u8]) -> bool,
    /// It finds the names in URLs.
    pub finds_urls: bool,
    /// It finds the members of JSON that are looked for.
    pub finds_members: bool,
    /// A learner for one body.
    pub learner: fn(&Reading<'_>) -> Box<dyn Learner>,
}

/// What a learner is made for.
pub struct Reading<'a> {
    /// The body.
    pub body: &'a Body<'a>,
    /// Whose links count.
    pub site: &'a Site,
    /// The names of ids.
    pub names: &'a Arc<Names>,
    /// The members of JSON that are ids.
    pub members: &'a Arc<Members>,
}

impl Source {
    /// The one that `learn=` calls so.
    pub fn named(word: &[u8]) -> Option<&'static Self> {
        let mut all = SOURCES.into_iter();
        all.find(|source| source.word.as_bytes() == word)
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
