//! Whether a name stands whole: "sid" in "inside" is none. Two bytes tell in nearly all cases, which
//! keeps false hits cheap.

use super::tag::is_space;
use crate::scan::search::window::Window;

/// The longest numeric reference without a semicolon that is recognised before a name, in bytes.
const REFERENCE: usize = 10;

/// `name=sid`, `name='sid'`: nothing else stands in the value.
pub(super) fn is_whole_value(before: u8, after: u8) -> bool {
    match before {
        b'"' | b'\'' => after == before,
        before => (before == b'=' || is_space(before)) && (is_space(after) || after == b'>'),
    }
}

/// `=`, which may be written as a reference, or a line break, which browsers drop from URLs.
pub(super) fn ends_parameter_name(after: u8) -> bool {
    matches!(after, b'=' | b'&' | b'\t' | b'\r' | b'\n')
}

/// `None`: the bytes before are not at hand.
pub(super) fn starts_parameter(window: &Window<'_>, at: usize, before: u8) -> Option<bool> {
    match before {
        b'?' | b'&' | b';' | b'\t' | b'\r' | b'\n' => Some(true),
        // "&#38sid=", "&#x26sid=": a reference may lack its semicolon.
        before if before.is_ascii_hexdigit() => {
            let near = window
                .bytes
                .get(at.saturating_sub(REFERENCE)..at)
                .unwrap_or_default();
            let in_reference = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X');
            let rest = near.iter().rposition(|byte| !in_reference(byte));
            let rest = rest.and_then(|at| near.get(..=at)).unwrap_or_default();
            let is_reference = rest.ends_with(b"&#");
            (is_reference || at >= REFERENCE || window.from_start).then_some(is_reference)
        }
        _ => Some(false),
    }
}
