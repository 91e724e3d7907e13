//! Tests for words that are not parameters, belong to another mode or are repeated. Without them, a
//! mistake in a configuration may go unnoticed until sessions are lost. Messages are compared
//! whole, because operators read them.

mod refusal;

use refusal::{refusal, refusal_of};

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(refusal(line), *expected, "sticky {line};");
    }
}

#[test]
fn a_misspelled_parameter_gets_a_suggestion() {
    check(&[
        (
            "nmae=sid",
            "invalid parameter \"nmae=sid\" in \"sticky\" directive, did you mean \"name=NAME\"?",
        ),
        (
            "Secure",
            "invalid parameter \"Secure\" in \"sticky\" directive, did you mean \"secure\"?",
        ),
        (
            "http_only",
            "invalid parameter \"http_only\" in \"sticky\" directive, did you mean \"httponly\"?",
        ),
        (
            "mode=query host=a.example",
            "invalid parameter \"host=a.example\" in \"sticky\" directive, \
             did you mean \"hosts=HOST\"?",
        ),
        (
            "mode=query frm=form",
            "invalid parameter \"frm=form\" in \"sticky\" directive, \
             did you mean \"from=cookie,path,query,form\"?",
        ),
    ]);
}

#[test]
fn any_other_unknown_parameter_gets_the_whole_list() {
    let cookie = "expected \"mode=cookie|query|rewrite|discover\", \"name=NAME\", \
                  \"hash=index|md5|sha1|sha256\", \"hmac=md5|sha1|sha256\", \"hmac_key=KEY\", \
                  \"hmac_key_file=FILE\", \"text=raw\", \"domain=DOMAIN\", \"path=PATH\", \"expires=TIME\", \"secure\", \
                  \"httponly\", \"samesite=strict|lax|none|$VARIABLE\", \"partitioned\", \"transfer\", \
                  \"delimiter=TEXT\", \"cacheable=on|off\", \"hide_cookie\", \"on_failure=move|keep\", \
                  \"dry_run\", \"no_fallback\"";
    let query =
        "expected \"mode=cookie|query|rewrite|discover\", \"name=NAME\", \"from=cookie,path,query,form\", \
                 \"learn=html,location,cookie\", \"forget=$VARIABLE\", \"types=SOURCE:TYPE\", \
                 \"id_delimiter=CHARACTER\", \"expires=TIME\", \
                 \"lifetime=TIME\", \
                 \"zone=NAME[:SIZE]|off\", \"state=FILE\", \"share=NAME\", \"cluster=off\", \
                 \"hosts=HOST\", \
                 \"on_failure=move|keep\", \"balance_factor=PERCENT\", \"max_sessions=NUMBER\", \
                 \"dry_run\", \"no_fallback\"";
    for (line, word, expected) in [
        ("timeout=1h", "timeout=1h", cookie),
        ("=", "=", cookie),
        ("=x", "=x", cookie),
        ("x", "x", cookie),
        // At a distance of 2 from "hmac", but hardly a typo.
        ("max=1", "max=1", cookie),
        ("mode=query balance", "balance", query),
    ] {
        let invalid = format!("invalid parameter \"{word}\" in \"sticky\" directive, {expected}");
        assert_eq!(refusal(line), invalid);
    }
    assert_eq!(
        refusal_of(&[b""]),
        format!("invalid parameter \"\" in \"sticky\" directive, {cookie}")
    );
}

#[test]
fn a_flag_takes_no_value_and_others_need_one() {
    check(&[
        (
            "secure=on",
            "invalid value \"on\" of parameter \"secure\" in \"sticky\" directive, \
             expected no value, or a variable, as in \"secure=$is_https\"",
        ),
        (
            "secure=",
            "no value for \"secure\" in \"sticky\" directive, \
             expected \"secure\" or \"secure=$VARIABLE\"",
        ),
        (
            "domain",
            "invalid parameter \"domain\" in \"sticky\" directive, expected \"domain=DOMAIN\"",
        ),
        (
            "mode",
            "invalid parameter \"mode\" in \"sticky\" directive, expected \"mode=cookie|query|rewrite|discover\"",
        ),
        (
            "learn=html mode=",
            "no value for \"mode\" in \"sticky\" directive, \
             expected \"mode=cookie\", \"mode=query\", \"mode=rewrite\" or \"mode=discover\"",
        ),
        (
            "mode=query zone=",
            "no value for \"zone\" in \"sticky\" directive, expected \"zone=NAME[:SIZE]|off\"",
        ),
    ]);
    let cookie = [
        "name",
        "hash",
        "hmac",
        "hmac_key",
        "hmac_key_file",
        "text",
        "domain",
        "path",
        "expires",
        "samesite",
        "delimiter",
    ];
    for name in cookie {
        let message = refusal(&format!("{name}="));
        assert!(message.starts_with(&format!(
            "no value for \"{name}\" in \"sticky\" directive, "
        )));
    }
    for name in [
        "name", "from", "learn", "expires", "lifetime", "zone", "hosts",
    ] {
        let message = refusal(&format!("mode=query {name}="));
        assert!(message.starts_with(&format!(
            "no value for \"{name}\" in \"sticky\" directive, "
        )));
    }
}

#[test]
fn a_parameter_of_another_mode_gets_the_name_of_its_mode() {
    check(&[
        (
            "learn=html",
            "parameter \"learn\" in \"sticky\" directive belongs to \"mode=query\", \
             but the mode is \"cookie\", the default",
        ),
        (
            "lifetime=8h mode=cookie",
            "parameter \"lifetime\" in \"sticky\" directive belongs to \"mode=query\", \
             but the mode is \"cookie\"",
        ),
        (
            "mode=query secure",
            "parameter \"secure\" in \"sticky\" directive belongs to \"mode=cookie\", \
             but the mode is \"query\"",
        ),
    ]);
    for name in [
        "from=query",
        "zone=a:1m",
        "share=a",
        "hosts=a",
        "id_delimiter=.",
    ] {
        assert!(refusal(name).contains("belongs to \"mode=query\""));
    }
    for name in [
        "hash=md5",
        "hmac=md5",
        "hmac_key=k",
        "hmac_key_file=f",
        "text=raw",
        "domain=d",
        "path=/",
        "httponly",
        "samesite=lax",
        "partitioned",
        "transfer",
        "delimiter=.",
        "hide_cookie",
    ] {
        let message = refusal(&format!("{name} mode=query"));
        assert!(message.contains("belongs to \"mode=cookie\""), "{message}");
    }
}

#[test]
fn a_mode_that_does_not_exist_is_refused() {
    for mode in ["learn", "Query", "cookie,query", "query "] {
        let word = format!("mode={mode}");
        assert_eq!(
            refusal_of(&[b"name=sid", word.as_bytes()]),
            format!(
                "invalid value \"{mode}\" of parameter \"mode\" in \"sticky\" directive, \
                 expected \"cookie\", \"query\", \"rewrite\" or \"discover\""
            )
        );
    }
}

#[test]
fn a_repeated_parameter_is_a_duplicate() {
    let cookie = [
        "name=a",
        "hash=md5",
        "hmac=md5",
        "hmac_key=k",
        "hmac_key_file=f",
        "text=raw",
        "domain=d",
        "path=/",
        "expires=1h",
        "secure",
        "httponly",
        "samesite=lax",
        "partitioned",
        "transfer",
        "delimiter=.",
        "hide_cookie",
        "on_failure=keep",
        "dry_run",
        "no_fallback",
        "mode=cookie",
    ];
    let query = [
        "from=query",
        "learn=html",
        "id_delimiter=.",
        "expires=1h",
        "lifetime=8h",
        "zone=a",
        "share=a",
        "on_failure=move",
        "max_sessions=1",
        "dry_run",
        "no_fallback",
    ];
    let cookie = cookie.iter().map(|word| (*word, "mode=cookie"));
    let query = query.iter().map(|word| (*word, "mode=query"));
    for (word, mode) in cookie.chain(query) {
        let name = word.split('=').next().unwrap_or_default();
        assert_eq!(
            refusal(&format!("{word} {mode} {word}")),
            format!("\"sticky\" directive parameter \"{name}\" is duplicate")
        );
    }
    check(&[
        (
            "mode=query mode=cookie",
            "\"sticky\" directive parameter \"mode\" is duplicate",
        ),
        (
            "mode=query name=a name=b name=a",
            "duplicate value \"a\" of parameter \"name\" in \"sticky\" directive",
        ),
        (
            "mode=query from=query,query",
            "duplicate value \"query\" of parameter \"from\" in \"sticky\" directive",
        ),
        (
            "mode=query from=header:X,header:x",
            "duplicate value \"header:x\" of parameter \"from\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=cookie:sid,cookie",
            "duplicate value \"cookie\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=json,json:a.b,json:a.b",
            "duplicate value \"json:a.b\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=header:X,header:x",
            "duplicate value \"header:x\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=text,sse,text",
            "duplicate value \"text\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=html,location,html",
            "duplicate value \"html\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=location,location",
            "duplicate value \"location\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query learn=forms,forms",
            "duplicate value \"forms\" of parameter \"learn\" in \"sticky\" directive",
        ),
        (
            "mode=query hosts=a.example,b.example hosts=A.example",
            "duplicate value \"A.example\" of parameter \"hosts\" in \"sticky\" directive",
        ),
    ]);
}
