//! What is accepted and yet hardly meant: the operator is told when the configuration is read.

use thiserror::Error;

use super::error::Shown;
use super::values::has_variable;
use super::{CookieRule, Mode, Place, QueryRule};
use crate::digest::Recipe;

/// Shorter keys of HMAC are warned of: as many bytes as random keys usually have at least.
const MIN_KEY: usize = 16;

/// A doubt about a directive. Displays as nginx writes it before the file and the line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Warning {
    /// A key that can be guessed.
    #[error(
        "the key of \"hmac\" in \"sticky\" directive has {0} bytes and may be guessed, \
         expected at least 16 random ones"
    )]
    ShortKey(usize),
    /// Browsers take their default for such a path.
    #[error(
        "\"path={}\" in \"sticky\" directive is ignored by browsers, \
         expected a path that begins with \"/\"",
        Shown(.0)
    )]
    Path(Vec<u8>),
    /// Browsers drop the cookie.
    #[error(
        "a cookie with \"domain={}\" in \"sticky\" directive is dropped by browsers, \
         expected a host name without scheme, port and path, as in \"example.com\"",
        Shown(.0)
    )]
    Domain(Vec<u8>),
    /// Cookies are searched for ids, but none is learned from one.
    #[error(
        "\"sticky\" directive finds no session: \"from=cookie\" takes the id from a cookie, \
         but \"learn\" reads none, expected \"learn=cookie\""
    )]
    NoCookieLearned,
    /// Cookies are learned from, but none is searched for an id.
    #[error(
        "\"sticky\" directive finds no session: \"learn=cookie\" takes the id from a cookie, \
         but \"from\" reads none, expected \"from=cookie\""
    )]
    NoCookieRead,
    /// The name of a well-known cookie in another case.
    #[error(
        "\"name={}\" in \"sticky\" directive does not find the cookie \"{expected}\", as case \
         matters but in paths, expected \"name={expected}\"",
        Shown(name)
    )]
    CookieCase {
        /// The name.
        name: Vec<u8>,
        /// How the cookie is called.
        expected: &'static str,
    },
    /// A place that only programs use is searched, but nothing is learned that they read.
    #[error(
        "\"sticky\" directive finds no session: \"from={0}\" takes the id from a body, but \
         \"learn\" reads none by default, expected \"learn={0}\""
    )]
    NoBodyLearned(&'static str),
}

/// Cookies of sessions whose name everybody knows and few spell right.
const COOKIES: [&str; 4] = ["JSESSIONID", "PHPSESSID", "ASP.NET_SessionId", "CGISESSID"];

/// All doubts about a directive, whose words are `words`.
pub fn warnings(mode: &Mode, words: &[&[u8]]) -> Vec<Warning> {
    let recipe = match mode {
        Mode::Cookie(rule) => Some(&rule.recipe),
        Mode::Rewrite(rule) => Some(&rule.recipe),
        Mode::Query(_) | Mode::Discover(_) | Mode::Nginx { .. } => None,
    };
    let mut doubts = Vec::new();
    if let Some(Recipe::Hmac(_, key)) = recipe {
        if key.len() < MIN_KEY {
            doubts.push(Warning::ShortKey(key.len()));
        }
    }
    match mode {
        Mode::Cookie(rule) => of_attributes(rule, &mut doubts),
        Mode::Query(rule) => {
            doubts.extend(of_cookies(rule).or_else(|| of_bodies(rule, words)));
            of_names(rule, words, &mut doubts);
        }
        Mode::Rewrite(_) | Mode::Discover(_) | Mode::Nginx { .. } => {}
    }
    doubts
}

fn of_attributes(rule: &CookieRule, doubts: &mut Vec<Warning>) {
    if !rule.path.starts_with(b"/") && !has_variable(&rule.path) {
        doubts.push(Warning::Path(rule.path.clone()));
    }
    let is_no_host = |domain: &&Vec<u8>| domain.iter().any(|byte| matches!(byte, b':' | b'/'));
    if let Some(domain) = rule.domain.as_ref().filter(is_no_host) {
        doubts.push(Warning::Domain(domain.clone()));
    }
}

/// Whether the one end is a cookie and the other is none. Ids in JSON, texts and headers are for
/// programs, which may put them anywhere; those in links come back in URLs and forms.
fn of_cookies(rule: &QueryRule) -> Option<Warning> {
    let learn = &rule.learn;
    let for_programs =
        !learn.headers.is_empty() || learn.bodies.iter().any(|source| source.is_for_programs());
    // Nobody knows what is in a variable.
    let is_variable = |place: &Place| matches!(place, Place::Variable(_));
    let is_any = !learn.variables.is_empty() || rule.from.iter().any(is_variable);
    if for_programs || is_any {
        return None;
    }
    let is_cookie = |place: &Place| *place == Place::Cookie;
    if rule.from.iter().all(is_cookie) && learn.cookies.is_empty() && learn.reads_links() {
        return Some(Warning::NoCookieLearned);
    }
    if !rule.from.iter().any(is_cookie) && !learn.cookies.is_empty() && !learn.reads_links() {
        return Some(Warning::NoCookieRead);
    }
    None
}

/// Whether ids come in bodies that programs write, and are learned from what browsers read, by
/// default.
fn of_bodies(rule: &QueryRule, words: &[&[u8]]) -> Option<Warning> {
    let places = rule.from.iter().map(|place| match place {
        Place::Json(_) => Some("json"),
        Place::Xml(_) => Some("xml"),
        _ => None,
    });
    let all: Option<Vec<&'static str>> = places.collect();
    let is_given = words.iter().any(|word| word.starts_with(b"learn="));
    let first = all?.first().copied().filter(|_| !is_given);
    first.map(Warning::NoBodyLearned)
}

/// Whether a name is that of a well-known cookie but for its case, and cookies are searched for it.
fn of_names(rule: &QueryRule, words: &[&[u8]], doubts: &mut Vec<Warning>) {
    if !rule.from.contains(&Place::Cookie) {
        return;
    }
    let names = || words.iter().filter_map(|word| word.strip_prefix(b"name="));
    for expected in COOKIES {
        if names().any(|name| name == expected.as_bytes()) {
            continue;
        }
        let other = names().filter(|name| name.eq_ignore_ascii_case(expected.as_bytes()));
        doubts.extend(other.map(|name| Warning::CookieCase {
            name: name.to_vec(),
            expected,
        }));
    }
}
