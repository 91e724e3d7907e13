//! `no_fallback`: what a request gets whose server cannot be used.

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::NoFallback;

pub(super) fn no_fallback(given: &Parameters) -> Result<Option<NoFallback>, DirectiveError> {
    match given.value("no_fallback") {
        None => Ok(None),
        Some(b"" | b"502") => Ok(Some(NoFallback::BadGateway)),
        Some(b"503") => Ok(Some(NoFallback::Unavailable)),
        Some(value) => Err(DirectiveError::value(
            "no_fallback",
            value,
            "\"502\", as without a value, or \"503\"",
        )),
    }
}
