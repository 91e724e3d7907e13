//! The id in a query or a form, by a parser of the URL Standard's forms.

use form_urlencoded::parse;
use sticky_core::url::{ExtractedId, MAX_ID};

/// The id in the pairs of `encoded`, separated by `&`, as text. `None`: bytes that are not UTF-8
/// have been lost, so that values cannot be told apart.
pub fn extracted(
    names: &[&[u8]],
    delimiter: Option<u8>,
    encoded: &[u8],
) -> Option<ExtractedId<'static>> {
    let pairs: Vec<_> = parse(encoded).collect();
    if pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
        return None;
    }
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Some(among(names, delimiter, &pairs.collect::<Vec<_>>()))
}

/// The id in decoded names and values: the first name with a usable value decides.
pub fn among(
    names: &[&[u8]],
    delimiter: Option<u8>,
    pairs: &[(Vec<u8>, Vec<u8>)],
) -> ExtractedId<'static> {
    for name in names {
        let own = pairs.iter().filter(|(key, _)| key == name);
        let ids = own.map(|(_, value)| {
            let mut parts = value.split(|byte| Some(*byte) == delimiter);
            parts.next().unwrap_or_default()
        });
        let mut usable = ids.filter(|id| (1..=MAX_ID).contains(&id.len()));
        let Some(first) = usable.next() else { continue };
        if usable.any(|other| other != first) {
            return ExtractedId::Conflict;
        }
        return ExtractedId::Id(first.to_vec().into());
    }
    ExtractedId::Absent
}

/// Checks what holds for any id.
pub fn assert_usable(extracted: &ExtractedId<'_>) {
    if let ExtractedId::Id(id) = extracted {
        assert!((1..=MAX_ID).contains(&id.len()), "an id of {}", id.len());
    }
}

/// Decodes `%XX`, in naive code.
pub fn unescaped(written: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = written;
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let is_hex = |hex: &&str| hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits.filter(is_hex) {
            Some(hex) if *byte == b'%' => {
                out.push(u8::from_str_radix(hex, 16).expect("two digits"));
                rest = &after[2..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}
