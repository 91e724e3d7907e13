//! The value of a header and the parameters behind it: `multipart/form-data; boundary=x`.

use std::borrow::Cow;

/// The value before the parameters: a media type, for example.
pub fn value_of(header: &[u8]) -> &[u8] {
    let end = header.len() - from_semicolon(header).len();
    header.get(..end).unwrap_or_default().trim_ascii()
}

/// Whether it is `expected`, a word without spaces and semicolons; case does not count.
#[inline]
pub fn is_value(header: &[u8], expected: &[u8]) -> bool {
    // The length first: mostly it tells.
    if header.len() < expected.len() {
        return false;
    }
    let header = header.trim_ascii_start();
    header
        .split_at_checked(expected.len())
        .is_some_and(|(value, rest)| {
            matches!(rest.trim_ascii_start(), [] | [b';', ..])
                && value.eq_ignore_ascii_case(expected)
        })
}

/// The value of the first parameter of this name; case does not count.
pub fn parameter<'a>(header: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut all = parameters(header);
    all.find_map(|(this, value)| this.eq_ignore_ascii_case(name).then_some(value))
}

/// Names and values of the parameters (RFC 9110, 5.6.6), without quotes, and without the `\` before
/// a character in quotes. A value without its closing quote reaches to the end.
pub fn parameters(header: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
    // Begins with a semicolon.
    let mut rest = from_semicolon(header);
    std::iter::from_fn(move || {
        let parameter = rest.strip_prefix(b";")?;
        let end = memchr::memchr2(b'=', b';', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at_checked(end)?;
        let value = value.strip_prefix(b"=").unwrap_or_default();
        let (value, after) = match value.trim_ascii_start().strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let after = from_semicolon(parameter.get(end..)?);
                let value = value.get(..value.len().saturating_sub(after.len()));
                (value.unwrap_or_default().trim_ascii().into(), after)
            }
        };
        rest = from_semicolon(after);
        Some((name.trim_ascii(), value))
    })
}

/// The rest from the next semicolon on.
fn from_semicolon(value: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    value.get(end..).unwrap_or_default()
}

/// What stands before the closing quote, and what follows it.
pub(super) fn unquoted(quoted: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let end = memchr::memchr2(b'"', b'\\', quoted).unwrap_or(quoted.len());
    let (plain, rest) = quoted.split_at_checked(end).unwrap_or((quoted, &[]));
    if let [] | [b'"', ..] = rest {
        return (plain.into(), rest.get(1..).unwrap_or_default());
    }
    let mut value = plain.to_vec();
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            byte => value.push(*byte),
        }
    }
    (value.into(), bytes.as_slice())
}

/// The bytes without spaces and tabs at the start (WSP of RFC 6265 section 2.2).
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = bytes.split_first() {
        bytes = rest;
    }
    bytes
}

/// The same at the end.
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = bytes.split_last() {
        bytes = rest;
    }
    bytes
}
