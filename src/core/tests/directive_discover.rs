//! Tests for the directives that only watch, `mode=discover` and `dry_run`; without them a word too
//! many would be ignored, or a line that should do nothing would steer.

mod refusal;

use sticky_core::directive::{parse, DiscoverRule, Mode};

use refusal::refusal;

fn mode(line: &str) -> Mode {
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&words) {
        Ok(mode) => mode,
        Err(error) => panic!("{line}: {error}"),
    }
}

#[test]
fn discover_watches_for_an_hour_or_as_long_as_is_said() {
    for (line, expected) in [
        ("mode=discover", 3_600),
        ("mode=discover for=1m", 60),
        ("for=1h30m mode=discover", 5_400),
        ("mode=discover for=7d", 604_800),
    ] {
        let Mode::Discover(DiscoverRule { seconds }) = mode(line) else {
            panic!("{line}");
        };
        assert_eq!(seconds, expected, "{line}");
        assert!(!mode(line).is_dry_run());
    }
}

#[test]
fn discover_takes_nothing_else() {
    let expected = "in \"sticky\" directive, \"mode=discover\" takes \"for=TIME\" alone";
    for word in [
        "name=sid",
        "dry_run",
        "zone=a:1m",
        "for",
        "hmac_key=tops3cret",
        "cookie2",
    ] {
        let message = refusal(&format!("mode=discover {word}"));
        assert!(message.ends_with(expected), "{message}");
        assert!(!message.contains("tops3cret"), "{message}");
    }
    for value in ["", "59s", "8d", "x", "off", "99999999999999999999d"] {
        let message = refusal(&format!("mode=discover for={value}"));
        let expected = "expected a time of 1 minute to 7 days, as in \"for=1h\"";
        assert!(message.ends_with(expected), "{message}");
    }
    for (line, name) in [
        ("mode=discover for=1h for=2h", "for"),
        ("mode=discover mode=discover", "mode"),
        ("mode=query mode=discover", "mode"),
    ] {
        let expected = format!("\"sticky\" directive parameter \"{name}\" is duplicate");
        assert_eq!(refusal(line), expected, "{line}");
    }
    assert!(refusal("mode=query for=1h").starts_with("invalid parameter \"for=1h\""));
}

#[test]
fn every_mode_has_a_dry_run() {
    for line in [
        "",
        "mode=cookie",
        "mode=query name=id",
        "mode=rewrite",
        "cookie srv",
        "route $arg_route $cookie_route",
        "learn create=$a lookup=$b zone=c:1m",
    ] {
        assert!(!mode(line).is_dry_run(), "{line}");
        assert!(mode(&format!("{line} dry_run")).is_dry_run(), "{line}");
        let message = refusal(format!("{line} dry_run dry_run").trim_start());
        assert!(message.ends_with("\"dry_run\" is duplicate"), "{message}");
    }
    // Anywhere but where a cookie has its name.
    assert!(mode("learn dry_run create=$a lookup=$b zone=c:1m").is_dry_run());
    assert!(!mode("cookie dry_run").is_dry_run());
    assert!(mode("cookie dry_run dry_run").is_dry_run());
    assert!(refusal("dry_run=on").contains("\"dry_run\""));
}
