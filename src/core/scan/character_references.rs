//! Character references in attribute values (HTML Standard, 13.2.5.72 to 13.2.5.80), as far as
//! applications write them in URLs: all numeric ones, and the names of all ASCII characters.

use super::search::ends::places_of;
use crate::url::is_separator;

/// The length of the longest name.
const MAX_NAME: usize = 16;

/// Whether a URL reads the same with its references decoded: it has none but `&amp;`. In a query,
/// that and its semicolon separate as `&` does; in a path that is searched for ids, they do not.
pub(in crate::scan) fn are_separators(url: &[u8], path_counts: bool) -> bool {
    let query = match path_counts {
        true => memchr::memchr(b'?', url).unwrap_or(url.len()),
        false => 0,
    };
    places_of(url, b'&').all(|at| {
        let body = url.get(at + 1..).unwrap_or_default();
        at >= query && is_separator(body)
    })
}

/// The value with its references decoded; in `scratch` if there are any.
pub(crate) fn decoded<'a>(value: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut at) = memchr::memchr(b'&', value) else {
        return value;
    };
    scratch.clear();
    // It gets no longer.
    scratch.reserve(value.len());
    let mut rest = value;
    loop {
        let (plain, reference) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        scratch.extend_from_slice(plain);
        let body = reference.get(1..).unwrap_or_default();
        let len = match body.first() {
            Some(b'#') => numeric(body, scratch),
            Some(b'a'..=b'z' | b'A'..=b'Z') => named(body, scratch),
            // One of a run of them is no reference.
            Some(b'&') => {
                let run = body.iter().position(|byte| *byte != b'&');
                let run = run.unwrap_or(body.len());
                scratch.extend_from_slice(body.get(..run).unwrap_or_default());
                rest = body.get(run - 1..).unwrap_or_default();
                at = 0;
                continue;
            }
            _ => 0,
        };
        if len == 0 {
            scratch.push(b'&');
        }
        rest = body.get(len..).unwrap_or_default();
        match memchr::memchr(b'&', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    scratch
}

/// The characters whose names browsers also accept without a semicolon, unless `=`, a letter or a
/// digit follows.
fn legacy(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"amp" | b"AMP" => b'&',
        b"quot" | b"QUOT" => b'"',
        b"lt" | b"LT" => b'<',
        b"gt" | b"GT" => b'>',
        _ => return None,
    })
}

/// The characters whose names need their semicolon.
fn with_semicolon(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Tab" => b'\t',
        b"NewLine" => b'\n',
        b"excl" => b'!',
        b"num" => b'#',
        b"dollar" => b'$',
        b"percnt" => b'%',
        b"apos" => b'\'',
        b"lpar" => b'(',
        b"rpar" => b')',
        b"ast" | b"midast" => b'*',
        b"plus" => b'+',
        b"comma" => b',',
        b"period" => b'.',
        b"sol" => b'/',
        b"colon" => b':',
        b"semi" => b';',
        b"equals" => b'=',
        b"quest" => b'?',
        b"commat" => b'@',
        b"lsqb" | b"lbrack" => b'[',
        b"bsol" => b'\\',
        b"rsqb" | b"rbrack" => b']',
        b"Hat" => b'^',
        b"lowbar" | b"UnderBar" => b'_',
        b"grave" | b"DiacriticalGrave" => b'`',
        b"lcub" | b"lbrace" => b'{',
        b"verbar" | b"vert" | b"VerticalLine" => b'|',
        b"rcub" | b"rbrace" => b'}',
        _ => return None,
    })
}

/// Decodes the name behind a `&`. Returns the length of the reference, 0 if it is none.
fn named(body: &[u8], out: &mut Vec<u8>) -> usize {
    let name = body.get(..MAX_NAME.min(body.len())).unwrap_or_default();
    let len = name.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let name = name.get(..len).unwrap_or_default();
    let (character, len) = match body.get(len) {
        Some(b';') => (legacy(name).or_else(|| with_semicolon(name)), len + 1),
        Some(b'=' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') => (None, 0),
        _ => (legacy(name), len),
    };
    match character {
        Some(character) => {
            out.push(character);
            len
        }
        None => 0,
    }
}

/// The same for `#38;` and `#x26;`; the semicolon may be missing.
fn numeric(body: &[u8], out: &mut Vec<u8>) -> usize {
    let (radix, prefix) = match body.get(1) {
        Some(b'x' | b'X') => (16, 2),
        _ => (10, 1),
    };
    let mut value = 0_u32;
    let mut len = prefix;
    while let Some(digit) = body.get(len).and_then(|b| char::from(*b).to_digit(radix)) {
        // Saturates: it stays beyond Unicode.
        value = value.saturating_mul(radix).saturating_add(digit);
        len += 1;
    }
    if len == prefix {
        return 0;
    }
    let character = char::from_u32(value)
        .filter(|c| *c != '\0')
        .unwrap_or('\u{fffd}');
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    len + usize::from(body.get(len) == Some(&b';'))
}
