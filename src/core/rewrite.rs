//! Puts the name of a server as a parameter into the links of a response, for applications without
//! a session id in their URLs. A client that follows such a link comes back to that server, and the
//! balancer has nothing to remember.
//!
//! A link is changed only if it leads to the site itself, and if [`Names::in_query`] finds the
//! parameter in the request for it. Everything else in it stays as it is, byte for byte.

mod page;

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{percent_encode, AsciiSet, NON_ALPHANUMERIC};

use crate::scan::character_references;
use crate::scan::response_headers;
use crate::url::{trimmed, ExtractedId, Names, Site};

pub use page::PageRewriter;

/// What is escaped in a query: all but those characters of server names that a query may have as
/// they are (RFC 3986, 3.4).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/');

/// The parameter that names one server.
#[derive(Clone, Debug)]
pub struct RouteParameter {
    names: Arc<Names>,
    value: Box<[u8]>,
    /// `NAME=VALUE`, escaped for a query.
    pair: Box<[u8]>,
}

/// How a link is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// As it is, in a header.
    Plain,
    /// With character references, in an attribute of a page.
    Html,
}

impl RouteParameter {
    /// The parameter has the first of `names`; `value` is 1 to [`crate::url::MAX_ID`] bytes.
    pub fn new(names: Arc<Names>, value: &[u8]) -> Self {
        let name = names.nth(0).map(|name| &*name.bytes).unwrap_or_default();
        let value_in_query = percent_encode(value, ESCAPED).to_string();
        let pair = [name, b"=", value_in_query.as_bytes()].concat();
        Self {
            value: value.into(),
            pair: pair.into(),
            names,
        }
    }

    /// The value of the header `name`, with the parameter in the URL of a Location or a Refresh
    /// (RFC 9110, 10.2.2; HTML Standard, "shared declarative refresh steps"). `None`: the header
    /// stays as it is.
    pub fn in_header(&self, name: &[u8], value: &[u8], site: &Site) -> Option<Vec<u8>> {
        if name.eq_ignore_ascii_case(b"location") {
            self.in_link(value, site, Notation::Plain)
        } else if name.eq_ignore_ascii_case(b"refresh") {
            self.in_refresh(value, site, Notation::Plain)
        } else {
            None
        }
    }

    /// The link with the parameter as the last one of its query. `None`: the link stays as it is.
    /// It leads elsewhere or to a place in the same page, or the parameter would not be found in
    /// it.
    fn in_link(&self, link: &[u8], site: &Site, notation: Notation) -> Option<Vec<u8>> {
        let link = trimmed(link);
        let mut scratch = Vec::new();
        let read = notation.read(link, &mut scratch);
        // A space written as a reference would stand before the parameter, and be part of its
        // value.
        let is_padded = trimmed(read).len() < read.len();
        if is_padded || matches!(read.first(), None | Some(b'#')) || !site.owns(read) {
            return None;
        }
        let new = self.added(link, notation);
        let mut scratch = Vec::new();
        let found = self.names.in_link(notation.read(&new, &mut scratch), site);
        (found == ExtractedId::Id(Cow::Borrowed(&self.value)) && new != link).then_some(new)
    }

    /// The same for the URL in `5; url=…`.
    fn in_refresh(&self, value: &[u8], site: &Site, notation: Notation) -> Option<Vec<u8>> {
        let mut url = None;
        response_headers::urls_in_header(b"refresh", value, |link| url = Some(link));
        let url = url?;
        // The URL is a part of the value. The same bytes may stand elsewhere in it, too.
        let at = (url.as_ptr() as usize).checked_sub(value.as_ptr() as usize)?;
        let new = self.in_link(url, site, notation)?;
        let (before, rest) = value.split_at_checked(at)?;
        Some([before, &new, rest.get(url.len()..)?].concat())
    }

    fn added(&self, link: &[u8], notation: Notation) -> Vec<u8> {
        let (link, fragment) = link
            .split_at_checked(notation.fragment(link))
            .unwrap_or((link, &[]));
        let at = memchr::memchr(b'?', link).unwrap_or(link.len());
        let (path, query) = link.split_at_checked(at).unwrap_or((link, &[]));
        let query = query.get(1..).unwrap_or_default();
        let query = without_pairs(&self.names, query, notation);
        let separator = match notation {
            _ if query.is_empty() || query.ends_with(b"&") => &b""[..],
            Notation::Html if query.ends_with(b"&amp;") => b"",
            Notation::Html => b"&amp;",
            Notation::Plain => b"&",
        };
        [path, b"?", &query, separator, &self.pair, fragment].concat()
    }
}

impl Notation {
    /// The text as a browser reads it.
    fn read<'a>(self, text: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Notation::Plain => text,
            Notation::Html => character_references::decoded(text, scratch),
        }
    }

    /// Where the fragment of a link begins.
    fn fragment(self, link: &[u8]) -> usize {
        memchr::memchr_iter(b'#', link)
            .find(|at| {
                let before = at.checked_sub(1).and_then(|before| link.get(before));
                self == Notation::Plain || before != Some(&b'&')
            })
            .unwrap_or(link.len())
    }

    /// Where the first separator of pairs stands, and its length.
    fn separator(self, text: &[u8]) -> Option<(usize, usize)> {
        let mut from = 0;
        loop {
            let at = from + memchr::memchr2(b'&', b';', text.get(from..)?)?;
            let reference = match self {
                Notation::Plain => None,
                Notation::Html => text.get(at..).and_then(reference),
            };
            match reference {
                None => return Some((at, 1)),
                Some(b"&amp;" | b"&#38;" | b"&#x26;") => return Some((at, reference?.len())),
                // Any other, like "&lt;", is part of a value.
                Some(other) => from = at + other.len(),
            }
        }
    }
}

/// The character reference at the start of a text, if a semicolon ends it.
fn reference(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"&")?;
    let end = rest
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'#')?;
    let is_one = end > 0 && rest.get(end) == Some(&b';');
    is_one.then_some(text.get(..end + 2)).flatten()
}

/// A query without the pairs of these names, because the server need not see them. The other pairs
/// keep their bytes and their separators.
pub fn without<'a>(names: &Names, query: &'a [u8]) -> Cow<'a, [u8]> {
    without_pairs(names, query, Notation::Plain)
}

fn without_pairs<'a>(names: &Names, query: &'a [u8], notation: Notation) -> Cow<'a, [u8]> {
    // As most have none of them.
    if !pairs(query, notation).any(|(_, pair)| names.have_pair(pair)) {
        return Cow::Borrowed(query);
    }
    let mut kept = Vec::new();
    for (separator, pair) in pairs(query, notation).filter(|(_, pair)| !names.have_pair(pair)) {
        if !kept.is_empty() {
            kept.extend_from_slice(separator);
        }
        kept.extend_from_slice(pair);
    }
    Cow::Owned(kept)
}

/// The pairs of a query, each with the separator before it.
fn pairs(query: &[u8], notation: Notation) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut next = Some((&b""[..], query));
    std::iter::from_fn(move || {
        let (separator, rest) = next.take()?;
        let (end, len) = notation.separator(rest).unwrap_or((rest.len(), 0));
        let (pair, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if !after.is_empty() {
            next = Some(after.split_at_checked(len).unwrap_or((after, &[])));
        }
        Some((separator, pair))
    })
}
