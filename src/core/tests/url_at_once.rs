//! Tests for the ids that are found in one look: without them, that may tell another id than all rules
//! do, and send a client to the server of another.

mod url_ids;

use std::borrow::Cow;

use sticky_core::url::{ExtractedId, Names, PlainQuery, MAX_ID};

use url_ids::{listed, names, shown};

#[test]
fn what_one_look_tells_is_so() {
    let long = "x".repeat(MAX_ID + 1);
    let at_once = |names: &Names, query: &str| match names.in_query_at_once(query.as_bytes()) {
        PlainQuery::Untold => None,
        PlainQuery::None => Some(ExtractedId::Absent),
        PlainQuery::Id(id) => Some(ExtractedId::Id(id.to_vec().into())),
    };
    let all = [
        names(&["sid"]),
        names(&["s"]),
        names(&["session"]),
        names(&["sessions"]),
        names(&["PHPSESSID"]),
        names(&["sid", "s"]),
        names(&["(S)"]),
        names(&["sid"]).cut_at(Some(b'.')),
        names(&["sid"]).of_any_length(),
    ];
    let mut told = 0;
    let uuid = "5f3a9c01-0b7e-4d2f-9a61-3c5d7e9f1a2b";
    let forty = format!("{uuid}0123");
    for id in [
        "",
        "1",
        "1234567",
        "12345678",
        "a.b45678",
        "0123456789abcdef",
        uuid,
        &forty,
        &long,
    ] {
        for odd in [
            "",
            "&",
            ";",
            "%41",
            "+",
            "!",
            "$",
            "&sid=2",
            "&n=1234567890123456",
        ] {
            for name in [
                "sid=",
                "s=",
                "session=",
                "sessions=",
                "PHPSESSID=",
                "n=",
                "",
                "sid",
                "%73id=",
            ] {
                for query in [
                    format!("{name}{id}{odd}"),
                    format!("{name}{odd}{id}"),
                    format!("{odd}{name}{id}"),
                ] {
                    for names in &all {
                        if let Some(is) = at_once(names, &query) {
                            let expected = names.in_query(query.as_bytes());
                            assert_eq!(is, expected, "{names:?}: {query:.60}");
                            told += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(told > 300, "{told}");
    let told = |query: &str| at_once(&all[0], query).map(shown);
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(told("sid=01234567"), some("01234567"));
    assert_eq!(
        told("sid=0123456789abcdef0123456789"),
        some("0123456789abcdef0123456789")
    );
    assert_eq!(
        told("sid=0123456789abcdef0123456789abcdef012"),
        some("0123456789abcdef0123456789abcdef012")
    );
    assert_eq!(told("page=1234567"), some("-"));
    assert_eq!(told(""), some("-"));
    // Too short, several pairs.
    for query in ["sid=012", "sid=0123456", "n=12345&sid=01234567"] {
        assert_eq!(told(query), None, "{query}");
    }
    // Too long; what is no id is left to who notes that.
    assert_eq!(told(&format!("sid={}", &long[..61])), None);
    assert_eq!(told(&format!("sid={long}")), None);
    assert_eq!(at_once(&all[3], "sessions=12345678"), None);
    assert_eq!(at_once(&all[7], "sid=01234567.n1"), None);
}

/// Each byte that separates or escapes is seen wherever it stands.
#[test]
fn one_look_misses_no_separator() {
    let names = names(&["sid"]);
    for length in 8..=60 {
        let plain = format!("sid={:x<1$}", "", length);
        assert!(
            matches!(names.in_query_at_once(plain.as_bytes()), PlainQuery::Id(_)),
            "{length}"
        );
        for at in 4..plain.len() {
            for byte in u8::MIN..=u8::MAX {
                let mut query = plain.clone().into_bytes();
                query[at] = byte;
                let told = names.in_query_at_once(&query);
                match byte {
                    b'&' | b';' | b'%' | b'+' => {
                        assert_eq!(told, PlainQuery::Untold, "{length}, {at}")
                    }
                    b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' | b'=' => {
                        assert_eq!(told, PlainQuery::Id(&query[4..]), "{length}, {at}");
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn the_first_id_of_several_pairs_is_found_at_once() {
    let all = [names(&["sid"]), names(&["session"]), names(&["s"])];
    let values = ["", "1", "01234567", "0123456789abcdef0123456789"];
    let pairs = [
        "sid=",
        "session=",
        "s=",
        "n=20",
        "xsid=01234567",
        "by=name",
        "",
        "sid",
    ];
    let mut found = 0;
    let mut queries = Vec::new();
    for first in pairs {
        for value in values {
            for (separator, second) in [('&', "sid="), (';', "session="), ('&', "s="), ('&', "")] {
                for last in ["", "&n=1", ";sid=fedcba9876543210", "&a=%41", "&b=1+2", "&"] {
                    queries.push(format!("{first}{value}{separator}{second}{value}{last}"));
                }
            }
        }
    }
    for query in &queries {
        for names in &all {
            if let Some(id) = names.first_in_pairs_at_once(query.as_bytes()) {
                let expected = names.first_in_query(query.as_bytes());
                assert_eq!(Some(Cow::Borrowed(id)), expected, "{names:?}: {query}");
                found += 1;
            }
        }
    }
    assert!(found > queries.len() / 4, "{found} of {}", queries.len());
    let found = |query: &str| {
        let id = all[0].first_in_pairs_at_once(query.as_bytes());
        id.map(|id| id.escape_ascii().to_string())
    };
    assert_eq!(
        found("n=20&by=name&sid=0123456789").as_deref(),
        Some("0123456789")
    );
    assert_eq!(
        found("sid=0123456789;n=20&by=name").as_deref(),
        Some("0123456789")
    );
    // At the end of the longest that is looked at, and of a longer one.
    assert_eq!(
        found(&format!("{:x<1$}&sid=01234567", "", 51)).as_deref(),
        Some("01234567")
    );
    assert_eq!(found(&format!("{:x<1$}&sid=01234567", "", 52)), None);
    for query in [
        "n=20&sid=1&sid=0123456789",
        "n=20&sid=%30123456789",
        "sid=&sid=0123456789",
        "&&&&&&&&&&&&&&&&",
    ] {
        assert_eq!(found(query), None, "{query}");
    }
}

#[test]
fn the_only_cookie_is_found_at_once() {
    let id = "5q9c2rmk0v7t4b6hn3jd8f1";
    for (name, header) in [
        ("sid", format!("sid={id}")),
        ("sid", format!("sid={id}==")),
        ("JSESSIONID", format!("JSESSIONID={id}.node1")),
        ("PHPSESSID", format!("PHPSESSID={id}{id}")),
    ] {
        let value = header.split_once('=').unwrap().1;
        let found = names(&[name]).in_cookie_alone(header.as_bytes());
        assert_eq!(found, Some(value.as_bytes()), "{header}");
    }
    let words = [
        "sid=",
        "sid",
        "=",
        ";",
        "; ",
        " ",
        "\t",
        "%41",
        "a",
        "0123456789abcde",
        "\"",
        "&",
        "+",
        ",",
        "JSESSIONID=",
        "JSESSIONI",
        ".node1",
        "\u{e4}",
    ];
    let all = [
        names(&["sid"]),
        names(&["JSESSIONID"]),
        names(&["sid"]).cut_at(Some(b'.')),
        names(&["sid", "JSESSIONID"]),
        names(&["(S)"]),
    ];
    let mut random: u32 = 22;
    let mut told = 0;
    for _ in 0..100_000 {
        let mut next = |below: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % below
        };
        let mut header = String::from(["sid=", "JSESSIONID=", ""][next(3)]);
        for _ in 0..next(7) {
            header.push_str(words[next(words.len())]);
        }
        let header = header.as_bytes();
        for names in &all {
            if let Some(id) = names.in_cookie_alone(header) {
                told += 1;
                let ids = names.ids_in_cookies([header].into_iter());
                assert_eq!(listed(ids), id.escape_ascii().to_string(), "{header:?}");
            }
        }
    }
    assert!(told > 1_000, "{told}");
}
