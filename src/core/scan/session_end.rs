//! Whether a response takes the session id away from its client.

use crate::http::cookie::{is_deletion, is_sent_to, value_set, values_of};
use crate::url::Names;

/// Whether a response deletes the cookie that had `id`, and sets no new one of that name. `cookies`
/// are the values of the request's Cookie headers, `set` those of the response's Set-Cookie
/// headers, `now` is Unix time in seconds.
///
/// A client may have several cookies of one name, for different paths, of which a response deletes
/// one. Which one, the request does not tell: then none counts as deleted. Nor does one that a
/// request for `path` does not carry.
///
/// ```
/// use sticky_core::scan::session_end::is_cookie_deleted;
/// use sticky_core::url::Names;
///
/// let names = Names::new(vec![b"sid"[..].into()]);
/// let cookies = [&b"lang=en; sid=1"[..]];
/// let is_deleted = |set: &[&[u8]]| {
///     let now = || 1_800_000_000;
///     is_cookie_deleted(&names, b"1", b"/cart", cookies.into_iter(), set, now)
/// };
/// assert!(is_deleted(&[b"sid=; Max-Age=0"]));
/// assert!(!is_deleted(&[b"sid=; Max-Age=0; Path=/old"]));
/// assert!(!is_deleted(&[b"sid=; Max-Age=0", b"sid=2; Path=/"]));
/// ```
pub fn is_cookie_deleted<'a>(
    names: &Names,
    id: &[u8],
    path: &[u8],
    cookies: impl Iterator<Item = &'a [u8]> + Clone,
    set: &[&[u8]],
    now: impl Fn() -> i64,
) -> bool {
    names.in_cookies().any(|name| {
        let mut is_deleted = false;
        for header in set {
            match value_set(header, name) {
                None => {}
                Some(value) if value.is_empty() || is_deletion(header, now()) => {
                    is_deleted |= is_sent_to(header, path);
                }
                Some(_) => return false,
            }
        }
        let values = values_of(cookies.clone(), name);
        let mut ids = values.filter_map(|value| names.id_in_cookie(value));
        is_deleted && ids.next().is_some_and(|first| *first == *id) && ids.all(|next| *next == *id)
    })
}
