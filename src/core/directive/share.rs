//! `share=`: upstreams that have their sessions in common.

use super::error::DirectiveError;
use super::parameters::Parameters;
use super::{QueryRule, ZoneChoice};

/// The name is also that of a zone, and no size.
pub(super) fn share(given: &Parameters) -> Result<Option<Vec<u8>>, DirectiveError> {
    let Some(name) = given.value("share") else {
        return Ok(None);
    };
    let is_invalid = |b: &u8| b.is_ascii_control() || matches!(b, b' ' | b':');
    if name == b"off" || name.iter().any(is_invalid) {
        let expected = "\"share=NAME\" as in \"share=shop\", with \"zone=NAME:SIZE\" for a size";
        return Err(DirectiveError::value("share", name, expected));
    }
    Ok(Some(name.to_vec()))
}

impl QueryRule {
    /// Upstreams of one share have the same sessions, so what decides over these must be the same.
    /// The first parameter that is not.
    pub fn differs_in(&self, other: &Self) -> Option<&'static str> {
        let zone_of = |rule: &Self| match &rule.zone {
            ZoneChoice::Named { name, .. } => Some(name.clone()),
            ZoneChoice::Own | ZoneChoice::Off => None,
        };
        let parameters = [
            ("zone", zone_of(self) != zone_of(other)),
            ("expires", self.limits.expires != other.limits.expires),
            ("lifetime", self.limits.lifetime != other.limits.lifetime),
            ("on_failure", self.on_failure != other.on_failure),
            (
                "id_delimiter",
                self.names.delimiter() != other.names.delimiter(),
            ),
        ];
        let mut differing = parameters.iter().filter(|(_, differs)| *differs);
        differing.next().map(|(parameter, _)| *parameter)
    }
}
