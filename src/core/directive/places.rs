//! `from=` and `learn=`: where a request carries the session id, and where a response hands it out.

use std::sync::LazyLock;

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::query::{list, push_once};
use super::Place;
use crate::scan::learn_set::{LearnSet, Member};
use crate::scan::source::{Source, SOURCES};
use crate::scan::{forms, html, json};
use crate::url::Names;

/// What a place wants that has no parentheses around ids.
pub(super) const NAME_ELSEWHERE: &str = "a name without parentheses to look for there";

pub(super) fn from(given: &Parameters) -> Result<Vec<Place>, DirectiveError> {
    const EXPECTED: &str = "a list of \"query\", \"form\", \"path\", \"cookie\" and \
                            \"header:NAME\", divided by commas";

    let mut places = Vec::new();
    for value in list(given.value("from").unwrap_or(b"query,form")) {
        let place = match value {
            b"query" => Place::Query,
            b"form" => Place::Form,
            b"path" => Place::Path,
            b"cookie" => Place::Cookie,
            _ => match value.strip_prefix(b"header:") {
                Some(name) if is_token(name) => Place::Header(name.to_ascii_lowercase().into()),
                _ => return Err(DirectiveError::value("from", value, EXPECTED)),
            },
        };
        push_once("from", &mut places, place, value)?;
    }
    Ok(places)
}

/// `names` are those of `name=`: what is learned under that name when the source names no other.
pub(super) fn learn(given: &Parameters, names: &[Box<[u8]>]) -> Result<LearnSet, DirectiveError> {
    let words = given.value("learn").unwrap_or(b"html,location");
    let plain = names.iter().filter(|name| !Names::is_letter(name));
    let plain: Vec<Box<[u8]>> = plain.cloned().collect();
    let mut learn = LearnSet::default();
    if words == b"off" {
        return Ok(learn);
    }
    for value in list(words) {
        let (source, name) = match memchr::memchr(b':', value) {
            Some(at) => (value.get(..at), value.get(at + 1..)),
            None => (Some(value), None),
        };
        match (source.unwrap_or_default(), name) {
            (b"location", None) => once(&mut learn.location, value)?,
            (b"cookie" | b"json", None) if plain.is_empty() => {
                return Err(DirectiveError::value("learn", value, NAME_ELSEWHERE));
            }
            (b"cookie", None) => {
                for name in &plain {
                    push_once("learn", &mut learn.cookies, name.clone(), value)?;
                }
            }
            (b"cookie", Some(name)) if is_token(name) => {
                push_once("learn", &mut learn.cookies, name.into(), value)?;
            }
            (b"header", Some(name)) if is_token(name) => {
                let name = name.to_ascii_lowercase().into();
                push_once("learn", &mut learn.headers, name, value)?;
            }
            (b"json", None) => {
                read_json(&mut learn);
                for member in members_named(&plain) {
                    push_once("learn", &mut learn.members, member, value)?;
                }
            }
            (b"json", Some(path)) if path.split(is_dot).all(Names::is_valid_name) => {
                let mut path: Vec<Box<[u8]>> = path.split(is_dot).map(Into::into).collect();
                let member = match (path.len(), path.pop()) {
                    (1, Some(name)) => Member::Anywhere(name),
                    (_, last) => Member::At(path.into_iter().chain(last).collect()),
                };
                read_json(&mut learn);
                push_once("learn", &mut learn.members, member, value)?;
            }
            (b"off", None) => {
                let expected = "\"off\" to stand alone";
                return Err(DirectiveError::value("learn", words, expected));
            }
            (word, None) => {
                let source = Source::named(word);
                let source = source.ok_or_else(|| unknown(value))?;
                push_once("learn", &mut learn.bodies, source, value)?;
            }
            _ => return Err(unknown(value)),
        }
    }
    if [&html::SOURCE, &forms::SOURCE]
        .iter()
        .all(|page| learn.bodies.contains(page))
    {
        return Err(DirectiveError::Together {
            one: "learn=html",
            other: "learn=forms",
            why: "\"html\" reads the forms too, \"forms\" nothing else, expected one of them",
        });
    }
    if learn.bodies.iter().any(|source| source.finds_members) && learn.members.is_empty() {
        learn.members.extend(members_named(&plain));
    }
    Ok(learn)
}

fn unknown(value: &[u8]) -> DirectiveError {
    static EXPECTED: LazyLock<String> = LazyLock::new(|| {
        let bodies = SOURCES.map(|source| format!("\"{}\"", source.word));
        format!(
            "\"off\", or a list of {}, \"json:NAME\", \"location\", \"cookie\", \"cookie:NAME\" and \
             \"header:NAME\", divided by commas",
            bodies.join(", ")
        )
    });
    DirectiveError::value("learn", value, &EXPECTED)
}

/// Several members may be named.
fn read_json(learn: &mut LearnSet) {
    if !learn.bodies.contains(&&json::SOURCE) {
        learn.bodies.push(&json::SOURCE);
    }
}

fn members_named(names: &[Box<[u8]>]) -> impl Iterator<Item = Member> + '_ {
    names.iter().cloned().map(Member::Anywhere)
}

fn once(known: &mut bool, value: &[u8]) -> Result<(), DirectiveError> {
    match std::mem::replace(known, true) {
        false => Ok(()),
        true => Err(DirectiveError::repeated("learn", value)),
    }
}

fn is_dot(byte: &u8) -> bool {
    *byte == b'.'
}

/// A token (RFC 9110, 5.6.2): what names of headers and cookies are.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}
