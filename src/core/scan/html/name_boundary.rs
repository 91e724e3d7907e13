//! Whether an occurrence of a name is the whole name: "sid" in "inside" is none. In nearly all
//! cases the byte on either side decides, which keeps false matches cheap.

use super::tag::is_space;
use crate::scan::script_escapes::ends_separator;
use crate::scan::search::window::Window;

/// The longest escape or numeric reference without a semicolon that is recognised before a name, in
/// bytes.
const MAX_REFERENCE: usize = 10;

/// Whether the name is the whole value of an attribute: `name=sid`, `name='sid'`.
pub(super) fn is_whole_value(before: u8, after: u8) -> bool {
    match before {
        b'"' | b'\'' => after == before,
        before => (before == b'=' || is_space(before)) && (is_space(after) || after == b'>'),
    }
}

/// Whether the name of a parameter ends here: at `=`, which may be written as a reference or as an
/// escape of a script, or at a line break, which browsers drop from URLs.
pub(super) const fn ends_parameter_name(after: u8) -> bool {
    matches!(after, b'=' | b'&' | b'\\' | b'\t' | b'\r' | b'\n')
}

/// Whether a segment of a path may end here: at a slash, which may be written as `\`, as a
/// reference or as an escape of a script.
pub(super) fn ends_segment(after: u8) -> bool {
    matches!(after, b'/' | b'\\' | b'&' | b'\t' | b'\r' | b'\n')
}

/// Whether the name of a parameter starts at `at`. `None`: more bytes before it are needed.
pub(super) fn starts_parameter(window: &Window<'_>, at: usize, before: u8) -> Option<bool> {
    match before {
        b'?' | b'&' | b';' | b'\t' | b'\r' | b'\n' => Some(true),
        // "&#38sid=", "&#x26sid=": a reference may lack its semicolon. "\u0026sid=", "\x26sid=".
        before if before.is_ascii_hexdigit() => {
            let near = window
                .bytes
                .get(at.saturating_sub(MAX_REFERENCE)..at)
                .unwrap_or_default();
            let in_reference = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X');
            let rest = near.iter().rposition(|byte| !in_reference(byte));
            let rest = rest.and_then(|at| near.get(..=at)).unwrap_or_default();
            let is_reference = rest.ends_with(b"&#") || ends_separator(near);
            (is_reference || at >= MAX_REFERENCE || window.from_start).then_some(is_reference)
        }
        _ => Some(false),
    }
}
