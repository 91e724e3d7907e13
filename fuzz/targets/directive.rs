//! The words of a directive, one per line. They give a rule that keeps the promises of its type, or
//! an error of one line that does not show the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_core::directive::nginx_forms::NginxRule;
use sticky_core::directive::{parse, CookieRule, Mode, QueryRule, RewriteRule, ZoneChoice};
use sticky_core::http::cookie::{self, SameSite};
use sticky_core::rewrite::RouteParameter;
use sticky_core::url::ExtractedId;

/// Where nginx cuts an error of the configuration (NGX_MAX_CONF_ERRSTR).
const MAX_MESSAGE: usize = 1024;

const KEY: &[u8] = b"hmac_key=";

fuzz_target!(|input: &[u8]| {
    let words: Vec<&[u8]> = match input {
        [] => Vec::new(),
        input => input.split(|byte| *byte == b'\n').collect(),
    };
    match parse(&words) {
        Ok(Mode::Cookie(rule)) => check_cookie(&rule),
        Ok(Mode::Query(rule)) => check_query(&rule),
        Ok(Mode::Rewrite(rule)) => check_rewrite(&rule),
        Ok(Mode::Nginx(rule)) => check_nginx(&rule),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && line.len() < MAX_MESSAGE, "{line:?}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(!shows_key(&words), "{line:?}");
        }
    }
});

/// Whether a message has the key: tried with another key, which cannot be in it by chance.
fn shows_key(words: &[&[u8]]) -> bool {
    let keyed: Vec<&[u8]> = words
        .iter()
        .map(|word| match word.strip_prefix(KEY) {
            Some([_, ..]) => b"hmac_key=Zq7Xw",
            _ => *word,
        })
        .collect();
    keyed != words
        && !words
            .iter()
            .any(|word| word.windows(5).any(|part| part == b"Zq7Xw"))
        && parse(&keyed).is_err_and(|error| error.to_string().contains("Zq7Xw"))
}

fn check_cookie(rule: &CookieRule) {
    assert!(!rule.delimiter.is_empty());
    assert!(rule.expires.is_none_or(|seconds| seconds > 0));
    let may_be_secure = rule.secure || rule.secure_if.is_some();
    assert!(may_be_secure || (!rule.partitioned && rule.samesite != Some(SameSite::None)));
    assert!(rule.recipe.value(3, b"10.0.0.1:8080").is_ascii());
    let mut line = [&rule.name[..], b"=value"].concat();
    rule.attributes(rule.expires.map(|_| 0)).write(&mut line);
    assert!(
        !line.iter().any(u8::is_ascii_control),
        "{}",
        line.escape_ascii()
    );
    assert_eq!(cookie::value_set(&line, &rule.name), Some(&b"value"[..]));
    let attributes = line.iter().filter(|byte| **byte == b';').count();
    assert!(attributes <= 7, "{}", line.escape_ascii());
    let delimited = rule.delimiter.repeat(40);
    assert!(rule.routes(&delimited).count() <= 17);
}

fn check_query(rule: &QueryRule) {
    assert!(!rule.from.is_empty());
    assert!(rule.state.as_ref().is_none_or(|file| !file.is_empty()));
    assert!(rule.state.is_none() || rule.zone != ZoneChoice::Off);
    for (at, place) in rule.from.iter().enumerate() {
        assert!(!rule.from[..at].contains(place), "{place:?} twice");
    }
    let limits = rule.limits;
    assert!((1..=366 * 86_400).contains(&limits.expires));
    assert!(limits
        .lifetime
        .is_none_or(|lifetime| lifetime >= limits.expires));
    assert!(rule.hosts.iter().all(|host| !host.is_empty()));
    if let ZoneChoice::Named { name, size } = &rule.zone {
        assert!(!name.is_empty() && name != b"off");
        assert!(size.is_none_or(|size| size >= 32 << 10));
    }
}

fn check_rewrite(rule: &RewriteRule) {
    assert!(rule.hosts.iter().all(|host| !host.is_empty()));
    let value = rule.recipe.value(3, b"10.0.0.1:8080");
    let parameter = RouteParameter::new(rule.names.clone(), &value);
    let site = sticky_fuzz::site();
    let link = parameter.in_header(b"Location", b"/page?a=1#b", &site);
    let extracted = rule
        .names
        .in_link(link.as_deref().unwrap_or_default(), &site);
    assert_eq!(extracted, ExtractedId::Id(value.into()));
}

fn check_nginx(rule: &NginxRule) {
    match rule {
        NginxRule::Cookie(rule) => {
            assert!(!rule.name.is_empty());
            let domain = rule.domain.as_deref().unwrap_or_default();
            let samesite = rule.samesite.as_deref().unwrap_or_default();
            let line = rule.set_cookie(b"value", domain, samesite, 1_700_000_000);
            assert!(line.starts_with(&rule.name));
        }
        NginxRule::Route(names) => assert!(!names.is_empty()),
        NginxRule::Learn(rule) => {
            assert!(!rule.create.is_empty() && !rule.lookup.is_empty() && !rule.zone.is_empty());
            assert!(rule.size >= 32 << 10 && rule.limits.expires > 0);
        }
    }
}
