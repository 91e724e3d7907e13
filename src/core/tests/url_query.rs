//! Tests for the id in a query and in a form. Without these, an unusual but valid request may lose
//! its session, or a client may be sent to the server of another.

use std::borrow::Cow;

use sticky_core::url::{ExtractedId, Names, PlainQuery, MAX_ID, MAX_SEARCHED};

fn names(names: &[&str]) -> Names {
    Names::new(names.iter().map(|name| name.as_bytes().into()).collect())
}

fn shown(extracted: ExtractedId<'_>) -> String {
    match extracted {
        ExtractedId::Absent => "-".into(),
        ExtractedId::Conflict => "conflict".into(),
        ExtractedId::Id(id) => id.escape_ascii().to_string(),
    }
}

/// The ids of a request.
fn listed<'a>(ids: impl Iterator<Item = Cow<'a, [u8]>>) -> String {
    let ids: Vec<String> = ids.map(|id| id.escape_ascii().to_string()).collect();
    ids.join(" ")
}

#[test]
fn so_much_of_a_query_a_path_or_a_header_is_searched() {
    let names = names(&["sid", "other"]);
    // Behind so many bytes, whole or not.
    for (before, id) in [
        (0, "1"),
        (MAX_SEARCHED - 7, "1"),
        (MAX_SEARCHED - 2, ""),
        (MAX_SEARCHED, ""),
    ] {
        let text = |start: &str, pair: &str, end: &str| {
            let filling = "a".repeat(before.saturating_sub(start.len()));
            [start, &filling, pair, end].concat()
        };
        let query = text("x=%20", "&sid=1", "&b");
        assert_eq!(listed(names.ids_in_query(query.as_bytes())), id, "{before}");
        assert_eq!(
            listed(names.first_in_query(query.as_bytes()).into_iter()),
            id,
            "{before}"
        );
        let extracted = if id.is_empty() { "-" } else { id };
        assert_eq!(
            shown(names.in_query(query.as_bytes())),
            extracted,
            "{before}"
        );
        let plain = text("x=", "&sid=1", "&b");
        assert_eq!(listed(names.ids_in_query(plain.as_bytes())), id, "{before}");
        let path = text("/", ";sid=1", "/b");
        assert_eq!(listed(names.ids_in_path(path.as_bytes())), id, "{before}");
        let cookies = text("x=", ";sid=1", "; b=");
        let cookies = std::iter::once(cookies.as_bytes());
        assert_eq!(listed(names.ids_in_cookies(cookies)), id, "{before}");
        let header = text("x=", ",sid=1", ", b=");
        let header = std::iter::once(header.as_bytes());
        assert_eq!(
            listed(names.ids_in_parameters(header, b"sid")),
            id,
            "{before}"
        );
    }
}

#[test]
fn a_query_is_searched_for_the_whole_name() {
    for (query, id) in [
        ("sid=1", "1"),
        ("a=1&sid=2&b=3", "2"),
        ("a=1;sid=2;b=3", "2"),
        ("a=1&amp;sid=2", "2"),
        ("xsid=1", "-"),
        ("sidx=1", "-"),
        ("SID=1", "-"),
        ("a=sid=1", "-"),
        ("sid", "-"),
        ("sid=", "-"),
        ("sid&sid=1", "1"),
        ("sid=&sid=1", "1"),
        ("", "-"),
        ("&&;;&", "-"),
        ("=1", "-"),
        ("&sid=1&", "1"),
        ("sid=a=b", "a=b"),
        ("sid==", "="),
        ("sid=a%20b", "a b"),
        ("sid=a+b", "a b"),
        ("sid=a%2Bb", "a+b"),
        ("sid=a%2bb+c", "a+b c"),
        ("sid=a%26b%3Bc", "a&b;c"),
        ("sid=%2541", "%41"),
        ("sid=%zz%4", "%zz%4"),
        ("sid=%", "%"),
        ("sid=%00%ff", "\\x00\\xff"),
        ("%73id=1", "1"),
        ("%73%69%64=1", "1"),
        ("s%69d=1&sid=1", "1"),
        ("s%69d=1&sid=2", "conflict"),
        ("%2573id=1", "-"),
        ("+sid=1", "-"),
        ("sid=1&sid=1", "1"),
        ("sid=1&sid=%31", "1"),
        ("sid=1&sid=2", "conflict"),
        ("sid=1&sid=1&sid=2", "conflict"),
        ("sid=1&SID=2", "1"),
        ("sid%3D1", "-"),
        ("sid%3D=1", "-"),
    ] {
        // A long query is read in blocks.
        let pad = "pad=0123456789abcdef";
        for query in [
            query.to_owned(),
            format!("{query}&{pad}"),
            format!("{pad}&{query}"),
            format!("{pad}&{query}&{pad}"),
        ] {
            let extracted = names(&["sid"]).in_query(query.as_bytes());
            assert_eq!(shown(extracted), id, "{query}");
        }
    }
}

#[test]
fn the_first_configured_name_with_a_value_decides() {
    let both = names(&["sid", "PHPSESSID"]);
    for (query, id) in [
        ("PHPSESSID=p&sid=s", "s"),
        ("PHPSESSID=p", "p"),
        ("PHPSESSID=p&sid=", "p"),
        ("PHPSESSID=p&PHPSESSID=q&sid=s", "s"),
        ("PHPSESSID=p&PHPSESSID=q", "conflict"),
        ("PHPSESSID=p&sid=s&sid=t", "conflict"),
    ] {
        assert_eq!(shown(both.in_query(query.as_bytes())), id, "{query}");
    }
}

#[test]
fn a_request_has_the_ids_of_all_names_in_their_order() {
    let both = names(&["sid", "PHPSESSID"]);
    for (query, ids) in [
        ("sid=1&sid=2", "1 2"),
        ("sid=2&sid=1&sid=2", "2 1 2"),
        ("PHPSESSID=p&sid=s", "s p"),
        ("PHPSESSID=p&a=b&sid=s&PHPSESSID=q&sid=t&", "s t p q"),
        ("sid=&PHPSESSID=p&sid", "p"),
        ("s%69d=%31&sid=2;sid=3", "1 2 3"),
        ("PHPSESSID=p;sid=a+b", "a b p"),
        ("xsid=1&a=b", ""),
        ("", ""),
    ] {
        let pad = "pad=0123456789abcdef";
        for query in [
            query.to_owned(),
            format!("{query}&{pad}"),
            format!("{pad}&{query}"),
        ] {
            assert_eq!(listed(both.ids_in_query(query.as_bytes())), ids, "{query}");
            let first = both.first_in_query(query.as_bytes());
            assert_eq!(first, both.ids_in_query(query.as_bytes()).next(), "{query}");
        }
    }
    let longer = format!("sid={}&sid=1", "x".repeat(MAX_ID + 1));
    assert_eq!(listed(both.ids_in_query(longer.as_bytes())), "1");
}

#[test]
fn an_id_is_at_most_512_decoded_bytes() {
    let sid = names(&["sid"]);
    let longest = "x".repeat(MAX_ID);
    assert_eq!(
        shown(sid.in_query(format!("sid={longest}").as_bytes())),
        longest
    );
    assert_eq!(
        shown(sid.in_query(format!("sid={longest}x").as_bytes())),
        "-"
    );
    assert_eq!(
        shown(sid.in_query(format!("sid={longest}x&sid=1").as_bytes())),
        "1"
    );
    let escaped = "%78".repeat(MAX_ID);
    assert_eq!(
        shown(sid.in_query(format!("sid={escaped}").as_bytes())),
        longest
    );
    assert_eq!(
        shown(sid.in_query(format!("sid={escaped}%78").as_bytes())),
        "-"
    );
}

#[test]
fn names_with_marks_are_found_escaped_or_not() {
    for (name, query) in [
        ("ctl$sid", "ctl%24sid=1"),
        ("ctl$sid", "ctl$sid=1"),
        ("~s", "%7es=1"),
        ("a:b", "a%3Ab=1"),
        ("*", "%2A=1"),
        ("s.i-d_", "s.i-d_=1"),
        ("@", "@=1"),
    ] {
        assert_eq!(
            shown(names(&[name]).in_query(query.as_bytes())),
            "1",
            "{query}"
        );
    }
}

#[test]
fn a_form_separates_by_ampersands_alone() {
    for (form, ids) in [
        ("sid=1", "1"),
        ("a=1&sid=2;3", "2;3"),
        ("a=1;sid=2", ""),
        ("sid=a+b%3b", "a b;"),
        ("sid=1&sid=2", "1 2"),
        ("", ""),
    ] {
        assert_eq!(
            listed(names(&["sid"]).ids_in_form(form.as_bytes())),
            ids,
            "{form}"
        );
    }
}

#[test]
fn a_name_is_1_to_64_unreserved_bytes() {
    for name in [
        "sid",
        "a",
        "PHPSESSID",
        "a-b_c.d~e!f$g*h@i:j",
        &"x".repeat(64),
    ] {
        assert!(Names::is_valid_name(name.as_bytes()), "{name}");
    }
    for name in [
        "",
        "a b",
        "a=b",
        "a&b",
        "a%62",
        "a[0]",
        "a+b",
        "a;b",
        "ü",
        &"x".repeat(65),
    ] {
        assert!(!Names::is_valid_name(name.as_bytes()), "{name}");
    }
}

/// The same rules in naive code: the id of a link with this query, and those of a request.
fn naive(query: &[u8]) -> (String, String) {
    let unescape = |text: &[u8]| {
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let hex = text
                .get(at + 1..at + 3)
                .and_then(|hex| std::str::from_utf8(hex).ok());
            let hex = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            match (text[at], hex) {
                (b'%', Some(hex)) => {
                    out.extend(u8::from_str_radix(hex, 16));
                    at += 3;
                }
                (byte, _) => {
                    out.push(if byte == b'+' { b' ' } else { byte });
                    at += 1;
                }
            }
        }
        out
    };
    let pairs = query.split(|b| *b == b'&' || *b == b';');
    let ids: Vec<Vec<u8>> = pairs
        .filter_map(|pair| {
            let end = pair.iter().position(|b| *b == b'=')?;
            (unescape(&pair[..end]) == b"sid").then(|| unescape(&pair[end + 1..]))
        })
        .filter(|id| !id.is_empty() && id.len() <= MAX_ID)
        .collect();
    let all = listed(ids.iter().map(|id| id.into()));
    let of_link = match &ids[..] {
        [] => "-".into(),
        [id, others @ ..] if others.iter().all(|other| other == id) => {
            id.escape_ascii().to_string()
        }
        _ => "conflict".into(),
    };
    (of_link, all)
}

fn assert_naive(names: &Names, query: &[u8]) -> bool {
    let (of_link, all) = naive(query);
    assert_eq!(
        shown(names.in_query(query)),
        of_link,
        "{}",
        query.escape_ascii()
    );
    assert_eq!(
        listed(names.ids_in_query(query)),
        all,
        "{}",
        query.escape_ascii()
    );
    assert_eq!(
        names.first_in_query(query),
        names.ids_in_query(query).next(),
        "{}",
        query.escape_ascii()
    );
    !all.is_empty()
}

#[test]
fn any_byte_anywhere_reads_as_by_the_naive_rules() {
    let sid = names(&["sid"]);
    for length in 1..=36 {
        let mut plain = b"sid=".to_vec();
        plain.resize(plain.len() + length, b'v');
        for at in 0..plain.len() {
            for byte in 0..=255 {
                let mut query = plain.clone();
                query[at] = byte;
                assert_naive(&sid, &query);
            }
        }
    }
}

#[test]
fn random_queries_read_as_by_the_naive_rules() {
    let parts: [&str; 18] = [
        "sid", "=", "&", ";", "%", "%73", "%69", "%64", "+", "s", "id", "1", "%3d", "2", "sid=",
        "&sid=1", "x", "%2",
    ];
    let sid = names(&["sid"]);
    let mut seed = 7_u64;
    let mut extracted = 0;
    for _ in 0..200_000 {
        let mut query = String::new();
        for _ in 0..10 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            query.push_str(parts[(seed >> 33) as usize % parts.len()]);
        }
        extracted += usize::from(assert_naive(&sid, query.as_bytes()));
    }
    assert!(extracted > 10_000, "hardly an id in these queries");
}

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

/// The only cookie of a header, in one look: what is told is what all rules tell.
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
