//! Tests for pages with the name of the server in their links. Without these, a session may leave
//! its server at the first link, or a link may break.

use std::sync::Arc;

use sticky_core::rewrite::{without, PageRewriter, RouteParameter};
use sticky_core::url::{Names, Site};

fn names() -> Arc<Names> {
    Arc::new(Names::new(vec![b"route"[..].into()]))
}

fn site() -> Site {
    Site::new(b"shop.example", &[b".own.example"[..].into()])
}

fn rewritten_with(value: &[u8], page: &[u8], charset: Option<&[u8]>, size: usize) -> Vec<u8> {
    let parameter = RouteParameter::new(names(), value);
    let Some(mut rewriter) = PageRewriter::new(parameter, site(), charset) else {
        return b"unreadable".to_vec();
    };
    let mut out = Vec::new();
    for piece in page.chunks(size) {
        rewriter.feed(piece, &mut |bytes| out.extend_from_slice(bytes));
    }
    rewriter.end(&mut |bytes| out.extend_from_slice(bytes));
    rewriter.end(&mut |_| panic!("ended after its end"));
    out
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (page, expected) in cases {
        for size in 1..=page.len() {
            let got = rewritten_with(b"A", page.as_bytes(), None, size);
            assert_eq!(
                String::from_utf8_lossy(&got),
                *expected,
                "{page} in pieces of {size}"
            );
        }
    }
}

/// These pages pass as they are.
#[track_caller]
fn same(pages: &[&str]) {
    let cases: Vec<_> = pages.iter().map(|page| (*page, *page)).collect();
    check(&cases);
}

#[test]
fn links_to_the_site_get_the_parameter() {
    check(&[
        ("<a href=\"/x\">", "<a href=\"/x?route=A\">"),
        ("<a href=/x>", "<a href=\"/x?route=A\">"),
        ("<a HREF='x'>", "<a HREF=\"x?route=A\">"),
        ("<a href=\"?a=1\">", "<a href=\"?a=1&amp;route=A\">"),
        ("<a href=\"x?\">", "<a href=\"x?route=A\">"),
        ("<a href=\"x?a&b=2\">", "<a href=\"x?a&b=2&amp;route=A\">"),
        (
            "<a href=\"http://shop.example/\">",
            "<a href=\"http://shop.example/?route=A\">",
        ),
        (
            "<a href=\"//SHOP.example:8080/x\">",
            "<a href=\"//SHOP.example:8080/x?route=A\">",
        ),
        (
            "<a href=\"https://a.own.example/\">",
            "<a href=\"https://a.own.example/?route=A\">",
        ),
        ("<a href=\" /x \">", "<a href=\"/x?route=A\">"),
        ("<area href=x>", "<area href=\"x?route=A\">"),
        (
            "<iframe src=x></iframe><frame src=y>",
            "<iframe src=\"x?route=A\"></iframe><frame src=\"y?route=A\">",
        ),
        (
            "<button formaction=x><input formaction=y>",
            "<button formaction=\"x?route=A\"><input formaction=\"y?route=A\">",
        ),
    ]);
}

#[test]
fn spaces_around_a_link_do_not_become_part_of_it() {
    check(&[
        ("<a href=\"/x?a\x1b \">", "<a href=\"/x?a&amp;route=A\">"),
        ("<a href=\" \x01/x\n\">", "<a href=\"/x?route=A\">"),
    ]);
    same(&["<a href=\"/x?a&#32;\">", "<a href=\"/x?a&#x1b;#b&#32;\">"]);
}

#[test]
fn other_attributes_keep_their_meaning() {
    check(&[(
        "<a x=''y=1 z /href=/x w='a\"b'>",
        "<a x='' y=1 z href=\"/x?route=A\" w='a\"b'>",
    )]);
    same(&["<a href=/x x/=y>", "<a href=/x x=''=y>"]);
}

#[test]
fn the_parameter_stands_before_the_fragment() {
    check(&[
        ("<a href=\"/x#top\">", "<a href=\"/x?route=A#top\">"),
        (
            "<a href=\"/x?a=1#?b=2\">",
            "<a href=\"/x?a=1&amp;route=A#?b=2\">",
        ),
        // The "#" of a character reference begins no fragment.
        (
            "<a href=\"/x?a=&#38;b=1#top\">",
            "<a href=\"/x?a=&#38;b=1&amp;route=A#top\">",
        ),
    ]);
    same(&[
        "<a href=\"#top\">",
        "<a href=\"#\">",
        "<a href=\"\">",
        "<a href>",
    ]);
}

#[test]
fn an_earlier_parameter_of_that_name_is_replaced() {
    check(&[
        ("<a href=\"x?route=B\">", "<a href=\"x?route=A\">"),
        (
            "<a href=\"x?a=1&amp;route=B&amp;c=2\">",
            "<a href=\"x?a=1&amp;c=2&amp;route=A\">",
        ),
        (
            "<a href=\"x?route=B&c=2#f\">",
            "<a href=\"x?c=2&amp;route=A#f\">",
        ),
        (
            "<a href=\"x?%72oute=B&routes=2\">",
            "<a href=\"x?routes=2&amp;route=A\">",
        ),
        ("<a href=\"x?route\">", "<a href=\"x?route&amp;route=A\">"),
    ]);
    same(&["<a href=\"x?a=1&amp;route=A\">"]);
    // A character from a reference is part of the value.
    check(&[
        (
            "<a href=\"x?q=&lt;route=5\">",
            "<a href=\"x?q=&lt;route=5&amp;route=A\">",
        ),
        (
            "<a href=\"x?a=1&#38;route=B&#x26;c=2\">",
            "<a href=\"x?a=1&#x26;c=2&amp;route=A\">",
        ),
        (
            "<a href=\"x?a=1;route=B;c&d\">",
            "<a href=\"x?a=1;c&d&amp;route=A\">",
        ),
    ]);
}

#[test]
fn links_that_lead_elsewhere_stay_as_they_are() {
    same(&[
        "<a href=\"http://other.example/\">",
        "<a href=\"//other.example/\">",
        "<a href=\"/\\other.example/\">",
        "<a href=\"http://shop.example@other.example/\">",
        "<a href=\"mailto:me@shop.example\">",
        "<a href=\"javascript:go('/x')\">",
        "<a href=\"data:text/html,x\"><a href=\"tel:+1\">",
        "<img src=\"/x\"><script src=\"/x\" integrity=\"sha384-a\"></script>",
        "<link rel=stylesheet href=\"/x\" integrity=\"sha384-a\">",
        "<!-- <a href=/x> --><script>'<a href=/x>'</script><textarea><a href=/x></textarea>",
        "<base href=\"//other.example/\"><a href=\"/x\">",
    ]);
    check(&[
        (
            "<base href=\"//other.example/\"><a href=\"//shop.example/x\">",
            "<base href=\"//other.example/\"><a href=\"//shop.example/x?route=A\">",
        ),
        (
            "<base href=\"http://\"><a href=\"/x\">",
            "<base href=\"http://\"><a href=\"/x?route=A\">",
        ),
        (
            "<base href=\"/a/\"><base href=\"//other.example/\"><a href=x>",
            "<base href=\"/a/\"><base href=\"//other.example/\"><a href=\"x?route=A\">",
        ),
    ]);
}

#[test]
fn a_link_stays_if_the_parameter_would_not_be_found() {
    same(&[
        // With "?" as a reference, the parameter would become part of the value of "a".
        "<a href=\"x&quest;a=1\">",
        // Two values of one name conflict.
        "<a href=\"x?&#114;oute=B\">",
    ]);
}

#[test]
fn forms_send_the_parameter() {
    const INPUT: &str = "<input type=\"hidden\" name=\"route\" value=\"A\" />";
    for (page, action) in [
        ("<form>", ""),
        ("<form method=get action=/x>", "/x"),
        ("<form method=GET action=\"\">", ""),
        ("<form method=post>", ""),
        ("<form method=nonsense action=/x>", "/x"),
    ] {
        let got = rewritten_with(b"A", page.as_bytes(), None, 1000);
        let expected = format!("{page}{INPUT}");
        assert_eq!(String::from_utf8_lossy(&got), expected, "action {action:?}");
    }
    check(&[(
        "<form method=post action=\"x?a=1\"></form>",
        "<form method=post action=\"x?a=1&amp;route=A\"></form>",
    )]);
    same(&[
        "<form method=dialog>",
        "<form method=get action=\"//other.example/\">",
        "<form method=post action=\"//other.example/\">",
    ]);
}

#[test]
fn a_refresh_gets_the_parameter() {
    check(&[
        (
            "<meta http-equiv=refresh content=\"5; url=/x?a=1\">",
            "<meta http-equiv=refresh content=\"5; url=/x?a=1&amp;route=A\">",
        ),
        (
            "<meta http-equiv=Refresh content=\"5;URL='/x'\">",
            "<meta http-equiv=Refresh content=\"5;URL='/x?route=A'\">",
        ),
        // What stands behind a quoted URL is not read.
        (
            "<meta http-equiv=refresh content=\"0; url='/x' y /x\">",
            "<meta http-equiv=refresh content=\"0; url='/x?route=A' y /x\">",
        ),
        (
            "<meta http-equiv=refresh content='0; url=\"0\" 0'>",
            "<meta http-equiv=refresh content=\"0; url=&quot;0?route=A&quot; 0\">",
        ),
    ]);
    same(&[
        "<meta http-equiv=refresh content=\"5\">",
        "<meta http-equiv=refresh content=\"5; url=//other.example/\">",
        "<meta http-equiv=content-security-policy content=\"form-action 'self'; url=/x\">",
        "<meta name=refresh content=\"5; url=/x\">",
    ]);
}

#[test]
fn headers_get_the_parameter() {
    let parameter = RouteParameter::new(names(), b"10.0.0.1:80 [&]");
    for (name, value, expected) in [
        ("Location", "/x", Some("/x?route=10.0.0.1:80%20%5B%26%5D")),
        (
            "location",
            "http://shop.example/?a&route=B#f",
            Some("http://shop.example/?a&route=10.0.0.1:80%20%5B%26%5D#f"),
        ),
        ("Location", "//other.example/", None),
        ("Location", "#f", None),
        ("Location", "", None),
        (
            "Refresh",
            "0; url=/x",
            Some("0; url=/x?route=10.0.0.1:80%20%5B%26%5D"),
        ),
        (
            "Refresh",
            "0; url='/x' y /x",
            Some("0; url='/x?route=10.0.0.1:80%20%5B%26%5D' y /x"),
        ),
        ("Refresh", "5", None),
        ("Content-Location", "/x", None),
        ("Link", "</x>; rel=next", None),
    ] {
        let got = parameter.in_header(name.as_bytes(), value.as_bytes(), &site());
        let got = got.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(got.as_deref(), expected, "{name}: {value}");
    }
}

#[test]
fn a_value_is_escaped_for_its_context() {
    let got = rewritten_with(b"a\"<&>b", b"<form><a href=x>", None, 100);
    assert_eq!(
        String::from_utf8_lossy(&got),
        "<form><input type=\"hidden\" name=\"route\" value=\"a&quot;&lt;&amp;&gt;b\" />\
         <a href=\"x?route=a%22%3C%26%3Eb\">"
    );
}

#[test]
fn bytes_of_any_charset_pass_unchanged() {
    let all: Vec<u8> = (0..=255).filter(|b| !b"<>&\"\0\r".contains(b)).collect();
    let page = [
        b"<p title=\"",
        &all[..],
        b"\">",
        &all,
        b"<a href=\"/\xe4\xff?a=\x80\">",
    ]
    .concat();
    let expected = [
        b"<p title=\"",
        &all[..],
        b"\">",
        &all,
        b"<a href=\"/\xe4\xff?a=\x80&amp;route=A\">",
    ]
    .concat();
    for charset in [
        None,
        Some(&b"shift_jis"[..]),
        Some(b"utf-8"),
        Some(b"latin1"),
    ] {
        assert_eq!(
            rewritten_with(b"A", &page, charset, 7),
            expected,
            "{charset:?}"
        );
    }
    for charset in [&b"utf-16"[..], b"iso-2022-jp", b"nonsense"] {
        assert_eq!(rewritten_with(b"A", &page, Some(charset), 7), b"unreadable");
    }
}

#[test]
fn a_link_with_a_byte_order_mark_stays_as_it_is() {
    same(&[
        "<a href=\"\u{feff}/x\">",
        "<a href=\"\u{feff}/\u{e4}\">",
        "<form action=\"\u{feff}/x\">",
        "<form method=post action=\"\u{feff}/x\">",
    ]);
    for page in [&b"<a href='\xff\xfe/x'>"[..], b"<a href='\xfe\xff/x'>"] {
        assert_eq!(rewritten_with(b"A", page, None, 5), page);
    }
    let page = b"<a href='\x01\xff\xfe/x'>";
    assert_eq!(
        rewritten_with(b"A", page, None, 5),
        b"<a href=\"\xff\xfe/x?route=A\">"
    );
}

#[test]
fn a_page_that_cannot_be_parsed_passes_as_it_is() {
    let long = format!("<a href='{}'>", "x".repeat(5 << 20));
    let page = format!("<a href=/1>{long}<a href=/2>");
    let expected = format!("<a href=\"/1?route=A\">{long}<a href=/2>");
    for size in [4096, 65_536, 1 << 23] {
        let got = rewritten_with(b"A", page.as_bytes(), None, size);
        // In one piece, lol_html holds nothing, and rewrites all.
        if size < 1 << 22 {
            assert_eq!(got.len(), expected.len(), "in pieces of {size}");
            assert!(got == expected.as_bytes(), "in pieces of {size}");
        }
        assert!(got.starts_with(b"<a href=\"/1?route=A\">"));
    }
    let cut = "<a href=/1><a href=\"/2";
    assert_eq!(
        String::from_utf8_lossy(&rewritten_with(b"A", cut.as_bytes(), None, 3)),
        "<a href=\"/1?route=A\"><a href=\"/2"
    );
}

#[test]
fn the_parameter_is_removed_from_a_query() {
    for (query, expected) in [
        ("", ""),
        ("a=1", "a=1"),
        ("route=A", ""),
        ("route=A&a=1", "a=1"),
        ("a=1&route=A", "a=1"),
        ("a=1&route=A;b=2", "a=1;b=2"),
        ("a=1&%72oute=A&&routes=2&", "a=1&&routes=2&"),
        ("route=A&route=B", ""),
        ("route", "route"),
    ] {
        let got = without(&names(), query.as_bytes()).into_owned();
        assert_eq!(String::from_utf8(got).unwrap(), expected, "{query}");
    }
}

#[test]
fn content_that_is_not_markup_stays_as_it_is() {
    same(&[
        "<script type=><a href=/x>",
        "<script src=><a </a><p>",
        "<style e=><a </a>",
        "<title e=><a href=/x>",
        "<noscript e=><a href=/x>",
        "<plaintext e=></plaintext><a href=/x>",
    ]);
    check(&[
        (
            "<script src=><a href=/x>'</script><a href=/x>",
            "<script src=><a href=/x>'</script><a href=\"/x?route=A\">",
        ),
        (
            "<textarea e= ><a href=/x></textarea><a href=/x>",
            "<textarea e= ><a href=/x></textarea><a href=\"/x?route=A\">",
        ),
    ]);
}

#[test]
fn elements_may_stay_open() {
    // With the last "a", 4,096 are open.
    let page = "<li><a href=/x>x</a>".repeat(4095);
    let expected = "<li><a href=\"/x?route=A\">x</a>".repeat(4095);
    let got = rewritten_with(b"A", page.as_bytes(), None, 4096);
    assert!(got == expected.as_bytes());
}

#[test]
fn names_of_elements_take_no_memory_without_a_bound() {
    let long = "x".repeat(8000);
    let open: String = (0..40).map(|n| format!("<a{n}{long}>")).collect();
    let page = format!("<a href=/1>{open}<a href=/2>");
    let expected = format!("<a href=\"/1?route=A\">{open}<a href=/2>");
    for size in [1, 7, 8000, 100_000] {
        let got = rewritten_with(b"A", page.as_bytes(), None, size);
        assert!(got == expected.as_bytes(), "in pieces of {size}");
    }
    // These take none, or hardly any.
    let name = "a-name-of-some-element-as-one-has-them";
    let usual = format!("<{name}></{name}>").repeat(20_000);
    let script = format!("<script>{}</script>", "i<a.length&&b(c[i]);".repeat(2000));
    for other in [usual, script, format!("</{long}>").repeat(100)] {
        let page = format!("{other}<a href=/2>");
        let got = rewritten_with(b"A", page.as_bytes(), None, 4096);
        assert!(got.ends_with(b"<a href=\"/2?route=A\">"));
    }
}
