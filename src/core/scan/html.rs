//! Finds the session ids in a page by looking for the bytes of the name first and at a hit only for
//! what surrounds it: parsing every page would cost ten times as much as nginx's own `sub_filter`.
//!
//! What is found:
//! - the value of any attribute that is a URL with the name where ids are looked for, in its query, in
//!   its path or in both, character references decoded; the lists and prefixes of `srcset`, `style`,
//!   `onclick` and `<meta content="5; url=…">` are taken apart at quotes, white space, `<`, `>`,
//!   parentheses and backslashes;
//! - `<input name=NAME value=…>` and `<button name=NAME value=…>`;
//! - outside tags (text, comments, scripts) a string between such delimiters that is a URL with the
//!   name there. Around a letter like `(S)` a string may hold parentheses.
//!
//! Bounds: a tag is looked at up to [`REACH`] bytes before a hit and read up to [`REACH`] bytes from
//! its start, a string up to [`RUN`] bytes to each side of the hit; so at most about twice [`REACH`]
//! is ever carried over a border of pieces. A quoted value with a `>` in it may be up to [`QUOTED`]
//! bytes long, or the rest of its tag is not read. A string is searched for and read once, however many
//! names stand in it. Of the tags around names, [`ALLOWED`] bytes are looked at in any page, and
//! [`ALLOWED_EACH`] more for each byte that lies before the name; a name for which nothing is left is
//! passed over, unless it stands in the quoted value of an attribute and reads as a link of ours. What one
//! name takes may go beyond that by some [`REACH`]es. `<base href>` counts when it stands in the head and in
//! the first 16 KB. The name must stand literally: characters of it written as references are not
//! seen, nor `%XX` for characters that need no escape. However a page is cut into pieces, the same
//! ids come out in the same order.

mod budget;
mod carry_over;
mod enclosing_tag;
mod head;
mod hit;
pub(super) mod last;
mod links;
mod name_boundary;
pub(super) mod strings;
pub(super) mod tag;

use std::sync::Arc;

use self::head::Head;
use self::hit::Reader;
use super::search::hits::Found;
use super::search::window::{Progress, Window};
use super::search::windowed::{Around, Examine};
use super::source::Source;
use super::Learner;
use crate::http::media_type::is_page;
use crate::url::{Names, Site, MAX_NAME};

pub use self::budget::{ALLOWED, ALLOWED_EACH};

/// How far a tag reaches, in bytes: one that starts further before a hit is not looked at, and one
/// that has not ended by then is not read.
pub const REACH: usize = 8 * 1024;

/// How long a quoted value with a `>` in it may be, in bytes: a tag with a longer one is not read
/// beyond it.
pub const QUOTED: usize = 1024;

/// How far a string reaches to each side of a hit, in bytes.
pub const RUN: usize = 2 * 1024;

/// Learns the session ids of one page.
pub struct HtmlLearner {
    pages: Around<Reader>,
    head: Head,
}

impl HtmlLearner {
    /// A learner for one response.
    pub fn new(names: Arc<Names>, site: Site) -> Self {
        let reader = Reader::new(Arc::clone(&names), site);
        Self {
            pages: Around::new(names, reader),
            head: Head::new(),
        }
    }

    /// The same, for a response whose request has brought an id that need not be learned.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.pages.reader.links.know(id);
        self
    }

    /// The bytes that have been looked at so far beside the search for names and strings: what
    /// [`ALLOWED`] and [`ALLOWED_EACH`] bound.
    #[doc(hidden)]
    pub fn looked_at(&self) -> u64 {
        self.pages.reader.allowance.used()
    }
}

impl Learner for HtmlLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        if let Some((at, href)) = self.head.feed(piece) {
            let place = self.pages.place() + at as u64;
            self.pages.reader.links.rebase(place, href);
        }
        self.pages.feed(piece, found);
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        self.pages.end(found);
    }
}

/// As `learn=` has it.
pub static SOURCE: Source = Source {
    word: "html",
    reads: is_page,
    finds_urls: true,
    finds_members: false,
    learner: |of| {
        let learner = HtmlLearner::new(Arc::clone(of.names), of.site.clone());
        Box::new(learner.knowing(of.body.known))
    },
};

impl Examine for Reader {
    type Needles = Names;

    /// The tag and the string in which a name may stand.
    const BACK: usize = REACH + MAX_NAME;

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Found,
        start: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        Reader::examine(self, window, name, start, found)
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        carry_over::first_needed(carry, piece, self.ends_string())
    }
}
