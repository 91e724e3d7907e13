//! `max_sessions=`: a server with so many sessions gets no new ones, as long as another one has room.

use super::error::DirectiveError;
use super::parameters::Parameters;
use crate::counters::SessionLimit;

/// The number in a word. `None`: it is none, or is not between 1 and what a count can be.
pub(super) fn limit(value: &[u8]) -> Option<SessionLimit> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn max_sessions(given: &Parameters) -> Result<Option<SessionLimit>, DirectiveError> {
    let Some(value) = given.value("max_sessions") else {
        return Ok(None);
    };
    let expected = "a number of 1 to 4294967295, as in \"max_sessions=10000\"";
    let limit = limit(value);
    match limit {
        Some(_) => Ok(limit),
        None => Err(DirectiveError::value("max_sessions", value, expected)),
    }
}
