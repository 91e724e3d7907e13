//! Tests for forms sent as multipart/form-data. Without these, a session may be lost with the first
//! upload, or a file with a form in it may be taken for one.

use sticky_core::http::header_value::{is_value, parameter, value_of};
use sticky_core::http::multipart::fields;

const TYPE: &str = "multipart/form-data; boundary=b";

/// Names and values, `name=value` each.
fn read(media_type: &str, body: &str) -> Option<String> {
    let fields = fields(media_type.as_bytes(), body.as_bytes())?;
    let shown = fields.map(|field| {
        format!(
            "{}={}",
            field.name.escape_ascii(),
            field.value.escape_ascii()
        )
    });
    Some(shown.collect::<Vec<_>>().join(" "))
}

fn part(header: &str, value: &str) -> String {
    format!("--b\r\n{header}\r\n\r\n{value}\r\n")
}

fn named(name: &str, value: &str) -> String {
    part(
        &format!("Content-Disposition: form-data; name=\"{name}\""),
        value,
    )
}

#[test]
fn plain_fields_are_read_and_files_are_not() {
    let file = part(
        "Content-Disposition: form-data; name=\"sid\"; filename=\"a.txt\"\r\nContent-Type: text/plain",
        "9",
    );
    let body = [
        &named("sid", "1"),
        &file,
        &named("item", "a b\r\nc"),
        &named("x", ""),
        "--b--\r\n",
    ];
    assert_eq!(
        read(TYPE, &body.concat()).unwrap(),
        "sid=1 item=a b\\r\\nc x="
    );
}

#[test]
fn headers_are_written_in_many_ways() {
    for (header, shown) in [
        ("Content-Disposition: form-data; name=\"sid\"", "sid=1"),
        ("content-disposition:form-data;name=sid", "sid=1"),
        ("CONTENT-DISPOSITION : Form-Data ; NAME = \"sid\" ", "sid=1"),
        ("Content-Disposition: form-data;\r\n name=\"sid\"", "sid=1"),
        (
            "Content-Disposition: form-data;\r\n\tname=sid\r\nX: y",
            "sid=1",
        ),
        (
            "X: y\r\nContent-Disposition: form-data; name=\"sid\"",
            "sid=1",
        ),
        ("Content-Disposition: form-data; name=\"s\\id\"", "sid=1"),
        (
            "Content-Disposition: form-data; name=\"a\\\"; name=\\\"sid\"",
            "a\\\"; name=\\\"sid=1",
        ),
        (
            "Content-Disposition: form-data; name=\"a\"; name=\"sid\"",
            "a=1",
        ),
        ("Content-Disposition: form-data; name=\"s;id\"", "s;id=1"),
        ("Content-Disposition: form-data; name=\"sid", "sid=1"),
        (
            "Content-Disposition: form-data; name=\"sid\"; filename*=UTF-8''a",
            "",
        ),
        (
            "Content-Disposition: form-data; name=\"sid\"; FileName=",
            "",
        ),
        (
            "Content-Disposition: form-data; name=\"sid\"; filename=\"C:\\\"",
            "",
        ),
        (
            "Content-Disposition: form-data; filename=\"a\"; name=\"sid\"",
            "",
        ),
        ("Content-Disposition: attachment; name=\"sid\"", ""),
        ("Content-Disposition: form-data", ""),
        ("Content-Disposition: form-data; xname=\"sid\"", ""),
        ("Content-Disposition", ""),
        ("X-Content-Disposition: form-data; name=\"sid\"", ""),
        ("X: Content-Disposition: form-data; name=\"sid\"", ""),
    ] {
        assert_eq!(
            read(TYPE, &(part(header, "1") + "--b--")).unwrap(),
            shown,
            "{header}"
        );
    }
}

#[test]
fn incomplete_fields_are_not_read() {
    let whole = named("a", "1") + &named("sid", "2") + "--b--\r\n";
    let second = named("a", "1").len();
    let end = whole.find("--b--").unwrap();
    for cut in 0..=whole.len() {
        let shown = match cut {
            // A boundary counts when its line is complete, or has the dashes of the last one.
            _ if cut >= end + 5 => "a=1 sid=2",
            _ if cut >= second + 5 => "a=1",
            _ => "",
        };
        assert_eq!(
            read(TYPE, &whole[..cut]).unwrap(),
            shown,
            "{:?}",
            &whole[..cut]
        );
    }
}

#[test]
fn boundaries_stand_on_lines_of_their_own() {
    let (sid, end) = (named("sid", "1"), "--b--\r\n");
    for (body, shown) in [
        (format!("preamble\r\n{sid}{end}"), "sid=1"),
        (format!("\r\n{sid}{end}"), "sid=1"),
        (format!("preamble --b\r\n{sid}{end}"), "sid=1"),
        (format!("{sid}{end}{}{end}", named("late", "2")), "sid=1"),
        (format!("--b \t\r\n{}{end}", &sid[5..]), "sid=1"),
        (format!("--b--\r\n{sid}{end}"), ""),
        (named("sid", "1 --b 2") + end, "sid=1 --b 2"),
        (
            named("sid", "1\r\n--bc\r\n--b-\r\n--bx--") + end,
            "sid=1\\r\\n--bc\\r\\n--b-\\r\\n--bx--",
        ),
        (named("sid", "1\n--b\n2") + end, "sid=1\\n--b\\n2"),
        (named("sid", "1\r\n") + end, "sid=1\\r\\n"),
        (format!("--b\r\n{sid}{end}"), "sid=1"),
        (format!("--b\r\n\r\n1\r\n{sid}{end}"), "sid=1"),
        (
            format!("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n{sid}{end}"),
            "sid=1",
        ),
        (sid.replace("\r\n", "\n") + "--b--\n", ""),
        (String::new(), ""),
        ("--b".into(), ""),
        ("--b--".into(), ""),
    ] {
        assert_eq!(read(TYPE, &body).unwrap(), shown, "{body:?}");
    }
}

#[test]
fn the_boundary_is_named_in_many_ways() {
    let body = named("sid", "1") + "--b--";
    for media_type in [
        "multipart/form-data; boundary=b",
        "Multipart/Form-Data;BOUNDARY=\"b\"",
        "multipart/form-data; charset=utf-8; boundary=\"\\b\" ; x",
        "multipart/form-data; x=\"; boundary=c\"; boundary=b",
        " multipart/form-data ; boundary = b ",
    ] {
        assert_eq!(
            read(media_type, &body).as_deref(),
            Some("sid=1"),
            "{media_type}"
        );
    }
    for media_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; xboundary=b",
        "multipart/mixed; boundary=b",
        "application/x-www-form-urlencoded; boundary=b",
        "",
        &format!("multipart/form-data; boundary={}", "b".repeat(71)),
    ] {
        assert_eq!(read(media_type, &body), None, "{media_type}");
    }
    let longest = "b".repeat(70);
    let body = body.replace("--b", &format!("--{longest}"));
    let media_type = format!("multipart/form-data; boundary={longest}");
    assert_eq!(read(&media_type, &body).as_deref(), Some("sid=1"));
}

#[test]
fn parameters_follow_a_value() {
    let shown = |header: &str| {
        let value = parameter(header.as_bytes(), b"charset");
        value.map(|value| value.escape_ascii().to_string())
    };
    for (header, value) in [
        ("text/html; charset=utf-8", Some("utf-8")),
        ("text/html;a=b;Charset=\"utf-8\";c", Some("utf-8")),
        ("text/html; charset=a; charset=b", Some("a")),
        ("text/html; charset", Some("")),
        ("text/html; charset=\"a\\", Some("a")),
        ("text/html; charset=\"a\"b", Some("a")),
        ("charset=utf-8", None),
        ("text/html;", None),
    ] {
        assert_eq!(shown(header).as_deref(), value, "{header}");
    }
    assert_eq!(value_of(b" text/html ; charset=utf-8"), b"text/html");
    assert_eq!(value_of(b""), b"");
    for (header, is_html) in [
        ("text/html", true),
        (" Text/HTML ; charset=utf-8", true),
        ("text/html;charset=utf-8", true),
        ("text/html \t", true),
        ("text/htm", false),
        ("text/html5", false),
        ("text/html charset=utf-8", false),
        ("text/plain", false),
        ("x", false),
        ("", false),
    ] {
        assert_eq!(
            is_value(header.as_bytes(), b"text/html"),
            is_html,
            "{header}"
        );
    }
}

/// Random bytes between the parts of a form give a result, and no field that is not there.
#[test]
fn no_bytes_cause_a_panic() {
    const PIECES: [&str; 12] = [
        "--b",
        "--",
        "\r\n",
        "\n",
        ";",
        "\"",
        " ",
        "sid",
        "\r\n--b\r\n",
        "Content-Disposition: form-data; name=",
        "\r\n\r\n",
        "\r\n\r\n1\r\n--b\r\n",
    ];
    let mut seed = 3_u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        PIECES[(seed >> 33) as usize % PIECES.len()]
    };
    let mut found = 0;
    for _ in 0..100_000 {
        let body: String = (0..12).map(|_| next()).collect();
        for field in fields(TYPE.as_bytes(), body.as_bytes()).unwrap() {
            let value = field.value;
            let ended = [b"\r\n\r\n", value, b"\r\n--b"].concat();
            assert!(body
                .as_bytes()
                .windows(ended.len())
                .any(|part| part == ended));
            assert!(!value.windows(7).any(|line| line == b"\r\n--b\r\n"));
            found += 1;
        }
    }
    assert!(found > 100, "the bodies test nothing: {found}");
}
