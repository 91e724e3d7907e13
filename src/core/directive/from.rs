//! `from=`: where requests carry the session id.

use std::sync::Arc;

use super::error::{DirectiveError, NAME_ELSEWHERE};
use super::members::{member, members_named};
use super::parameters::{is_token, list, push_once, Parameters};
use super::values::check_variables;
use super::Place;
use crate::scan::json::{Member, MemberPaths};
use crate::url::{Names, MAX_NAMES};

pub(super) fn from(given: &Parameters) -> Result<Vec<Place>, DirectiveError> {
    const EXPECTED: &str = "a list of \"query\", \"form\", \"path\", \"cookie\", \"json\", \
                            \"json:NAME\" and \"header:NAME\", divided by commas";

    let mut places = Vec::new();
    let mut json = Json::default();
    for value in list(given.value("from").unwrap_or(b"query,form")) {
        let place = match value {
            b"query" => Place::Query,
            b"form" => Place::Form,
            b"path" => Place::Path,
            b"cookie" => Place::Cookie,
            b"json" => {
                let names = plain_names(given);
                if names.is_empty() {
                    return Err(DirectiveError::value("from", value, NAME_ELSEWHERE));
                }
                json.push(&mut places, members_named(&names), value)?;
                continue;
            }
            _ => match value.strip_prefix(b"header:") {
                Some(name) if is_token(name) => {
                    check_variables("from", name)?;
                    Place::Header(name.to_ascii_lowercase().into())
                }
                _ => {
                    let member = value.strip_prefix(b"json:").and_then(member);
                    let unknown = || DirectiveError::value("from", value, EXPECTED);
                    json.push(&mut places, [member.ok_or_else(unknown)?], value)?;
                    continue;
                }
            },
        };
        push_once("from", &mut places, place, value)?;
    }
    Ok(places)
}

/// The members of JSON that stand side by side: a body is read once for all of them.
#[derive(Default)]
struct Json {
    members: Vec<Member>,
    /// How many places there are up to them.
    places: usize,
}

impl Json {
    fn push(
        &mut self,
        places: &mut Vec<Place>,
        members: impl IntoIterator<Item = Member>,
        value: &[u8],
    ) -> Result<(), DirectiveError> {
        if self.members.is_empty() {
            self.places = places.len() + 1;
        } else if self.places != places.len() {
            let expected = "all \"json\" and \"json:NAME\" side by side";
            return Err(DirectiveError::value("from", value, expected));
        } else {
            places.pop();
        }
        for member in members {
            if self.members.len() == MAX_NAMES {
                let expected = "no more than 8 members of JSON";
                return Err(DirectiveError::value("from", value, expected));
            }
            push_once("from", &mut self.members, member, value)?;
        }
        places.push(Place::Json(Arc::new(MemberPaths::new(&self.members))));
        Ok(())
    }
}

/// The names that are not a letter in parentheses.
fn plain_names(given: &Parameters) -> Vec<Box<[u8]>> {
    let default = (!given.has("name")).then_some(&b"sid"[..]);
    let names = given.values("name").chain(default);
    let mut plain: Vec<Box<[u8]>> = Vec::new();
    for name in names.filter(|name| !Names::is_letter(name)) {
        // What is wrong with a name is said where all of them are read.
        if Names::is_valid_name(name)
            && plain.len() < MAX_NAMES
            && !plain.iter().any(|own| **own == *name)
        {
            plain.push(name.into());
        }
    }
    plain
}
