//! Tests for `route=`, `drain` and `max_sessions=` of `server`. Without them, a session goes to the
//! wrong server, or a server that is drained or full gets new sessions.

use sticky_core::directive::server_parameters::{self, ServerError, ServerParameters};

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
        Err(ServerError::Text("route is longer than 32"))
    );
    assert_eq!(read("route="), Err(ServerError::Text("route is empty")));
}

#[test]
fn a_limit_of_sessions_is_taken_out() {
    let read = |line: &str| {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        server_parameters::session_limit(&words)
            .map(|(limit, ours)| (limit.map(u32::from), ours))
            .map_err(|error| error.to_string())
    };
    for (line, limit, ours) in [
        ("weight=2 backup", None, vec![false, false]),
        ("max_sessions=1", Some(1), vec![true]),
        (
            "drain max_sessions=4294967295 max_conns=5",
            Some(u32::MAX),
            vec![false, true, false],
        ),
        // nginx refuses them.
        ("max_sessions Max_sessions=1", None, vec![false, false]),
    ] {
        assert_eq!(read(line), Ok((limit, ours)), "server … {line};");
    }
    for value in [
        "",
        "0",
        "00",
        "+1",
        "-1",
        "1k",
        " 1",
        "1.5",
        "4294967296",
        "$a",
        "off",
    ] {
        let words = [format!("max_sessions={value}")];
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        assert_eq!(
            server_parameters::session_limit(&words)
                .unwrap_err()
                .to_string(),
            format!(
                "invalid parameter \"max_sessions={value}\", expected a number of 1 to 4294967295"
            )
        );
    }
    assert_eq!(
        read("max_sessions=1 max_sessions=1"),
        Err("\"max_sessions\" parameter is duplicate".to_owned())
    );
}
