//! The id in a query or a form once more, on the URL Standard's own parser of forms.

use form_urlencoded::parse;
use sticky_core::url::{Carried, MAX_ID};

/// What the pairs of `name=value` in `encoded`, divided by `&`, say about the session, as text.
/// `None` where bytes that are not UTF-8 have been lost, so that values cannot be told apart.
pub fn carried(names: &[&[u8]], encoded: &[u8]) -> Option<Carried<'static>> {
    let pairs: Vec<_> = parse(encoded).collect();
    if pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
        return None;
    }
    for name in names {
        let own = pairs.iter().filter(|(key, _)| key.as_bytes() == *name);
        let mut usable = own
            .map(|(_, value)| value)
            .filter(|value| (1..=MAX_ID).contains(&value.len()));
        let Some(first) = usable.next() else { continue };
        if usable.any(|other| other != first) {
            return Some(Carried::Conflict);
        }
        return Some(Carried::Id(first.as_bytes().to_vec().into()));
    }
    Some(Carried::Nothing)
}

/// What holds of any id that is handed out.
pub fn assert_usable(carried: &Carried<'_>) {
    if let Carried::Id(id) = carried {
        assert!((1..=MAX_ID).contains(&id.len()), "an id of {}", id.len());
    }
}
