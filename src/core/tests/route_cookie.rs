//! Tests for the cookies that name a server. Without them, a client's cookie may name no server, or
//! one that nginx-sticky-module-ng or nginx has set is not understood.

use sticky_core::directive::nginx_forms::NginxRule;
use sticky_core::directive::{parse, Mode};

fn mode(words: &[&str]) -> Mode {
    let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    parse(&bytes).unwrap_or_else(|error| panic!("{words:?} refused: {error}"))
}

fn routes(words: &[&str], cookie: &str) -> Vec<String> {
    let Mode::Cookie(rule) = mode(words) else {
        panic!("{words:?} taken for another mode");
    };
    let routes = rule.routes(cookie.as_bytes());
    routes
        .map(|route| String::from_utf8_lossy(route).into_owned())
        .collect()
}

#[test]
fn without_transfer_the_whole_cookie_is_the_route() {
    assert_eq!(routes(&[], "abc def"), ["abc def"]);
    assert_eq!(routes(&[], ""), [""]);
}

#[test]
fn with_transfer_the_route_ends_at_a_delimiter() {
    assert_eq!(
        routes(&["transfer"], "abc own value"),
        ["abc", "abc own", "abc own value"]
    );
    assert_eq!(routes(&["transfer"], "abc"), ["abc"]);
    assert_eq!(
        routes(&["transfer", "delimiter=--"], "abc---d"),
        ["abc", "abc---d"]
    );
    let raw = ["text=raw", "transfer", "delimiter=."];
    assert!(routes(&raw, "10.0.0.1:8080.node1").contains(&"10.0.0.1:8080".to_owned()));
}

#[test]
fn a_cookie_full_of_delimiters_is_tried_a_bounded_number_of_times() {
    assert_eq!(routes(&["transfer"], &" ".repeat(4_000)).len(), 17);
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
        // A variable may have any value; an invalid one becomes the strictest.
        ("cookie srv samesite=$s", "", "NONE", "srv=v; samesite=NONE"),
        (
            "cookie srv samesite=$s",
            "",
            "other",
            "srv=v; samesite=strict",
        ),
    ];
    for (line, domain, samesite, expected) in cases {
        let Mode::Nginx {
            rule: NginxRule::Cookie(rule),
            ..
        } = mode(&line.split(' ').collect::<Vec<_>>())
        else {
            panic!("sticky {line}; is no cookie");
        };
        let written = rule.set_cookie(b"v", domain.as_bytes(), samesite.as_bytes(), now);
        assert_eq!(
            String::from_utf8_lossy(&written),
            expected,
            "sticky {line};"
        );
    }
}
