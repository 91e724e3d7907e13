//! A directive as it may be shown to whoever may not know its secrets.

/// Stands in place of a secret.
const MASK: &[u8] = b"***";

/// A directive of an upstream, as it can be written in a configuration, without the values of
/// `hmac_key=` and `sticky_secret`.
pub fn shown(directive: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let is_secret = directive == b"sticky_secret";
    let mut line = directive.to_vec();
    for word in words {
        line.push(b' ');
        match word.strip_prefix(b"hmac_key=") {
            _ if is_secret => line.extend_from_slice(MASK),
            Some(_) => {
                line.extend_from_slice(b"hmac_key=");
                line.extend_from_slice(MASK);
            }
            None => quote(word, &mut line),
        }
    }
    line.push(b';');
    line
}

/// In quotes where nginx would read it as something else without them (`ngx_conf_read_token()`).
fn quote(word: &[u8], line: &mut Vec<u8>) {
    let is_plain = !word.is_empty()
        && word.first() != Some(&b'#')
        && !word
            .iter()
            .any(|byte| byte.is_ascii_whitespace() || b"\"'\\;{}".contains(byte));
    if is_plain {
        line.extend_from_slice(word);
        return;
    }
    line.push(b'"');
    for &byte in word {
        if byte == b'"' || byte == b'\\' {
            line.push(b'\\');
        }
        line.push(byte);
    }
    line.push(b'"');
}
