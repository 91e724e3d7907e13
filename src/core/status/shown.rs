//! Names of the configuration as the three forms show them. They are any bytes.

use std::fmt::Write;

/// The characters of a name; `Err`: a byte that is not UTF-8.
fn characters(bytes: &[u8]) -> impl Iterator<Item = Result<char, u8>> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().copied().map(Err);
        chunk.valid().chars().map(Ok).chain(invalid)
    })
}

/// The name itself, as nearly all are, if no form has to write any of it in another way.
fn plain(bytes: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !b"&<>\"'\\".contains(byte);
    let is_plain = bytes.iter().all(is_plain);
    std::str::from_utf8(bytes).ok().filter(|_| is_plain)
}

/// Whether a reader would not see the character, or would see others in another order.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// For text and attribute values of HTML. What is not seen becomes `\u{…}`, other bytes `\xNN`.
pub fn html(bytes: &[u8]) -> String {
    if let Some(plain) = plain(bytes) {
        return plain.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for character in characters(bytes) {
        // A string takes what is written to it.
        let _ = match character {
            Ok('&') => text.write_str("&amp;"),
            Ok('<') => text.write_str("&lt;"),
            Ok('>') => text.write_str("&gt;"),
            Ok('"') => text.write_str("&quot;"),
            Ok('\'') => text.write_str("&#39;"),
            Ok(unseen) if is_unseen(unseen) => write!(text, "\\u{{{:x}}}", u32::from(unseen)),
            Ok(other) => text.write_char(other),
            Err(byte) => write!(text, "\\x{byte:02x}"),
        };
    }
    text
}

/// The value of a form's field, which the form sends as it is. Bytes that are not UTF-8 cannot be in
/// one: no name with them is found then.
pub fn value(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        // A string takes what is written to it.
        let _ = match character {
            '&' | '<' | '>' | '"' | '\'' | '\t' | '\n' | '\r' => {
                write!(text, "&#{};", u32::from(character))
            }
            other => text.write_char(other),
        };
    }
    text
}

/// A string of JSON, with its quotes. A byte that is not UTF-8 becomes the four characters `\xNN`.
pub fn json(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    if let Some(plain) = plain(bytes) {
        text.push_str(plain);
        text.push('"');
        return text;
    }
    for character in characters(bytes) {
        let _ = match character {
            Ok('"') => text.write_str("\\\""),
            Ok('\\') => text.write_str("\\\\"),
            // Those of HTML, too: whoever puts it into a page shall not be surprised.
            Ok(it @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}')) => {
                write!(text, "\\u{:04x}", u32::from(it))
            }
            Ok(control) if control.is_control() => write!(text, "\\u{:04x}", u32::from(control)),
            Ok(other) => text.write_char(other),
            Err(byte) => write!(text, "\\\\x{byte:02x}"),
        };
    }
    text.push('"');
    text
}

/// The value of a label of a metric, without its quotes. Bytes as in [`json`].
pub fn label(bytes: &[u8]) -> String {
    if let Some(plain) = plain(bytes) {
        return plain.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for character in characters(bytes) {
        let _ = match character {
            Ok('"') => text.write_str("\\\""),
            Ok('\\') => text.write_str("\\\\"),
            Ok('\n') => text.write_str("\\n"),
            Ok(other) => text.write_char(other),
            Err(byte) => write!(text, "\\\\x{byte:02x}"),
        };
    }
    text
}
