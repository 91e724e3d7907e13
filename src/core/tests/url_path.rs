//! Tests for the id in the path of a URL, in cookies and in headers, and for the suffix of a node.
//! Without these, a servlet's or an ASP.NET session may be lost, or two sessions taken for one.

use std::borrow::Cow;

use sticky_core::http::multipart::Field;
use sticky_core::url::{ExtractedId, LinkPart, Names, Site, MAX_ID};

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

fn in_path(name: &str, path: &str) -> String {
    shown(names(&[name]).in_path(path.as_bytes()))
}

#[test]
fn a_parameter_of_any_segment_may_be_the_id() {
    for (path, id) in [
        ("/cart;sid=1", "1"),
        ("/;sid=1", "1"),
        (";sid=1", "1"),
        ("/shop;sid=1/cart", "1"),
        ("/shop;sid=1\\cart", "1"),
        ("/shop;v=2/cart;a=b;sid=1;c", "1"),
        ("/shop;sid=1/cart;sid=1", "1"),
        ("/shop;sid=1/cart;sid=2", "conflict"),
        ("/shop;sid=1;sid=2", "conflict"),
        ("/shop;sid=/cart;sid=1", "1"),
        ("/shop;sid/cart;sid=1", "1"),
        ("/a;sid=1=2", "1=2"),
        ("/a;sid=1&b=2", "1&b=2"),
        ("/a;sid=x+y", "x+y"),
        ("/a;sid=x%20y%2Fz%3B", "x y/z;"),
        ("/a;sid=%2541", "%41"),
        ("/a;sid=%zz", "%zz"),
        ("/a;s%69d=1", "1"),
        ("/a;;;sid=1;;", "1"),
        ("/sid=1", "-"),
        ("/a/sid=1", "-"),
        ("/a%3Bsid=1", "-"),
        ("/a;SID=1", "1"),
        ("/a;s%49D=1", "1"),
        ("/a;SID=1;sid=1", "1"),
        ("/a;SID=1;sid=2", "conflict"),
        ("/a;xsid=1", "-"),
        ("/a;sid%3D1", "-"),
        ("/a; sid=1", "-"),
        ("/a;b/sid=1", "-"),
        ("/a;b,sid=1", "-"),
        ("/a", "-"),
        ("", "-"),
    ] {
        assert_eq!(in_path("sid", path), id, "{path}");
    }
}

#[test]
fn a_letter_counts_in_a_segment_of_letters() {
    for (path, id) in [
        ("/(S(1))/page.aspx", "1"),
        (
            "/app/(S(lit3py55t21z5v55vlm25s55))/page.aspx",
            "lit3py55t21z5v55vlm25s55",
        ),
        ("/app/(S(1))", "1"),
        ("(S(1))/page.aspx", "1"),
        ("/app\\(S(1))\\page.aspx", "1"),
        ("/(A(x)S(1)F(z))/", "1"),
        ("/(A(x)F(z)S(1))/", "1"),
        ("/%28S%281%29%29/", "1"),
        ("/(S(a%2Fb))/", "a/b"),
        ("/(S(1))/(S(1))/", "1"),
        ("/(S(1))/(S(2))/", "conflict"),
        ("/(S(1)S(2))/", "1"),
        ("/(A(1))/", "-"),
        ("/(s(1))/", "-"),
        ("/(S())/", "-"),
        ("/(S(1)/", "-"),
        ("/(S1))/", "-"),
        ("/S(1)/", "-"),
        ("/x(S(1))/", "-"),
        ("/(S(1))x/", "-"),
        ("/(S((1)))/", "-"),
        ("/(S(1) )/", "-"),
        ("/((S(1)))/", "-"),
        ("/(1(x)S(1))/", "-"),
        ("/(XS(1))/", "-"),
        ("/a;(S)=1", "-"),
        ("/()/", "-"),
        ("/(", "-"),
        ("/%", "-"),
    ] {
        assert_eq!(in_path("(S)", path), id, "{path}");
    }
}

#[test]
fn a_letter_counts_nowhere_else() {
    let letter = names(&["(S)", "(", "()", "(SS)", "(1)"]);
    assert_eq!(shown(letter.in_query(b"(S)=1&(=2&()=3&(SS)=4&(1)=5")), "-");
    assert_eq!(listed(letter.ids_in_query(b"(S)=1&(=2&()=3")), "");
    assert_eq!(listed(letter.ids_in_form(b"(S)=1")), "");
    let cookies = [&b"(S)=1"[..]].into_iter();
    assert_eq!(listed(letter.ids_in_cookies(cookies)), "");
    let field = Field {
        name: b"(S)"[..].into(),
        value: b"1",
    };
    assert_eq!(listed(letter.ids_in_fields([field].into_iter())), "");
    assert!(Names::is_letter(b"(S)") && Names::is_letter(b"(a)"));
    assert!(!Names::is_letter(b"(1)") && !Names::is_letter(b"(SS)") && !Names::is_letter(b"S"));
}

#[test]
fn names_decide_in_their_order_in_paths_too() {
    let both = names(&["(S)", "sid"]);
    for (path, id, ids) in [
        ("/(S(1))/a;sid=2", "1", "1 2"),
        ("/a;sid=2/(S(1))", "1", "1 2"),
        ("/(X(1))/a;sid=2", "2", "2"),
        ("/(S(1))/(S(2))/a;sid=3", "conflict", "1 2 3"),
        ("/a;sid=3;sid=4/(S(1)S(2))/b;sid=/(S())", "1", "1 3 4"),
        ("/a;sid=3/b;sid=3", "3", "3 3"),
        ("/a", "-", ""),
    ] {
        assert_eq!(shown(both.in_path(path.as_bytes())), id, "{path}");
        assert_eq!(listed(both.ids_in_path(path.as_bytes())), ids, "{path}");
    }
}

#[test]
fn links_are_searched_in_the_configured_parts() {
    let site = Site::new(b"shop.example", &[]);
    let in_link = |parts: &[LinkPart], link: &str| {
        let names = names(&["sid", "(S)"]).in_parts(parts.to_vec());
        shown(names.in_link(link.as_bytes(), &site))
    };
    let path = [LinkPart::Path];
    for (link, id) in [
        (";sid=1", "1"),
        ("page;sid=1", "1"),
        ("/a/page;sid=1?sid=2", "1"),
        ("page;sid=1#top", "1"),
        ("page#;sid=1", "-"),
        ("page?a;sid=1", "-"),
        ("?sid=1", "-"),
        (" pa\tge;s\nid=1 ", "1"),
        ("http://shop.example/a;sid=1", "1"),
        ("http://shop.example;sid=1/", "-"),
        ("http://other.example/a;sid=1", "-"),
        ("http://shop.example@other.example/;sid=1", "-"),
        ("//shop.example/;sid=1", "1"),
        ("\\\\shop.example\\a;sid=1\\b", "1"),
        ("//other.example/;sid=1", "-"),
        ("mailto:a;sid=1", "-"),
        ("javascript:a;sid=1", "-"),
        ("http:a;sid=1", "-"),
        ("/app/(S(1))/page.aspx?a=b", "1"),
        ("http://shop.example/(S(1))", "1"),
        ("(S(1))/", "1"),
    ] {
        assert_eq!(in_link(&path, link), id, "{link:?}");
    }
    let first_path = [LinkPart::Path, LinkPart::Query];
    let first_query = [LinkPart::Query, LinkPart::Path];
    for (link, by_path, by_query) in [
        ("a;sid=1?sid=2", "1", "2"),
        ("a;sid=1", "1", "1"),
        ("a?sid=2", "2", "2"),
        ("a;sid=1;sid=3?sid=2", "conflict", "2"),
        ("a;sid=1?sid=2&sid=3", "1", "conflict"),
        ("a", "-", "-"),
    ] {
        assert_eq!(in_link(&first_path, link), by_path, "{link}");
        assert_eq!(in_link(&first_query, link), by_query, "{link}");
    }
    assert_eq!(in_link(&[LinkPart::Query], "a;sid=1"), "-");
}

#[test]
fn cookies_count_in_the_order_of_names_then_as_sent() {
    let both = names(&["sid", "JSESSIONID"]);
    for (headers, ids) in [
        (&["sid=1"][..], "1"),
        (&["a=b; sid=1; c=d"], "1"),
        (&["a=b", "sid=1"], "1"),
        (&["JSESSIONID=2; sid=1"], "1 2"),
        (&["JSESSIONID=2; sid="], "2"),
        (&["sid=1; sid=1", "sid=1"], "1 1 1"),
        (&["sid=1; JSESSIONID=4; sid=2", "sid=3"], "1 2 3 4"),
        (&["sid=; sid=2"], "2"),
        (&["sid=a%2Cb"], "a,b"),
        (&["sid=a+b"], "a+b"),
        (&["sid=\"a\""], "\\\"a\\\""),
        (&["Sid=1; xsid=2; sid"], ""),
        (&[], ""),
    ] {
        let headers = headers.iter().map(|header| header.as_bytes());
        assert_eq!(
            listed(both.ids_in_cookies(headers.clone())),
            ids,
            "{:?}",
            headers.collect::<Vec<_>>()
        );
    }
}

#[test]
fn fields_count_in_the_order_of_names_then_as_sent() {
    let both = names(&["sid", "JSESSIONID"]);
    let fields = [
        ("JSESSIONID", "3"),
        ("a", "b"),
        ("sid", "1"),
        ("sid", ""),
        ("JSESSIONID", "4"),
        ("sid", "%31+"),
    ];
    let fields = fields.iter().map(|(name, value)| Field {
        name: name.as_bytes().into(),
        value: value.as_bytes(),
    });
    assert_eq!(listed(both.ids_in_fields(fields)), "1 %31+ 3 4");
}

#[test]
fn the_value_of_a_header_is_the_id() {
    let sid = names(&["sid"]);
    for (values, ids) in [
        (&["1"][..], "1"),
        (&["a%20b+c"], "a%20b+c"),
        (&["1", "1"], "1 1"),
        (&["1", "2"], "1 2"),
        (&["", "2"], "2"),
        (&[], ""),
    ] {
        let values = values.iter().map(|value| value.as_bytes());
        assert_eq!(listed(sid.ids_in_headers(values)), ids);
    }
    let longest = "x".repeat(MAX_ID);
    assert_eq!(
        listed(sid.ids_in_headers([longest.as_bytes()].into_iter())),
        longest
    );
    let longer = "x".repeat(MAX_ID + 1);
    let none = listed(sid.ids_in_headers([longer.as_bytes()].into_iter()));
    assert_eq!(none, "");
}

#[test]
fn the_name_of_a_node_is_cut_off() {
    let cut = names(&["sid"])
        .cut_at(Some(b'.'))
        .in_parts(vec![LinkPart::Path, LinkPart::Query]);
    for (value, id) in [
        ("A1.node1", "A1"),
        ("A1.node1.shop.example", "A1"),
        ("A1.", "A1"),
        ("A1", "A1"),
        (".node1", "-"),
        (".", "-"),
        ("A1%2Enode1", "A1"),
        ("A%311.node1", "A11"),
    ] {
        assert_eq!(
            shown(cut.in_query(format!("sid={value}").as_bytes())),
            id,
            "{value}"
        );
        let ids = if id == "-" { "" } else { id };
        assert_eq!(
            listed(cut.ids_in_form(format!("sid={value}").as_bytes())),
            ids,
            "{value}"
        );
        assert_eq!(
            shown(cut.in_path(format!("/a;sid={value}/b").as_bytes())),
            id,
            "{value}"
        );
        let cookie = format!("sid={value}");
        assert_eq!(
            listed(cut.ids_in_cookies([cookie.as_bytes()].into_iter())),
            ids,
            "{value}"
        );
        let link = cut
            .in_link(format!("a?sid={value}").as_bytes(), &Site::new(b"h", &[]))
            .into_owned();
        assert_eq!(shown(link), id, "{value}");
    }
    let values = [&b"A1.node1"[..]].into_iter();
    assert_eq!(listed(cut.ids_in_headers(values)), "A1");
    assert_eq!(cut.id_in(b"A1.node1"), Some(&b"A1"[..]));
    assert_eq!(cut.id_in(b".node1"), None);
    assert_eq!(
        cut.id_in_cookie(b"A%311.node1").as_deref(),
        Some(&b"A11"[..])
    );

    // One session on different nodes, then two on the same node.
    assert_eq!(
        shown(cut.in_query(b"sid=A1.node1&sid=A1.node2&sid=A1")),
        "A1"
    );
    assert_eq!(
        shown(cut.in_query(b"sid=A1.node1&sid=A2.node1")),
        "conflict"
    );

    // The length is that of the id without the suffix.
    let longest = "x".repeat(MAX_ID);
    let query = format!("sid={longest}.node1");
    assert_eq!(shown(cut.in_query(query.as_bytes())), longest);
    assert_eq!(shown(names(&["sid"]).in_query(query.as_bytes())), "-");

    let bang = names(&["sid"]).cut_at(Some(b'!'));
    assert_eq!(shown(bang.in_query(b"sid=A.1!123!456")), "A.1");
}
