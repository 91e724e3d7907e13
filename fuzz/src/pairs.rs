//! The id in a query or a form, by a parser of the URL Standard's forms.

use std::borrow::Cow;

use form_urlencoded::parse;
use sticky_core::url::{ExtractedId, MAX_ID};

/// The ids in the pairs of `encoded`, separated by `&`, as text, see [`among`]. `None`: bytes that
/// are not UTF-8 have been lost, so that values cannot be told apart.
pub fn ids(names: &[&[u8]], delimiter: Option<u8>, encoded: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
    let pairs: Vec<_> = parse(encoded).collect();
    if pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
        return None;
    }
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let names = without_letters(names);
    Some(among(&names, delimiter, &pairs.collect::<Vec<_>>()))
}

/// The same for a link.
pub fn extracted(
    names: &[&[u8]],
    delimiter: Option<u8>,
    encoded: &[u8],
) -> Option<ExtractedId<'static>> {
    ids(names, delimiter, encoded).map(|ids| of_link(&ids))
}

/// The names that may occur elsewhere than in paths.
pub fn without_letters<'n>(names: &[&'n [u8]]) -> Vec<&'n [u8]> {
    let names = names.iter().copied();
    names.filter(|name| !name.starts_with(b"(")).collect()
}

/// The ids in decoded names and values, for each name.
pub fn among(
    names: &[&[u8]],
    delimiter: Option<u8>,
    pairs: &[(Vec<u8>, Vec<u8>)],
) -> Vec<Vec<Vec<u8>>> {
    let ids_of = |name: &&[u8]| {
        let own = pairs.iter().filter(|(key, _)| key == name);
        let ids = own.map(|(_, value)| {
            let mut parts = value.split(|byte| Some(*byte) == delimiter);
            parts.next().unwrap_or_default().to_vec()
        });
        ids.filter(|id| (1..=MAX_ID).contains(&id.len())).collect()
    };
    names.iter().map(ids_of).collect()
}

/// The id of a link that has these for each name: the first name with an id decides.
pub fn of_link(ids: &[Vec<Vec<u8>>]) -> ExtractedId<'static> {
    match ids.iter().find(|ids| !ids.is_empty()).map(Vec::as_slice) {
        None | Some([]) => ExtractedId::Absent,
        Some([first, others @ ..]) if others.iter().all(|other| other == first) => {
            ExtractedId::Id(first.clone().into())
        }
        Some(_) => ExtractedId::Conflict,
    }
}

/// Checks the ids of a request against those for each name.
pub fn assert_ids<'a>(ids: impl Iterator<Item = Cow<'a, [u8]>>, expected: &[Vec<Vec<u8>>]) {
    let ids: Vec<Vec<u8>> = ids.map(Cow::into_owned).collect();
    assert_eq!(ids, expected.concat());
}

/// Checks what holds for any id.
pub fn assert_usable(extracted: &ExtractedId<'_>) {
    if let ExtractedId::Id(id) = extracted {
        assert!((1..=MAX_ID).contains(&id.len()), "an id of {}", id.len());
    }
}

/// Checks what holds for the ids of any request.
pub fn assert_all_usable<'a>(ids: impl Iterator<Item = Cow<'a, [u8]>>) {
    ids.for_each(|id| assert_usable(&ExtractedId::Id(id)));
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
