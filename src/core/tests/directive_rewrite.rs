//! Tests for `sticky mode=rewrite`. Without them, a parameter without effect may be accepted, or
//! one that tells the servers apart may be missing.

use sticky_core::digest::{Algorithm, Recipe};
use sticky_core::directive::{parse, Mode, OnFailure, RewriteRule};
use sticky_core::url::ExtractedId;

mod refusal;

use refusal::refusal;

fn rule(line: &str) -> RewriteRule {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Mode::Rewrite(rule)) => rule,
        Ok(_) => panic!("{line} taken for another mode"),
        Err(error) => panic!("{line} refused: {error}"),
    }
}

#[test]
fn a_bare_mode_names_the_server_by_its_md5() {
    let rule = rule("mode=rewrite");
    assert_eq!(rule.recipe, Recipe::Hash(Algorithm::Md5));
    assert!(matches!(
        rule.names.in_query(b"route=a"),
        ExtractedId::Id(_)
    ));
    assert!(rule.hosts.is_empty() && rule.no_fallback.is_none());
}

#[test]
fn each_parameter_reaches_its_field() {
    let given = rule("name=srv mode=rewrite hmac=sha256 hmac_key=k hosts=a.example,.b no_fallback");
    assert!(matches!(given.names.in_query(b"srv=a"), ExtractedId::Id(_)));
    assert_eq!(given.names.in_query(b"route=a"), ExtractedId::Absent);
    assert_eq!(
        given.recipe,
        Recipe::Hmac(Algorithm::Sha256, (*b"k").into())
    );
    assert_eq!(given.hosts, [b"a.example"[..].into(), b".b"[..].into()]);
    assert!(given.no_fallback.is_some());
    assert_eq!(given.on_failure, OnFailure::Move);
    let kept = rule("mode=rewrite on_failure=keep");
    assert_eq!(kept.on_failure, OnFailure::Keep);
    assert_eq!(rule("mode=rewrite text=raw").recipe, Recipe::Raw);
    assert_eq!(rule("mode=rewrite hash=index").recipe, Recipe::Index);
}

#[test]
fn parameters_without_effect_are_refused() {
    for (line, expected) in [
        (
            "mode=rewrite expires=1h",
            "parameter \"expires\" in \"sticky\" directive belongs to \"mode=cookie\", \
             but the mode is \"rewrite\"",
        ),
        (
            "mode=rewrite zone=a:1m",
            "parameter \"zone\" in \"sticky\" directive belongs to \"mode=query\", \
             but the mode is \"rewrite\"",
        ),
        (
            "mode=rewrite name=a&b",
            "invalid value \"a&b\" of parameter \"name\" in \"sticky\" directive, \
             expected 1 to 64 of the characters A-Z a-z 0-9 - _ . ~ ! $ * @ :",
        ),
        (
            "mode=rewrite name=a name=b",
            "\"sticky\" directive parameter \"name\" is duplicate",
        ),
        (
            "mode=rewrite hash=md5 text=raw",
            "\"hash\" together with \"text\" in \"sticky\" directive: expected one of \"hash\", \"hmac\" and \"text\"",
        ),
    ] {
        assert_eq!(refusal(line), expected, "sticky {line};");
    }
}
