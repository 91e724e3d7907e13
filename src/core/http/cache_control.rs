//! Who may keep a response (RFC 9111, 5.2.2).

/// Whether a shared cache may keep a response although it was made for one client: a Cache-Control
/// header says `public` or `s-maxage`, and none says `private`, `no-store` or `no-cache`, be it for
/// some headers alone. `values` are those of all Cache-Control headers.
///
/// ```
/// use sticky_core::http::cache_control::is_for_all;
///
/// let is_for_all = |value: &'static [u8]| is_for_all(std::iter::once(value));
/// assert!(is_for_all(b"public, max-age=60"));
/// assert!(!is_for_all(b"max-age=60"));
/// assert!(!is_for_all(b"s-maxage=60, no-cache=\"Set-Cookie\""));
/// ```
pub fn is_for_all<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut is_for_all = false;
    for mut rest in values {
        while !rest.is_empty() {
            let end = end_of_directive(rest);
            let (directive, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = after.get(1..).unwrap_or_default();
            let name = directive.split(|byte| *byte == b'=').next();
            let name = name.unwrap_or_default().trim_ascii();
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if is(b"private") || is(b"no-store") || is(b"no-cache") {
                return false;
            }
            is_for_all |= is(b"public") || is(b"s-maxage");
        }
    }
    is_for_all
}

/// Where the next comma is that does not stand in quotes.
fn end_of_directive(value: &[u8]) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = value.iter().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    });
    end.unwrap_or(value.len())
}
