//! Tests for ids behind prefixes of paths in bodies; each body is also cut at every place. Without
//! these, a session whose id is in a path is learned from Location at most.

use sticky_core::directive::{parse, Mode};
use sticky_core::scan::readers::Readers;
use sticky_core::scan::source::Body;
use sticky_core::scan::Learner;
use sticky_core::url::Site;

mod learners;

use learners::ids_at_any_cut;

/// The ids in a body that a directive reads.
#[track_caller]
fn ids(directive: &str, media_type: &str, text: &str) -> String {
    let words: Vec<&[u8]> = directive.split(' ').map(str::as_bytes).collect();
    let Ok(Mode::Query(rule)) = parse(&words) else {
        panic!("{directive} is refused");
    };
    let readers = Readers::new(&rule.learn, &rule.response_names);
    let site = Site::new(b"shop.example", &rule.hosts).at(b"/api/list");
    let body = Body {
        media_type: media_type.as_bytes(),
        coding: None,
        known: b"",
    };
    let learner = || -> Box<dyn Learner> {
        let learner = readers.learner(&body, &site);
        Box::new(learner.unwrap_or_else(|| panic!("{media_type} is not read")))
    };
    ids_at_any_cut(&learner, text.as_bytes()).join(" ")
}

#[test]
fn links_of_pages() {
    for (page, expected) in [
        ("<a href='/api/kernels/1'>", "1"),
        ("<a href=/api/kernels/1/x>", "1"),
        ("<a href=\"/api/kernels/1?a=b\">", "1"),
        ("<a href='http://shop.example/api/kernels/1'>", "1"),
        ("<a href='//other.example/api/kernels/1'>", ""),
        ("<a href='kernels/1'>", "1"),
        ("<a href='../api/kernels/1'>", "1"),
        ("<a href='&#x2F;api&#x2f;kernels&#x2F;1'>", "1"),
        ("<a href='/api/kernels/a%2Cb&amp;c'>", "a,b&c"),
        ("<a href='/api/kernels/'>", ""),
        ("<a href='/api/kernels'>", ""),
        ("<a href='/api/kernelspecs/1'>", ""),
        ("<a href='/x/api/kernels/1'>", ""),
        ("<a href='?/api/kernels/1'>", ""),
        ("<form action='/api/kernels/1'>", "1"),
        ("<input name=kernels value=1>", ""),
        ("<base href=/api/x/><a href='../kernels/1'>", "1"),
        ("<script>open('/api/kernels/1/channels')</script>", "1"),
        (
            "<script>x = {\"u\": \"\\/api\\/kernels\\/1\"}</script>",
            "1",
        ),
        ("text /api/kernels/1 text", "1"),
        (
            "<a href='/api/kernels/1'><a href='/api/kernels/1/x'><a href='/api/kernels/12'>",
            "1 12",
        ),
        (
            "<a href='/api/kernels/1'><a href='/api/kernels/1;2'>",
            "1 1;2",
        ),
        (
            "<a href='/api/kernels/1'><a href='/api/kernels/1&amp;2'>",
            "1 1&2",
        ),
    ] {
        let found = ids("mode=query from=segment:/api/kernels/", "text/html", page);
        assert_eq!(found, expected, "{page}");
    }
}

#[test]
fn strings_of_json_texts_and_events() {
    let directive = "mode=query from=segment:/v1/statement/*/ learn=json,sse";
    for (json, expected) in [
        (
            r#"{"nextUri":"http://shop.example/v1/statement/queued/1/y"}"#,
            "1",
        ),
        (
            r#"{"nextUri":"http:\/\/shop.example\/v1\/statement\/queued\/1\/y"}"#,
            "1",
        ),
        (
            r#"["/v1/statement/queued/1","/v1/statement/executing/2"]"#,
            "1 2",
        ),
        (r#"{"a":"../v1/statement/queued/1"}"#, "1"),
        (r#"{"a":"http://other.example/v1/statement/queued/1"}"#, ""),
        (r#"{"id":"1"}"#, ""),
        (r#"{"sid":"1"}"#, ""),
    ] {
        assert_eq!(ids(directive, "application/json", json), expected, "{json}");
    }
    assert_eq!(
        ids(
            directive,
            "text/event-stream",
            "data: /v1/statement/q/7\n\n"
        ),
        "7"
    );
    let members = "mode=query from=segment:/session/ learn=json:value.sessionId";
    let json = r#"{"value":{"sessionId":"a","url":"/session/b"}}"#;
    assert_eq!(ids(members, "application/json", json), "a b");
    let text = "mode=query from=segment:/files/ learn=text";
    assert_eq!(ids(text, "text/plain", "See /files/1. Or files/2!"), "1");
}

#[test]
fn names_and_prefixes_together() {
    let directive = "mode=query name=sid from=segment:/s/,query,segment:/t/*/";
    for (page, expected) in [
        ("<a href='/s/1?sid=2'>", "1"),
        ("<a href='/t/x/1?sid=2'>", "2"),
        ("<a href='/t/x/1'><a href='/t/y/3?sid='>", "1 3"),
        ("<a href='/u?sid=2'><input name=sid value=4>", "2 4"),
    ] {
        assert_eq!(ids(directive, "text/html", page), expected, "{page}");
    }
    // A prefix without a fixed segment is not searched for in bodies.
    assert_eq!(
        ids(
            "mode=query from=segment:/*/",
            "text/html",
            "<a href='/a/b'>"
        ),
        ""
    );
    let eight: Vec<String> = (1..=8).map(|n| format!("segment:/p{n}/")).collect();
    let names: Vec<String> = (1..=8).map(|n| format!("name=Name{n}")).collect();
    let all = format!(
        "mode=query {} from=path,query,{}",
        names.join(" "),
        eight.join(",")
    );
    let page = "<a href='/p8/1'><a href='a;NAME8=2'><a href='a;name1=3'><a href='?Name8=4'>";
    assert_eq!(ids(&all, "text/html", page), "1 2 3 4");
}
