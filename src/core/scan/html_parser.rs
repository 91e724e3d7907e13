//! What is common to the two users of lol_html, a real HTML parser: the learner of forms, and the
//! rewriter of pages.
//!
//! Both have it read pages as x-user-defined, which maps each byte to a character of its own and
//! back. So a page keeps its bytes whatever its charset is, and what ends a tag or a value stays
//! the same.

use std::borrow::Cow;
use std::cell::RefCell;

use encoding_rs::{Encoding, X_USER_DEFINED};
use lol_html::html_content::{Attribute, Element};
use lol_html::{element, AsciiCompatibleEncoding, MemorySettings};
use lol_html::{ElementContentHandlers, HandlerResult, Selector};

/// What lol_html may hold of one page, in bytes: the current tag, and 128 for each element without
/// an end tag so far. Valid pages omit those of `li`, `td` or `option`, so thousands may be open.
/// Beyond that, the rest of the page is not read.
///
/// lol_html doubles the room for open elements, so that 4,096 of them take 512 KB to the byte. The
/// rest is for the tag.
pub const MAX_MEMORY: usize = (512 + 16) * 1024;

/// lol_html keeps the names of open elements beside that, each twice. Up to so many bytes of a name
/// are free; those beyond, of all names of a page, are counted ([`MAX_NAMES`]).
const SHORT_NAME: usize = 2 * BLOCK;

/// Text is examined in blocks of so many bytes. Between the ends of names in two of them, one after
/// the other, no name has more than [`SHORT_NAME`] bytes.
const BLOCK: usize = 32;

/// Bytes of long names in one page, after which the rest of the page is not read. A `<` in a script
/// seems to begin a name, too: some 1 % of a minified one count.
const MAX_NAMES: usize = 128 * 1024;

/// Watches the names of the tags in a page.
pub(crate) struct TagNames {
    state: InPage,
    /// So many bytes of long names may come yet.
    left: usize,
}

#[derive(Clone, Copy)]
enum InPage {
    Text,
    /// Behind a `<`.
    Open,
    /// So many bytes of a name have come.
    Name(usize),
}

impl TagNames {
    pub(crate) fn new() -> Self {
        Self {
            state: InPage::Text,
            left: MAX_NAMES,
        }
    }

    /// Whether the names up to the end of the next piece of the page are not too long in sum.
    pub(crate) fn allow(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        loop {
            if matches!(self.state, InPage::Text) {
                rest = without_long_names(rest);
            }
            let Some(first) = rest.first() else { break };
            let (next, len) = match self.state {
                InPage::Text => match memchr::memchr(b'<', rest) {
                    Some(at) => (InPage::Open, at + 1),
                    None => break,
                },
                InPage::Open if first.is_ascii_alphabetic() => (InPage::Name(0), 0),
                InPage::Open => (InPage::Text, 0),
                InPage::Name(before) => {
                    let end = rest.iter().position(|byte| {
                        matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'/' | b'>')
                    });
                    let len = end.unwrap_or(rest.len());
                    let long = (before + len).saturating_sub(SHORT_NAME.max(before));
                    let Some(left) = self.left.checked_sub(long) else {
                        return false;
                    };
                    self.left = left;
                    let next = match end {
                        Some(_) => InPage::Text,
                        None => InPage::Name(before + len),
                    };
                    (next, len)
                }
            };
            self.state = next;
            rest = rest.get(len..).unwrap_or_default();
        }
        true
    }
}

/// Leaves out what has an end of a name in every block. Whether names are long is asked for each
/// byte of a page, and this is what makes it cheap.
fn without_long_names(text: &[u8]) -> &[u8] {
    // Without a branch for each byte, which makes it a few instructions for a block.
    let has = |block: &[u8; BLOCK], end| block.iter().fold(false, |any, byte| any | (*byte == end));
    let has_end = |block: &&[u8]| {
        let block = block.first_chunk();
        block.is_some_and(|block| has(block, b' ') | has(block, b'>'))
    };
    let len = text.chunks_exact(BLOCK).take_while(has_end).count() * BLOCK;
    let short = text.get(..len).unwrap_or_default();
    // Behind the last end a name may begin.
    let end = short.iter().rposition(|byte| matches!(byte, b' ' | b'>'));
    let from = end.map_or(0, |end| end + 1);
    text.get(from..).unwrap_or_default()
}

/// The elements whose content is not markup. They need a handler: otherwise lol_html 3.0.3 does not
/// see the end of `<script type=>`, and takes what follows for markup.
pub(crate) const NO_MARKUP: &str =
    "script, style, title, textarea, iframe, noembed, noframes, noscript, xmp, plaintext";

/// The encoding in which pages are read. `None`: tags cannot be told in a page of this charset, the
/// parameter of its Content-Type. It is not compatible with ASCII, or browsers do not know it.
pub(crate) fn encoding(charset: Option<&[u8]>) -> Option<AsciiCompatibleEncoding> {
    let is_readable = charset.is_none_or(|label| {
        Encoding::for_label_no_replacement(label).is_some_and(Encoding::is_ascii_compatible)
    });
    is_readable
        .then(|| AsciiCompatibleEncoding::new(X_USER_DEFINED))
        .flatten()
}

thread_local! {
    /// The selectors that were used so far: those of this module's two users.
    static SELECTORS: RefCell<Vec<(&'static str, Cow<'static, Selector>)>> = RefCell::default();
}

/// Has a handler called with each element of a selector, which is parsed once in a thread: that costs
/// more than to read a small page.
pub(crate) fn on(
    selector: &'static str,
    handler: impl FnMut(&mut Element<'_, '_>) -> HandlerResult + 'static,
) -> (Cow<'static, Selector>, ElementContentHandlers<'static>) {
    let parsed = SELECTORS.with_borrow_mut(|known| {
        if let Some((_, parsed)) = known.iter().find(|(text, _)| *text == selector) {
            return parsed.clone();
        }
        let (parsed, _): (_, ElementContentHandlers<'static>) = element!(selector, |_| Ok(()));
        known.push((selector, Cow::clone(&parsed)));
        parsed
    });
    (parsed, ElementContentHandlers::default().element(handler))
}

pub(crate) fn memory() -> MemorySettings {
    MemorySettings::new()
        .with_max_allowed_memory_usage(MAX_MEMORY)
        .with_graceful_bail_out_on_memory_limit_exceeded(true)
}

/// The bytes of an attribute as they stand in the page. `None`: there is none, or its value begins
/// with a byte order mark, because of which lol_html decodes it with another encoding.
pub(crate) fn attribute_bytes(element: &Element<'_, '_>, name: &str) -> Option<Vec<u8>> {
    let attributes = element.attributes();
    // Names are decoded before they are compared, which costs more than their length.
    let has_length = |attribute: &&Attribute<'_>| {
        let place = attribute.name_source_location();
        place.is_none_or(|place| place.bytes().len() == name.len())
    };
    let attribute = attributes
        .iter()
        .filter(has_length)
        .find(|attribute| attribute.name() == name)?;
    // The low byte is the byte: U+0000 to U+007F, and U+F780 to U+F7FF for the others.
    let value = attribute.value();
    let value = match value.is_ascii() {
        true => value.into_bytes(),
        false => value.chars().map(|c| (u32::from(c) & 0xff) as u8).collect(),
    };
    let place = attribute.value_source_location();
    (value.len() == place.map_or(0, |place| place.bytes().len())).then_some(value)
}

/// The characters of these bytes.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    if bytes.is_ascii() {
        return String::from_utf8(bytes.to_vec()).unwrap_or_default();
    }
    X_USER_DEFINED
        .decode_without_bom_handling(bytes)
        .0
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::{TagNames, MAX_NAMES, SHORT_NAME};

    /// Bytes of long names, by the rule as it reads.
    fn long_bytes(page: &[u8]) -> usize {
        let (mut sum, mut at) = (0, 0);
        while at + 1 < page.len() {
            at += 1;
            if page[at - 1] == b'<' && page[at].is_ascii_alphabetic() {
                let is_end = |byte: &u8| b"\t\n\x0c\r />".contains(byte);
                let name = page[at..].iter().position(is_end);
                let len = name.unwrap_or(page.len() - at);
                sum += len.saturating_sub(SHORT_NAME);
                at += len;
            }
        }
        sum
    }

    #[test]
    fn long_names_are_counted_in_pieces_of_any_size() {
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut long = 0;
        for _ in 0..5000 {
            let mut page = Vec::new();
            for _ in 0..random(30) {
                page.push(b"<<<<a  >/\n\"&"[random(12)]);
                // Around the ends of blocks, and of short names.
                let len = [0, 1, 5, 31, 32, 33, 63, 64, 65, 66, 100, 300][random(12)];
                page.extend_from_slice(&b"x".repeat(len));
            }
            let mut names = TagNames::new();
            let mut rest = &page[..];
            while !rest.is_empty() {
                let size = [1, 2, 7, 31, 64, 1000][random(6)].min(rest.len());
                assert!(names.allow(&rest[..size]));
                rest = &rest[size..];
            }
            let expected = long_bytes(&page);
            assert_eq!(MAX_NAMES - names.left, expected, "{}", page.escape_ascii());
            long += expected;
        }
        assert!(long > 0);
    }
}
