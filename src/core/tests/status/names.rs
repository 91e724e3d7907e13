//! Names that are more than names to HTML, JSON or Prometheus.

use sticky_core::status::{Form, Notice, Query};

use crate::sample::{json, metrics, page, page_with_hands, report};

const HOSTILE: &[&[u8]] = &[
    b"<script>alert(1)</script>",
    b"\"><img src=x onerror=alert(1)>",
    b"' onmouseover='alert(1)",
    b"</title></style></script><b>",
    b"a&amp;b&lt;",
    b"</span><!--",
    b"back\\slash\"quote\nline\r\ttab",
    b"nul\0 bell\x07 del\x7f",
    b"\xff\xfe not UTF-8 \xc3",
    b"cut \xe2\x82",
    "\u{202e}gnp.exe \u{2066}\u{feff}\u{200b}".as_bytes(),
    "\u{2028}\u{2029}".as_bytes(),
    "{{7*7}} ${7*7} übergröße 日本".as_bytes(),
    b"\",\"schema\":9,\"x\":\"",
    b"a\"} 1\nevil_total{x=\"",
    b"",
];

/// The tags of a page, in their order.
fn tags(page: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    // What stands in these two is not read as tags.
    for part in page
        .split("<style>")
        .flat_map(|part| part.split("</style>"))
    {
        for tag in part.split("<script>").next().unwrap().split('<').skip(1) {
            let name = tag.split(['>', ' ', '\n']).next().unwrap();
            tags.push(name);
        }
    }
    tags
}

#[test]
fn a_name_adds_no_tag_and_no_attribute_to_the_page() {
    let plain = page(&report(b"u", b"s", b"z"));
    let expected = tags(&plain);
    assert!(expected.len() > 100, "{}", expected.len());
    for name in HOSTILE {
        let hostile = page(&report(name, name, name));
        assert_eq!(tags(&hostile), expected, "{}", name.escape_ascii());
        // Quotes in values would end them: none is left but those that hold them.
        let count = |text: &str| text.matches(['"', '\'']).count();
        assert_eq!(count(&hostile), count(&plain), "{}", name.escape_ascii());
        let unseen = hostile.chars().find(|character| {
            character.is_control() && *character != '\n'
                || matches!(character, '\u{202e}' | '\u{2066}' | '\u{feff}' | '\u{200b}')
        });
        assert_eq!(unseen, None, "{}", name.escape_ascii());
    }
}

#[test]
fn a_name_adds_nothing_to_forms_either() {
    let with_forms = |name| {
        let notice = Notice::Ask(
            String::from_utf8_lossy(name).into(),
            vec![("id", name.to_vec())],
        );
        page_with_hands(report(name, name, name), notice)
    };
    let plain = with_forms(b"u");
    for name in HOSTILE {
        let hostile = with_forms(name);
        assert_eq!(tags(&hostile), tags(&plain), "{}", name.escape_ascii());
        let count = |text: &str| text.matches(['"', '\'']).count();
        assert_eq!(count(&hostile), count(&plain), "{}", name.escape_ascii());
    }
}

#[test]
fn a_chosen_name_is_as_harmless() {
    let all: Vec<_> = HOSTILE.iter().filter(|name| !name.is_empty()).collect();
    let of = |name: &[u8]| {
        crate::sample::text(|out| {
            sticky_core::status::page(&report(name, b"s", b"z"), name, Some(name), out);
        })
    };
    let expected = of(b"u");
    for name in all {
        assert_eq!(tags(&of(name)), tags(&expected), "{}", name.escape_ascii());
    }
}

#[test]
fn json_has_the_very_names() {
    for name in HOSTILE {
        let text = json(&report(name, name, name));
        let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        // Bytes that are not UTF-8 are shown.
        let mut expected = String::new();
        for chunk in name.utf8_chunks() {
            expected.push_str(chunk.valid());
            for byte in chunk.invalid() {
                expected.push_str(&format!("\\x{byte:02x}"));
            }
        }
        let upstream = &read["upstreams"][0];
        assert_eq!(upstream["name"], expected);
        assert_eq!(upstream["servers"][0]["name"], expected);
        assert_eq!(upstream["servers"][0]["route"], expected);
        assert_eq!(upstream["share"], expected);
        assert_eq!(upstream["zone"], expected);
        assert_eq!(read["zones"][0]["name"], expected);
        assert_eq!(read["zones"][0]["state"]["file"], expected);
        assert_eq!(read["schema"], 1);
        // Within a page, as data, it ends no element.
        assert!(!text.contains(['<', '>', '&']), "{text}");
    }
}

/// Takes a line of a metric to pieces, as Prometheus does: its name, its labels and its value.
pub fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let mut labels = Vec::new();
    let Some((name, mut rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ').expect("a value");
        return (name.to_owned(), labels, value.parse().expect("a number"));
    };
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"").expect("a label");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("the value ends") {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next().expect("an escape").1 {
                    'n' => '\n',
                    it @ ('"' | '\\') => it,
                    other => panic!("unknown escape {other}"),
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((label.trim_start_matches(',').to_owned(), value));
        rest = &after[end + 1..];
    }
    let value = rest[1..].trim().parse().expect("a number");
    (name.to_owned(), labels, value)
}

#[test]
fn metrics_have_the_very_names() {
    let plain = metrics(&report(b"u", b"s", b"z"));
    for name in HOSTILE {
        let text = metrics(&report(name, name, name));
        assert_eq!(text.lines().count(), plain.lines().count());
        for (line, like) in text.lines().zip(plain.lines()) {
            if line.starts_with('#') {
                assert_eq!(line, like);
                continue;
            }
            let ((metric, labels, value), like) = (sample(line), sample(like));
            assert_eq!((metric, value), (like.0, like.2));
            let names = |labels: &[(String, String)]| -> Vec<String> {
                labels.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&labels), names(&like.1));
            if let Some((_, value)) = labels.iter().find(|(label, _)| label == "upstream") {
                if std::str::from_utf8(name).is_ok() {
                    assert_eq!(value.as_bytes(), *name);
                }
            }
        }
    }
}

#[test]
fn a_link_names_an_upstream_and_a_form() {
    for name in HOSTILE {
        let link = Query::for_upstream(name);
        let query = link.strip_prefix('?').expect("a query");
        assert_eq!(Query(query.as_bytes()).upstream().as_deref(), Some(*name));
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"=%-._~".contains(&byte);
        assert!(query.bytes().all(harmless), "{query}");
    }
    let asks = |query: &str| Query(query.as_bytes()).upstream();
    assert_eq!(asks("a=1&upstream=b+c%2f"), Some(b"b c/".to_vec()));
    assert_eq!(asks(""), None);
    assert_eq!(asks("drain=a"), None);
    assert_eq!(asks("upstreams=a"), None);
    assert_eq!(asks("upstream=%zz"), Some(b"%zz".to_vec()));

    let table: &[(&str, Option<&str>, Option<Form>)] = &[
        ("/sticky", Some("/sticky"), Some(Form::Page)),
        ("/sticky/", Some("/sticky"), Some(Form::Page)),
        ("/sticky/", Some("/sticky/"), Some(Form::Page)),
        ("/sticky/json", Some("/sticky"), Some(Form::Json)),
        ("/sticky/json", Some("/sticky/"), Some(Form::Json)),
        ("/sticky/metrics", Some("/sticky"), Some(Form::Metrics)),
        ("/sticky/json/", Some("/sticky"), None),
        ("/sticky/JSON", Some("/sticky"), None),
        ("/stickyjson", Some("/sticky"), None),
        ("/sticky/a/json", Some("/sticky"), None),
        ("/sticky//json", Some("/sticky"), None),
        ("/", Some("/"), Some(Form::Page)),
        ("/json", Some("/"), Some(Form::Json)),
        ("/metrics", Some("/"), Some(Form::Metrics)),
        ("/x", Some("/"), None),
        // A regular expression, or a named location.
        ("/a/sticky", None, Some(Form::Page)),
        ("/a/json", None, Some(Form::Json)),
        ("/a/metrics", None, Some(Form::Metrics)),
        ("", None, None),
    ];
    for (path, base, form) in table {
        let found = Form::of(path.as_bytes(), base.map(str::as_bytes));
        assert_eq!(found, *form, "{path} below {base:?}");
    }
    let starts = [
        ("/sticky", "./sticky/"),
        ("/sticky/", "./"),
        ("/", "./"),
        ("/a/b:c", "./b%3Ac/"),
        ("/a\"><b", "./a%22%3E%3Cb/"),
    ];
    for (path, start) in starts {
        assert_eq!(Form::link_start(path.as_bytes()), start);
    }
}
