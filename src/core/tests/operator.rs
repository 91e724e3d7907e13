//! What an operator may ask for, and who may.

use sticky_core::operator::access::{check_here, says_yes, Origin, Refusal, Visitor};
use sticky_core::operator::action::{Action, Order, MAX_BODY};
use sticky_core::operator::token::{is_valid, token};

fn order(body: &str) -> Order {
    Order::parse(body.as_bytes()).unwrap()
}

fn refused(body: &str) -> String {
    Order::parse(body.as_bytes()).unwrap_err().to_string()
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn each_action_has_its_parameters() {
    let drain = order("action=drain&upstream=shop&server=10.0.0.1%3A8080&for=30m");
    assert_eq!(drain.upstream, b"shop");
    let server = bytes("10.0.0.1:8080");
    let seconds = Some(1800);
    assert_eq!(drain.action, Action::Drain { server, seconds });

    let server = bytes("a");
    let moved = order("action=move&upstream=u&server=a&to=b&percent=30").action;
    let to = Some(bytes("b"));
    let percent = 30;
    assert_eq!(
        moved,
        Action::Move {
            server,
            to,
            percent
        }
    );
    let moved = order("upstream=u&server=a&action=move").action;
    let server = bytes("a");
    let (to, percent) = (None, 100);
    assert_eq!(
        moved,
        Action::Move {
            server,
            to,
            percent
        }
    );

    let server = bytes("a");
    let undrained = order("action=undrain&upstream=u&server=a").action;
    assert_eq!(undrained, Action::Undrain { server });
    let server = bytes("a");
    let forgotten = order("action=forget&upstream=u&server=a").action;
    assert_eq!(forgotten, Action::Forget { server });
    let forgotten = order("action=forget&upstream=u&id=x+y%00%ff").action;
    let id = b"x y\0\xff".to_vec();
    assert_eq!(forgotten, Action::ForgetSession { id });
    let found = order("action=lookup&upstream=u&id=abc&token=t%3D").clone();
    assert_eq!(found.action, Action::LookUp { id: bytes("abc") });
    assert_eq!(found.token, Some(bytes("t=")));
}

#[test]
fn an_action_can_be_sent_again() {
    for body in [
        "action=drain&server=10.0.0.1%3A8080&for=1800",
        "action=undrain&server=a",
        "action=move&server=a&to=b&percent=30",
        "action=forget&server=a",
        "action=forget&id=x",
        "action=lookup&id=x",
    ] {
        let body = format!("{body}&upstream=u");
        let action = order(&body).action;
        let again = action.parameters().into_iter().map(|(name, value)| {
            let value =
                percent_encoding::percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
            format!("{name}={value}&")
        });
        let again = again.collect::<String>() + "upstream=u&confirm=1";
        assert_eq!(order(&again).action, action);
        assert!(order(&again).is_confirmed && !order(&body).is_confirmed);
        assert_eq!(
            action.is_destructive(),
            body.contains("=move") || body.contains("=forget")
        );
    }
}

#[test]
fn a_token_is_valid_for_some_hours_and_of_one_secret() {
    let (secret, scope, now) = ((1, 2), b"page of alice", 1_000_000_000);
    let given = token(secret, scope, now);
    for later in [0, 3600, 12 * 3600] {
        assert!(is_valid(secret, scope, given.as_bytes(), now + later));
    }
    assert!(!is_valid(secret, scope, given.as_bytes(), now + 14 * 3600));
    assert!(!is_valid(secret, scope, given.as_bytes(), now - 7200));
    assert!(!is_valid((1, 3), scope, given.as_bytes(), now));
    assert!(!is_valid(secret, b"page of bob", given.as_bytes(), now));
    assert!(!is_valid(secret, scope, b"", now));
    assert!(!is_valid(secret, scope, &given.as_bytes()[1..], now));
}

#[test]
fn fields_that_were_left_empty_say_nothing() {
    let drain = order("action=drain&upstream=u&server=a&for=&to=&id=&token=");
    let server = bytes("a");
    let seconds = None;
    assert_eq!(drain.action, Action::Drain { server, seconds });
    assert_eq!(drain.token, None);
    assert_eq!(
        order("&&action=undrain&upstream=u&server=a&").action.name(),
        "undrain"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (body, why) in [
        ("", "no parameter \"action\""),
        ("action=drain", "no parameter \"upstream\""),
        ("action=drain&upstream=u", "no parameter \"server\""),
        ("action=forget&upstream=u", "no parameter \"server\""),
        ("action=lookup&upstream=u", "no parameter \"id\""),
        (
            "action=stop&upstream=u",
            "invalid value \"stop\" of parameter \"action\", \
             expected drain, undrain, move, forget or lookup",
        ),
        (
            "action=drain&upstream=u&server=a&x%22=1",
            "unknown parameter \"x\\\"\"",
        ),
        ("action=a&action=b", "parameter \"action\" is duplicate"),
        (
            "action=drain&upstream=u&server=a&for=soon",
            "invalid value \"soon\" of parameter \"for\", \
             expected a time of a second at least, such as 30m",
        ),
        (
            "action=drain&upstream=u&server=a&for=0",
            "invalid value \"0\" of parameter \"for\", \
             expected a time of a second at least, such as 30m",
        ),
        (
            "action=move&upstream=u&server=a&percent=0",
            "invalid value \"0\" of parameter \"percent\", expected 1 to 100",
        ),
        (
            "action=move&upstream=u&server=a&percent=101",
            "invalid value \"101\" of parameter \"percent\", expected 1 to 100",
        ),
        (
            "action=undrain&upstream=u&server=a&for=1m",
            "parameter \"for\" does not go with \"undrain\"",
        ),
        (
            "action=forget&upstream=u&server=a&id=secret",
            "parameter \"id\" does not go with \"server\"",
        ),
        (
            "action=drain&upstream=u&server=a&id=secret",
            "parameter \"id\" does not go with \"drain\"",
        ),
    ] {
        assert_eq!(refused(body), why, "{body}");
    }
    let long = format!("action=lookup&upstream=u&id={}", "x".repeat(4097));
    let why = "invalid value \"...\" of parameter \"id\", expected 4096 bytes at most";
    assert_eq!(refused(&long), why);
    let longest = format!("action=lookup&upstream=u&id={}", "%41".repeat(4096));
    assert!(longest.len() <= MAX_BODY);
    assert_eq!(
        order(&longest).action,
        Action::LookUp {
            id: vec![b'A'; 4096]
        }
    );
}

fn visitor<'a>(address: &str, host: &'a str) -> Visitor<'a> {
    Visitor {
        origin: Origin::of(address.as_bytes()),
        is_forwarded: false,
        host: host.as_bytes(),
    }
}

#[test]
fn whoever_is_on_this_machine_may() {
    for address in [
        "127.0.0.1",
        "127.8.9.10",
        "::1",
        "::ffff:127.0.0.1",
        "unix:",
    ] {
        for host in ["localhost", "LocalHost", "127.0.0.1", "10.1.2.3", "[::1]"] {
            assert_eq!(
                check_here(&visitor(address, host)),
                Ok(()),
                "{address} {host}"
            );
        }
    }
}

#[test]
fn nobody_else_does() {
    for address in [
        "10.0.0.1",
        "::2",
        "::ffff:10.0.0.1",
        "",
        "127.0.0.1.evil",
        "unix:/x",
        "1",
    ] {
        let answer = check_here(&visitor(address, "localhost"));
        assert_eq!(answer, Err(Refusal::NotHere), "{address}");
    }
    // A name may point at this machine, so that a browser sends here what a page there says.
    for host in [
        "evil.example",
        "localhost.evil.example",
        "",
        "[::1",
        "127.1",
        "0x7f.1",
        "a b",
    ] {
        let answer = check_here(&visitor("127.0.0.1", host));
        assert_eq!(answer, Err(Refusal::Host), "{host}");
    }
    let forwarded = Visitor {
        is_forwarded: true,
        ..visitor("127.0.0.1", "localhost")
    };
    assert_eq!(check_here(&forwarded), Err(Refusal::Forwarded));
}

#[test]
fn a_variable_says_yes_unless_it_is_empty_or_0() {
    assert!(says_yes(b"1") && says_yes(b"alice") && says_yes(b"00"));
    assert!(!says_yes(b"") && !says_yes(b"0"));
}
