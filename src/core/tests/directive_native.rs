//! Tests for nginx's own forms of the directive: `sticky cookie|route|learn`. Without them a
//! configuration written for nginx 1.29.6 or later may be refused, or mean something else, on an
//! earlier one. Texts and defaults follow from `ngx_http_upstream_sticky()`.

mod refusal;

use refusal::{refusal, refusal_of};
use sticky_core::digest::{salted, server_id};
use sticky_core::directive::native::{
    server_words, Expires, NativeCookie, NativeLearn, NativeRule, ServerWords,
};
use sticky_core::directive::nginx_units::parse_milliseconds;
use sticky_core::directive::{parse, Mode};
use sticky_core::table::{Limits, LAST_TICK};

#[track_caller]
fn rule(line: &str) -> NativeRule {
    let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Native(rule)) => rule,
        other => panic!("sticky {line}: {other:?}"),
    }
}

fn cookie(line: &str) -> NativeCookie {
    match rule(line) {
        NativeRule::Cookie(cookie) => cookie,
        other => panic!("sticky {line}: {other:?}"),
    }
}

fn learn(line: &str) -> NativeLearn {
    match rule(line) {
        NativeRule::Learn(learn) => learn,
        other => panic!("sticky {line}: {other:?}"),
    }
}

#[test]
fn what_is_wrong_is_refused_in_the_words_of_nginx() {
    let learn = "learn create=$a lookup=$a zone=z:1m";
    let cases = [
        (
            "cookie",
            "invalid number of arguments in \"sticky\" directive",
        ),
        (
            "route",
            "invalid number of arguments in \"sticky\" directive",
        ),
        (
            "learn",
            "invalid number of arguments in \"sticky\" directive",
        ),
        ("cookie ", "\"sticky\" directive empty cookie name"),
        ("cookie a b", "unknown parameter \"b\""),
        ("cookie a Secure", "unknown parameter \"Secure\""),
        ("cookie a domain", "unknown parameter \"domain\""),
        (
            "cookie a domain=",
            "\"sticky\" directive no value for \"domain\"",
        ),
        (
            "cookie a domain=b domain=",
            "\"sticky\" directive parameter \"domain\" is duplicate",
        ),
        (
            "cookie a path=",
            "\"sticky\" directive no value for \"path\"",
        ),
        (
            "cookie a path=/ path=/",
            "\"sticky\" directive parameter \"path\" is duplicate",
        ),
        (
            "cookie a expires=",
            "\"sticky\" directive invalid \"expires\" parameter value",
        ),
        (
            "cookie a expires=1ms",
            "\"sticky\" directive invalid \"expires\" parameter value",
        ),
        (
            "cookie a expires=maximum",
            "\"sticky\" directive invalid \"expires\" parameter value",
        ),
        (
            "cookie a expires=max expires=1h",
            "\"sticky\" directive parameter \"expires\" is duplicate",
        ),
        (
            "cookie a secure secure",
            "\"sticky\" directive parameter \"secure\" is duplicate",
        ),
        (
            "cookie a httponly httponly",
            "\"sticky\" directive parameter \"httponly\" is duplicate",
        ),
        (
            "cookie a samesite=",
            "\"sticky\" directive invalid \"samesite\" parameter value",
        ),
        (
            "cookie a samesite=some",
            "\"sticky\" directive invalid \"samesite\" parameter value",
        ),
        (
            "cookie a samesite=lax samesite=lax",
            "\"sticky\" directive parameter \"samesite\" is duplicate",
        ),
        ("route a", "invalid variable name \"a\""),
        ("route $a b", "invalid variable name \"b\""),
        ("learn $a", "unknown parameter \"$a\""),
        (
            "learn create=a",
            "\"sticky\" directive missing variable in the \"create\" parameter",
        ),
        (
            "learn lookup=",
            "\"sticky\" directive missing variable in the \"lookup\" parameter",
        ),
        (
            "learn create=$a zone=z:1m",
            "\"sticky\" directive \"lookup\" parameter is not specified",
        ),
        (
            "learn lookup=$a zone=z:1m",
            "\"sticky\" directive \"create\" parameter is not specified",
        ),
        (
            "learn lookup=$a create=$a",
            "\"sticky\" directive \"zone\" parameter is not specified",
        ),
        (
            "learn zone=z",
            "\"sticky\" directive zone size is not specified",
        ),
        (
            "learn zone=:1m",
            "\"sticky\" directive zone name is not specified",
        ),
        ("learn zone=z:", "\"sticky\" directive invalid zone size"),
        ("learn zone=z:1g", "\"sticky\" directive invalid zone size"),
        ("learn zone=z:31k", "\"sticky\" directive zone is too small"),
        (
            "learn zone=z:1m zone=y:1m",
            "\"sticky\" directive duplicate zone",
        ),
        ("learn timeout=0", "\"sticky\" directive invalid timeout"),
        ("learn timeout=", "\"sticky\" directive invalid timeout"),
        ("learn timeout=1y", "\"sticky\" directive invalid timeout"),
        (
            "learn timeout=1s timeout=1s",
            "\"sticky\" directive duplicate timeout",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(refusal(line), expected, "sticky {line};");
    }
    let more = format!("{learn} more");
    assert_eq!(refusal(&more), "unknown parameter \"more\"");
    assert_eq!(
        refusal_of(&[b"cookie", b"a", b"\x07\xff"]),
        "unknown parameter \"\\x07\\xff\""
    );
}

#[test]
fn a_cookie_is_written_as_nginx_writes_it() {
    let now = 1_000_000_000;
    let cases = [
        ("cookie srv", "", "", "srv=v"),
        ("cookie srv path=/", "", "", "srv=v; path=/"),
        (
            "cookie srv path=/p samesite=lax secure httponly domain=.a.example expires=1h",
            ".a.example",
            "lax",
            "srv=v; expires=Sun, 09-Sep-01 02:46:40 GMT; max-age=3600; domain=.a.example; \
             httponly; secure; samesite=lax; path=/p",
        ),
        (
            "cookie srv expires=max",
            "",
            "",
            "srv=v; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000",
        ),
        (
            "cookie srv expires=0",
            "",
            "",
            "srv=v; expires=Sun, 09-Sep-01 01:46:40 GMT; max-age=0",
        ),
        // Two digits of the year until 2037, four from then on.
        (
            "cookie srv expires=1145916799s",
            "",
            "",
            "srv=v; expires=Thu, 31-Dec-37 23:59:59 GMT; max-age=1145916799",
        ),
        (
            "cookie srv expires=1145916800s",
            "",
            "",
            "srv=v; expires=Fri, 01-Jan-2038 00:00:00 GMT; max-age=1145916800",
        ),
        // A variable may have any value; what is none of the three is the strictest.
        ("cookie srv samesite=$s", "", "NONE", "srv=v; samesite=NONE"),
        (
            "cookie srv samesite=$s",
            "",
            "other",
            "srv=v; samesite=strict",
        ),
    ];
    for (line, domain, samesite, expected) in cases {
        let written = cookie(line).set_cookie(b"v", domain.as_bytes(), samesite.as_bytes(), now);
        assert_eq!(
            String::from_utf8_lossy(&written),
            expected,
            "sticky {line};"
        );
    }
    assert_eq!(
        cookie("cookie a expires=1h30m").expires,
        Some(Expires::After(5_400))
    );
}

#[test]
fn learn_has_the_defaults_of_nginx() {
    let minutes = |line: &str| learn(line).limits;
    let plain = learn("learn create=$a create=$b lookup=$c zone=z:32k");
    assert_eq!(plain.create, [b"a", b"b"]);
    assert_eq!(plain.lookup, [b"c"]);
    assert_eq!((&plain.zone[..], plain.size), (&b"z"[..], 32 << 10));
    assert!(!plain.after_header && !plain.norefresh);
    let idle = |expires, lifetime| Limits { expires, lifetime };
    assert_eq!(plain.limits, idle(600, None));

    let with = |more: &str| minutes(&format!("learn create=$a lookup=$a zone=z:1m {more}"));
    assert_eq!(with("timeout=2"), idle(2, None));
    assert_eq!(with("timeout=1h"), idle(3_600, None));
    // The table counts seconds.
    assert_eq!(with("timeout=1ms"), idle(1, None));
    assert_eq!(with("timeout=1500ms"), idle(2, None));
    assert_eq!(with("timeout=500w"), idle(LAST_TICK, None));
    assert_eq!(with("timeout=1m norefresh header"), idle(60, Some(60)));
}

#[test]
fn times_in_milliseconds_are_read_as_nginx_reads_them() {
    let cases = [
        ("2", Some(2_000)),
        ("2s", Some(2_000)),
        ("2ms", Some(2)),
        ("1s500ms", Some(1_500)),
        ("1m 500ms", Some(60_500)),
        ("1w", Some(604_800_000)),
        ("500ms1s", None),
        ("1ms1ms", None),
        ("1M", None),
        ("1y", None),
        ("", None),
        ("9223372036854775807", None),
        ("9223372036854775807ms", Some(9_223_372_036_854_775_807)),
        ("9223372036854775808ms", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_milliseconds(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn the_words_of_a_server_are_told_apart() {
    let read = |line: &str| {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        server_words(&words)
    };
    let found = |route: Option<&str>, drain| ServerWords {
        route: route.map(|route| route.as_bytes().to_vec()),
        drain,
    };
    let longest = "0123456789abcdef0123456789abcdef";
    for (line, expected, ours) in [
        ("weight=2 backup", found(None, false), vec![false, false]),
        ("route=a", found(Some("a"), false), vec![true]),
        ("weight=2 drain", found(None, true), vec![false, true]),
        ("drain route=a", found(Some("a"), true), vec![true, true]),
        ("route=a route=b", found(Some("b"), false), vec![true, true]),
        // The last one counts.
        ("down drain", found(None, true), vec![false, true]),
        ("drain down", found(None, false), vec![true, false]),
        ("Drain routes=a", found(None, false), vec![false, false]),
    ] {
        assert_eq!(read(line), Ok((expected, ours)), "server … {line};");
    }
    assert!(read(&format!("route={longest}")).is_ok());
    assert_eq!(
        read(&format!("route={longest}0")),
        Err("route is longer than 32")
    );
    assert_eq!(read("route="), Err("route is empty"));
}

/// `printf '127.0.0.1:8081' | md5sum`; the second with `secret` behind that.
#[test]
fn a_server_without_a_route_is_called_by_the_md5_of_its_name() {
    let sid = server_id(b"127.0.0.1:8081");
    assert_eq!(sid, b"df2b80dc43705d28db9be6f29fe58da3");
    assert_eq!(salted(&sid, b"secret"), b"05cb46c3de747fa5d474c4ad85c12cca");
}

#[test]
fn only_the_first_word_makes_the_form() {
    assert!(refusal("secure route").starts_with("invalid parameter \"route\""));
    assert!(refusal("mode=query learn").starts_with("invalid parameter \"learn\""));
}
