//! Tests for the json learner: what is an id in a document, however it is spelled and cut, with
//! serde_json as the judge; without them ids are lost in escapes, or taken from texts that only look
//! like a member.

#[path = "pages/corpus.rs"]
mod corpus;
mod learners;

use std::fmt::Write;
use std::sync::Arc;

use corpus::Random;
use learners::{ids_at_any_cut, ids_in, names};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sticky_core::directive::Member;
use sticky_core::scan::json::{JsonLearner, Members, ScriptLearner};
use sticky_core::scan::Learner;

/// `sid` stands anywhere, `a.b.sid` is a path.
fn members(members: &[&str]) -> Vec<Member> {
    let member = |member: &&str| {
        let mut path: Vec<Box<[u8]>> = member.split('.').map(|s| s.as_bytes().into()).collect();
        if path.len() == 1 {
            Member::Anywhere(path.remove(0))
        } else {
            Member::At(path.into())
        }
    };
    members.iter().map(member).collect()
}

fn learner(wanted: &[Member]) -> Box<dyn Learner> {
    Box::new(json(wanted))
}

fn json(wanted: &[Member]) -> JsonLearner {
    JsonLearner::new(Arc::new(Members::new(wanted)), names(&["sid"]))
}

fn read(wanted: &[&str], body: &str) -> String {
    let wanted = members(wanted);
    ids_at_any_cut(&|| learner(&wanted), body.as_bytes()).join(" ")
}

#[test]
fn ids_are_the_values_of_members() {
    // A path makes the other reader read the same.
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
            // What stands around documents.
            (
                r#"0{"sid":"1","upgrades":["websocket"],"pingInterval":25000}"#,
                "1",
            ),
            (r#"96:0{"sid":"1","upgrades":[]}2:40"#, "1"),
            ("0{\"sid\":\"1\"}\u{1e}40{\"sid\":\"2\"}", "1 2"),
            ("{\"sid\":\"1\"}\n{\"sid\":\"2\"}\n", "1 2"),
            (")]}',\n{\"sid\":\"1\"}", "1"),
            (r#"/**/cb({"sid":"1"});"#, "1"),
            // Cut off.
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
        // No JSON: what follows is not read.
        ("a.sid", r#"{"a":{"sid":"1"}]{"a":{"sid":"2"}}"#, "1"),
        ("a.sid", r#"{a:1,"a":{"sid":"1"}}"#, ""),
        ("a.sid", r#"{"a" "x","a":{"sid":"1"}}"#, ""),
        ("a.sid", r#"{"a":1,}{"a":{"sid":"1"}}"#, ""),
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
    // A name that could stand behind a quote.
    assert_eq!(
        read(&[":"], r#"{"a":"b","c":":","x":[":",":"],":":"1"}"#),
        "1"
    );
}

#[test]
fn nothing_grows() {
    for wanted in [&["sid"][..], &["sid", "a.b"]] {
        let wanted = members(wanted);
        let long = |len: usize| format!(r#"{{"sid":"{}"}}"#, "x".repeat(len));
        for (body, count) in [
            (long(512), 1),
            (long(513), 0),
            (long(100_000), 0),
            (format!(r#"{{"sid":"{}"}}"#, "\\u0061".repeat(512)), 1),
            (format!(r#"{{"sid":"{}"}}"#, "\\u0061".repeat(513)), 0),
            (format!(r#"{{"{}sid":"1"}}"#, "a".repeat(10_000)), 0),
            (format!(r#"{{"{}sid":"1"}}"#, "\\u0061".repeat(10_000)), 0),
            (format!(r#"{{"sid":"{}"}}"#, "\\".repeat(10_001)), 0),
            (format!(r#"{{"sid":{}}}"#, "1".repeat(10_000)), 0),
            (format!(r#"{{"sid":{} "1"}}"#, " ".repeat(200)), 1),
        ] {
            for size in [1, 7, 4096] {
                let ids = ids_in(learner(&wanted), body.as_bytes().chunks(size));
                assert_eq!(ids.len(), count, "{size}: {:.60}", body);
            }
        }
    }
    // What lies too deep is not read; what lies as deep as it may is.
    for (depth, ids) in [(500, "1"), (520, "")] {
        let body = format!("{}{{\"a\":{{\"b\":\"1\"}}}}", "[".repeat(depth));
        let wanted = members(&["a.b"]);
        assert_eq!(
            ids_in(learner(&wanted), [body.as_bytes()]).join(" "),
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

/// Random documents, spelled in random ways: what serde_json reads is what is found.
#[test]
fn random_documents_are_read_as_serde_json_reads_them() {
    let mut random = Random(7);
    let mut total = [0; 3];
    for _ in 0..3_000 {
        let mut body = String::new();
        write_value(&mut random, 0, &mut body);
        for (sum, wanted) in
            total
                .iter_mut()
                .zip([&["sid", "s"][..], &["a.sid"], &["a.a.s", "sid"]])
        {
            let wanted = members(wanted);
            let expected = oracle(&body, &wanted);
            *sum += expected.len();
            let whole = ids_in(learner(&wanted), [body.as_bytes()]);
            assert_eq!(whole, expected, "{wanted:?} in {body}");
            let mut rest = body.as_bytes();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + random.below(rest.len().min(40)));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(
                ids_in(learner(&wanted), pieces),
                expected,
                "in pieces: {body}"
            );
            if body.len() < 150 {
                ids_at_any_cut(&|| learner(&wanted), body.as_bytes());
            }
        }
    }
    assert!(total.iter().all(|ids| *ids > 40), "hardly an id: {total:?}");
}

fn write_value(random: &mut Random, depth: usize, out: &mut String) {
    space(random, out);
    let kinds = if depth > 5 { 5 } else { 8 };
    match if depth == 0 { 7 } else { random.below(kinds) } {
        0 => out.push_str(["true", "false", "null", "-1.5e+3", "0.25"][random.below(5)]),
        1 => write!(out, "{}", random.below(1000)).unwrap(),
        2..=4 => {
            const TEXTS: [&str; 9] = [
                "sid",
                "s",
                "",
                "a",
                "\"sid\":\"no\"",
                "x\\",
                "id-1",
                "{\"sid\":1}",
                "\u{1f600}/é",
            ];
            let mut text = TEXTS[random.below(9)].to_owned();
            if random.below(2) == 0 {
                text = format!("id{}", random.below(100));
            }
            write_string(random, &text, out);
        }
        kind => {
            let (open, close) = if kind == 5 { ('[', ']') } else { ('{', '}') };
            out.push(open);
            let items = random.below(5);
            for item in 0..items {
                if item > 0 {
                    out.push(',');
                }
                if open == '{' {
                    space(random, out);
                    let name = ["sid", "s", "a", "a", "sidx", "x\"sid", "b\\"][random.below(7)];
                    write_string(random, name, out);
                    space(random, out);
                    out.push(':');
                }
                write_value(random, depth + 1, out);
            }
            space(random, out);
            out.push(close);
        }
    }
    space(random, out);
}

fn space(random: &mut Random, out: &mut String) {
    if random.below(4) == 0 {
        out.push_str([" ", "\n", "\t", "\r\n"][random.below(4)]);
    }
}

fn write_string(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    let escapes = random.below(3) == 0;
    for character in text.chars() {
        let is_escaped = escapes && random.below(2) == 0;
        match character {
            '"' | '\\' if !is_escaped => write!(out, "\\{character}").unwrap(),
            '/' if escapes => out.push_str("\\/"),
            character if is_escaped => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

/// The ids of a document in its order, as serde_json reads it; none twice in a row.
fn oracle(body: &str, wanted: &[Member]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(body);
    let value = Value {
        wanted,
        path: &mut Vec::new(),
        is_id: false,
        ids: &mut ids,
    };
    value.deserialize(&mut reader).expect(body);
    // What is no object and no array is no document of ours.
    ids.retain(|id| !id.is_empty());
    ids.dedup();
    ids
}

/// A value that the path of names leads to.
struct Value<'a> {
    wanted: &'a [Member],
    path: &'a mut Vec<String>,
    is_id: bool,
    ids: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.is_id {
            self.ids.push(text.into());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self {
            wanted, path, ids, ..
        } = self;
        while items
            .next_element_seed(Value {
                wanted,
                path: &mut *path,
                is_id: false,
                ids: &mut *ids,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            wanted, path, ids, ..
        } = self;
        while let Some(name) = map.next_key::<String>()? {
            path.push(name);
            let is_id = wanted.iter().any(|member| match member {
                Member::Anywhere(name) => path.last().is_some_and(|own| own.as_bytes() == &**name),
                Member::At(names) => names
                    .iter()
                    .map(|name| &**name)
                    .eq(path.iter().map(|own| own.as_bytes())),
            });
            map.next_value_seed(Value {
                wanted,
                path: &mut *path,
                is_id,
                ids: &mut *ids,
            })?;
            path.pop();
        }
        Ok(())
    }
}
