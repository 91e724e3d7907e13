//! Where the session ids of an upstream's responses are looked for.

use super::json::Member;
use super::source::Source;

/// What `learn=` says. When it is empty, no session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnSet {
    /// How bodies are read.
    pub bodies: Vec<&'static Source>,
    /// Media types that are read beside those of the sources.
    pub types: Vec<MediaType>,
    /// Which members of JSON are ids. Empty if no source finds members, or there is no name.
    pub members: Vec<Member>,
    /// Which elements and attributes of XML are ids. Not empty if XML is read.
    pub elements: Vec<Box<[u8]>>,
    /// Which members of object literals are ids. Not empty if scripts are read.
    pub literals: Vec<Box<[u8]>>,
    /// Whether the headers with links are read: Location and its like.
    pub location: bool,
    /// The names of the cookies whose values are ids.
    pub cookies: Vec<Box<[u8]>>,
    /// The headers whose values, or one of their parameters, are ids.
    pub headers: Vec<HeaderPart>,
    /// The numbers of the variables whose values are ids.
    pub variables: Vec<usize>,
    /// Whether a request begins a session with an id that nobody knows.
    pub request: bool,
}

/// The value of a header, or that of one of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPart {
    /// The name of the header in lower case.
    pub name: Box<[u8]>,
    /// That of the parameter.
    pub parameter: Option<Box<[u8]>>,
}

/// A media type that a source reads, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The source.
    pub source: &'static Source,
    /// The type in lower case, without parameters.
    pub essence: Box<[u8]>,
}

impl LearnSet {
    /// Whether URLs are read anywhere.
    pub fn reads_links(&self) -> bool {
        self.location || self.bodies.iter().any(|source| source.finds_urls)
    }

    /// Whether an id may stand in the header of a response.
    pub fn reads_header(&self) -> bool {
        self.location
            || !self.cookies.is_empty()
            || !self.headers.is_empty()
            || !self.variables.is_empty()
    }
}
