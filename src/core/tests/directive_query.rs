//! Tests for `sticky mode=query`. Without them, a word of the directive may be taken for another,
//! or a default may change that a configuration relies on.

use sticky_core::directive::{parse, Mode, NoFallback, OnFailure, Place, QueryRule, ZoneChoice};
use sticky_core::scan::json::{Member, MemberPaths};
use sticky_core::scan::learn_set::{HeaderPart, LearnSet, MediaType};
use sticky_core::scan::source::{FORMS, HTML, JSON, SCRIPT, SSE, TEXT, XML};
use sticky_core::scan::xml::XmlNames;
use sticky_core::url::{ExtractedId, SegmentPrefix, Site};

fn rule(words: &[&str]) -> QueryRule {
    let mut bytes: Vec<&[u8]> = vec![b"mode=query"];
    bytes.extend(words.iter().map(|word| word.as_bytes()));
    match parse(&bytes) {
        Ok(Mode::Query(rule)) => *rule,
        Ok(_) => panic!("{words:?} taken for another mode"),
        Err(error) => panic!("{words:?} refused: {error}"),
    }
}

fn carries(rule: &QueryRule, query: &str) -> bool {
    matches!(rule.names.in_query(query.as_bytes()), ExtractedId::Id(id) if &*id == b"x")
}

#[test]
fn a_bare_mode_has_the_documented_defaults() {
    let rule = rule(&[]);
    assert!(carries(&rule, "sid=x") && !carries(&rule, "route=x"));
    let default = [Place::Cookie, Place::Path, Place::Query, Place::Form];
    assert_eq!(rule.from, default);
    let learn = LearnSet {
        bodies: vec![&HTML],
        location: true,
        cookies: vec![b"sid"[..].into()],
        ..LearnSet::default()
    };
    assert_eq!(rule.learn, learn);
    // Each for itself.
    assert_eq!(self::rule(&["from=query"]).learn, learn);
    assert_eq!(self::rule(&["learn=json"]).from, default);
    assert_eq!((rule.limits.expires, rule.limits.lifetime), (3_600, None));
    assert_eq!((rule.zone, rule.state), (ZoneChoice::Own, None));
    assert!(rule.hosts.is_empty());
    assert_eq!(rule.no_fallback, None);
    assert_eq!(rule.on_failure, OnFailure::Move);
    assert!(!rule.is_apart);
}

#[test]
fn sessions_may_be_kept_from_other_nginx() {
    assert!(rule(&["cluster=off"]).is_apart);
    assert!(rule(&["cluster=off", "zone=off"]).is_apart);
    for value in ["on", "of", "OFF"] {
        let word = format!("cluster={value}");
        let error = parse(&[b"mode=query", word.as_bytes()]).unwrap_err();
        let expected = format!(
            "invalid value \"{value}\" of parameter \"cluster\" in \"sticky\" directive, expected \
             \"off\", or no such parameter"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_state_file_is_taken_as_it_is_written() {
    for file in ["/var/lib/x.state", "x", "a=b:c", " "] {
        let word = format!("state={file}");
        for zone in [&["zone=z:1m"][..], &["zone=z"], &[]] {
            let rule = rule(&[&[&word[..]], zone].concat());
            assert_eq!(rule.state.as_deref(), Some(file.as_bytes()));
        }
    }
}

#[test]
fn mode_may_be_any_of_the_words() {
    for words in [
        &[&b"name=x"[..], b"mode=query"][..],
        &[b"mode=query", b"name=x"],
    ] {
        assert!(matches!(parse(words), Ok(Mode::Query(_))));
    }
    let no_fallback = rule(&["no_fallback=503"]).no_fallback;
    assert_eq!(no_fallback, Some(NoFallback::Unavailable));
    assert_eq!(rule(&["on_failure=keep"]).on_failure, OnFailure::Keep);
}

#[test]
fn up_to_eight_names_replace_the_default_one() {
    let one = rule(&["name=PHPSESSID"]);
    assert!(carries(&one, "PHPSESSID=x") && !carries(&one, "sid=x"));

    let words: Vec<String> = (1..=8).map(|n| format!("name=n{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let eight = rule(&words);
    assert!((1..=8).all(|n| carries(&eight, &format!("n{n}=x"))));

    // Names are case-sensitive, and one may begin with another.
    let alike = rule(&["name=sid", "name=SID", "name=sid2"]);
    assert!(["sid=x", "SID=x", "sid2=x"]
        .iter()
        .all(|query| carries(&alike, query)));
}

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
fn the_name_of_a_node_can_be_cut_off() {
    assert!(carries(&rule(&["id_delimiter=."]), "sid=x.node1"));
    assert!(carries(&rule(&["id_delimiter=!"]), "sid=x!1!2"));
    assert!(!carries(&rule(&[]), "sid=x.node1"));
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

#[test]
fn sessions_live_from_a_second_to_a_leap_year() {
    let limits = |words: &[&str]| {
        let limits = rule(words).limits;
        (limits.expires, limits.lifetime)
    };
    assert_eq!(limits(&["expires=1"]), (1, None));
    assert_eq!(limits(&["expires=1h30m"]), (5_400, None));
    assert_eq!(limits(&["expires=366d"]), (31_622_400, None));
    assert_eq!(limits(&["expires=1y"]), (31_536_000, None));
    assert_eq!(
        limits(&["expires=30m", "lifetime=8h"]),
        (1_800, Some(28_800))
    );
    assert_eq!(
        limits(&["lifetime=8h", "expires=8h"]),
        (28_800, Some(28_800))
    );
    assert_eq!(limits(&["lifetime=8h"]), (3_600, Some(28_800)));
}

#[test]
fn a_short_lifetime_lowers_the_default_idle_limit() {
    let limits = rule(&["lifetime=10m"]).limits;
    assert_eq!((limits.expires, limits.lifetime), (600, Some(600)));
}

#[test]
fn zones_may_have_a_name_and_a_size_or_be_off() {
    let named = |name: &str, size| ZoneChoice::Named {
        name: name.into(),
        size,
    };
    assert_eq!(rule(&["zone=off"]).zone, ZoneChoice::Off);
    assert_eq!(rule(&["zone=shop"]).zone, named("shop", None));
    assert_eq!(rule(&["zone=shop:1m"]).zone, named("shop", Some(1 << 20)));
    assert_eq!(rule(&["zone=shop:32k"]).zone, named("shop", Some(32_768)));
    assert_eq!(rule(&["zone=shop:65536"]).zone, named("shop", Some(65_536)));
    assert_eq!(rule(&["zone=office"]).zone, named("office", None));
    assert_eq!(rule(&["zone=OFF"]).zone, named("OFF", None));
}

#[test]
fn hosts_can_be_listed_and_repeated() {
    let hosts = |words: &[&str]| -> Vec<String> {
        let hosts = rule(words).hosts;
        hosts
            .iter()
            .map(|host| String::from_utf8_lossy(host).into_owned())
            .collect()
    };
    let three = ["a.example", ".example.com", "*.example.org"];
    assert_eq!(
        hosts(&["hosts=a.example,.example.com,*.example.org"]),
        three
    );
    assert_eq!(
        hosts(&["hosts=a.example", "hosts=.example.com,*.example.org"]),
        three
    );
    for host in [
        "localhost",
        "192.0.2.1",
        "[2001:db8::1]",
        "xn--bcher-kva.example",
        "my_host-1",
    ] {
        assert_eq!(hosts(&[&format!("hosts={host}")]), [host]);
    }
}

#[test]
fn a_balance_factor_is_above_the_share_of_a_server() {
    let factor = |word: &str| match parse(&[b"mode=query", word.as_bytes()]) {
        Ok(Mode::Query(rule)) => rule.balance_factor,
        _ => None,
    };
    assert_eq!(factor("no_fallback"), None);
    assert_eq!(factor("balance_factor=101"), Some(101));
    assert_eq!(factor("balance_factor=0125"), Some(125));
    assert_eq!(factor("balance_factor=10000"), Some(10_000));
    for refused in ["100", "10001", "1.25", "+125", "125%", "4294967421", "x"] {
        let word = format!("balance_factor={refused}");
        let error = parse(&[b"mode=query", word.as_bytes()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "invalid value \"{refused}\" of parameter \"balance_factor\" in \"sticky\" \
                 directive, expected per cent of a server's share, 101 to 10000, as in \
                 \"balance_factor=125\""
            )
        );
    }
}

#[test]
fn servers_may_have_a_number_of_sessions() {
    assert_eq!(rule(&[]).max_sessions, None);
    for (word, limit) in [("1", 1), ("0010", 10), ("4294967295", u32::MAX)] {
        let rule = rule(&[&format!("max_sessions={word}")]);
        assert_eq!(rule.max_sessions.map(u32::from), Some(limit));
    }
    for (words, message) in [
        (
            &["max_sessions=0"][..],
            "expected a number of 1 to 4294967295",
        ),
        (&["max_sessions=-1"], "expected a number of 1 to 4294967295"),
        (
            &["max_sessions=1k"],
            "invalid value \"1k\" of parameter \"max_sessions\"",
        ),
        (
            &["max_sessions=4294967296"],
            "expected a number of 1 to 4294967295",
        ),
        (&["max_sessions=$a"], "takes no variables"),
        (&["max_sessions="], "expected \"max_sessions=NUMBER\""),
        (
            &["max_sessions=5", "zone=off"],
            "\"max_sessions\" together with \"zone=off\" in \"sticky\" directive: no worker knows \
             how many sessions the others have",
        ),
    ] {
        let mut bytes: Vec<&[u8]> = vec![b"mode=query"];
        bytes.extend(words.iter().map(|word| word.as_bytes()));
        let error = parse(&bytes).expect_err("refused").to_string();
        assert!(error.contains(message), "{words:?}: {error}");
    }
    // No other mode counts them.
    for mode in ["cookie", "rewrite"] {
        let mode = format!("mode={mode}");
        let error = parse(&[mode.as_bytes(), b"max_sessions=5"]).expect_err("refused");
        assert!(
            error.to_string().contains("belongs to \"mode=query\""),
            "{error}"
        );
    }
}
