//! `from=`: where requests carry the session id.

use super::error::DirectiveError;
use super::parameters::{is_token, list, push_once, Parameters};
use super::values::check_variables;
use super::Place;

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
                Some(name) if is_token(name) => {
                    check_variables("from", name)?;
                    Place::Header(name.to_ascii_lowercase().into())
                }
                _ => return Err(DirectiveError::value("from", value, EXPECTED)),
            },
        };
        push_once("from", &mut places, place, value)?;
    }
    Ok(places)
}
