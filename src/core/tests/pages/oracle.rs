//! The ids of a page according to a real HTML parser, lol_html, and to a naive version of the
//! rules: an oracle for the learner.

use std::cell::RefCell;
use std::collections::BTreeSet;

use encoding_rs::X_USER_DEFINED;
use lol_html::{doc_comments, doc_text, element, AsciiCompatibleEncoding, HtmlRewriter, Settings};
use sticky_core::scan::html::{MAX_QUOTED, MAX_TAG, STRING_RADIUS};
use sticky_core::url::{ExtractedId, Names, Site, MAX_ID};

/// The ids that must be found, and where others may be.
#[derive(Default)]
pub struct Expected {
    pub ids: BTreeSet<Vec<u8>>,
    /// Everything outside of tags, and attribute values with markup in them.
    pub elsewhere: Vec<u8>,
}

const URL_ATTRIBUTES: [&str; 14] = [
    "href",
    "action",
    "src",
    "formaction",
    "data",
    "cite",
    "poster",
    "background",
    "longdesc",
    "xlink:href",
    "manifest",
    "codebase",
    "profile",
    "usemap",
];

struct Reading<'a> {
    expected: Expected,
    names: &'a Names,
    site: Site,
    in_head: bool,
    based: bool,
}

/// The ids of a page. `name` is the name that a form field must have.
pub fn expected(page: &[u8], names: &Names, name: &str, site: &Site) -> Expected {
    let state = RefCell::new(Reading {
        expected: Expected::default(),
        names,
        site: site.clone(),
        in_head: true,
        based: false,
    });
    let on_element = element!("*", |element| {
        let state = &mut *state.borrow_mut();
        let tag = element.tag_name();
        let attributes: Vec<(String, Vec<u8>)> = element
            .attributes()
            .iter()
            .map(|a| (a.name(), to_bytes(&a.value())))
            .collect();
        let first = |name: &str| {
            attributes
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        };
        if tag == "body" || tag == "frameset" {
            state.in_head = false;
        }
        let is_early = element.source_location().bytes().end <= 16 * 1024;
        if tag == "base" && state.in_head && is_early && !state.based {
            if let Some(href) = first("href") {
                state.based = true;
                state.site.rebase(&decode(&href));
            }
        }
        let start = element.source_location().bytes().start;
        // The bounds of the learner.
        let is_blocked = attributes
            .iter()
            .any(|(_, v)| v.len() > MAX_QUOTED && v.contains(&b'>'));
        let places = element
            .attributes()
            .iter()
            .map(|a| a.value_source_location());
        for ((attribute, raw), place) in attributes.iter().zip(places) {
            let is_far =
                is_blocked || place.is_some_and(|place| place.bytes().end > start + MAX_TAG);
            state.read(&tag, attribute, raw, is_far);
        }
        if (tag == "input" || tag == "button")
            && first("name").is_some_and(|n| n == name.as_bytes())
        {
            let value = decode(&first("value").unwrap_or_default());
            let is_near = element.source_location().bytes().len() <= MAX_TAG;
            if (1..=MAX_ID).contains(&value.len()) && is_near && !is_blocked {
                state.expected.ids.insert(value);
            }
        }
        Ok(())
    });
    let on_text = doc_text!(|text| {
        state
            .borrow_mut()
            .expected
            .elsewhere
            .extend(to_bytes(text.as_str()));
        Ok(())
    });
    let on_comment = doc_comments!(|comment| {
        let mut state = state.borrow_mut();
        state.expected.elsewhere.push(b' ');
        state.expected.elsewhere.extend(to_bytes(&comment.text()));
        state.expected.elsewhere.push(b' ');
        Ok(())
    });
    let settings = Settings::new()
        .append_element_content_handler(on_element)
        .append_document_content_handler(on_text)
        .append_document_content_handler(on_comment)
        .with_encoding(AsciiCompatibleEncoding::new(X_USER_DEFINED).expect("ASCII below 0x80"))
        .with_adjust_charset_on_meta_tag(false)
        .with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    rewriter.write(page).expect("no limits are set");
    rewriter.end().expect("no limits are set");
    let mut expected = state.into_inner().expected;
    // A tag that is cut by the end of the page does not count.
    let tail = page.iter().rposition(|b| *b == b'>').map_or(0, |at| at + 1);
    expected.elsewhere.extend_from_slice(&page[tail..]);
    expected
}

impl Reading<'_> {
    fn read(&mut self, tag: &str, attribute: &str, raw: &[u8], is_far: bool) {
        let value = decode(raw);
        let script = value
            .trim_ascii_start()
            .to_ascii_lowercase()
            .starts_with(b"javascript:");
        // Where a quote was lost, a piece of a URL is taken for the name of an attribute.
        let is_name = attribute
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_:.@".contains(c));
        if is_far || !is_name || raw.contains(&b'<') {
            self.expected.elsewhere.push(b' ');
            self.expected.elsewhere.extend_from_slice(raw);
            self.expected.elsewhere.push(b' ');
            return;
        }
        if URL_ATTRIBUTES.contains(&attribute) && !script {
            return self.link(&value);
        }
        if tag == "meta" && attribute == "content" {
            if let Some(url) = refresh_target(&value) {
                return self.link(url);
            }
        }
        // Without quotes, the string begins with the name of the attribute.
        if attribute.len() + raw.len() >= STRING_RADIUS {
            self.expected.elsewhere.extend_from_slice(raw);
            return;
        }
        let ends = |b: &u8| *b <= b' ' || b"\"'`<>()".contains(b);
        // Where backslashes stand, references may be in the script or around it.
        let strings = value
            .split(ends)
            .map(|string| match string.contains(&b'\\') {
                true => decode(&without_escapes(string)),
                false => string.to_vec(),
            });
        let strings: Vec<Vec<u8>> = strings.collect();
        for string in strings.iter().flat_map(|string| string.split(ends)) {
            let string = String::from_utf8_lossy(string)
                .trim_end_matches(',')
                .to_owned();
            let path = string.split('?').next().unwrap_or_default();
            let has_host = |text: &str| {
                let scheme = text.split(':').next().unwrap_or_default();
                let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                (is_scheme && text.contains(':')) || text.starts_with("//")
            };
            let glued = path.char_indices().filter(|(_, c)| *c == '=' || *c == ',');
            let absolute = glued
                .map(|(at, _)| &string[at + 1..])
                .find(|rest| has_host(rest));
            let url = if has_host(&string) {
                &string
            } else {
                absolute.unwrap_or(&string)
            };
            self.link(url.as_bytes());
        }
    }

    fn link(&mut self, link: &[u8]) {
        if let ExtractedId::Id(id) = self.names.in_link(link, &self.site) {
            self.expected.ids.insert(id.into_owned());
        }
    }
}

/// The URL of a `<meta http-equiv=refresh>`, by the "shared declarative refresh steps" of the HTML
/// Standard, 4.2.5.3, one after the other.
fn refresh_target(value: &[u8]) -> Option<&[u8]> {
    let skip = |rest: &mut &[u8], which: &dyn Fn(&u8) -> bool| {
        while rest.first().is_some_and(which) {
            *rest = &rest[1..];
        }
    };
    let advance = |rest: &mut &[u8], one_of: &[u8]| {
        let is_there = rest.first().is_some_and(|b| one_of.contains(b));
        *rest = &rest[usize::from(is_there)..];
        is_there
    };
    let mut rest = value;
    skip(&mut rest, &u8::is_ascii_whitespace);
    if !rest.starts_with(b".") && !rest.first()?.is_ascii_digit() {
        return None;
    }
    skip(&mut rest, &|b| b.is_ascii_digit() || *b == b'.');
    if !rest
        .first()
        .is_some_and(|b| b";,".contains(b) || b.is_ascii_whitespace())
    {
        return None;
    }
    skip(&mut rest, &u8::is_ascii_whitespace);
    advance(&mut rest, b";,");
    skip(&mut rest, &u8::is_ascii_whitespace);
    let url = rest;
    if advance(&mut rest, b"Uu") {
        if !advance(&mut rest, b"Rr") || !advance(&mut rest, b"Ll") {
            return Some(url);
        }
        skip(&mut rest, &u8::is_ascii_whitespace);
        if !advance(&mut rest, b"=") {
            return Some(url);
        }
        skip(&mut rest, &u8::is_ascii_whitespace);
    }
    let url = match rest.first() {
        Some(quote @ (b'"' | b'\'')) => rest[1..].split(|b| b == quote).next()?,
        _ => rest,
    };
    // The page itself.
    (!url.is_empty()).then_some(url)
}

fn to_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| (u32::from(c) & 0xff) as u8).collect()
}

/// A string of a script without its escapes, which are spaces where no URL needs them. A run of
/// backslashes counts as one, but for a letter behind it.
fn without_escapes(string: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = string;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let run = 1 + rest.iter().take_while(|b| **b == b'\\').count();
        rest = &rest[run - 1..];
        let digits = match rest.first() {
            Some(b'x') => rest.get(1..3),
            Some(b'u') => rest.get(1..5),
            _ => None,
        };
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (digits, rest.first()) {
            (Some(digits), _) => {
                let number = std::str::from_utf8(digits).expect("ASCII");
                let number = u32::from_str_radix(number, 16).expect("up to four digits");
                out.push(if number < 128 { number as u8 } else { b' ' });
                rest = &rest[1 + digits.len()..];
            }
            (None, Some(b'/')) => {}
            (None, Some(next)) if run == 1 && next.is_ascii_alphanumeric() => {
                out.push(b' ');
                rest = &rest[1..];
            }
            (None, Some(_)) if run == 1 => {}
            (None, _) => out.push(b' '),
        }
    }
    out
}

/// Decodes the character references that the tests use.
fn decode(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    'next: while at < raw.len() {
        let rest = &raw[at..];
        for (name, byte) in [
            ("amp", b'&'),
            ("AMP", b'&'),
            ("lt", b'<'),
            ("gt", b'>'),
            ("quot", b'"'),
        ] {
            let Some(after) = rest.strip_prefix(format!("&{name}").as_bytes()) else {
                continue;
            };
            let is_reference = match after.first() {
                Some(b';') => true,
                Some(b) => *b != b'=' && !b.is_ascii_alphanumeric(),
                None => true,
            };
            if is_reference {
                out.push(byte);
                at += 1 + name.len() + usize::from(after.first() == Some(&b';'));
                continue 'next;
            }
        }
        for (name, byte) in [
            ("&equals;", b'='),
            ("&quest;", b'?'),
            ("&apos;", b'\''),
            ("&sol;", b'/'),
        ] {
            if rest.starts_with(name.as_bytes()) {
                out.push(byte);
                at += name.len();
                continue 'next;
            }
        }
        for (prefix, radix) in [("&#x", 16), ("&#X", 16), ("&#", 10)] {
            let Some(after) = rest.strip_prefix(prefix.as_bytes()) else {
                continue;
            };
            let digits: String = after
                .iter()
                .map(|b| char::from(*b))
                .take_while(|c| c.is_digit(radix))
                .collect();
            if digits.is_empty() {
                continue;
            }
            let character = u32::from_str_radix(&digits, radix)
                .ok()
                .and_then(char::from_u32);
            let character = character.filter(|c| *c != '\0').unwrap_or('\u{fffd}');
            out.extend(character.to_string().into_bytes());
            let semicolon = after.get(digits.len()) == Some(&b';');
            at += prefix.len() + digits.len() + usize::from(semicolon);
            continue 'next;
        }
        out.push(raw[at]);
        at += 1;
    }
    out
}
