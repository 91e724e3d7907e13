//! Tests for `sticky mode=query`. Without them, a word of the directive may be taken for another,
//! or a default may change that a configuration relies on.

use sticky_core::directive::{parse, Mode, NoFallback, OnFailure, Place, ZoneChoice};
use sticky_core::scan::learn_set::LearnSet;
use sticky_core::scan::source::HTML;

mod query_rule;

use query_rule::{carries, rule};

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
fn the_name_of_a_node_can_be_cut_off() {
    assert!(carries(&rule(&["id_delimiter=."]), "sid=x.node1"));
    assert!(carries(&rule(&["id_delimiter=!"]), "sid=x!1!2"));
    assert!(!carries(&rule(&[]), "sid=x.node1"));
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
