//! `on_failure=`: what becomes of sessions while their server cannot be used.

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::OnFailure;

pub(super) fn on_failure(given: &Parameters) -> Result<OnFailure, DirectiveError> {
    match given.value("on_failure") {
        None | Some(b"move") => Ok(OnFailure::Move),
        Some(b"keep") => Ok(OnFailure::Keep),
        Some(value) => {
            let expected = "\"move\" or \"keep\"";
            Err(DirectiveError::value("on_failure", value, expected))
        }
    }
}
