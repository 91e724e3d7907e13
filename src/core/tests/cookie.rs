//! Tests for the Cookie and the Set-Cookie header. Without them, a client's cookie may be taken for
//! another one, or a browser may not keep ours.

use sticky_core::http::cookie::{
    self, find, is_deletion, plain_value_set, value_alone, value_set, write_date, Attributes,
    SameSite,
};

fn route(headers: &[&'static str]) -> Option<String> {
    let found = find(headers.iter().map(|header| header.as_bytes()), b"route")?;
    Some(String::from_utf8_lossy(found).into_owned())
}

#[test]
fn a_cookie_is_found_by_its_whole_name() {
    let cases: &[(&str, Option<&str>)] = &[
        ("route=a", Some("a")),
        ("a=1; route=b; c=2", Some("b")),
        ("a=1;route=b;c=2", Some("b")),
        ("a=1; route=b", Some("b")),
        // The first one counts, even if it is empty.
        ("route=a; route=b", Some("a")),
        ("route=; route=b", Some("")),
        // Neither a longer name nor a name in a value.
        ("xroute=a", None),
        ("routex=a", None),
        ("x-route=a", None),
        ("a=route=b", None),
        ("a=route; b=c", None),
        ("ROUTE=a", None),
        ("xroute=a; route=b", Some("b")),
        ("a=\"; route=b\"", Some("b\"")),
        // The value ends at `;` and is not decoded.
        ("route=a=b=c", Some("a=b=c")),
        ("route==", Some("=")),
        ("route=\"a\"", Some("\"a\"")),
        ("route=\"a b\"", Some("\"a b\"")),
        ("route=a,b", Some("a,b")),
        ("a=1, route=b", None),
        ("route=%61", Some("%61")),
        ("route=5958c386 own value", Some("5958c386 own value")),
        // Blanks around names and values.
        ("  route=a  ", Some("a")),
        ("\troute=a\t;b=c", Some("a")),
        ("a=1;\t route=b", Some("b")),
        ("route = a", Some("a")),
        ("route\t=\ta", Some("a")),
        ("route=   ", Some("")),
        ("ro ute=a", None),
        // Empty pairs and ends.
        ("", None),
        (";", None),
        (";;;route=a;;;", Some("a")),
        ("; route=a", Some("a")),
        ("route=a;", Some("a")),
        ("route", None),
        ("route;", None),
        ("route; route=a", Some("a")),
        ("=route", None),
        ("==route=a", None),
        ("rout", None),
        ("route x=a", None),
    ];
    for (header, expected) in cases {
        assert_eq!(route(&[header]).as_deref(), *expected, "{header:?}");
    }
}

#[test]
fn headers_are_searched_in_their_order() {
    assert_eq!(route(&[]), None);
    assert_eq!(route(&["a=1", "b=2; route=c"]).as_deref(), Some("c"));
    assert_eq!(route(&["", "route=a", "route=b"]).as_deref(), Some("a"));
    // The end of a header ends its last pair, and so its value.
    assert_eq!(route(&["a=1; route", "=b"]), None);
}

#[test]
fn a_name_may_have_any_bytes_but_never_none() {
    let found = |header: &'static [u8], name: &[u8]| find([header].into_iter(), name);
    assert_eq!(found(b"a.b[0]=x", b"a.b[0]"), Some(&b"x"[..]));
    assert_eq!(found(b"\xff=\xfe\x00", b"\xff"), Some(&b"\xfe\x00"[..]));
    assert_eq!(found(b"=x", b""), None);
    assert_eq!(found(b"x", b""), None);
    assert_eq!(value_set(b"=x", b""), None);
}

#[test]
fn the_first_pair_of_a_set_cookie_header_is_the_cookie() {
    let cases: &[(&str, Option<&str>)] = &[
        ("route=a", Some("a")),
        ("route=a; Path=/; HttpOnly", Some("a")),
        (" route = a ; Path=/", Some("a")),
        ("route=; Max-Age=0", Some("")),
        ("other=a; route=b", None),
        ("routes=a", None),
        ("", None),
    ];
    for (header, expected) in cases {
        let found = value_set(header.as_bytes(), b"route");
        assert_eq!(found, expected.map(str::as_bytes), "{header:?}");
    }
}

const BARE: Attributes = Attributes {
    domain: None,
    expires: None,
    path: b"/",
    secure: false,
    httponly: false,
    samesite: None,
    partitioned: false,
};

fn written(attributes: Attributes) -> String {
    let mut out = b"route=5958c386".to_vec();
    attributes.write(&mut out);
    String::from_utf8(out).expect("ASCII in, ASCII out")
}

#[test]
fn attributes_have_the_order_and_spelling_of_nginx_sticky_module_ng() {
    assert_eq!(written(BARE), "route=5958c386; Path=/");
    assert_eq!(written(Attributes { path: b"", ..BARE }), "route=5958c386");
    assert_eq!(
        written(Attributes {
            samesite: Some(SameSite::Strict),
            ..BARE
        }),
        "route=5958c386; Path=/; SameSite=Strict"
    );
    assert_eq!(
        written(Attributes {
            secure: true,
            samesite: Some(SameSite::None),
            ..BARE
        }),
        "route=5958c386; Path=/; Secure; SameSite=None"
    );
    let everything = Attributes {
        domain: Some(b".example.com"),
        expires: Some(0),
        path: b"/shop",
        secure: true,
        httponly: true,
        samesite: Some(SameSite::Lax),
        partitioned: true,
    };
    assert_eq!(
        written(everything),
        "route=5958c386; Domain=.example.com; Expires=Thu, 01-Jan-1970 00:00:00 GMT; Path=/shop; \
         Secure; HttpOnly; SameSite=Lax; Partitioned"
    );
}

/// From `date -u -d @SECONDS '+%a, %d-%b-%Y %H:%M:%S GMT'` in the C locale.
#[test]
fn dates_are_those_of_the_gregorian_calendar() {
    let cases: &[(i64, &str)] = &[
        (0, "Thu, 01-Jan-1970 00:00:00 GMT"),
        (68_169_600, "Tue, 29-Feb-1972 00:00:00 GMT"),
        (951_782_400, "Tue, 29-Feb-2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01-Mar-2000 00:00:00 GMT"),
        (1_709_164_799, "Wed, 28-Feb-2024 23:59:59 GMT"),
        (1_709_251_199, "Thu, 29-Feb-2024 23:59:59 GMT"),
        (1_795_305_599, "Sat, 21-Nov-2026 23:59:59 GMT"),
        (2_147_483_647, "Tue, 19-Jan-2038 03:14:07 GMT"),
        (2_147_483_648, "Tue, 19-Jan-2038 03:14:08 GMT"),
        (4_102_444_800, "Fri, 01-Jan-2100 00:00:00 GMT"),
        (4_107_542_399, "Sun, 28-Feb-2100 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01-Mar-2100 00:00:00 GMT"),
        (13_574_563_200, "Tue, 29-Feb-2400 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31-Dec-9999 23:59:59 GMT"),
        // Beyond what browsers read.
        (253_402_300_800, "Fri, 31-Dec-9999 23:59:59 GMT"),
        (i64::MAX, "Fri, 31-Dec-9999 23:59:59 GMT"),
        (-1, "Thu, 01-Jan-1970 00:00:00 GMT"),
        (i64::MIN, "Thu, 01-Jan-1970 00:00:00 GMT"),
    ];
    for (at, expected) in cases {
        let mut out = Vec::new();
        write_date(*at, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), *expected, "{at}");
    }
}

/// Counts the days one by one, with only the lengths of the months and the leap-year rule.
#[test]
fn every_day_of_five_centuries_follows_the_one_before() {
    const MONTHS: [(&str, u32); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

    let mut days = 0;
    let mut out = Vec::new();
    for year in 1970..2470 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in MONTHS {
            for day in 1..=length + u32::from(leap && month == "Feb") {
                out.clear();
                write_date(days * 86_400 + 43_199, &mut out);
                let weekday = WEEKDAYS[days as usize % 7];
                let expected = format!("{weekday}, {day:02}-{month}-{year} 11:59:59 GMT");
                assert_eq!(String::from_utf8_lossy(&out), expected);
                days += 1;
            }
        }
    }
}

#[test]
fn values_found_by_the_bytes_of_the_name_are_those_of_all_pairs() {
    // Every text of these parts, up to six of them.
    const PARTS: [&str; 7] = ["sid", "=", ";", " ", "\t", "x", "\""];
    let finder = memchr::memmem::Finder::new("sid");
    let mut texts = vec![String::new()];
    for _ in 0..6 {
        let longer = texts
            .iter()
            .flat_map(|text| PARTS.map(|part| format!("{text}{part}")));
        texts = longer.collect();
        for text in &texts {
            let found = cookie::values_found(text.as_bytes(), b"sid", &finder);
            let expected = cookie::values_of([text.as_bytes()].into_iter(), b"sid");
            assert!(found.eq(expected), "{text:?}");
        }
    }
}

#[test]
fn a_cookie_alone_is_found_as_among_others() {
    let mut found = 0;
    for value in [
        "",
        "1",
        "ab12",
        "0123456789abcdef0123456789abcdef",
        "a=b",
        "\"a b\"",
        "a%20b",
    ] {
        for before in ["", " ", "\t", "a=1; ", "route=", "x", ";"] {
            for after in ["", " ", "\t", ";", "; ", "; b=2", ";route=2", "="] {
                let header = format!("{before}route={value}{after}");
                if let Some(alone) = value_alone(header.as_bytes(), b"route") {
                    let expected = find([header.as_bytes()].into_iter(), b"route");
                    assert_eq!(Some(alone), expected, "{header:?}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 10, "{found}");
    let alone = |header: &'static str| value_alone(header.as_bytes(), b"route");
    assert_eq!(alone("route=ab12"), Some(&b"ab12"[..]));
    for header in [
        "route=ab12; a=1",
        " route=ab12",
        "route=ab12 ",
        "route= ab12",
        "route=",
        "route",
        "router=1",
        "",
    ] {
        assert_eq!(alone(header), None, "{header:?}");
    }
}

#[test]
fn most_headers_that_set_a_cookie_are_read_in_one_look() {
    let id = "5q9c2rmk0v7t4b6hn3jd8f1";
    for attributes in [
        "",
        ";",
        "; Path=/",
        ";path=/",
        "; Path=/; HttpOnly",
        "; Path=/shop; Secure; HttpOnly; SameSite=Lax",
        "; SameSite=lax; Path=/",
        "; SameSite=LAX; Path=/",
        "; Domain=localhost; Path=/; Priority=High; Partitioned; Secure; HttpOnly; SameSite=None",
    ] {
        let header = format!("sid={id}{attributes}");
        let found = plain_value_set(header.as_bytes(), b"sid");
        assert_eq!(found, Some(id.as_bytes()), "{header}");
    }
    for header in [
        "sid=; Path=/; HttpOnly; Secure",
        "sid=5q9c2rmk0v7t4b6hn3; Max-Age=0",
        "sid=5q9c2rmk0v7t4b6hn3; SameSite=Lax; max-age=0",
        "sid=5q9c2rmk0v7t4b6hn3; path=/; EXPIRES=Thu, 01-Jan-1970 00:00:00 GMT",
        "sid=5q9c2rmk0v7t4%3Db6hn3jd8f1; Path=/",
        "sid= 5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "sid=5q9c2rmk0v7t4b6hn3jd8f1 ; Path=/",
        "sid=5q9c2rmk0v7t4b6hn3jd8f1\t",
        " sid=5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "sid =5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "xsid=5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "sidx=5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "SID=5q9c2rmk0v7t4b6hn3jd8f1; Path=/",
        "sid=short",
        "",
    ] {
        assert_eq!(plain_value_set(header.as_bytes(), b"sid"), None, "{header}");
    }
}

/// What one look tells is what the rules tell, whatever the header, and wherever in it something stands.
#[test]
fn one_look_at_a_set_cookie_tells_what_all_rules_tell() {
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
        "x",
        "X",
        "Path=/",
        "Max-Age=0",
        "Expires=",
        "1970",
        "\u{7f}",
        "\u{e4}",
        "\"",
        "&",
        "+",
        ",",
    ];
    let mut random: u32 = 22;
    let mut told = 0;
    for _ in 0..100_000 {
        let mut next = |below: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % below
        };
        let mut header = String::from(["sid=", ""][usize::from(next(8) == 0)]);
        for _ in 0..next(12) {
            header.push_str(words[next(words.len())]);
        }
        let header = header.as_bytes();
        if let Some(value) = plain_value_set(header, b"sid") {
            told += 1;
            assert_eq!(value_set(header, b"sid"), Some(value), "{header:?}");
            assert!(!value.is_empty() && !value.contains(&b'%'), "{header:?}");
            assert!(!is_deletion(header, i64::MAX), "{header:?}");
        }
    }
    assert!(told > 1_000, "{told}");
}
