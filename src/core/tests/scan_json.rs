//! Tests for the json learner: which values are ids, however they are written and cut into pieces.
//! Without them, ids with escapes may be lost, or learned from texts that only look like a member.

mod learners;

use std::ops::ControlFlow;
use std::sync::Arc;

use learners::{ids_at_any_cut, ids_in, json, members};
use sticky_core::scan::json::{EngineIoLearner, MemberPaths, ScriptLearner};
use sticky_core::scan::Learner;
use sticky_core::url::MAX_ID;

fn read(wanted: &[&str], body: &str) -> String {
    let wanted = members(wanted);
    ids_at_any_cut(&|| Box::new(json(&wanted)), body.as_bytes()).join(" ")
}

#[test]
fn ids_are_the_values_of_members() {
    // With a path, the search by path reads the same documents.
    for others in [&[][..], &["no.where"]] {
        for (body, ids) in [
            (r#"{"sid":"1"}"#, "1"),
            (r#"{ "sid" : "1" }"#, "1"),
            ("{\"sid\"\r\n:\t\"1\"}", "1"),
            (r#"{"a":[{"b":{"sid":"1"}}]}"#, "1"),
            (r#"{"sid":"1","x":{"sid":"2"},"sid":"3"}"#, "1 2 3"),
            (r#"{"sid":"1","x":{"sid":"1"}}"#, "1"),
            (r#"{"sid":12345678901234567890}"#, "12345678901234567890"),
            (r#"{"sid":12,"a":1}"#, "12"),
            (r#"{"sid":12.5}"#, ""),
            (r#"{"sid":-12}"#, ""),
            (r#"{"sid":1e3}"#, ""),
            (r#"{"sid":true,"sid":null,"sid":["1"],"sid":{"a":"1"}}"#, ""),
            (r#"{"sid":""}"#, ""),
            (r#"{"xsid":"1","sidx":"2","SID":"3"}"#, ""),
            (r#"["sid","1"]"#, ""),
            (r#"{"a":"sid","b":"1"}"#, ""),
            (r#"{"a":"\"sid\":\"1\""}"#, ""),
            (r#"{"a":"x\\","sid":"1"}"#, "1"),
            (r#"{"a":"{\"sid\":\"1\"}","sid":"2"}"#, "2"),
            (r#"{"\u0073id":"1"}"#, "1"),
            (r#"{"\u0073\u0069\u0064":"1"}"#, "1"),
            (r#"{"x\u0073id":"1"}"#, ""),
            (r#"{"a\"b\u0073id":"1"}"#, ""),
            (r#"{"\"\u0073id":"1"}"#, ""),
            (r#"{"sid":"a\/b"}"#, "a/b"),
            (r#"{"sid":"a\u002Db"}"#, "a-b"),
            (r#"{"sid":"\ud83d\ude00"}"#, "\u{1f600}"),
            (r#"{"sid":"\ud83d"}"#, ""),
            (r#"{"sid":"\ude00\ud83d"}"#, ""),
            (r#"{"sid":"\ud83dx"}"#, ""),
            (r#"{"sid":"\x41"}"#, ""),
            (r#"{"sid":"\u00"}"#, ""),
            ("{\"sid\":\"a\nb\"}", ""),
            (r#"{"sid":"ü"}"#, "ü"),
            // Around documents.
            (
                r#"0{"sid":"1","upgrades":["websocket"],"pingInterval":25000}"#,
                "1",
            ),
            (r#"96:0{"sid":"1","upgrades":[]}2:40"#, "1"),
            ("0{\"sid\":\"1\"}\u{1e}40{\"sid\":\"2\"}", "1 2"),
            ("{\"sid\":\"1\"}\n{\"sid\":\"2\"}\n", "1 2"),
            (")]}',\n{\"sid\":\"1\"}", "1"),
            (r#"/**/cb({"sid":"1"});"#, "1"),
            // Incomplete.
            (r#"{"sid":"1"#, ""),
            (r#"{"sid":1"#, ""),
            (r#"{"sid""#, ""),
        ] {
            let wanted: Vec<&str> = others.iter().copied().chain(["sid"]).collect();
            assert_eq!(read(&wanted, body), ids, "{wanted:?} {body}");
        }
    }
}

#[test]
fn paths_lead_from_the_outermost_object() {
    for (wanted, body, ids) in [
        ("a.sid", r#"{"a":{"sid":"1"}}"#, "1"),
        (
            "a.sid",
            r#"{"sid":"1","b":{"sid":"2"},"x":{"a":{"sid":"3"}}}"#,
            "",
        ),
        ("a.sid", r#"{"a":{"b":{"sid":"1"},"sid":"2"}}"#, "2"),
        ("a.sid", r#"{"a":{"x":1},"b":{"sid":"1"}}"#, ""),
        ("a.sid", r#"{"a":{"x":1},"a":{"sid":"1"}}"#, "1"),
        ("a.sid", r#"{"a":"b","sid":"1"}"#, ""),
        ("a.sid", r#"[{"a":[[{"sid":"1"},{"sid":"2"}]]}]"#, "1 2"),
        ("a.b.sid", r#"{"a":{"b":{"sid":"1"}}}"#, "1"),
        (
            "a.b.sid",
            r#"{"a":{"sid":"1","b":{"x":{}},"sid":"2"},"b":{"sid":"3"}}"#,
            "",
        ),
        ("a.a.a", r#"{"a":{"a":{"a":"1"},"b":{"a":"2"}}}"#, "1"),
        (
            "a.sid",
            "{\"b\":{}}\n{\"a\":{\"sid\":\"1\"}}\n{\"sid\":\"2\"}",
            "1",
        ),
        ("a.sid", r#"42{"a":{"\u0073id":"1"}}"#, "1"),
        // A document that is one string.
        ("a.sid", "\"{\"\n{\"a\":{\"sid\":\"1\"}}", "1"),
        ("a.sid", r#"4"[\"[" {"a":{"sid":"1"}}"#, "1"),
        ("a.sid", "{}\n\"[\\\\\"\n{\"a\":{\"sid\":\"1\"}}", "1"),
        // A string ends with its line.
        ("a.sid", "3\" [x]\n{\"a\":{\"sid\":\"1\"}}", "1"),
        ("a.sid", "\"\\\n{\"a\":{\"sid\":\"1\"}}", "1"),
        // Not JSON: only brackets and names count, and a backslash outside of strings ends the
        // search.
        ("a.sid", r#"{"a":{"sid":"1"}]{"a":{"sid":"2"}}"#, "1 2"),
        ("a.sid", r#"{a:1,"a":{"sid":"1"}}"#, "1"),
        ("a.sid", r#"{"a" "x","a":{"sid":"1"}}"#, "1"),
        ("a.sid", r#"{"a":1,}{"a":{"sid":"1"}}"#, "1"),
        ("a.sid", r#"["a":{"sid":"1"}]"#, ""),
        ("a.sid", r#"{"a":{"sid":"1"},\"a":{"sid":"2"}}"#, "1"),
    ] {
        assert_eq!(read(&[wanted], body), ids, "{wanted}: {body}");
    }
    assert_eq!(
        read(
            &["a.sid", "b", "a.c"],
            r#"{"a":{"sid":"1","c":"2","b":"3"}}"#
        ),
        "1 2 3"
    );
    // A name that could follow a closing quote.
    assert_eq!(
        read(&[":"], r#"{"a":"b","c":":","x":[":",":"],":":"1"}"#),
        "1"
    );
}

#[test]
fn outermost_members_indices_and_whole_texts() {
    for (wanted, body, ids) in [
        (".sid", r#"{"sid":"1","a":{"sid":"2"}}"#, "1"),
        (".sid", r#"{"a":{"sid":"2"},"sid":1}"#, "1"),
        (
            ".sid",
            r#"[{"sid":"1"},{"a":[{"sid":"2"}]},[{"sid":"3"}]]"#,
            "1 3",
        ),
        (".sid", "{\"sid\":\"1\"}\n{\"sid\":\"2\"}", "1 2"),
        ("a.0", r#"{"a":["1","2"]}"#, "1"),
        ("a.1", r#"{"a":[{"x":["y"]}, 2 ,3]}"#, "2"),
        ("a.1", r#"{"a":{"1":"2"}}"#, "2"),
        ("a.1", r#"{"a":{"\u0031":"2"}}"#, "2"),
        ("a.01", r#"{"a":["1","2"]}"#, ""),
        ("a.01", r#"{"a":{"01":"2"}}"#, "2"),
        ("a.0.sid", r#"{"a":[{"sid":"1"},{"sid":"2"}]}"#, "1"),
        ("a.0.sid", r#"{"a":[[{"sid":"1"}],{"sid":"2"}]}"#, "1"),
        ("a.0", r#"[{"a":["1"]},{"a":["2"]}]"#, "1 2"),
        (".0", r#"["1",{"0":"2"}]"#, "1"),
        (".0", r#"42["1"]"#, "1"),
        (".1.0", r#"[[1,2],[3,4]]"#, "3"),
        // A name of that number, wherever it stands.
        ("0", r#"{"a":{"0":"1"},"b":["2"]}"#, "1"),
        (".", r#""1""#, "1"),
        (".", " \r\n\t\"a\\u002Db\" \n", "a-b"),
        (".", "12", ""),
        (".", r#""1" "2""#, "1"),
        (".", r#"x"1""#, ""),
        (".", r#"["1"]"#, ""),
        (".", r#"{"a":"1"}"#, ""),
        (".", r#""""#, ""),
        (".", r#""1"#, ""),
        // Brackets in a string.
        (".0", r#""[1{[""#, ""),
        (".0", r#"42"\"[1]""#, ""),
        (".0", r#""\\"[1]"#, "1"),
        (".0", "[1]\n\"[2]\"\n[3]", "1 3"),
        // Not JSON.
        (".0", "3\" x\n[1]", "1"),
        (".0", "\"\\\n[1]", "1"),
        ("a.0", r#"{"a":[1 2]}"#, "1 2"),
        ("a.0", r#"{"a" "b":1,"a":["1"]"#, "1"),
        ("a.0", r#"{"a":["1"}}{"a":["2"]}"#, "1 2"),
        ("a.0", r#"{{"a":["1"]},"a":["2"]}"#, "2"),
    ] {
        assert_eq!(read(&[wanted], body), ids, "{wanted}: {body}");
    }
    // With a text that is one string, the others are read as without it.
    assert_eq!(read(&[".", ".0"], r#""[1]""#), "[1]");
    assert_eq!(read(&[".", ".0"], "\"[2]\n[1]"), "1");
    assert_eq!(read(&[".", ".0"], "\"[2]\\\n[1]"), "1");
}

#[test]
fn names_lead_into_the_first_sixteen_elements_of_an_array() {
    let element = |n: usize| format!(r#"{{"b":"{n}","x":[{{}},{{}}]}},"s",1"#);
    let elements: Vec<String> = (1..=20).map(element).collect();
    let body = format!(r#"{{"a":[{}],"c":"0"}}"#, elements.join(","));
    let expected: Vec<String> = (1..=16).map(|n| n.to_string()).collect();
    let expected = expected.join(" ");
    assert_eq!(read(&["a.b"], &body), expected);
    assert_eq!(read(&["a.b", "c"], &body), format!("{expected} 0"));
    assert_eq!(read(&["a.51.b"], &body), "18");
    // Each array counts for itself.
    let body = format!(
        r#"{{"a":[{0}]}}"#,
        [r#"[{"b":"1"},{"b":"2"}]"#; 9].join(",")
    );
    assert_eq!(read(&["a.b"], &body), ["1 2"; 9].join(" "));
    let all = r#"{"sid":"1"},"#.repeat(20);
    let body = format!("[{all}{{\"sid\":\"2\"}}]");
    assert_eq!(read(&["sid"], &body), "1 2");
    assert_eq!(read(&[".sid"], &body), "1");
}

#[test]
fn older_payloads_of_engine_io_are_read() {
    let read = |wanted: &[&str], body: &[u8]| {
        let wanted = members(wanted);
        let learner = || -> Box<dyn Learner> { Box::new(EngineIoLearner::new(json(&wanted))) };
        ids_at_any_cut(&learner, body).join(" ")
    };
    let packet = b"\0\x09\x07\xff0{\"sid\":\"bin-1\",\"upgrades\":[],\"pingInterval\":25000}";
    for (body, ids) in [
        (&packet[..], "bin-1"),
        (&[&packet[..], b"\0\x02\xff40"].concat(), "bin-1"),
        (b"\0\x0a\xff0{\"sid\":\"1\"}", ""),
        (b"\0\xff0{\"sid\":\"1\"}", ""),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0\xff0{\"sid\":\"1\"}", ""),
        (b"\x01\x02\xff0{\"sid\":\"1\"}", ""),
        (b"0{\"sid\":\"1\"}", ""),
        (
            br#"___eio[0]("97:0{\"sid\":\"jsonp_1\",\"upgrades\":[]}");"#,
            "jsonp_1",
        ),
        (
            br#"___eio[12]("0{\"sid\":\"a\u002Db\x2d\/\\u0063\",\"x\":\"\n\"}");"#,
            "a-b-/c",
        ),
        (br#"___eio[0]("x", "{\"sid\":\"1\"}");"#, ""),
        (br#"___eio[0]("{\"sid\":\"1\"}"), "{\"sid\":\"2\"}");"#, "1"),
        (br#"___eio[]("{\"sid\":\"1\"}");"#, ""),
        (br#"___eio[0]({"sid":"1"});"#, ""),
        (br#"var x = {"sid":"1"};"#, ""),
        (
            br#"___eio[0]("{\"sid\":\"\ud83d\ude00\",\"sid\":\"2\"}");"#,
            "\u{fffd}\u{fffd} 2",
        ),
    ] {
        assert_eq!(read(&["sid"], body), ids, "{}", body.escape_ascii());
    }
    assert_eq!(read(&[".sid"], packet), "bin-1");
}

#[test]
fn requests_have_their_ids_in_the_order_of_the_members() {
    let ids = |wanted: &[&str], body: &str| {
        let paths = Arc::new(MemberPaths::new(&members(wanted)));
        let mut ids = Vec::new();
        let _ = paths.visit_ids(&learners::names(&["sid"]), body.as_bytes(), &mut |id| {
            ids.push(String::from_utf8(id).unwrap());
            ControlFlow::Continue(())
        });
        ids.join(" ")
    };
    let body = r#"{"a":{"sid":"1"},"sid":"2","b":["3","1"]}"#;
    assert_eq!(ids(&["sid"], body), "1 2");
    assert_eq!(ids(&[".sid", "a.sid", "b.0"], body), "2 1 3");
    assert_eq!(ids(&["b.1", ".sid"], body), "1 2");
    // As of a body whose end has not come, or is not read.
    assert_eq!(ids(&["sid"], r#"{"sid":"1","x":{"sid":"2"#), "1");
    assert_eq!(ids(&["sid"], r#"{"sid":12"#), "");
    // Of several members, so many ids of each.
    let many: Vec<String> = (1..=12).map(|n| format!(r#"{{"sid":{n}}}"#)).collect();
    let many = format!("[{}]", many.join(","));
    assert_eq!(ids(&["sid", "b"], &many), "1 2 3 4 5 6 7 8");
    assert_eq!(ids(&["sid"], &many).split(' ').count(), 12);
}

#[test]
fn the_memory_is_bounded() {
    for wanted in [&["sid"][..], &["sid", "a.b"]] {
        let wanted = members(wanted);
        let long = |len: usize| format!(r#"{{"sid":"{}"}}"#, "x".repeat(len));
        for (body, count) in [
            (long(MAX_ID), 1),
            (long(MAX_ID + 1), 0),
            (long(100_000), 0),
            (format!(r#"{{"sid":"{}"}}"#, "\\u0061".repeat(MAX_ID)), 1),
            (
                format!(r#"{{"sid":"{}"}}"#, "\\u0061".repeat(MAX_ID + 1)),
                0,
            ),
            (format!(r#"{{"{}sid":"1"}}"#, "a".repeat(10_000)), 0),
            (format!(r#"{{"{}sid":"1"}}"#, "\\u0061".repeat(10_000)), 0),
            (format!(r#"{{"sid":"{}"}}"#, "\\".repeat(10_001)), 0),
            (format!(r#"{{"sid":{}}}"#, "1".repeat(10_000)), 0),
            (format!(r#"{{"sid":{} "1"}}"#, " ".repeat(200)), 1),
        ] {
            for size in [1, 7, 4096] {
                let ids = ids_in(Box::new(json(&wanted)), body.as_bytes().chunks(size));
                assert_eq!(ids.len(), count, "{size}: {:.60}", body);
            }
        }
    }
    // The start of a long name is dropped, but not an escape that is cut between pieces.
    let long = format!(r#"{{"{}\"#, "a".repeat(500));
    let pieces = [long.as_bytes(), br#""s"#, br#"id":"1"}"#];
    let wanted = members(&["sid", "a.b"]);
    assert!(ids_in(Box::new(json(&wanted)), pieces).is_empty());
    // Up to the greatest depth, and beyond it.
    for (depth, ids) in [(500, "1"), (520, "")] {
        let body = format!("{}{{\"a\":{{\"b\":\"1\"}}}}", "[".repeat(depth));
        let wanted = members(&["a.b"]);
        assert_eq!(
            ids_in(Box::new(json(&wanted)), [body.as_bytes()]).join(" "),
            ids,
            "{depth}"
        );
    }
}

#[test]
fn scripts_of_a_page_hold_json() {
    for (page, ids) in [
        (
            r#"<script type="application/json">{"sid":"1"}</script>"#,
            "1",
        ),
        (
            r#"<SCRIPT id=a type=application/ld+json>{"sid":"1"}</SCRIPT >{"sid":"2"}"#,
            "1",
        ),
        (
            r#"<script data-x="a>b" type='application/json'>{"sid":"1"}</script>"#,
            "1",
        ),
        (r#"<script>{"sid":"1"}</script>"#, ""),
        (
            r#"<script type="text/javascript">x = {"sid":"1"}</script>"#,
            "",
        ),
        (
            r#"<script type="text/plain" type="application/json">{"sid":"1"}</script>"#,
            "",
        ),
        (
            r#"<scripty type="application/json">{"sid":"1"}</scripty>"#,
            "",
        ),
        (
            r#"{"sid":"1"}<script type="application/json">{"a":"</scrip","sid":"2"}</script>"#,
            "2",
        ),
        (
            "<script type=application/json>{\"sid\":\"1</script>\n\
             <script type=application/json>{\"sid\":\"2\"}</script>",
            "2",
        ),
        (
            r#"<<script type=application/json>{"sid":"1"}<</script>"#,
            "1",
        ),
        (r#"<script type=application/json>{"sid":"1"}"#, "1"),
    ] {
        for wanted in [&["sid"][..], &["sid", "a.b"]] {
            let wanted = members(wanted);
            let learner = || Box::new(ScriptLearner::new(json(&wanted))) as Box<dyn Learner>;
            let read = ids_at_any_cut(&learner, page.as_bytes());
            assert_eq!(read.join(" "), ids, "{page}");
        }
    }
}
