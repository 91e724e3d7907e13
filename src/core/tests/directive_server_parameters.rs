//! Tests for `route=` and `drain` of `server`. Without them, a session goes to the wrong server, or
//! a server that is drained gets new sessions.

use sticky_core::directive::server_parameters::{self, ServerParameters};

#[test]
fn parameters_of_a_server_are_told_apart() {
    let read = |line: &str| {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        server_parameters::parse(&words)
    };
    let found = |route: Option<&str>, drain| ServerParameters {
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
