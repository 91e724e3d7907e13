//! Texts that repeat the name, as an attacker could write them into a page.

/// The start of a text, and what is repeated behind it.
pub const REPEATED: [(&str, &str); 16] = [
    ("", "sid="),
    ("", "?sid="),
    ("", "/?sid=a "),
    ("", "&sid=a"),
    ("", "&amp;sid=a&quot;"),
    ("", "<a href=\"?sid=a\">"),
    ("<a href=\"", "?sid="),
    ("<a href=/", "?sid="),
    ("<a title=\"", " >?sid="),
    ("", "<a ?sid="),
    ("", "<a x=\">\" ?sid="),
    ("", "<p x=\">?sid="),
    ("", "=\">'?sid="),
    ("", "<input name=sid "),
    ("<input ", "name=sid "),
    ("<b x='<b x=\"", "> '=\"?sid="),
];

/// A text of at least this length.
pub fn filled(first: &str, then: &str, len: usize) -> Vec<u8> {
    let mut page = first.as_bytes().to_vec();
    while page.len() < len {
        page.extend_from_slice(then.as_bytes());
    }
    page
}
