//! `types=`: media types that a source reads beside its own.

use super::error::DirectiveError;
use super::parameters::{is_token, list, push_once, Parameters};
use crate::scan::learn_set::{LearnSet, MediaType};
use crate::scan::source::Source;

/// Adds them to the sources of `learn=`.
pub(super) fn types(given: &Parameters, learn: &mut LearnSet) -> Result<(), DirectiveError> {
    const EXPECTED: &str = "a list of SOURCE:TYPE, divided by commas, as in \
                            \"text:application/vnd.example\"";

    let Some(words) = given.value("types") else {
        return Ok(());
    };
    for value in list(words) {
        let invalid = || DirectiveError::value("types", value, EXPECTED);
        let colon = memchr::memchr(b':', value).ok_or_else(invalid)?;
        let (word, essence) = value.split_at_checked(colon).ok_or_else(invalid)?;
        let essence = essence.get(1..).unwrap_or_default();
        let source = Source::named(word).ok_or_else(invalid)?;
        let mut parts = essence.splitn(2, |byte| *byte == b'/');
        if ![parts.next(), parts.next()]
            .map(Option::unwrap_or_default)
            .iter()
            .all(|part| is_token(part))
        {
            return Err(invalid());
        }
        if !learn.bodies.contains(&source) {
            let expected = "a source that \"learn\" has, too";
            return Err(DirectiveError::value("types", value, expected));
        }
        let added = MediaType {
            source,
            essence: essence.to_ascii_lowercase().into(),
        };
        push_once("types", &mut learn.types, added, value)?;
    }
    Ok(())
}
