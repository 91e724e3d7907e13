//! Texts that say the name again and again, as somebody may write them into a page.

/// What is repeated behind what begins it.
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

/// A text of at least that length.
pub fn filled(first: &str, then: &str, len: usize) -> Vec<u8> {
    let mut page = first.as_bytes().to_vec();
    while page.len() < len {
        page.extend_from_slice(then.as_bytes());
    }
    page
}
