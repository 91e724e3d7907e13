//! `mode=cookie`: the parameters of nginx-sticky-module-ng, and the attributes of cookies that
//! browsers have introduced since.

use super::error::DirectiveError;
use super::nginx_units;
use super::no_fallback::no_fallback;
use super::on_failure::on_failure;
use super::parameters::Parameters;
use super::values::{key_of_file, number_of};
use super::CookieRule;
use crate::digest::{Algorithm, Recipe};
use crate::http::cookie::{is_safe, SameSite};

pub fn rule(given: &Parameters) -> Result<CookieRule, DirectiveError> {
    let rule = CookieRule {
        name: name(given)?,
        recipe: recipe(given)?,
        domain: attribute(given, "domain")?,
        path: attribute(given, "path")?.unwrap_or_else(|| b"/".to_vec()),
        expires: expires(given)?,
        secure: given.value("secure") == Some(b""),
        secure_if: given.value("secure").and_then(variable),
        httponly: given.has("httponly"),
        samesite: samesite(given)?,
        samesite_of: given.value("samesite").and_then(variable),
        partitioned: given.has("partitioned"),
        transfer: given.has("transfer"),
        delimiter: delimiter(given)?,
        hide_cookie: given.has("hide_cookie"),
        cacheable: cacheable(given)?,
        on_failure: on_failure(given)?,
        no_fallback: no_fallback(given)?,
        is_dry_run: given.has("dry_run"),
    };
    let insecure = |parameter| DirectiveError::Without {
        parameter,
        needed: "secure",
        why: "browsers drop such a cookie",
    };
    if let Some(value) = given.value("secure") {
        if !rule.secure && rule.secure_if.is_none() {
            let expected = "no value, or a variable, as in \"secure=$is_https\"";
            return Err(DirectiveError::value("secure", value, expected));
        }
    }
    let is_never_secure = !given.has("secure");
    if rule.samesite == Some(SameSite::None) && is_never_secure {
        return Err(insecure("samesite=none"));
    }
    if rule.partitioned && is_never_secure {
        return Err(insecure("partitioned"));
    }
    Ok(rule)
}

/// The name may have any byte that browsers accept, which is more than a token of RFC 6265 section
/// 4.1.1, but none that would end it early or begin another header.
fn name(given: &Parameters) -> Result<Vec<u8>, DirectiveError> {
    let name = given.value("name").unwrap_or(b"route");
    if !is_safe(name) || name.contains(&b'=') {
        let expected = "a cookie name without spaces, control characters, \";\", \",\" and \"=\"";
        return Err(DirectiveError::value("name", name, expected));
    }
    Ok(name.to_vec())
}

fn attribute(
    given: &Parameters,
    parameter: &'static str,
) -> Result<Option<Vec<u8>>, DirectiveError> {
    match given.value(parameter) {
        Some(value) if !is_safe(value) => {
            let expected = "a value without spaces, control characters, \";\" and \",\"";
            Err(DirectiveError::value(parameter, value, expected))
        }
        value => Ok(value.map(<[u8]>::to_vec)),
    }
}

/// How a server becomes a value: the same in all modes that have one.
pub(super) fn recipe(given: &Parameters) -> Result<Recipe, DirectiveError> {
    for (one, other) in [("hash", "hmac"), ("hash", "text"), ("hmac", "text")] {
        if given.has(one) && given.has(other) {
            let why = "expected one of \"hash\", \"hmac\" and \"text\"";
            return Err(DirectiveError::Together { one, other, why });
        }
    }
    for parameter in ["hmac_key", "hmac_key_file"] {
        if given.has(parameter) && !given.has("hmac") {
            return Err(DirectiveError::Without {
                parameter,
                needed: "hmac",
                why: "a key has no effect on any other kind of value",
            });
        }
    }
    if let Some(value) = given.value("hash") {
        return match (value, algorithm(value)) {
            (b"index", _) => Ok(Recipe::Index),
            (_, Some(algorithm)) => Ok(Recipe::Hash(algorithm)),
            (_, None) => {
                let expected = "\"index\", \"md5\", \"sha1\" or \"sha256\"";
                Err(DirectiveError::value("hash", value, expected))
            }
        };
    }
    if let Some(value) = given.value("hmac") {
        let Some(algorithm) = algorithm(value) else {
            let expected = "\"md5\", \"sha1\" or \"sha256\"";
            return Err(DirectiveError::value("hmac", value, expected));
        };
        let key = match (given.value("hmac_key"), given.has("hmac_key_file")) {
            (Some(key), false) => key,
            (None, true) => key_of_file(given.key_file())?,
            (Some(_), true) => {
                return Err(DirectiveError::Together {
                    one: "hmac_key",
                    other: "hmac_key_file",
                    why: "expected one of them",
                })
            }
            (None, false) => {
                return Err(DirectiveError::Without {
                    parameter: "hmac",
                    needed: "hmac_key",
                    why: "expected \"hmac_key=KEY\" or \"hmac_key_file=FILE\" beside it",
                })
            }
        };
        return Ok(Recipe::Hmac(algorithm, key.into()));
    }
    match given.value("text") {
        None => Ok(Recipe::Hash(Algorithm::Md5)),
        Some(b"raw") => Ok(Recipe::Raw),
        Some(value) => Err(DirectiveError::value("text", value, "\"raw\"")),
    }
}

fn algorithm(name: &[u8]) -> Option<Algorithm> {
    match name {
        b"md5" => Some(Algorithm::Md5),
        b"sha1" => Some(Algorithm::Sha1),
        b"sha256" => Some(Algorithm::Sha256),
        _ => None,
    }
}

fn expires(given: &Parameters) -> Result<Option<u64>, DirectiveError> {
    let Some(value) = given.value("expires") else {
        return Ok(None);
    };
    match nginx_units::parse_time(value) {
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        None if value == b"off" => {
            let expected =
                "a time, or no \"expires\" to keep the cookie until the browser is closed";
            Err(DirectiveError::value("expires", value, expected))
        }
        _ => {
            let expected = "a time of at least 1 second, as in \"1h30m\"";
            Err(DirectiveError::value("expires", value, expected))
        }
    }
}

fn samesite(given: &Parameters) -> Result<Option<SameSite>, DirectiveError> {
    match given.value("samesite") {
        None => Ok(None),
        Some(b"strict") => Ok(Some(SameSite::Strict)),
        Some(b"lax") => Ok(Some(SameSite::Lax)),
        Some(b"none") => Ok(Some(SameSite::None)),
        Some(value) if variable(value).is_some() => Ok(None),
        Some(value) => {
            let expected = "\"strict\", \"lax\", \"none\" or a variable";
            Err(DirectiveError::value("samesite", value, expected))
        }
    }
}

/// A text that begins with a variable.
fn variable(text: &[u8]) -> Option<Vec<u8>> {
    number_of(text, &mut Vec::new()).map(|_| text.to_vec())
}

fn cacheable(given: &Parameters) -> Result<bool, DirectiveError> {
    match given.value("cacheable") {
        None | Some(b"off") => Ok(false),
        Some(b"on") => Ok(true),
        Some(value) => Err(DirectiveError::value(
            "cacheable",
            value,
            "\"on\" or \"off\"",
        )),
    }
}

fn delimiter(given: &Parameters) -> Result<Vec<u8>, DirectiveError> {
    let Some(value) = given.value("delimiter") else {
        return Ok(b" ".to_vec());
    };
    if !given.has("transfer") {
        return Err(DirectiveError::Without {
            parameter: "delimiter",
            needed: "transfer",
            why: "there is nothing to divide",
        });
    }
    if value
        .iter()
        .any(|&byte| (byte.is_ascii_control() && byte != b'\t') || byte == b';')
    {
        let expected = "a text without control characters and \";\"";
        return Err(DirectiveError::value("delimiter", value, expected));
    }
    Ok(value.to_vec())
}
