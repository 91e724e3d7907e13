//! What the tests of ids in URLs share.

use std::borrow::Cow;

use sticky_core::url::{ExtractedId, Names};

pub fn names(names: &[&str]) -> Names {
    Names::new(names.iter().map(|name| name.as_bytes().into()).collect())
}

pub fn shown(extracted: ExtractedId<'_>) -> String {
    match extracted {
        ExtractedId::Absent => "-".into(),
        ExtractedId::Conflict => "conflict".into(),
        ExtractedId::Id(id) => id.escape_ascii().to_string(),
    }
}

/// The ids of a request.
pub fn listed<'a>(ids: impl Iterator<Item = Cow<'a, [u8]>>) -> String {
    let ids: Vec<String> = ids.map(|id| id.escape_ascii().to_string()).collect();
    ids.join(" ")
}
