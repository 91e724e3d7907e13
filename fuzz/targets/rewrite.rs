//! Links and pages that get a parameter: a link leads to the same place as before, has the
//! parameter, and nothing else in a page changes. First byte: with bit 0 a header, else a page; the
//! next four: the pieces.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use encoding_rs::X_USER_DEFINED;
use libfuzzer_sys::fuzz_target;
use lol_html::{doc_comments, doc_text, element, AsciiCompatibleEncoding, HtmlRewriter, Settings};
use sticky_core::rewrite::{self, PageRewriter, RouteParameter};
use sticky_core::url::{ExtractedId, Names};
use sticky_fuzz::{is_own_host, joined, pieces, site};
use url::Url;

const NAME: &str = "route";
const VALUE: &str = "10.0.0.1:80 &\"<%";

/// The attributes that may get the parameter.
const CHANGED: [&str; 5] = ["href", "src", "action", "formaction", "content"];

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let names = Arc::new(Names::new(vec![NAME.as_bytes().into()]));
    let parameter = RouteParameter::new(Arc::clone(&names), VALUE.as_bytes());
    if choice & 1 != 0 {
        link(&parameter, &names, rest);
        parameter.in_header(b"Refresh", rest, &site());
        let kept = rewrite::without(&names, rest);
        assert_eq!(names.in_query(&kept), ExtractedId::Absent);
    } else {
        page(&parameter, rest, u32::from_le_bytes(*seed));
    }
});

fn link(parameter: &RouteParameter, names: &Names, link: &[u8]) {
    let Some(new) = parameter.in_header(b"Location", link, &site()) else {
        return;
    };
    let value = ExtractedId::Id(VALUE.as_bytes().into());
    assert_eq!(names.in_link(&new, &site()), value);
    let (Ok(old), Ok(new)) = (std::str::from_utf8(link), std::str::from_utf8(&new)) else {
        return;
    };
    for page in [
        "http://shop.example/a/b?c#d",
        "https://shop.example/a/b?c#d",
    ] {
        let page = Url::parse(page).expect("a URL");
        let old = joined(&page, old).expect("a link that was changed");
        let new = joined(&page, new).expect("a link");
        assert!(new.host_str().is_some_and(is_own_host), "{new}");
        assert_eq!(
            new[..url::Position::AfterPath],
            old[..url::Position::AfterPath]
        );
        assert_eq!(new.fragment(), old.fragment());
        let others = |url: &Url| {
            let pairs = url.query().unwrap_or_default().split(['&', ';']);
            let others = pairs.filter(|pair| !pair.is_empty() && !is_own(pair));
            others.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(others(&new), others(&old), "{old} {new}");
    }
}

fn is_own(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    sticky_fuzz::pairs::unescaped(name.as_bytes()) == NAME.as_bytes() && pair.contains('=')
}

fn page(parameter: &RouteParameter, page: &[u8], seed: u32) {
    let rewritten = |pieces: &[&[u8]]| {
        let mut rewriter =
            PageRewriter::new(parameter.clone(), site(), None).expect("no charset is set");
        let mut out = Vec::new();
        for piece in pieces {
            rewriter.feed(piece, &mut |bytes| out.extend_from_slice(bytes));
        }
        rewriter.end(&mut |bytes| out.extend_from_slice(bytes));
        out
    };
    let new = rewritten(&[page]);
    for cut in pieces::cuts(page, seed) {
        let cut = rewritten(&cut);
        assert_eq!(
            cut.escape_ascii().to_string(),
            new.escape_ascii().to_string()
        );
    }
    if is_beyond_the_parser(page) {
        return;
    }
    let (old, new) = (parts(page), parts(&new));
    let mut new = new.into_iter().peekable();
    for part in old {
        // A form may have got an input as its first child.
        while let Some(Part::Tag(name, attributes)) = new.peek() {
            let is_ours = name == "input" && attributes.iter().any(|(_, value)| value == NAME);
            if !is_ours || new.peek() == Some(&part) {
                break;
            }
            new.next();
        }
        let now = new.next();
        match (&part, &now) {
            (Part::Tag(name, before), Some(Part::Tag(now, after))) => {
                assert_eq!(name, now);
                assert_eq!(before.len(), after.len(), "{before:?} {after:?}");
                for (old, new) in before.iter().zip(after) {
                    let may_change = CHANGED.contains(&&*old.0) && new.1.contains(NAME);
                    assert!(
                        old == new || (old.0 == new.0 && may_change),
                        "{old:?} {new:?}"
                    );
                }
            }
            (part, now) => assert_eq!(Some(part), now.as_ref()),
        }
    }
    let is_input = |part: &Part| matches!(part, Part::Tag(name, _) if name == "input");
    assert!(new.all(|part| is_input(&part)));
}

/// lol_html reads values that begin with a byte order mark in another encoding. And without a
/// handler for iframes, as in [`parts`], it reads the content of one behind `=>` as markup.
fn is_beyond_the_parser(page: &[u8]) -> bool {
    let is_mark = |pair: &[u8]| pair == b"\xff\xfe" || pair == b"\xfe\xff";
    let mut after_equals = page.split(|byte| *byte == b'=').skip(1);
    page.windows(2).any(is_mark)
        || after_equals.any(|rest| rest.trim_ascii_start().first() == Some(&b'>'))
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Comment(String),
    Tag(String, Vec<(String, String)>),
}

/// The parts of a page according to lol_html.
fn parts(page: &[u8]) -> Vec<Part> {
    let parts = RefCell::new(Vec::new());
    let on_element = element!("*", |element| {
        let attributes = element.attributes().iter();
        let attributes = attributes.map(|a| (a.name(), a.value())).collect();
        let tag = Part::Tag(element.tag_name(), attributes);
        parts.borrow_mut().push(tag);
        Ok(())
    });
    let on_text = doc_text!(|text| {
        let mut parts = parts.borrow_mut();
        match parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text.as_str()),
            _ if text.as_str().is_empty() => {}
            _ => parts.push(Part::Text(text.as_str().into())),
        }
        Ok(())
    });
    let on_comment = doc_comments!(|comment| {
        parts.borrow_mut().push(Part::Comment(comment.text()));
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
    parts.into_inner()
}
