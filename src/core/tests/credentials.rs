//! Tests for ids in credentials and challenges. Without them, a client that signs in by Digest or
//! with a token loses its session, or one header is read as another one's id.

use sticky_core::directive::{parse, Mode, QueryRule};
use sticky_core::events::Source;
use sticky_core::http::credentials::{bearer, values_of};
use sticky_core::scan::response_headers::ids_in_header;

fn values(header: &[u8], name: &str) -> Vec<String> {
    let values = values_of(header, name.as_bytes());
    values
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect()
}

#[test]
fn a_bearer_token_is_what_stands_behind_the_scheme() {
    for (header, token) in [
        ("Bearer mF_9.B5f-4.1JqM", Some("mF_9.B5f-4.1JqM")),
        ("bearer x", Some("x")),
        ("BEARER  x ", Some("x")),
        (" Bearer x", Some("x")),
        ("Bearer x y", Some("x y")),
        ("Bearer ", Some("")),
        ("Bearer", None),
        ("Bearerx y", None),
        ("Bearer\tx", None),
        ("Basic x", None),
        ("Bear", None),
        ("", None),
    ] {
        assert_eq!(
            bearer(header.as_bytes()),
            token.map(str::as_bytes),
            "{header}"
        );
    }
}

#[test]
fn parameters_are_found_in_all_kinds_of_headers() {
    for (header, expected) in [
        (r#"Digest username="u", nonce="abc", uri="/""#, &["abc"][..]),
        ("Digest nonce=abc,uri=x", &["abc"]),
        ("Digest nonce = \"a b\" , uri=x", &["a b"]),
        ("Digest NONCE=abc", &["abc"]),
        (r#"Digest nonce="a\"b\\c", x=y"#, &["a\"b\\c"]),
        (r#"Digest nonce="""#, &[""]),
        (r#"Digest nonce="abc"#, &["abc"]),
        ("Digest nonce=", &[""]),
        (r#"Digest xnonce="1", noncex=2, cnonce=3"#, &[]),
        (r#"Digest opaque="nonce=1, nonce=2", nonce=3"#, &["3"]),
        (r#"Digest opaque="a\", nonce=1", nonce=3"#, &["3"]),
        (
            r#"Basic realm="r", Digest nonce="1", Digest nonce="2""#,
            &["1", "2"],
        ),
        (
            "Digest nonce=1, Negotiate YII==, Digest nonce=2",
            &["1", "2"],
        ),
        ("text/html; charset=utf-8; nonce=1", &["1"]),
        ("nonce=1;x=y", &["1"]),
        (r#""nonce=1" nonce=2"#, &["2"]),
        (r#"x"nonce=1"nonce=2"#, &["2"]),
        ("=nonce=1", &["1"]),
        (",;=, nonce=1", &["1"]),
        ("nonce", &[]),
        ("", &[]),
    ] {
        assert_eq!(values(header.as_bytes(), "nonce"), expected, "{header}");
    }
}

#[test]
fn a_header_of_nothing_but_separators_is_read_once() {
    // Some minutes if each of them were followed by a search to the end.
    for byte in [b' ', b',', b'=', b'"', b'a', b'\\'] {
        let header = vec![byte; 4 << 20];
        assert!(values_of(&header, b"nonce").next().is_none());
    }
}

fn rule(line: &str) -> QueryRule {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Query(rule)) => *rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_are_learned_from_a_parameter_alone() {
    let rule = rule("mode=query id_delimiter=. learn=header:WWW-Authenticate:nonce,header:X");
    let ids = |name: &str, value: &str| {
        let mut ids = Vec::new();
        let header = (name.as_bytes(), value.as_bytes());
        ids_in_header(
            &rule.learn,
            &rule.names,
            header,
            || 0,
            |id, source| {
                assert_eq!(source, Source::Header);
                ids.push(String::from_utf8_lossy(id).into_owned());
            },
        );
        ids
    };
    assert!(rule.header_lengths.have(b"www-authenticate".len()));
    let challenges = r#"Digest realm="r", nonce="a\b.node1", Digest nonce=c"#;
    assert_eq!(ids("WWW-Authenticate", challenges), ["ab", "c"]);
    assert_eq!(ids("x", "nonce=1"), ["nonce=1"]);
    let long = format!("Digest nonce={}", "x".repeat(sticky_core::url::MAX_ID + 1));
    for (name, value) in [
        ("WWW-Authenticate", "Digest nonce=\"\""),
        ("WWW-Authenticate", &long),
        ("Authentication-Info", "nonce=1"),
    ] {
        assert!(ids(name, value).is_empty(), "{name}: {value}");
    }
}
