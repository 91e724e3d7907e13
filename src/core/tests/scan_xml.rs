//! Tests for the xml learner, by cases and against quick-xml. Without them, the sessions of SOAP and
//! BOSH may be lost, or be learned from what only looks like an element.

#[path = "pages/corpus.rs"]
mod corpus;
mod learners;
mod xml;

use std::ops::ControlFlow;
use std::sync::Arc;

use corpus::Random;
use learners::{ids_at_any_cut, ids_in, names};
use sticky_core::scan::xml::{XmlLearner, XmlNames};
use sticky_core::scan::Learner;
use sticky_core::url::MAX_ID;

fn elements(names: &[&str]) -> Arc<XmlNames> {
    let names: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
    Arc::new(XmlNames::new(&names))
}

fn learner(wanted: &[&str]) -> Box<dyn Learner> {
    Box::new(XmlLearner::new(elements(wanted), names(&["sid"])))
}

fn read(wanted: &[&str], body: &str) -> String {
    ids_at_any_cut(&|| learner(wanted), body.as_bytes()).join(" ")
}

fn requested(wanted: &[&str], body: &[u8], until: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let _ = elements(wanted).visit_ids(&names(&["sid"]), body, &mut |id| {
        ids.push(String::from_utf8(id).unwrap());
        match ids.len() == until {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    ids
}

#[test]
fn ids_are_the_contents_of_elements_and_the_values_of_attributes() {
    for (body, ids) in [
        ("<sid>1</sid>", "1"),
        (
            "<?xml version='1.0'?>\r\n<a><sid>1</sid><sid>2</sid></a>",
            "1 2",
        ),
        (
            "<s:Envelope><s:Header><w:sid s:x='1'>\n  1\n</w:sid></s:Header></s:Envelope>",
            "1",
        ),
        ("<body rid='7' sid='1' xmlns='urn:x'/>", "1"),
        ("<body\tsid\n=\r\"1\">", "1"),
        ("<body x:sid='1' sid=\"2\"><sid>3</sid></body>", "1 2 3"),
        ("<a xmlns:sid='urn:x' sid=' 1 '/>", "1"),
        ("<a x='a sid=\"1\"' y=\"<sid>2</sid>\"/>", ""),
        ("<a>sid='1'</a>", ""),
        (
            "<sids>1</sids><xsid>2</xsid><SID>3</SID><sid.x>4</sid.x>",
            "",
        ),
        ("<sid/><sid></sid><sid> \n </sid><a sid=''/>", ""),
        ("<sid a='b'/>1", ""),
        (
            "<sid>1<b/></sid><sid>1<b>x</b>2</sid><sid><b>3</b></sid>",
            "",
        ),
        ("<sid><sid>1</sid></sid>", "1"),
        (
            "<sid><!-- <sid>0</sid> -->1<!-- - -- ---><?x <sid>0</sid> ??>2</sid>",
            "12",
        ),
        ("<sid><![CDATA[1<2&amp;]]></sid>", "1<2&amp;"),
        ("<sid>a<![CDATA[]]]]><![CDATA[>]]>b</sid>", "a]]>b"),
        ("<!-- <sid>1</sid> --><sid>2</sid>", "2"),
        ("<![CDATA[<sid>1</sid>]]><sid>2</sid>", "2"),
        ("<?x <sid>1</sid> ?><sid>2</sid>", "2"),
        (
            "<sid>a&amp;b&lt;&gt;&quot;&apos;&#45;&#x2D;&#x1f600;</sid>",
            "a&b<>\"'--\u{1f600}",
        ),
        ("<a sid='&#x20;a&amp;b '/>", "a&b"),
        ("<sid>a&nbsp;b</sid><a sid='&x;'/>", ""),
        (
            "<sid>a&b</sid><sid>a&#;b</sid><sid>&#0;</sid><sid>&#xd800;</sid><sid>&#+5;</sid>",
            "",
        ),
        (
            "<sid>&#X41;</sid><sid>&#99999999999;</sid><sid>&amp</sid>",
            "",
        ),
        // No document with a type of its own is read.
        (
            "<!DOCTYPE a [<!ENTITY x '1'>]><sid>&x;</sid><sid>1</sid>",
            "",
        ),
        ("<sid>1</sid><!DOCTYPE a><sid>2</sid>", "1"),
        ("<!doctype html><sid>1</sid>", ""),
        ("<!-x><sid>1</sid>", ""),
        // Not well-formed.
        ("<sid>1", ""),
        ("<a sid='1", ""),
        ("<a sid=1 b><sid>2</sid>", "2"),
        ("<a sid>'1'</a>", ""),
        ("<sid>1</a>", "1"),
        ("a < b <sid>1</sid>", ""),
        ("a < b> <sid>1</sid>", "1"),
        ("<<sid>1</sid>", ""),
    ] {
        assert_eq!(read(&["sid"], body), ids, "{body}");
        let once = requested(&["sid"], body.as_bytes(), usize::MAX).join(" ");
        assert_eq!(once, ids, "requested: {body}");
    }
    assert_eq!(
        read(&["a", "b"], "<x b='1'><a>2</a><b>1</b><b>1</b></x>"),
        "1 2 1"
    );
}

#[test]
fn requests_have_their_ids_in_the_order_of_the_names() {
    let body = b"<x b='1'><a>2</a><b>3</b><a>2</a></x>";
    assert_eq!(requested(&["a", "b"], body, 9), ["2", "1", "3"]);
    assert_eq!(requested(&["b"], body, 1), ["1"]);
    let many: String = (1..=12).map(|n| format!("<a>{n}</a>")).collect();
    assert_eq!(requested(&["a", "b"], many.as_bytes(), 99).len(), 8);
    assert_eq!(requested(&["a"], many.as_bytes(), 99).len(), 12);
}

#[test]
fn the_memory_is_bounded() {
    let longest = "x".repeat(MAX_ID);
    let escaped = "&#x78;".repeat(MAX_ID);
    for (written, is_id) in [
        (longest.clone(), true),
        (escaped.clone(), true),
        (format!("<![CDATA[{longest}]]>"), true),
        (format!("{longest}x"), false),
        (format!("{escaped}x"), false),
        (format!("<![CDATA[{longest}x]]>"), false),
        ("x".repeat(100_000), false),
        (format!("{}x", "<![CDATA[x]]>".repeat(100_000)), false),
        (format!("{}x", " ".repeat(100_000)), true),
        (format!("x<!--{}-->", " ".repeat(100_000)), true),
    ] {
        let body = format!("<sid>{written}</sid>");
        for size in [7, 1000, body.len()] {
            let ids = ids_in(learner(&["sid"]), body.as_bytes().chunks(size));
            assert_eq!(ids.len(), usize::from(is_id), "{} bytes", body.len());
        }
    }
    for (written, is_id) in [
        (&longest, true),
        (&escaped, true),
        (&format!("{longest}x"), false),
    ] {
        let body = format!("<a sid='{written}'/>");
        let ids = ids_in(learner(&["sid"]), body.as_bytes().chunks(100));
        assert_eq!(ids.len(), usize::from(is_id));
    }
    let body = format!("<{}sid>1</sid>", "a".repeat(100_000));
    assert_eq!(read_whole(&body), [""; 0]);
}

fn read_whole(body: &str) -> Vec<String> {
    ids_in(learner(&["sid"]), [body.as_bytes()])
}

#[test]
fn random_documents_are_read_as_quick_xml_reads_them() {
    let mut random = Random(5);
    let mut total = 0;
    for _ in 0..5_000 {
        let mut body = String::new();
        write_element(&mut random, 0, &mut body);
        for wanted in [&["sid"][..], &["a", "sid"]] {
            let bytes: Vec<&[u8]> = wanted.iter().map(|name| name.as_bytes()).collect();
            let values = xml::values(body.as_bytes(), &bytes).expect(&body);
            let mut expected: Vec<String> = values
                .into_iter()
                .map(|(_, id)| String::from_utf8(id).unwrap())
                .collect();
            if let [_] = wanted {
                assert_eq!(
                    requested(wanted, body.as_bytes(), usize::MAX),
                    expected,
                    "{body}"
                );
            }
            expected.dedup();
            total += expected.len();
            assert_eq!(
                ids_in(learner(wanted), [body.as_bytes()]),
                expected,
                "{body}"
            );
            let mut rest = body.as_bytes();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + random.below(rest.len().min(20)));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(
                ids_in(learner(wanted), pieces),
                expected,
                "in pieces: {body}"
            );
        }
    }
    assert!(total > 2_000, "hardly an id: {total}");
}

fn write_element(random: &mut Random, depth: usize, out: &mut String) {
    const NAMES: [&str; 7] = ["sid", "a", "n:sid", "s:a", "sidx", "xsid", "b"];
    const TEXTS: [&str; 14] = [
        "x",
        "id-1",
        " ",
        "\n\t",
        "&amp;",
        "&#x41;",
        "&lt;sid&gt;",
        "&nope;",
        "é",
        "7",
        "<!-- <sid>no</sid> - -->",
        "<![CDATA[<sid>&amp;]]]>",
        "<?pi <a>no</a>?>",
        ">",
    ];
    let name = NAMES[random.below(NAMES.len())];
    out.push('<');
    out.push_str(name);
    let quote = ["'", "\""][random.below(2)];
    for (at, name) in ["sid", "xmlns:sid", "n:a", "x"].into_iter().enumerate() {
        if random.below(4) == 0 {
            let space = [" ", "\n", "  "][random.below(3)];
            let equals = ["=", " = "][random.below(2)];
            let value = ["1", " v&amp;2 ", "<a>", "&no;", "", "&#45;"][random.below(6)];
            // An attribute with "<" is not well-formed, but read all the same.
            let value = if at == 3 {
                value
            } else {
                value.trim_start_matches('<')
            };
            out.push_str(&format!("{space}{name}{equals}{quote}{value}{quote}"));
        }
    }
    if random.below(5) == 0 {
        out.push_str(["/>", " />"][random.below(2)]);
        return;
    }
    out.push('>');
    for _ in 0..random.below(4) {
        if depth < 5 && random.below(3) == 0 {
            write_element(random, depth + 1, out);
        } else {
            out.push_str(TEXTS[random.below(TEXTS.len())]);
        }
    }
    out.push_str(&format!("</{name}>"));
}
