//! Tests for nginx's own forms of the directive, `sticky cookie|route|learn`. Without them, a
//! configuration for nginx 1.29.6 or later may be refused by an earlier one, or mean something
//! else. Messages and defaults follow from `ngx_http_upstream_sticky()`.

mod refusal;

use refusal::{refusal, refusal_of};
use sticky_core::digest::{salted, server_id};
use sticky_core::directive::nginx_forms::{Expires, NginxCookieRule, NginxLearnRule, NginxRule};
use sticky_core::directive::{parse, Mode};
use sticky_core::table::{Limits, LAST_TICK};

#[track_caller]
fn rule(line: &str) -> NginxRule {
    let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Nginx { rule, .. }) => rule,
        other => panic!("sticky {line}: {other:?}"),
    }
}

fn cookie(line: &str) -> NginxCookieRule {
    match rule(line) {
        NginxRule::Cookie(cookie) => cookie,
        other => panic!("sticky {line}: {other:?}"),
    }
}

fn learn(line: &str) -> NginxLearnRule {
    match rule(line) {
        NginxRule::Learn(learn) => learn,
        other => panic!("sticky {line}: {other:?}"),
    }
}

#[test]
fn mistakes_are_refused_with_the_messages_of_nginx() {
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
fn a_cookie_expires_after_a_time_or_never() {
    let expires = |line: &str| cookie(line).expires;
    assert_eq!(expires("cookie a"), None);
    assert_eq!(expires("cookie a expires=max"), Some(Expires::Max));
    assert_eq!(
        expires("cookie a expires=1h30m"),
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

/// From `printf '127.0.0.1:8081' | md5sum`, and for the second one with `secret` appended to that.
#[test]
fn the_id_of_a_server_without_a_route_is_the_md5_of_its_name() {
    let sid = server_id(b"127.0.0.1:8081");
    assert_eq!(sid, b"df2b80dc43705d28db9be6f29fe58da3");
    assert_eq!(salted(&sid, b"secret"), b"05cb46c3de747fa5d474c4ad85c12cca");
}

#[test]
fn only_the_first_word_names_the_form() {
    assert!(refusal("secure route").starts_with("invalid parameter \"route\""));
    assert!(refusal("mode=query learn").starts_with("invalid parameter \"learn\""));
}

#[test]
fn servers_may_have_a_number_of_sessions() {
    let line = "learn create=$a lookup=$a zone=z:1m";
    assert_eq!(learn(line).max_sessions, None);
    let limited = learn(&format!("{line} max_sessions=5"));
    assert_eq!(limited.max_sessions.map(u32::from), Some(5));
    for value in ["", "0", "x", "-1"] {
        assert_eq!(
            refusal(&format!("{line} max_sessions={value}")),
            "\"sticky\" directive invalid max_sessions"
        );
    }
    assert_eq!(
        refusal(&format!("{line} max_sessions=5 max_sessions=5")),
        "\"sticky\" directive duplicate max_sessions"
    );
    assert_eq!(
        refusal("cookie srv max_sessions=5"),
        "unknown parameter \"max_sessions=5\", which is of \"mode=query\" and \"sticky learn\": no \
         other mode counts sessions"
    );
}
