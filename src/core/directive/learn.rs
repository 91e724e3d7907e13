//! `learn=`: where responses hand out session ids.

use std::sync::LazyLock;

use super::error::{DirectiveError, NAME_ELSEWHERE};
use super::from::header_part;
use super::members::{is_element, member, members_named};
use super::parameters::{is_token, list, push_once, Parameters};
use super::values::{check_part, number_of};
use crate::scan::learn_set::{HeaderPart, LearnSet};
use crate::scan::source::{Source, FORMS, HTML, JSON, SCRIPT, SOURCES, XML};
use crate::url::{Names, MAX_NAMES};

/// The sources that are read if the directive does not say.
const DEFAULT: &[u8] = b"html,location,cookie";

/// The same without a name that a cookie may have.
const DEFAULT_WITHOUT_NAMES: &[u8] = b"html,location";

/// `names` are those of `name=`, which count where a source has no name of its own. Variables get
/// their numbers among `variables`.
pub(super) fn learn(
    given: &Parameters,
    names: &[Box<[u8]>],
    has_segments: bool,
    variables: &mut Vec<Box<[u8]>>,
) -> Result<LearnSet, DirectiveError> {
    let plain = names.iter().filter(|name| !Names::is_letter(name));
    let plain: Vec<Box<[u8]>> = plain.cloned().collect();
    let default = match plain.is_empty() {
        true => DEFAULT_WITHOUT_NAMES,
        false => DEFAULT,
    };
    let words = given.value("learn").unwrap_or(default);
    let mut learn = LearnSet::default();
    if words == b"off" {
        return Ok(learn);
    }
    for value in list(words) {
        if let Some(number) = number_of(value, variables) {
            push_once("learn", &mut learn.variables, number, value)?;
            continue;
        }
        let (source, name) = match memchr::memchr(b':', value) {
            Some(at) => (value.get(..at), value.get(at + 1..)),
            None => (Some(value), None),
        };
        match (source.unwrap_or_default(), name) {
            (b"location", None) => once(&mut learn.location, value)?,
            (b"request", None) => once(&mut learn.request, value)?,
            // JSON has paths with the prefix of an id, too.
            (b"json", None) if has_segments && plain.is_empty() => read_json(&mut learn),
            (b"cookie" | b"json" | b"xml" | b"script", None) if plain.is_empty() => {
                return Err(DirectiveError::value("learn", value, NAME_ELSEWHERE));
            }
            (b"cookie", None) => {
                for name in &plain {
                    push_once("learn", &mut learn.cookies, name.clone(), value)?;
                }
            }
            (b"cookie", Some(name)) if is_token(name) => {
                check_part("learn", name)?;
                push_once("learn", &mut learn.cookies, name.into(), value)?;
            }
            (b"header", Some(name)) => {
                let (name, parameter) =
                    header_part("learn", name)?.ok_or_else(|| unknown(value))?;
                let part = HeaderPart { name, parameter };
                push_once("learn", &mut learn.headers, part, value)?;
            }
            (b"json", None) => {
                read_json(&mut learn);
                for member in members_named(&plain) {
                    push_once("learn", &mut learn.members, member, value)?;
                }
            }
            (b"json", Some(written)) => {
                let member = member(written).ok_or_else(|| unknown(value))?;
                read_json(&mut learn);
                push_once("learn", &mut learn.members, member, value)?;
            }
            (b"xml", None) => {
                read_xml(&mut learn);
                for name in &plain {
                    push_once("learn", &mut learn.elements, name.clone(), value)?;
                }
            }
            (b"xml", Some(name)) if is_element(name) => {
                read_xml(&mut learn);
                push_once("learn", &mut learn.elements, name.into(), value)?;
            }
            (b"script", None) => {
                push_once("learn", &mut learn.bodies, &SCRIPT, value)?;
                learn.literals.clone_from(&plain);
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
    if [&HTML, &FORMS]
        .iter()
        .all(|page| learn.bodies.contains(page))
    {
        return Err(DirectiveError::Together {
            one: "learn=html",
            other: "learn=forms",
            why: "\"html\" reads the forms too, \"forms\" nothing else, expected one of them",
        });
    }
    if learn.elements.len() > MAX_NAMES {
        let expected = "no more than 8 names in XML";
        return Err(DirectiveError::value("learn", words, expected));
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
            "\"off\", or a list of {}, \"json:NAME\", \"xml:NAME\", \"location\", \"cookie\", \
             \"cookie:NAME\", \"header:NAME\", \"header:NAME:PARAMETER\", \"$VARIABLE\" and \
             \"request\", divided by commas",
            bodies.join(", ")
        )
    });
    DirectiveError::value("learn", value, &EXPECTED)
}

/// Adds the source, which may be named several times with different members.
fn read_json(learn: &mut LearnSet) {
    if !learn.bodies.contains(&&JSON) {
        learn.bodies.push(&JSON);
    }
}

/// The same.
fn read_xml(learn: &mut LearnSet) {
    if !learn.bodies.contains(&&XML) {
        learn.bodies.push(&XML);
    }
}

fn once(known: &mut bool, value: &[u8]) -> Result<(), DirectiveError> {
    match std::mem::replace(known, true) {
        false => Ok(()),
        true => Err(DirectiveError::repeated("learn", value)),
    }
}
