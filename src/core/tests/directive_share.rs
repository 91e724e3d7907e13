//! Tests for `share=`. Without them, upstreams may have sessions in common that end at another time
//! in each of them, or a misspelt share may be a share of its own.

mod refusal;

use refusal::refusal;
use sticky_core::directive::{parse, Mode, QueryRule};

fn rule(words: &str) -> QueryRule {
    let line = format!("mode=query {words}");
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Query(rule)) => *rule,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_share_is_a_name() {
    assert_eq!(rule("").share, None);
    for name in ["shop", "10.0.0.1", "a=b", "/x"] {
        let rule = rule(&format!("share={name}"));
        assert_eq!(rule.share.as_deref(), Some(name.as_bytes()));
    }
    for name in ["off", "shop:1m", ":", "a\u{7f}"] {
        let message = refusal(&format!("mode=query share={name}"));
        let end =
            "expected \"share=NAME\" as in \"share=shop\", with \"zone=NAME:SIZE\" for a size";
        assert!(message.ends_with(end), "{message}");
    }
    assert_eq!(
        refusal("mode=query share="),
        "no value for \"share\" in \"sticky\" directive, expected \"share=NAME\""
    );
}

#[test]
fn a_share_needs_a_zone() {
    for line in ["share=shop zone=off", "zone=off share=shop"] {
        assert_eq!(
            refusal(&format!("mode=query {line}")),
            "\"share\" together with \"zone=off\" in \"sticky\" directive: \
             there is no zone to have the sessions in"
        );
    }
    assert!(rule("share=shop zone=all:2m").share.is_some());
}

#[test]
fn what_decides_over_sessions_is_the_same_in_all_of_a_share() {
    for (one, other, parameter) in [
        ("expires=1h", "expires=2h", "expires"),
        ("", "expires=59m", "expires"),
        ("lifetime=8h", "", "lifetime"),
        ("lifetime=8h", "lifetime=9h", "lifetime"),
        ("on_failure=keep", "", "on_failure"),
        ("id_delimiter=.", "", "id_delimiter"),
        ("id_delimiter=.", "id_delimiter=~", "id_delimiter"),
        ("zone=all", "", "zone"),
        ("zone=all:1m", "zone=some:1m", "zone"),
    ] {
        let (one, other) = (rule(one), rule(other));
        assert_eq!(one.differs_in(&other), Some(parameter));
        assert_eq!(other.differs_in(&one), Some(parameter));
    }
}

#[test]
fn everything_else_may_differ() {
    let plain = rule("share=shop");
    for words in [
        "name=PHPSESSID",
        "from=cookie learn=cookie",
        "learn=json,sse",
        "hosts=a.example",
        "no_fallback",
        "state=/var/lib/x",
        // The defaults, written out.
        "expires=1h on_failure=move",
    ] {
        assert_eq!(plain.differs_in(&rule(words)), None, "{words}");
    }
    // The size is given once.
    assert_eq!(rule("zone=all:1m").differs_in(&rule("zone=all")), None);
}
