//! Tests for the places of `sticky mode=query` in which ids are searched: without them `from=` or `learn=`
//! may mean another place than the reference says.

mod query_rule;

use sticky_core::directive::{parse, Place};
use sticky_core::scan::json::{Member, MemberPaths};
use sticky_core::scan::learn_set::{HeaderPart, LearnSet, MediaType};
use sticky_core::scan::source::{FORMS, HTML, JSON, SCRIPT, SSE, TEXT, XML};
use sticky_core::scan::xml::XmlNames;
use sticky_core::url::{ExtractedId, SegmentPrefix, Site};

use query_rule::{carries, rule};

#[test]
fn places_are_searched_in_the_order_given() {
    let header = |name: &str| Place::Header(name.as_bytes().into());
    for (word, places) in [
        ("from=query", vec![Place::Query]),
        ("from=form", vec![Place::Form]),
        ("from=query,form", vec![Place::Query, Place::Form]),
        ("from=form,query", vec![Place::Form, Place::Query]),
        ("from=path,cookie", vec![Place::Path, Place::Cookie]),
        ("from=header:X-Session", vec![header("x-session")]),
        ("from=bearer", vec![Place::Bearer]),
        (
            "from=header:Authorization:Nonce,bearer,header:authorization",
            vec![
                Place::HeaderParameter {
                    header: b"authorization"[..].into(),
                    name: b"nonce"[..].into(),
                },
                Place::Bearer,
                header("authorization"),
            ],
        ),
        (
            "from=header:a,cookie,header:b,path,form,query",
            vec![
                header("a"),
                Place::Cookie,
                header("b"),
                Place::Path,
                Place::Form,
                Place::Query,
            ],
        ),
    ] {
        assert_eq!(rule(&[word]).from, places, "{word}");
    }
}

fn paths(names: &[&str]) -> Box<[Box<[u8]>]> {
    names.iter().map(|name| name.as_bytes().into()).collect()
}

fn by_name(name: &str) -> Member {
    Member::ByName(name.as_bytes().into())
}

fn by_path(names: &[&str]) -> Member {
    Member::ByPath(paths(names))
}

#[test]
fn members_of_json_are_written_alike_in_requests_and_responses() {
    for (written, member) in [
        ("sid", by_name("sid")),
        ("0", by_name("0")),
        (".sid", by_path(&["sid"])),
        (".0", by_path(&["0"])),
        ("a.b", by_path(&["a", "b"])),
        (".a.b", by_path(&["a", "b"])),
        ("params.0", by_path(&["params", "0"])),
        (".", by_path(&[])),
    ] {
        let rule = rule(&[
            &format!("from=json:{written}"),
            &format!("learn=json:{written}"),
        ]);
        let expected = Place::Json(MemberPaths::new([&member]).into());
        assert_eq!(rule.from, [expected], "{written}");
        assert_eq!(rule.learn.members, [member], "{written}");
    }
    let json = |members: &[Member]| Place::Json(MemberPaths::new(members).into());
    let both = rule(&["from=query,json,json:.a,cookie", "name=x", "name=y"]);
    let members = [by_name("x"), by_name("y"), by_path(&["a"])];
    assert_eq!(both.from, [Place::Query, json(&members), Place::Cookie]);
    assert_eq!(rule(&["from=json"]).from, [json(&[by_name("sid")])]);
}

#[test]
fn elements_of_xml_are_written_alike_in_requests_and_responses() {
    let xml = |names: &[&str]| Place::Xml(XmlNames::new(&paths(names)).into());
    let both = rule(&["from=xml:sid,xml:SID,query", "learn=xml:sid,xml:SID"]);
    assert_eq!(both.from, [xml(&["sid", "SID"]), Place::Query]);
    assert_eq!(both.learn.elements[..], paths(&["sid", "SID"])[..]);
    let named = rule(&["from=xml", "learn=xml", "name=a", "name=b"]);
    assert_eq!(named.from, [xml(&["a", "b"])]);
    assert_eq!(named.learn.elements[..], paths(&["a", "b"])[..]);
}

#[test]
fn media_types_are_added_to_sources() {
    let rule = rule(&["learn=text,json:a", "types=text:Application/X-A,json:x/y+z"]);
    let added = |source, essence: &str| MediaType {
        source,
        essence: essence.as_bytes().into(),
    };
    let expected = [added(&TEXT, "application/x-a"), added(&JSON, "x/y+z")];
    assert_eq!(rule.learn.types, expected);
    for (words, message) in [
        (&["types=text"][..], "a list of SOURCE:TYPE"),
        (&["types=text:a"], "a list of SOURCE:TYPE"),
        (&["types=text:/a"], "a list of SOURCE:TYPE"),
        (&["types=text:a/"], "a list of SOURCE:TYPE"),
        (&["types=text:a/b;c"], "a list of SOURCE:TYPE"),
        (&["types=text:a/b/c"], "a list of SOURCE:TYPE"),
        (&["types=cookie:a/b"], "a list of SOURCE:TYPE"),
        (&["types=text:a/b"], "a source that \"learn\" has, too"),
        (
            &["learn=off", "types=html:a/b"],
            "a source that \"learn\" has, too",
        ),
        (&["types=html:a/b,html:A/b"], "duplicate value"),
    ] {
        let mut bytes: Vec<&[u8]> = vec![b"mode=query"];
        bytes.extend(words.iter().map(|word| word.as_bytes()));
        let error = parse(&bytes).expect_err("refused").to_string();
        assert!(error.contains(message), "{words:?}: {error}");
    }
}

#[test]
fn members_and_elements_that_cannot_be() {
    let long = format!("from=json:{}", "a.".repeat(32) + "a");
    let many: Vec<String> = (1..=9).map(|n| format!("json:n{n}")).collect();
    let many = format!("from={}", many.join(","));
    for (words, message) in [
        (&["from=json:"][..], "a list of \"query\""),
        (&["from=json:a..b"], "a list of \"query\""),
        (&["from=json:..a"], "a list of \"query\""),
        (&["from=json:a."], "a list of \"query\""),
        (&["from=json:a b"], "a list of \"query\""),
        (&[&long], "a list of \"query\""),
        (&["learn=json:.a."], "a list of \"html\""),
        (&["from=json:a,json:a"], "duplicate value \"json:a\""),
        (
            &["from=json:a.b,json:.a.b"],
            "duplicate value \"json:.a.b\"",
        ),
        (&["from=json:a,query,json:b"], "side by side"),
        (&[&many], "no more than 8 members"),
        (
            &["name=(S)", "from=path,json"],
            "a name without parentheses",
        ),
        (
            &["name=x", "from=json:a", "learn=json:b"],
            "nothing of that name",
        ),
    ] {
        let mut bytes: Vec<&[u8]> = vec![b"mode=query"];
        bytes.extend(words.iter().map(|word| word.as_bytes()));
        let error = parse(&bytes).expect_err("refused").to_string();
        assert!(error.contains(message), "{words:?}: {error}");
    }
}

#[test]
fn a_segment_needs_no_name() {
    let segment = |text: &str| Place::Segment(SegmentPrefix::new(text.as_bytes()).unwrap());
    let rule = rule(&["from=segment:/session/,segment:/v1/*/,header:X"]);
    let header = Place::Header(b"x"[..].into());
    assert_eq!(rule.from, [segment("/session/"), segment("/v1/*/"), header]);
    assert!(!carries(&rule, "sid=x"));
    assert!(rule.learn.cookies.is_empty() && rule.learn.location);
    // Nothing is searched for the default name.
    let json = self::rule(&["from=segment:/s/", "learn=json,sse"]);
    assert_eq!(
        (json.learn.members, json.learn.bodies),
        (vec![], vec![&JSON, &SSE])
    );
    let hosts = self::rule(&["from=segment:/s/", "learn=json", "hosts=a.example"]);
    assert_eq!(hosts.hosts.len(), 1);
    // Beside a place with names there is one.
    let named = self::rule(&["from=segment:/s/,query"]);
    assert!(carries(&named, "sid=x"));
    let site = Site::new(b"shop.example", &[]);
    for (link, id) in [(&b"/s/1?sid=2"[..], &b"1"[..]), (b"/t/1?sid=2", b"2")] {
        assert!(
            matches!(named.names.in_link(link, &site), ExtractedId::Id(found) if &*found == id)
        );
    }
}

#[test]
fn links_are_searched_in_the_parts_of_requests() {
    let site = Site::new(b"shop.example", &[]);
    for (word, id) in [
        ("from=query", "q"),
        ("from=form", "q"),
        ("from=cookie,header:X", "q"),
        ("from=query,path", "q"),
        ("from=path,query", "p"),
        ("from=path", "p"),
        ("from=form,path", "p"),
    ] {
        let names = rule(&[word]).names;
        let ExtractedId::Id(found) = names.in_link(b"a;sid=p?sid=q", &site) else {
            panic!("{word}: no id");
        };
        assert_eq!(&*found, id.as_bytes(), "{word}");
    }
}

#[test]
fn a_letter_in_parentheses_is_searched_in_paths() {
    let rule = rule(&["name=(S)", "name=sid", "from=path,query"]);
    assert!(matches!(rule.names.in_path(b"/(S(x))/"), ExtractedId::Id(id) if &*id == b"x"));
    assert!(carries(&rule, "sid=x") && !carries(&rule, "(S)=x"));
    // No other place has one.
    let only = self::rule(&["name=(S)", "name=(A)"]);
    assert_eq!(only.from, [Place::Path]);
    assert!(only.learn.cookies.is_empty() && only.learn.location);
    let alone = self::rule(&[
        "name=(S)",
        "from=header:X,path",
        "learn=html,sse,location,text",
    ]);
    assert_eq!(alone.learn.members, []);
}

#[test]
fn learners_can_be_combined() {
    let none = LearnSet::default;
    let name = |name: &str| -> Box<[u8]> { name.as_bytes().into() };
    let by_name = |member: &str| Member::ByName(name(member));
    let whole = |header: &str| HeaderPart {
        name: name(header),
        parameter: None,
    };
    for (word, learn) in [
        ("learn=off", none()),
        (
            "learn=request",
            LearnSet {
                request: true,
                ..none()
            },
        ),
        (
            "learn=request,location",
            LearnSet {
                request: true,
                location: true,
                ..none()
            },
        ),
        (
            "learn=html",
            LearnSet {
                bodies: vec![&HTML],
                ..none()
            },
        ),
        (
            "learn=forms",
            LearnSet {
                bodies: vec![&FORMS],
                ..none()
            },
        ),
        (
            "learn=location",
            LearnSet {
                location: true,
                ..none()
            },
        ),
        (
            "learn=html,location",
            LearnSet {
                bodies: vec![&HTML],
                location: true,
                ..none()
            },
        ),
        (
            "learn=location,html",
            LearnSet {
                bodies: vec![&HTML],
                location: true,
                ..none()
            },
        ),
        (
            "learn=forms,location",
            LearnSet {
                bodies: vec![&FORMS],
                location: true,
                ..none()
            },
        ),
        (
            "learn=text",
            LearnSet {
                bodies: vec![&TEXT],
                ..none()
            },
        ),
        (
            "learn=cookie",
            LearnSet {
                cookies: vec![name("id")],
                ..none()
            },
        ),
        (
            "learn=cookie:JSESSIONID,cookie",
            LearnSet {
                cookies: vec![name("JSESSIONID"), name("id")],
                ..none()
            },
        ),
        (
            "learn=header:Mcp-Session-Id,header:x",
            LearnSet {
                headers: vec![whole("mcp-session-id"), whole("x")],
                ..none()
            },
        ),
        (
            "learn=header:WWW-Authenticate:Nonce,header:x",
            LearnSet {
                headers: vec![
                    HeaderPart {
                        parameter: Some(name("nonce")),
                        ..whole("www-authenticate")
                    },
                    whole("x"),
                ],
                ..none()
            },
        ),
        (
            "learn=json",
            LearnSet {
                bodies: vec![&JSON],
                members: vec![by_name("id")],
                ..none()
            },
        ),
        (
            "learn=json:connectionToken",
            LearnSet {
                bodies: vec![&JSON],
                members: vec![by_name("connectionToken")],
                ..none()
            },
        ),
        (
            "learn=json:a.b.c,json",
            LearnSet {
                bodies: vec![&JSON],
                members: vec![
                    Member::ByPath([name("a"), name("b"), name("c")].into()),
                    by_name("id"),
                ],
                ..none()
            },
        ),
        (
            "learn=sse",
            LearnSet {
                bodies: vec![&SSE],
                members: vec![by_name("id")],
                ..none()
            },
        ),
        (
            "learn=sse,json:t",
            LearnSet {
                bodies: vec![&SSE, &JSON],
                members: vec![by_name("t")],
                ..none()
            },
        ),
        (
            "learn=xml:a,xml:B",
            LearnSet {
                bodies: vec![&XML],
                elements: vec![name("a"), name("B")],
                ..none()
            },
        ),
        (
            "learn=html,json,sse,text,xml,script,location,cookie,header:x,request",
            LearnSet {
                bodies: vec![&HTML, &JSON, &SSE, &TEXT, &XML, &SCRIPT],
                literals: vec![name("id")],
                elements: vec![name("id")],
                members: vec![by_name("id")],
                location: true,
                cookies: vec![name("id")],
                headers: vec![whole("x")],
                variables: Vec::new(),
                types: Vec::new(),
                request: true,
            },
        ),
    ] {
        assert_eq!(rule(&["name=id", word]).learn, learn, "{word}");
    }
}
