//! Tests for the text and the sse learner: which strings are URLs of the site, where they end, and
//! which lines of an event stream are read. Without them, an id in a script, in a mail or in the
//! first event of a stream may be lost, or learned with the full stop behind it.

mod learners;

use std::sync::Arc;

use learners::{ids_at_any_cut, ids_in, names, site};
use sticky_core::scan::json::Member;
use sticky_core::scan::json::{JsonLearner, Members};
use sticky_core::scan::sse::SseLearner;
use sticky_core::scan::text::{TextLearner, STRING_RADIUS};
use sticky_core::scan::Learner;
use sticky_core::url::{LinkPart, Names, MAX_ID, MAX_NAME};

fn text(own: &[&str]) -> Box<dyn Learner> {
    Box::new(TextLearner::new(names(own), site()))
}

fn text_in(own: &[&str], parts: &[LinkPart]) -> Box<dyn Learner> {
    let names = Names::clone(&names(own)).in_parts(parts.to_vec());
    Box::new(TextLearner::new(Arc::new(names), site()))
}

fn events(member: Member) -> Box<dyn Learner> {
    let names = names(&["sid"]);
    let members = Arc::new(Members::new(&[member]));
    let urls = TextLearner::new(Arc::clone(&names), site());
    Box::new(SseLearner::new(urls, JsonLearner::new(members, names)))
}

fn by_name() -> Member {
    Member::ByName(b"sid"[..].into())
}

#[test]
fn urls_are_found_in_any_text() {
    for (body, ids) in [
        ("http://shop.example/x?sid=1", "1"),
        ("See http://shop.example/x?a=b&sid=1&c=d#e for more.", "1"),
        ("go to http://shop.example/x?sid=1.", "1"),
        ("go to http://shop.example/x?sid=1, then", "1"),
        ("really http://shop.example/x?sid=1?!\n", "1"),
        ("(http://shop.example/x?sid=1)", "1"),
        ("<http://shop.example/x?sid=1>", "1"),
        ("[url=http://shop.example/x?sid=1]x[/url]", "1"),
        ("[x](/x?sid=1)", "1"),
        ("'/x?sid=a.b.'", "a.b."),
        ("/x?sid=a.b", "a.b"),
        ("//a.cdn.example/x?sid=1", "1"),
        ("HTTPS://SHOP.EXAMPLE:8443/x?sid=1", "1"),
        (
            "http://other.example/x?sid=1 ftp://shop.example/?sid=2 mailto:a?sid=3",
            "",
        ),
        ("//other.example/x?sid=1", ""),
        ("x?sid=1 ?sid=2 ../x?sid=3", "1 2 3"),
        ("sid=1 /sid=1 /x#sid=1 /x?xsid=1 /x?side=1 x?SID=1", ""),
        ("?sid=1&sid=2", ""),
        ("?sid=", ""),
        ("var u = \"/x?sid=\" + sid;", ""),
        ("location='/x?sid=1';", "1"),
        ("`/x?sid=1`", "1"),
        ("{\"u\":\"http:\\/\\/shop.example\\/x?sid=1\"}", "1"),
        ("{\"u\":\"http:\\/\\/other.example\\/x?sid=1\"}", ""),
        ("{\"u\":\"/x?a=1\\u0026sid=1\"}", "1"),
        ("{\"u\":\"/x?a=1\\x26sid\\u003d1\\u0026b=2\"}", "1"),
        (
            "{\"u\":\"{\\\"v\\\":\\\"\\\\/x?a=1\\\\u0026sid=1\\\"}\"}",
            "1",
        ),
        (
            "'/x?sid=1\\u0026a' '/x?sid=1\\u0026a' '/x?sid=1\\u0026#50;'",
            "1 12",
        ),
        ("\"\\\"/x?sid=1\\\" and \\\"/x?sid=2\\\"\"", "1 2"),
        ("\"/x?sid=1\\n/x?sid=2\"", "1 2"),
        ("<a><![CDATA[/x?sid=1]]></a>", "1"),
        ("<loc>http://shop.example/x?a=1&amp;sid=1</loc>", "1"),
        ("<x y='/x?sid=1&quot;'/>", "1"),
        ("data: /messages/?sid=1\n\n", "1"),
    ] {
        assert_eq!(
            ids_at_any_cut(&|| text(&["sid"]), body.as_bytes()).join(" "),
            ids,
            "{body}"
        );
    }
    let path = [LinkPart::Query, LinkPart::Path];
    for (body, ids) in [
        ("/a;sid=1/b;sid=1?c [/a;sid=2] /a;sid=3, then", "1 2 3"),
        ("/app/(S(4))/page.aspx (/app/(S(5))/page.aspx)", "4 5"),
        (
            "'http://shop.example/(A(x)S(6))/' http://other.example/(S(7))/",
            "6",
        ),
        ("(S(8)) f(S(9))", "8"),
        ("'/a;sid=1' '/a;sid=1\\u0026'", "1 1&"),
        ("'/a;sid=1' '/a;sid=1\\/b'", "1"),
        ("'/a;sid=1:' /a;sid=1:; '/?sid=2.' /?sid=2. ", "1: 1 2. 2"),
    ] {
        let read = ids_at_any_cut(&|| text_in(&["sid", "(S)"], &path), body.as_bytes());
        assert_eq!(read.join(" "), ids, "{body}");
    }
    let two = "/?b=1 /?a=2 /?b=3&a=4 /?%24c=5 /?$c=6";
    let ids = ids_at_any_cut(&|| text(&["a", "b", "$c"]), two.as_bytes());
    assert_eq!(ids.join(" "), "1 2 4 5 6");
}

#[test]
fn strings_are_read_up_to_their_bounds() {
    for (before, id, count) in [
        (STRING_RADIUS - 10, 10, 1),
        (STRING_RADIUS - 10, 500, 1),
        (STRING_RADIUS + 1, 10, 0),
        (100_000, 10, 0),
        (10, MAX_ID, 1),
        (10, MAX_ID + 1, 0),
        (10, 100_000, 0),
    ] {
        let body = format!(" {}?sid={} ", "x".repeat(before), "i".repeat(id));
        for size in [1, 13, 4096] {
            let ids = ids_in(text(&["sid"]), body.as_bytes().chunks(size));
            assert_eq!(ids.len(), count, "{before} {id} {size}");
        }
    }
}

/// With the greatest distance between host and name, and the longest name.
#[test]
fn the_string_is_kept_while_the_value_is_incomplete() {
    let name = "n".repeat(MAX_NAME);
    for (start, count) in [("//other.example/", 0), ("//shop.example/", 1)] {
        let path = "x".repeat(STRING_RADIUS - start.len() - 1);
        let body = format!(" {start}{path}?{name}={} ", "i".repeat(400));
        for at in STRING_RADIUS + 1..body.len() {
            let (one, two) = body.as_bytes().split_at(at);
            let ids = ids_in(text(&[&name]), [one, two]);
            assert_eq!(ids.len(), count, "{start} {at}");
        }
    }
}

#[test]
fn ids_are_found_in_the_urls_and_the_json_of_events() {
    for (stream, ids) in [
        ("event: endpoint\ndata: /messages/?sid=1\n\n", "1"),
        ("event: endpoint\r\ndata: /messages/?sid=1\r\n\r\n", "1"),
        ("event: endpoint\rdata: /messages/?sid=1\r\r", "1"),
        ("data:/m?sid=1\n", "1"),
        ("data:  /m?sid=1\n", "1"),
        ("data: {\"sid\":\"1\"}\n\n", "1"),
        ("data: {\"sid\":\ndata: \"1\"}\n\n", "1"),
        ("data: {\"sid\":\r\ndata: \"1\"}\r\n\r\n", "1"),
        ("data: {\"sid\":\nid: 7\n: x\ndata: \"1\"}\n\n", "1"),
        ("data: {\"sid\":\n\ndata: \"1\"}\n\n", ""),
        ("data: {\"u\":\"/m?sid=1\"}\n\n", "1"),
        (
            ": /m?sid=1\nid: /m?sid=2\nevent: {\"sid\":\"3\"}\nretry: 4\n\n",
            "",
        ),
        (
            "Data: /m?sid=1\ndata2: /m?sid=2\n data: /m?sid=3\ndat: /m?sid=4\n\n",
            "",
        ),
        ("data\ndata: \ndata:\n\ndata: /m?sid=1\n\n", "1"),
        ("data: /m?si\ndata: d=1\n\n", ""),
        ("data: /m?sid=1", ""),
        ("data: http://other.example/m?sid=1\n\n", ""),
        (
            "data: /m?sid=1\n\ndata: /m?sid=1\n\ndata: {\"sid\":\"2\"}\n\n",
            "1 2",
        ),
        // Events without a name are skipped, whatever ends their lines.
        (
            "data: x\n\n\ndata: y\r\n\r\nid: 7\rdata: z\r\rdata: /m?sid=1\n\ndata: x\n\n",
            "1",
        ),
        (
            "data: {\"a\":\n\ndata: {}\n\ndata: {\"sid\":\"1\"}\n\n",
            "1",
        ),
        (
            "data: {\"sid\":\n\ndata: x\n\ndata: \"1\"}\n\n",
            "",
        ),
        ("data: {\"\\u0073id\":\"1\"}\n\n", "1"),
        // The URL and the member of one record have the same id.
        (
            "data: {\"u\":\"/m?sid=1\",\"sid\":\"1\"}\n\ndata: {\"sid\":\"1\",\"u\":\"/m?sid=1\"}\n\n",
            "1",
        ),
        ("\u{feff}data: /m?sid=1\n\ndata: /m?sid=2\n\n", "1 2"),
    ] {
        let read = ids_at_any_cut(&|| events(by_name()), stream.as_bytes());
        assert_eq!(read.join(" "), ids, "{stream}");
    }
    // Each event is its own document.
    let path = Member::ByPath([b"a"[..].into(), b"sid"[..].into()].into());
    let stream =
        "data: {\"a\":{\n\ndata: {\"a\":{\"sid\":\"1\"}}\n\ndata: x{\"b\":{\"sid\":\"2\"}}\n\n";
    let read = ids_at_any_cut(&|| events(path.clone()), stream.as_bytes());
    assert_eq!(read.join(" "), "1");
}
