//! The links, fields and object literals of a page, or of the beginning of one.
//!
//! This is no parser of HTML: it finds what looks like a tag. What it finds too much is no id, or
//! does not come back.

use memchr::memmem;

/// So many attributes of a tag are read.
const ATTRIBUTES: usize = 64;

/// What a page has.
#[derive(Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// The value of an attribute that may be a URL, with character references.
    Link(&'a [u8]),
    /// A field with a value: its name and that.
    Field(&'a [u8], &'a [u8]),
    /// A property of an object literal in a script: its name, and the string that is its value.
    Literal(&'a [u8], &'a [u8]),
}

/// Calls `visit` with all that is found.
pub fn read<'a>(page: &'a [u8], visit: &mut dyn FnMut(Found<'a>)) {
    let mut rest = page;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some(b'a'..=b'z' | b'A'..=b'Z') = rest.first() else {
            continue;
        };
        let name_end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
        let (name, after) = rest.split_at(name_end.unwrap_or(rest.len()));
        rest = attributes(name, after, visit);
        if name.eq_ignore_ascii_case(b"script") {
            let end = memmem::find(rest, b"</").unwrap_or(rest.len());
            let (script, after) = rest.split_at(end);
            literals(script, visit);
            rest = after;
        }
    }
}

/// Calls `visit` with the attributes and the texts of an XML document, each with its name without a
/// prefix.
pub fn values<'a>(text: &'a [u8], visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'>', rest) else {
            return;
        };
        let (tag, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if matches!(tag.first(), None | Some(b'/' | b'?' | b'!')) {
            continue;
        }
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'/';
        let name_end = tag.iter().position(is_end).unwrap_or(tag.len());
        let (name, mut attributes) = tag.split_at(name_end);
        for _ in 0..ATTRIBUTES {
            let Some(equals) = memchr::memchr(b'=', attributes) else {
                break;
            };
            let (own, after) = attributes.split_at(equals);
            let (value, after) = value(after.get(1..).unwrap_or_default().trim_ascii_start());
            visit(local(own.trim_ascii()), value);
            attributes = after.get(1..).unwrap_or_default();
        }
        let content = memchr::memchr(b'<', rest).and_then(|end| rest.get(..end));
        if let Some(content) = content.map(<[u8]>::trim_ascii).filter(|it| !it.is_empty()) {
            visit(local(name), content);
        }
    }
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    let mut parts = name.rsplitn(2, |byte| *byte == b':');
    parts.next().unwrap_or_default()
}

/// Reads the attributes of a tag, up to its end. Returns what follows it.
fn attributes<'a>(tag: &[u8], begin: &'a [u8], visit: &mut dyn FnMut(Found<'a>)) -> &'a [u8] {
    let mut rest = begin;
    let (mut field, mut value_of_field) = (None, None);
    for _ in 0..ATTRIBUTES {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => break,
            Some(b'>') => {
                rest = rest.get(1..).unwrap_or_default();
                break;
            }
            Some(b'/' | b'=' | b'"' | b'\'') => {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            Some(_) => {}
        }
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/');
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        let Some(after) = rest.strip_prefix(b"=") else {
            continue;
        };
        let (value, after) = value(after.trim_ascii_start());
        rest = after;
        if name.eq_ignore_ascii_case(b"name") {
            field = Some(value);
        } else if name.eq_ignore_ascii_case(b"value") {
            value_of_field = Some(value);
        } else if value.iter().any(|byte| matches!(byte, b'/' | b'?' | b';')) {
            visit(Found::Link(value));
        }
    }
    if let (Some(field), Some(value)) = (field, value_of_field) {
        if tag.eq_ignore_ascii_case(b"input") {
            visit(Found::Field(field, value));
        }
    }
    rest
}

/// A value of an attribute, and what follows it.
fn value(text: &[u8]) -> (&[u8], &[u8]) {
    let (begin, end) = match text.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let begin = text.get(1..).unwrap_or_default();
            (begin, memchr::memchr(*quote, begin))
        }
        _ => {
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
            (text, text.iter().position(is_end))
        }
    };
    begin.split_at(end.unwrap_or(begin.len()))
}

/// Finds `NAME: "VALUE"`, with or without quotes around the name.
fn literals<'a>(script: &'a [u8], visit: &mut dyn FnMut(Found<'a>)) {
    for colon in memchr::memchr_iter(b':', script) {
        let (before, after) = script.split_at(colon);
        let after = after.get(1..).unwrap_or_default().trim_ascii_start();
        if !matches!(after.first(), Some(b'"' | b'\'')) {
            continue;
        }
        let (text, _) = value(after);
        let before = before.trim_ascii_end();
        let before = match before {
            [inner @ .., b'"' | b'\''] => inner,
            _ => before,
        };
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_$".contains(byte);
        let begin = before.iter().rposition(|byte| !is_of_name(byte));
        let name = before
            .get(begin.map_or(0, |at| at + 1)..)
            .unwrap_or_default();
        if !name.is_empty() {
            visit(Found::Literal(name, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read, values, Found};

    #[test]
    fn links_fields_and_literals_are_found() {
        let page = b"<!doctype html><a class=x href='/cart?sid=1'>a</a> <form action=/buy;j=2>\
            <input type=hidden name=\"sid\" value=\"3\"><input value=4 name=t/></form>\
            <script type=module>run({ client_id: \"5\", 'b' : '6', c: 7 })</script><img src=/i.png";
        let mut all = Vec::new();
        read(page, &mut |found| all.push(found));
        let expected = [
            Found::Link(b"/cart?sid=1"),
            Found::Link(b"/buy;j=2"),
            Found::Field(b"sid", b"3"),
            Found::Field(b"t/", b"4"),
            Found::Literal(b"client_id", b"5"),
            Found::Literal(b"b", b"6"),
            Found::Link(b"/i.png"),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn attributes_and_texts_of_xml_are_found() {
        let text = b"<?xml version='1.0'?><body sid='1' xmlns:a='2'><s:SessionId>3</s:SessionId><a/></body>";
        let mut all = Vec::new();
        values(text, &mut |name, value| all.push((name, value)));
        let expected: [(&[u8], &[u8]); 3] = [(b"sid", b"1"), (b"a", b"2"), (b"SessionId", b"3")];
        assert_eq!(all, expected);
        for end in 0..text.len() {
            values(&text[..end], &mut |_, _| {});
        }
        values("<a b='".repeat(10_000).as_bytes(), &mut |_, _| {});
    }

    #[test]
    fn no_page_does_harm() {
        let page = b"<a href=\"/x?a=1\" b='</script <script>a:\"b\"</ <input name=a value=b>";
        for end in 0..page.len() {
            for begin in 0..end {
                read(&page[begin..end], &mut |_| {});
            }
        }
        for odd in ["<", "<a ", "<a =", "<a a=\"", "<script>:\"", "<a/"] {
            read(odd.repeat(10_000).as_bytes(), &mut |_| {});
        }
    }
}
