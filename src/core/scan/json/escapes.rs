//! Decodes the strings of JSON (RFC 8259, 7).

use wide::u8x16;

use crate::scan::search::ends::{same, up_to};

/// The longest escape of one character: `\u0041`.
pub(super) const MAX_ESCAPE: usize = 6;

/// The value of a string that is written like this between its quotes; in `scratch` when it has
/// escapes. `None`: it is not a valid string.
pub(super) fn unescaped<'a>(written: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if is_plain(written) {
        return Some(written);
    }
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

/// Whether a string has neither escapes nor control characters.
fn is_plain(written: &[u8]) -> bool {
    let is_byte = |byte: &u8| *byte >= b' ' && *byte != b'\\';
    let (blocks, rest) = written.as_chunks();
    blocks.iter().all(are_plain)
        && (written.last_chunk().is_some_and(are_plain) || rest.iter().all(is_byte))
}

/// The same for sixteen bytes.
#[inline(always)]
fn are_plain(bytes: &[u8; 16]) -> bool {
    let block = u8x16::new(*bytes);
    (up_to(block, b' ' - 1) | same(block, b'\\')).none()
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

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn strings_are_plain_in_which_all_bytes_are() {
        for len in 0..40 {
            assert!(is_plain(&vec![b'x'; len]));
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    let expected = byte >= b' ' && byte != b'\\';
                    assert_eq!(is_plain(&text), expected, "{}", text.escape_ascii());
                }
            }
        }
    }
}
