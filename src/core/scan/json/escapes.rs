//! Decodes the strings of JSON (RFC 8259, 7).

/// The longest escape of one character: `\u0041`.
pub(super) const MAX_ESCAPE: usize = 6;

/// The value of a string that is written like this between its quotes; in `scratch` when it has
/// escapes. `None`: it is not a valid string.
pub(super) fn unescaped<'a>(written: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if written.iter().any(|byte| *byte < b' ') {
        return None;
    }
    let Some(mut at) = memchr::memchr(b'\\', written) else {
        return Some(written);
    };
    scratch.clear();
    let mut rest = written;
    loop {
        let (plain, escape) = rest.split_at_checked(at)?;
        scratch.extend_from_slice(plain);
        let (character, len) = character(escape)?;
        scratch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(len..)?;
        match memchr::memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    Some(scratch)
}

/// How far a string goes on without an escape, and the byte that stands there, if any: a quote or a
/// backslash.
pub(super) fn text_in(rest: &[u8]) -> (usize, Option<u8>) {
    let len = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    (len, rest.get(len).copied())
}

/// The character of an escape, and the escape's length.
fn character(escape: &[u8]) -> Option<(char, usize)> {
    let character = match escape.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return utf16(escape),
        _ => return None,
    };
    Some((character, 2))
}

fn utf16(escape: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = escape.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        hexadecimal(digits)
    };
    let first = unit(0)?;
    let pair = [first, unit(MAX_ESCAPE).unwrap_or_default()];
    // A second unit only counts behind the first half of a pair.
    let units = if matches!(first, 0xd800..=0xdbff) {
        2
    } else {
        1
    };
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, units * MAX_ESCAPE))
}

/// The number of up to four hexadecimal digits. `from_str_radix` would also take a sign.
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u16)
    })
}
