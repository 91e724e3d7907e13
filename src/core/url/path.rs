//! Session ids in the path of a URL: as parameters of its segments (RFC 3986, 3.3), and as ASP.NET
//! writes them when it cannot use cookies.

use std::borrow::Cow;

use super::name::{unescaped, value_in_any_case, Name};
use super::pieces::searched;

/// The values of a name in a path, decoded. The path is as it is written: an escaped `;` separates
/// nothing.
pub(super) fn values_in<'a, 'n>(
    path: &'a [u8],
    name: &'n Name,
) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
    let path = searched(path, |byte| matches!(byte, b';' | b'/' | b'\\'));
    let (parameters, of_letter) = match name.letter {
        None => (Some(parameters(path)), None),
        Some(letter) => (None, Some(of_letter(path, letter))),
    };
    let parameters = parameters.into_iter().flatten();
    parameters
        .filter_map(|parameter| value_in_any_case(name, parameter).map(unescaped))
        .chain(of_letter.into_iter().flatten())
}

/// The parameters of all segments: `jsessionid=1` in `/shop;jsessionid=1/cart`.
fn parameters(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let start = memchr::memchr(b';', rest)?;
        let after = rest.get(start + 1..)?;
        // Browsers take "\" for "/".
        let end = memchr::memchr3(b';', b'/', b'\\', after).unwrap_or(after.len());
        let (parameter, next) = after.split_at_checked(end)?;
        rest = next;
        Some(parameter)
    })
}

/// The values of a letter in the segments that are nothing but letters with values, in a pair of
/// parentheses: `1` for `S` in `/shop/(S(1))/` and in `/shop/(A(2)S(1))/`.
fn of_letter(path: &[u8], letter: u8) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let segments = segments.filter(|segment| matches!(segment.first(), Some(b'(' | b'%')));
    segments.filter_map(move |segment| match unescaped(segment) {
        Cow::Borrowed(segment) => value_of(segment, letter).map(Cow::Borrowed),
        Cow::Owned(segment) => value_of(&segment, letter).map(|value| value.to_vec().into()),
    })
}

/// The first value of the letter, if the whole segment is well-formed.
fn value_of(segment: &[u8], letter: u8) -> Option<&[u8]> {
    let mut rest = segment.strip_prefix(b"(")?.strip_suffix(b")")?;
    let mut found = None;
    while let [this, b'(', after @ ..] = rest {
        let end = memchr::memchr2(b'(', b')', after)?;
        let (value, closing) = after.split_at_checked(end)?;
        rest = closing.strip_prefix(b")")?;
        if !this.is_ascii_alphabetic() {
            return None;
        }
        if *this == letter {
            found.get_or_insert(value);
        }
    }
    found.filter(|_| rest.is_empty())
}
