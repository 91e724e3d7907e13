//! Tests for the id in a query and in a form. Without these, an unusual but valid request may lose
//! its session, or a client may be sent to the server of another.

mod url_ids;

use sticky_core::url::{Names, MAX_ID, MAX_SEARCHED};

use url_ids::{listed, names, shown};

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
