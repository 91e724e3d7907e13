//! Tests for `sticky` and `sticky mode=cookie`. Without them, a configuration for
//! nginx-sticky-module-ng may not start, or its cookies may name other servers.

use sticky_core::digest::{Algorithm, Recipe};
use sticky_core::directive::{parse, CookieRule, Mode, NoFallback, OnFailure};
use sticky_core::http::cookie::SameSite;

fn rule(words: &[&str]) -> CookieRule {
    let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    match parse(&bytes) {
        Ok(Mode::Cookie(rule)) => rule,
        Ok(_) => panic!("{words:?} taken for another mode"),
        Err(error) => panic!("{words:?} refused: {error}"),
    }
}

#[test]
fn a_bare_sticky_is_the_default_of_nginx_sticky_module_ng() {
    for words in [&[][..], &["mode=cookie"]] {
        let rule = rule(words);
        assert_eq!(rule.name, b"route");
        assert_eq!(rule.recipe, Recipe::Hash(Algorithm::Md5));
        assert_eq!(rule.domain, None);
        assert_eq!(rule.path, b"/");
        assert_eq!(rule.expires, None);
        assert_eq!(rule.samesite, None);
        assert_eq!(rule.delimiter, b" ");
        assert!(!rule.secure && !rule.httponly && !rule.partitioned && !rule.transfer);
        assert!(!rule.hide_cookie && !rule.cacheable);
        assert_eq!(rule.no_fallback, None);
        assert_eq!((rule.secure_if, rule.samesite_of), (None, None));
        assert_eq!(rule.on_failure, OnFailure::Move);
    }
}

#[test]
fn each_parameter_reaches_its_field() {
    assert_eq!(rule(&["name=srv_id"]).name, b"srv_id");
    assert_eq!(
        rule(&["domain=.foo.bar"]).domain.as_deref(),
        Some(&b".foo.bar"[..])
    );
    assert_eq!(rule(&["path=/shop"]).path, b"/shop");
    assert_eq!(rule(&["expires=1h"]).expires, Some(3_600));
    assert_eq!(rule(&["expires=1"]).expires, Some(1));
    assert_eq!(rule(&["expires=10y"]).expires, Some(315_360_000));
    assert!(rule(&["secure"]).secure);
    assert!(rule(&["httponly"]).httponly);
    assert!(rule(&["transfer"]).transfer);
    assert!(rule(&["hide_cookie"]).hide_cookie);
    for (word, expected) in [
        ("no_fallback", NoFallback::BadGateway),
        ("no_fallback=502", NoFallback::BadGateway),
        ("no_fallback=503", NoFallback::Unavailable),
    ] {
        assert_eq!(rule(&[word]).no_fallback, Some(expected), "{word}");
    }
    assert!(rule(&["cacheable=on"]).cacheable && !rule(&["cacheable=off"]).cacheable);
    assert_eq!(rule(&["on_failure=keep"]).on_failure, OnFailure::Keep);
    assert_eq!(rule(&["on_failure=move"]).on_failure, OnFailure::Move);
    assert!(rule(&["partitioned", "secure"]).partitioned);
    assert_eq!(rule(&["delimiter=.", "transfer"]).delimiter, b".");
    assert_eq!(rule(&["transfer", "delimiter= | "]).delimiter, b" | ");
    assert_eq!(rule(&["transfer", "delimiter=\t"]).delimiter, b"\t");
    for (word, samesite) in [
        ("samesite=strict", SameSite::Strict),
        ("samesite=lax", SameSite::Lax),
        ("samesite=none", SameSite::None),
    ] {
        assert_eq!(rule(&[word, "secure"]).samesite, Some(samesite));
    }
    // One flag sets one field.
    let secure = rule(&["secure"]);
    assert!(!secure.httponly && !secure.partitioned && !secure.transfer && !secure.hide_cookie);
    assert_eq!(secure.no_fallback, None);
}

#[test]
fn attributes_may_be_variables() {
    let given = rule(&["secure=$https", "samesite=${s}x", "partitioned"]);
    assert_eq!(given.secure_if.as_deref(), Some(&b"$https"[..]));
    assert_eq!(given.samesite_of.as_deref(), Some(&b"${s}x"[..]));
    assert!(!given.secure && given.samesite.is_none() && given.partitioned);
    rule(&["secure=$https", "samesite=none"]);
}

#[test]
fn each_recipe_can_be_chosen() {
    let hmac = |algorithm| Recipe::Hmac(algorithm, b"k=1 2;3".as_slice().into());
    for (word, recipe) in [
        ("hash=index", Recipe::Index),
        ("hash=md5", Recipe::Hash(Algorithm::Md5)),
        ("hash=sha1", Recipe::Hash(Algorithm::Sha1)),
        ("hash=sha256", Recipe::Hash(Algorithm::Sha256)),
        ("text=raw", Recipe::Raw),
    ] {
        assert_eq!(rule(&[word]).recipe, recipe);
    }
    for (word, recipe) in [
        ("hmac=md5", hmac(Algorithm::Md5)),
        ("hmac=sha1", hmac(Algorithm::Sha1)),
        ("hmac=sha256", hmac(Algorithm::Sha256)),
    ] {
        assert_eq!(rule(&[word, "hmac_key=k=1 2;3"]).recipe, recipe);
        assert_eq!(rule(&["hmac_key=k=1 2;3", word]).recipe, recipe);
    }
}

#[test]
fn lines_of_existing_configurations_are_accepted() {
    for line in [
        "name=route hash=sha1 no_fallback",
        "hash=index no_fallback transfer delimiter=. name=route domain=.foo.bar path=/ expires=1h",
        "hmac=sha1 hmac_key=foobar_key name=route domain=.foo.bar expires=1h secure httponly",
        "text=raw no_fallback transfer delimiter=. name=JSESSIONID expires=1h secure httponly",
        "name=srv_id expires=1d domain=.example.com path=/ secure httponly hide_cookie",
        "httponly secure mode=cookie path=/",
        "hide_cookie httponly",
        "name=a.b[0] path=/x=y",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        rule(&words);
    }
}

#[test]
fn the_order_of_words_does_not_matter() {
    let words = [
        "hmac=md5",
        "hmac_key=k",
        "name=n",
        "secure",
        "mode=cookie",
        "expires=5m",
    ];
    let expected = format!("{:?}", rule(&words));
    for shift in 1..words.len() {
        let mut shifted = words;
        shifted.rotate_left(shift);
        assert_eq!(format!("{:?}", rule(&shifted)), expected);
    }
}
