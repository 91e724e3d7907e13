//! What is common to the two users of lol_html, a real HTML parser: the learner of forms, and the
//! rewriter of pages.
//!
//! Both have it read pages as x-user-defined, which maps each byte to a character of its own and
//! back. So a page keeps its bytes whatever its charset is, and what ends a tag or a value stays
//! the same.

use encoding_rs::{Encoding, X_USER_DEFINED};
use lol_html::html_content::{Attribute, Element};
use lol_html::{AsciiCompatibleEncoding, MemorySettings};

/// What lol_html may hold of one page, in bytes: the current tag, and 128 for each element without
/// an end tag so far. Valid pages omit those of `li`, `td` or `option`, so thousands may be open.
/// Beyond that, the rest of the page is not read.
///
/// lol_html doubles the room for open elements, so that 4,096 of them take 512 KB to the byte. The
/// rest is for the tag.
pub const MAX_MEMORY: usize = (512 + 16) * 1024;

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
    X_USER_DEFINED
        .decode_without_bom_handling(bytes)
        .0
        .into_owned()
}
