//! Tests for messages about words that mean something elsewhere. Without them, somebody who forgets
//! a `;`, or comes from NGINX Plus, Angie or Tengine, is told to look through a list of parameters.

mod refusal;

use sticky_core::directive::server_parameters;

use refusal::refusal;

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(refusal(line), expected, "sticky {line};");
}

#[track_caller]
fn check_invalid(line: &str, word: &str, hint: &str) {
    let expected = format!("invalid parameter \"{word}\" in \"sticky\" directive, {hint}");
    check(line, &expected);
}

#[test]
fn a_semicolon_may_be_missing() {
    let missing = "is a \";\" missing before it?";
    check_invalid("server 10.0.0.1", "server", missing);
    check_invalid("mode=query keepalive 8", "keepalive", missing);
    check_invalid("mode=query ip_hash", "ip_hash", missing);
    check_invalid("name=a least_conn", "least_conn", missing);
    check_invalid("secure sticky", "sticky", missing);
    check(
        "cookie srv server 10.0.0.1",
        &format!("unknown parameter \"server\", {missing}"),
    );
    check(
        "route $a server 10.0.0.1",
        &format!("invalid variable name \"server\", {missing}"),
    );
    check(
        "learn create=$a lookup=$a zone=z:1m server a",
        &format!("unknown parameter \"server\", {missing}"),
    );
    // These are parameters as well.
    let zone = "expected \"zone=NAME[:SIZE]|off\"";
    check_invalid("mode=query zone", "zone", zone);
    let or = format!("{zone}, or a \";\" before it");
    check_invalid("mode=query zone u 64k", "zone", &or);
    let or = "expected \"hash=index|md5|sha1|sha256\", or a \";\" before it";
    check_invalid("name=a hash $arg_a", "hash", or);
    check_invalid("name secure", "name", "expected \"name=NAME\"");
}

#[test]
fn on_and_off() {
    check_invalid("on", "on", "\"sticky;\" alone turns it on");
    check_invalid("mode=query on", "on", "\"sticky;\" alone turns it on");
    check_invalid("off", "off", "it is off without the directive");
}

#[test]
fn parameters_of_others() {
    let sync =
        "which is of NGINX Plus: sessions are shared by the workers of one nginx, leave it out";
    let remote = "which is of Angie: sessions are kept by nginx itself, leave it out";
    let sid = "which is of Angie, as a parameter of \"server\", expected \"route=\" there";
    let learn = "learn create=$a lookup=$a zone=z:1m";
    check(
        &format!("{learn} sync"),
        &format!("unknown parameter \"sync\", {sync}"),
    );
    for word in ["remote_action=/a", "remote_result=$a", "remote_uri=/a"] {
        check(
            &format!("{learn} {word}"),
            &format!("unknown parameter \"{word}\", {remote}"),
        );
        check_invalid(word, word, remote);
    }
    check_invalid("mode=query sync", "sync", sync);
    check_invalid("sid=a", "sid=a", sid);
    let age = "which is of Angie, expected \"expires=TIME\"";
    check(
        "cookie srv max-age=3600",
        &format!("unknown parameter \"max-age=3600\", {age}"),
    );
    check_invalid("max-age=3600", "max-age=3600", age);
    check("cookie srv nosuch", "unknown parameter \"nosuch\"");
    check("route $a nosuch", "invalid variable name \"nosuch\"");
}

#[test]
fn sid_of_a_server() {
    let hint = "parameter \"sid\" of \"server\" is of Angie, expected \"route=\"";
    let words = [&b"weight=2"[..], b"sid=a"];
    assert_eq!(server_parameters::hint(&words), Some(hint));
    assert_eq!(server_parameters::hint(&[b"route=sid", b"resid=a"]), None);
}

#[test]
fn limits_that_are_off() {
    let invalid = |name: &str| {
        format!("invalid value \"off\" of parameter \"{name}\" in \"sticky\" directive, expected ")
    };
    check(
        "expires=off",
        &(invalid("expires")
            + "a time, or no \"expires\" to keep the cookie until the browser is closed"),
    );
    check(
        "mode=query expires=off",
        &(invalid("expires") + "a time of 1 second to 366 days, for every session ends"),
    );
    check(
        "mode=query lifetime=off",
        &(invalid("lifetime") + "a time, or no \"lifetime\" to have no limit but \"expires\""),
    );
    check(
        "cookie srv expires=off",
        "\"sticky\" directive invalid \"expires\" parameter value, without \"expires\" the cookie \
         is kept until the browser is closed",
    );
}
