//! What values of any parameter may have in them: variables of nginx, and keys in files.

use super::error::DirectiveError;

/// Parameters whose values may hold variables.
const WITH_VARIABLES: [&str; 7] = [
    "domain", "path", "from", "learn", "forget", "secure", "samesite",
];

/// Parameters whose values name something that exists before any request does, and in which a
/// variable is not even taken for text.
const WITHOUT_DOLLARS: [&str; 3] = ["state", "zone", "hmac_key_file"];

/// Refuses a variable where none is taken.
pub(super) fn check_variables(parameter: &'static str, value: &[u8]) -> Result<(), DirectiveError> {
    if WITH_VARIABLES.contains(&parameter) {
        return Ok(());
    }
    check_part(parameter, value)
}

/// The same for a part of a value, which takes none.
pub(super) fn check_part(parameter: &'static str, value: &[u8]) -> Result<(), DirectiveError> {
    let refused = if WITHOUT_DOLLARS.contains(&parameter) {
        has_variable(value)
    } else {
        is_variable(value)
    };
    if !refused {
        return Ok(());
    }
    Err(DirectiveError::Variable {
        parameter,
        // It may be a key all the same.
        value: (parameter != "hmac_key").then(|| value.to_vec()),
    })
}

/// Whether a text is one variable and nothing else, `$name` or `${name}`.
pub(super) fn is_variable(text: &[u8]) -> bool {
    let Some(name) = text.strip_prefix(b"$") else {
        return false;
    };
    let braced = name
        .strip_prefix(b"{")
        .and_then(|name| name.strip_suffix(b"}"));
    let name = braced.unwrap_or(name);
    !name.is_empty() && name.iter().all(|&byte| is_of_name(byte))
}

/// The number of a text that begins with a variable, among those of the directive, to which it is
/// added. `None`: it is no such text.
pub(super) fn number_of(text: &[u8], known: &mut Vec<Box<[u8]>>) -> Option<usize> {
    let is_variable = matches!(text, [b'$', next, ..] if *next == b'{' || is_of_name(*next));
    let known_at = known.iter().position(|known| **known == *text);
    is_variable.then(|| {
        known_at.unwrap_or_else(|| {
            known.push(text.into());
            known.len() - 1
        })
    })
}

/// Whether a text has a variable in it, as `ngx_http_script_compile()` finds them.
pub fn has_variable(text: &[u8]) -> bool {
    let begins = |pair: &[u8]| matches!(pair, [b'$', next] if *next == b'{' || is_of_name(*next));
    text.windows(2).any(begins)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The key in a file: all of it but for the end of its last line.
pub(super) fn key_of_file(content: &[u8]) -> Result<&[u8], DirectiveError> {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    match line.strip_suffix(b"\r").unwrap_or(line) {
        b"" => Err(DirectiveError::EmptyKeyFile),
        key => Ok(key),
    }
}
