//! Credentials and challenges, `Digest realm="x", nonce="y"`, and the parameters of any other
//! header.

use std::borrow::Cow;

use super::header_value::unquoted;

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); the scheme in any case.
pub fn bearer(header: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";

    let (scheme, token) = header.trim_ascii_start().split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(b" ");
    is_bearer.then(|| token.trim_ascii())
}

/// The values of all parameters `name` of a header; case does not count in names. Parameters may be
/// divided by commas or semicolons, and stand behind the scheme of credentials or of one of several
/// challenges (RFC 9110, 11.2 to 11.6.1). Values are without quotes, and without the `\` before a
/// character in quotes; one without its closing quote reaches to the end.
///
/// ```
/// use sticky_core::http::credentials::values_of;
///
/// let challenge = br#"Basic realm="a, nonce=b", Digest realm="c", nonce="d\"e", qop=auth"#;
/// assert!(values_of(challenge, b"nonce").eq([&b"d\"e"[..]]));
/// ```
pub fn values_of<'a, 'n>(
    header: &'a [u8],
    name: &'n [u8],
) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
    let mut rest = header;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (word, after) =
                split_before(rest, |byte| ends_value(byte) || b"=\"".contains(byte));
            rest = after.trim_ascii_start();
            match rest.split_first() {
                Some((b'=', value)) if !word.is_empty() => {
                    let value = value.trim_ascii_start();
                    let (value, after) = match value.strip_prefix(b"\"") {
                        Some(quoted) => unquoted(quoted),
                        None => {
                            let (value, after) = split_before(value, ends_value);
                            (value.into(), after)
                        }
                    };
                    rest = after;
                    if word.eq_ignore_ascii_case(name) {
                        return Some(value);
                    }
                }
                Some((b'"', quoted)) => rest = unquoted(quoted).1,
                Some((b'=' | b',' | b';', after)) => rest = after,
                _ => {}
            }
        }
        None
    })
}

fn ends_value(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b';')
}

fn split_before(bytes: &[u8], ends: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(ends).unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}
