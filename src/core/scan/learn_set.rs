//! Where the session ids of an upstream's responses are looked for.

use super::json::Member;
use super::source::Source;

/// What `learn=` says. When it is empty, no session is learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnSet {
    /// How bodies are read.
    pub bodies: Vec<&'static Source>,
    /// Which members of JSON are ids. Not empty if a source finds members.
    pub members: Vec<Member>,
    /// Which elements and attributes of XML are ids. Not empty if XML is read.
    pub elements: Vec<Box<[u8]>>,
    /// Whether the headers with links are read: Location and its like.
    pub location: bool,
    /// The names of the cookies whose values are ids.
    pub cookies: Vec<Box<[u8]>>,
    /// The names, in lower case, of the headers whose values are ids.
    pub headers: Vec<Box<[u8]>>,
}

impl LearnSet {
    /// Whether URLs are read anywhere.
    pub fn reads_links(&self) -> bool {
        self.location || self.bodies.iter().any(|source| source.finds_urls)
    }

    /// Whether an id may stand in the header of a response.
    pub fn reads_header(&self) -> bool {
        self.location || !self.cookies.is_empty() || !self.headers.is_empty()
    }
}
