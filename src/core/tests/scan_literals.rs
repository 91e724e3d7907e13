//! Tests for the learner of object literals: which members of a script are ids, however it is cut
//! into pieces. Without them, the id of an application that lives in one page may be lost, or be
//! learned from what is no member.

#[path = "pages/corpus.rs"]
mod corpus;
mod learners;

use std::sync::Arc;

use corpus::Random;
use learners::{ids_at_any_cut, ids_in, names};
use sticky_core::scan::json::ScriptLearner;
use sticky_core::scan::literals::{LiteralLearner, LiteralNames};
use sticky_core::scan::Learner;
use sticky_core::url::MAX_ID;

fn literals(wanted: &[&str]) -> LiteralLearner {
    let members: Vec<Box<[u8]>> = wanted.iter().map(|name| name.as_bytes().into()).collect();
    LiteralLearner::new(Arc::new(LiteralNames::new(&members)), names(&["sid"]))
}

fn read(wanted: &[&str], script: &str) -> String {
    ids_at_any_cut(&|| Box::new(literals(wanted)), script.as_bytes()).join(" ")
}

#[test]
fn members_of_literals_and_of_json() {
    for (script, ids) in [
        (r#"{sid:"1"}"#, "1"),
        (
            r#"x = { sid : '1' , "sid":"2",'sid' :'3', sid: `4`};"#,
            "1 2 3 4",
        ),
        (r#"const o = {a: 1, "b": {"sid": "1"}};"#, "1"),
        ("{\n  a: b()\n  sid: '1'}", "1"),
        ("sid: '1'", "1"),
        ("\n\t'sid'\n:\n'1'", "1"),
        (r#"{sid:12, sid:34}"#, "12 34"),
        (
            r#"{sid:12.5, sid:0x12, sid:1e3, sid:-1, sid:7n, sid:1_000}"#,
            "",
        ),
        (r#"{sid:true, sid:null, sid:x, sid:["1"], sid:{a:"1"}}"#, ""),
        (r#"{sid:"", sid:''}"#, ""),
        (
            r#"{xsid:"1", sidx:"1", SID:"1", x$sid:"1", "xsid":"1", $sid:"1"}"#,
            "",
        ),
        (r#"{"sid':"1", 'sid":"1", "sid:"1", sid":"1"}"#, ""),
        (r#"{x.sid:"1"}"#, ""),
        (r#"a ? sid : "1""#, ""),
        (r#"sid = "1"; f(sid, "1"); o.sid = "1""#, ""),
        (r#"{sid, x:"1"}"#, ""),
        (r#"JSON.parse('{"sid":"1"}')"#, "1"),
        (r#"{sid:"a\u002Db\x2dc\/d\"e\'f\\g"}"#, "a-b-c/d\"e'f\\g"),
        (r#"{sid:"a\nb", sid:"\u12", sid:"\ud83d", sid:"\q"}"#, "q"),
        ("{sid:\"a\nb\"}", ""),
        (r#"{sid:`a${b}`, sid:`$1`}"#, "$1"),
        (r#"{sid:"1"#, ""),
        (r#"{sid:'1""#, ""),
        ("{sid:1", "1"),
        (r#"{"\u0073id":"1"}"#, ""),
    ] {
        assert_eq!(read(&["sid"], script), ids, "{script}");
    }
    let both = r#"{"id":"1","client_id":"2","sid":"3"}"#;
    assert_eq!(read(&["client_id", "id"], both), "1 2");
}

#[test]
fn lengths_are_bounded() {
    let space = |len: usize| " ".repeat(len);
    for (script, count) in [
        (format!("{{sid:\"{}\"}}", "x".repeat(MAX_ID)), 1),
        (format!("{{sid:\"{}\"}}", "x".repeat(MAX_ID + 1)), 0),
        (format!("{{sid:\"{}\"}}", "\\u0061".repeat(MAX_ID)), 1),
        (format!("{{sid:\"{}\"}}", "\\u0061".repeat(MAX_ID + 1)), 0),
        (format!("{{sid:\"{}\"}}", "\\".repeat(100_001)), 0),
        (format!("{{sid:{}}}", "1".repeat(MAX_ID + 1)), 0),
        (format!("{{{}sid:\"1\"}}", space(256)), 1),
        (format!("{{{}sid:\"1\"}}", space(300)), 0),
        (format!("{{sid{0}:{0}\"1\"}}", space(256)), 1),
        (format!("{{sid{}:\"1\"}}", space(257)), 0),
        (format!("{{sid:{}\"1\"}}", space(257)), 0),
    ] {
        for size in [3, 700, 5000, script.len()] {
            let pieces = script.as_bytes().chunks(size);
            let ids = ids_in(Box::new(literals(&["sid"])), pieces);
            assert_eq!(ids.len(), count, "{} bytes by {size}", script.len());
        }
    }
}

#[test]
fn ordinary_scripts_of_a_page_are_read() {
    for (page, ids) in [
        (r#"<script>let o = {sid: "1"};</script>"#, "1"),
        (
            r#"<SCRIPT type="module" async>f({"sid":'1'})</SCRIPT >"#,
            "1",
        ),
        (r#"<script type=text/javascript>({sid:"1"})</script>"#, "1"),
        (
            r#"<script type='' nonce=x>({sid:"1"})</script><script>({sid:"2"})</script>"#,
            "1 2",
        ),
        (
            r#"<script type="application/json">{"sid":"1"}</script>"#,
            "",
        ),
        (r#"<script type="text/template">{sid:"1"}</script>"#, ""),
        (
            r#"<p>{sid:"1"}</p><!-- {sid:"1"} --><scripts>{sid:"1"}</scripts>"#,
            "",
        ),
        (r#"<script>x = {si</script><script>d:"1"}</script>"#, ""),
        (r#"<script>x = {sid:</script>"1""#, ""),
    ] {
        let learner =
            || -> Box<dyn Learner> { Box::new(ScriptLearner::of_literals(literals(&["sid"]))) };
        assert_eq!(
            ids_at_any_cut(&learner, page.as_bytes()).join(" "),
            ids,
            "{page}"
        );
    }
}

#[test]
fn random_literals_have_the_ids_they_were_written_with() {
    let mut random = Random(3);
    let mut total = 0;
    for _ in 0..3_000 {
        let mut script = String::from("app.start(");
        let mut expected = Vec::new();
        write_object(&mut random, 0, &mut script, &mut expected);
        script.push_str(");");
        expected.dedup();
        total += expected.len();
        let mut rest = script.as_bytes();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len().min(1500)));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(
            ids_in(Box::new(literals(&["sid", "id"])), pieces),
            expected,
            "{script}"
        );
    }
    assert!(total > 2_000, "hardly an id: {total}");
}

fn write_object(random: &mut Random, depth: usize, out: &mut String, ids: &mut Vec<String>) {
    out.push('{');
    for item in 0..random.below(6) {
        if item > 0 {
            out.push(',');
        }
        out.push_str(["", " ", "\n  ", "\t"][random.below(4)]);
        let name = ["sid", "id", "side", "xid", "name"][random.below(5)];
        let quote = ["", "\"", "'"][random.below(3)];
        out.push_str(&format!("{quote}{name}{quote}"));
        out.push_str([":", ": ", " :\n"][random.below(3)]);
        let mut value = None;
        match random.below(5) {
            0 if depth < 4 => write_object(random, depth + 1, out, ids),
            1 => {
                let number = random.below(10_000).to_string();
                out.push_str(&number);
                value = Some(number);
            }
            2 => out.push_str(["true", "f(x)", "[1, 'a']", "-3", "x.id"][random.below(5)]),
            _ => {
                let quote = ["\"", "'", "`"][random.below(3)];
                let longest = if random.below(20) == 0 { 4096 } else { 30 };
                let length = 1 + random.below(longest);
                let id: String = (0..length)
                    .map(|_| ["a", "-", "7", "{"][random.below(4)])
                    .collect();
                out.push_str(&format!("{quote}{id}{quote}"));
                value = Some(id);
            }
        }
        if matches!(name, "sid" | "id") {
            ids.extend(value);
        }
    }
    out.push('}');
}
