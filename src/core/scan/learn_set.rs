//! Where the ids of an upstream's responses are looked for.

use super::source::Source;

/// Where a response hands out session ids. With nothing at all, no session is learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnSet {
    /// How bodies are read.
    pub bodies: Vec<&'static Source>,
    /// Which strings of JSON are ids, in documents and elsewhere. Not empty where documents are read.
    pub members: Vec<Member>,
    /// Whether the headers that hold links are read: Location and its like.
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

    /// Whether anything in the header of a response may be an id.
    pub fn reads_header(&self) -> bool {
        self.location || !self.cookies.is_empty() || !self.headers.is_empty()
    }
}

/// Which string of a JSON document is a session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// The members of this name, wherever they stand.
    Anywhere(Box<[u8]>),
    /// The member that these names lead to from the outermost object, two or more of them.
    At(Box<[Box<[u8]>]>),
}
