//! Escapes in the strings of scripts and of JSON, as far as they are written in URLs: `\/`,
//! `\u0026` and `\x26`. A script in a string of another has more backslashes (`\\u0026`), so a run
//! of them counts as one.

/// Whether a value has an escape that is decoded here, or that of a quote: then it stands in a
/// string of a script. The backslashes of a link, which browsers take for slashes, are none.
pub(in crate::scan) fn has_escape(value: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', value).any(|at| {
        let escape = value.get(at + 1..).unwrap_or_default();
        matches!(escape.first(), Some(b'"' | b'\'')) || character(escape).is_some()
    })
}

/// Whether an escape of `&`, `?` or `;` ends here, behind which a parameter can begin.
#[cold]
pub(in crate::scan) fn ends_separator(before: &[u8]) -> bool {
    let Some((escape, digits)) = before.split_last_chunk::<2>() else {
        return false;
    };
    let digits = digits.map(|digit| digit.to_ascii_lowercase());
    matches!(&digits, b"26" | b"3f" | b"3b")
        && (escape.ends_with(b"\\u00") || escape.ends_with(b"\\x"))
}

/// Whether the backslash in front of these bytes ends the value of a parameter: it escapes a quote,
/// or a `&` that separates parameters. `None`: more bytes tell.
#[cold]
pub(in crate::scan) fn ends_value(escape: &[u8], is_query: bool) -> Option<bool> {
    const AMPERSANDS: [&[u8]; 2] = [b"u0026", b"x26"];

    if let Some(byte) = escape.first() {
        if matches!(byte, b'"' | b'\'') {
            return Some(true);
        }
    }
    for ampersand in AMPERSANDS.into_iter().filter(|_| is_query) {
        if let Some(after) = escape.strip_prefix(ampersand) {
            // As behind a plain one, a character reference could continue the value.
            return Some(after.first()?.is_ascii_alphabetic());
        }
    }
    let may_go_on = AMPERSANDS.iter().any(|one| one.starts_with(escape));
    (!may_go_on).then_some(false)
}

/// The string with its escapes decoded; in `scratch` if it has any. Those that no URL needs become
/// a space.
pub(in crate::scan) fn unescaped<'a>(string: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut at) = memchr::memchr(b'\\', string) else {
        return string;
    };
    scratch.clear();
    let mut rest = string;
    loop {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        scratch.extend_from_slice(plain);
        let run = escape.iter().take_while(|byte| **byte == b'\\').count();
        let after = escape.get(run..).unwrap_or_default();
        let (byte, len) = match (character(after), after.first()) {
            (Some((character, len)), _) => (Some(character), len),
            // "\&" is "&".
            (None, Some(byte)) if run == 1 && !byte.is_ascii_alphanumeric() => (None, 0),
            // "\n" and the like; in a string of a string the letter is left.
            (None, next) => (Some(b' '), usize::from(run == 1 && next.is_some())),
        };
        scratch.extend(byte);
        rest = after.get(len..).unwrap_or_default();
        match memchr::memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    scratch
}

/// The ASCII character that stands behind the backslash of an escape, and how many bytes that is.
fn character(escape: &[u8]) -> Option<(u8, usize)> {
    let (digits, len) = match escape.first()? {
        b'/' => return Some((b'/', 1)),
        b'u' => (escape.get(1..5)?, 5),
        b'x' => (escape.get(1..3)?, 3),
        _ => return None,
    };
    let value = digits.iter().try_fold(0_u32, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | digit)
    })?;
    let character = u8::try_from(value).ok().filter(u8::is_ascii);
    Some((character.unwrap_or(b' '), len))
}
