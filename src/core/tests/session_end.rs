//! Tests for what ends a session: without them one who has signed out stays where he was, or a
//! client loses the session that it goes on with.

use sticky_core::directive::{parse, Mode, QueryRule};
use sticky_core::scan::session_end::is_cookie_deleted;

const NOW: i64 = 1_800_000_000;

fn rule(line: &str) -> QueryRule {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Query(rule)) => *rule,
        other => panic!("{other:?}"),
    }
}

fn is_deleted(line: &str, cookies: &[&str], set: &[&str]) -> bool {
    let cookies: Vec<&[u8]> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
    let set: Vec<&[u8]> = set.iter().map(|set| set.as_bytes()).collect();
    let names = rule(line).names;
    let path = b"/shop/cart";
    is_cookie_deleted(&names, b"a b", path, cookies.iter().copied(), &set, || NOW)
}

#[test]
fn a_cookie_with_the_id_is_deleted_and_not_replaced() {
    let line = "mode=query name=sid name=PHPSESSID id_delimiter=.";
    for (cookies, set, expected) in [
        (&["sid=a%20b"][..], &["sid=; Max-Age=0"][..], true),
        (&["sid=a b"], &[" sid = x ; Max-Age=-1"], true),
        (
            &["sid=a b.node1"],
            &["sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
            true,
        ),
        (&["sid=a b"], &["sid="], true),
        (&["x=y; sid=a b"], &["x=1", "sid=; Max-Age=0", "y=1"], true),
        (&["x=y", "sid=a b"], &["sid=; Max-Age=0"], true),
        (&["sid=a b; sid=a b.node1"], &["sid=; Max-Age=0"], true),
        (&["sid=a b; sid="], &["sid=; Max-Age=0"], true),
        (&["PHPSESSID=a b"], &["PHPSESSID=; Max-Age=0"], true),
        // Two of one name: nobody knows which one goes.
        (&["sid=a b; sid=c"], &["sid=; Max-Age=0"], false),
        (&["sid=c", "sid=a b"], &["sid=; Max-Age=0"], false),
        // It is another one, or none.
        (&["sid=c"], &["sid=; Max-Age=0"], false),
        (&["PHPSESSID=a b; sid=c"], &["sid=; Max-Age=0"], false),
        (&["PHPSESSID=a b"], &["sid=; Max-Age=0"], false),
        (&["SID=a b"], &["SID=; Max-Age=0"], false),
        (&[], &["sid=; Max-Age=0"], false),
        // Of a path at which the request is, or not.
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/"], true),
        (&["sid=a b"], &["sid=; Max-Age=0; path = /shop"], true),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/shop/"], true),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/shop/cart"], true),
        (&["sid=a b"], &["sid=; Max-Age=0; Path="], true),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=x"], true),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/sho"], false),
        (&["sid=a b"], &["sid=; Path=/legacy; Max-Age=0"], false),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/; Path=/old"], false),
        (&["sid=a b"], &["sid=; Max-Age=0; Path=/shop/cart/"], false),
        (
            &["sid=a b"],
            &["sid=; Max-Age=0; Path=/old", "sid=; Max-Age=0; Path=/"],
            true,
        ),
        // It stays.
        (&["sid=a b"], &[], false),
        (&["sid=a b"], &["sid=c"], false),
        (&["sid=a b"], &["sid=c; Max-Age=60"], false),
        (&["sid=a b"], &["sid=; Max-Age=0", "sid=c"], false),
        (&["sid=a b"], &["sid=c", "sid=; Max-Age=0"], false),
        (&["sid=a b"], &["sid; Max-Age=0"], false),
    ] {
        assert_eq!(
            is_deleted(line, cookies, set),
            expected,
            "{cookies:?} {set:?}"
        );
    }
}

#[test]
fn the_directive_says_what_may_end_a_session() {
    for (line, expected) in [
        ("mode=query", true),
        ("mode=query from=query", false),
        ("mode=query from=header:X", false),
        ("mode=query from=query,cookie", true),
        ("mode=query from=query forget=$x", true),
    ] {
        assert_eq!(rule(line).may_end_sessions(), expected, "{line}");
    }
    let mut rule = rule("mode=query from=$a learn=$b forget=$b");
    assert_eq!(rule.forget, Some(1));
    rule.number_variables_from(3);
    assert_eq!(rule.forget, Some(4));
}
