//! `from=`: where requests carry the session id.

use std::sync::Arc;

use super::error::{DirectiveError, NAME_ELSEWHERE};
use super::members::{is_element, member, members_named};
use super::parameters::{is_token, list, push_once, Parameters};
use super::values::{check_part, number_of};
use super::Place;
use crate::scan::json::{Member, MemberPaths};
use crate::scan::xml::XmlNames;
use crate::url::{Names, SegmentPrefix, MAX_NAMES, MAX_PREFIXES};

/// The places that are searched if the directive does not say, in the order that frameworks prefer:
/// a posted link does not override the cookie of who follows it.
const DEFAULT: &[u8] = b"cookie,path,query,form";

/// The same where all names are letters in parentheses, which occur in paths only.
const DEFAULT_OF_LETTERS: &[u8] = b"path";

/// Variables get their numbers among `variables`.
pub(super) fn from(
    given: &Parameters,
    variables: &mut Vec<Box<[u8]>>,
) -> Result<Vec<Place>, DirectiveError> {
    const EXPECTED: &str = "a list of \"query\", \"form\", \"path\", \"cookie\", \
                            \"segment:PREFIX\", \"json\", \"json:NAME\", \"xml\", \
                            \"xml:NAME\", \"bearer\", \"header:NAME\", \
                            \"header:NAME:PARAMETER\" and \"$VARIABLE\", divided by commas";
    const PREFIX: &str = "the path before the id, from \"/\" to \"/\", as in \
                          \"segment:/session/\" or \"segment:/v1/statement/*/\", with \"*\" for a \
                          whole segment and without \"?\" and \"#\", of at most 256 bytes";

    let default = match given.has("name") && given.values("name").all(Names::is_letter) {
        true => DEFAULT_OF_LETTERS,
        false => DEFAULT,
    };
    let mut places = Vec::new();
    let mut json = SideBySide::new(
        "all \"json\" and \"json:NAME\" side by side",
        "no more than 8 members of JSON",
    );
    let mut xml = SideBySide::new(
        "all \"xml\" and \"xml:NAME\" side by side",
        "no more than 8 names in XML",
    );
    let json_place = |members: &[Member]| Place::Json(Arc::new(MemberPaths::new(members)));
    let xml_place = |names: &[Box<[u8]>]| Place::Xml(Arc::new(XmlNames::new(names)));
    for value in list(given.value("from").unwrap_or(default)) {
        if let Some(number) = number_of(value, variables) {
            push_once("from", &mut places, Place::Variable(number), value)?;
            continue;
        }
        let (word, name) = match memchr::memchr(b':', value) {
            Some(colon) => (value.get(..colon), value.get(colon + 1..)),
            None => (Some(value), None),
        };
        let place = match (word.unwrap_or_default(), name) {
            (b"query", None) => Place::Query,
            (b"form", None) => Place::Form,
            (b"path", None) => Place::Path,
            (b"cookie", None) => Place::Cookie,
            (b"segment", Some(prefix)) => {
                check_part("from", prefix)?;
                let is_segment = |place: &&Place| matches!(place, Place::Segment(_));
                if places.iter().filter(is_segment).count() == MAX_PREFIXES {
                    let expected = "no more than 8 prefixes of segments";
                    return Err(DirectiveError::value("from", value, expected));
                }
                let prefix = SegmentPrefix::new(prefix);
                let prefix = prefix.ok_or_else(|| DirectiveError::value("from", value, PREFIX))?;
                Place::Segment(prefix)
            }
            (b"bearer", None) => Place::Bearer,
            (b"header", Some(name)) => match header_part("from", name)? {
                Some((name, None)) => Place::Header(name),
                Some((header, Some(name))) => Place::HeaderParameter { header, name },
                None => return Err(DirectiveError::value("from", value, EXPECTED)),
            },
            (b"json" | b"xml", None) if plain_names(given).is_empty() => {
                return Err(DirectiveError::value("from", value, NAME_ELSEWHERE));
            }
            (b"json", None) => {
                let members = members_named(&plain_names(given)).collect();
                json.push(&mut places, members, value, json_place)?;
                continue;
            }
            (b"json", Some(written)) if member(written).is_some() => {
                let members = member(written).into_iter().collect();
                json.push(&mut places, members, value, json_place)?;
                continue;
            }
            (b"xml", None) => {
                xml.push(&mut places, plain_names(given), value, xml_place)?;
                continue;
            }
            (b"xml", Some(name)) if is_element(name) => {
                xml.push(&mut places, vec![name.into()], value, xml_place)?;
                continue;
            }
            _ => return Err(DirectiveError::value("from", value, EXPECTED)),
        };
        push_once("from", &mut places, place, value)?;
    }
    Ok(places)
}

/// What is looked for in a body, all of which makes one place: a body is read once.
struct SideBySide<T> {
    /// What is expected where they do not stand so, and where there are too many.
    expected: [&'static str; 2],
    items: Vec<T>,
    /// How many places there are up to this one.
    places: usize,
}

impl<T: PartialEq> SideBySide<T> {
    fn new(side_by_side: &'static str, not_more: &'static str) -> Self {
        Self {
            expected: [side_by_side, not_more],
            items: Vec::new(),
            places: 0,
        }
    }

    fn push(
        &mut self,
        places: &mut Vec<Place>,
        items: Vec<T>,
        value: &[u8],
        place: impl Fn(&[T]) -> Place,
    ) -> Result<(), DirectiveError> {
        let [side_by_side, not_more] = self.expected;
        if self.items.is_empty() {
            self.places = places.len() + 1;
        } else if self.places == places.len() {
            places.pop();
        } else {
            return Err(DirectiveError::value("from", value, side_by_side));
        }
        for item in items {
            push_once("from", &mut self.items, item, value)?;
        }
        if self.items.len() > MAX_NAMES {
            return Err(DirectiveError::value("from", value, not_more));
        }
        places.push(place(&self.items));
        Ok(())
    }
}

/// The names that are not a letter in parentheses. What is wrong with one is said where all of them
/// are read.
fn plain_names(given: &Parameters) -> Vec<Box<[u8]>> {
    let default = (!given.has("name")).then_some(&b"sid"[..]);
    let mut plain: Vec<Box<[u8]>> = Vec::new();
    for name in given.values("name").chain(default) {
        if Names::is_valid_name(name) && plain.iter().all(|own| **own != *name) {
            plain.push(name.into());
        }
    }
    plain.truncate(MAX_NAMES);
    plain
}

/// The name of a header and that of its parameter in `NAME` or `NAME:PARAMETER`, in lower case.
/// `None`: it is neither.
#[allow(clippy::type_complexity)] // Two names.
pub(super) fn header_part(
    parameter: &'static str,
    written: &[u8],
) -> Result<Option<(Box<[u8]>, Option<Box<[u8]>>)>, DirectiveError> {
    let mut parts = written.splitn(2, |byte| *byte == b':');
    let (header, name) = (parts.next().unwrap_or_default(), parts.next());
    if !is_token(header) || !name.is_none_or(is_token) {
        return Ok(None);
    }
    let lower = |part: &[u8]| -> Result<Box<[u8]>, DirectiveError> {
        check_part(parameter, part)?;
        Ok(part.to_ascii_lowercase().into())
    };
    Ok(Some((lower(header)?, name.map(lower).transpose()?)))
}
