//! How browsers read a URL reference (URL Standard, 4.4), as far as needed to tell where it leads.

use std::borrow::Cow;

use wide::u8x16;

use crate::blocks::are_all;

/// The reference without the C0 controls and spaces at both ends.
pub(crate) fn trimmed(link: &[u8]) -> &[u8] {
    let Some(start) = link.iter().position(|b| *b > b' ') else {
        return &[];
    };
    let end = link
        .iter()
        .rposition(|b| *b > b' ')
        .map_or(0, |last| last + 1);
    link.get(start..end).unwrap_or_default()
}

/// The reference without tabs and line breaks anywhere in it.
pub(super) fn without_breaks(link: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(b'\t', b'\n', b'\r', link).is_none() {
        return Cow::Borrowed(link);
    }
    Cow::Owned(
        link.iter()
            .copied()
            .filter(|b| !matches!(b, b'\t' | b'\n' | b'\r'))
            .collect(),
    )
}

/// Where a reference leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// To the host of the page or of its base.
    Relative,
    /// To this authority: user info, host and port.
    Authority(&'a [u8]),
    /// Not http, or ambiguous.
    Elsewhere,
}

/// The parts of a reference that may have an id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathAndQuery<'a> {
    pub(super) path: &'a [u8],
    /// Without its `?`; empty if there is none.
    pub(super) query: &'a [u8],
}

/// Splits a reference without line breaks into where it leads and its parts.
pub(super) fn split(link: &[u8]) -> (Target<'_>, PathAndQuery<'_>) {
    let end = memchr::memchr2(b'?', b'#', link).unwrap_or(link.len());
    let (place, rest) = link.split_at_checked(end).unwrap_or((link, &[]));
    let query = rest.strip_prefix(b"?").unwrap_or_default();
    let query = memchr::memchr(b'#', query)
        .and_then(|end| query.get(..end))
        .unwrap_or(query);
    let (target, path) = target(place);
    (target, PathAndQuery { path, query })
}

/// The same for a link that is obviously relative, with nothing to trim or leave out: it has no
/// `:`, no `\`, none of the bytes up to `#`, which are control characters, the space, `!` and `"`,
/// and it does not start with two slashes. `None` for others, and for fewer than 16 bytes.
pub(super) fn split_plain(link: &[u8]) -> Option<PathAndQuery<'_>> {
    #[inline(always)]
    fn is_plain(block: &[u8; 16]) -> bool {
        let block = u8x16::new(*block);
        let is_low = block.min(u8x16::splat(b'#')).cmp_eq(block);
        let is_colon = block.cmp_eq(u8x16::splat(b':'));
        (is_low | is_colon | block.cmp_eq(u8x16::splat(b'\\'))).none()
    }
    if link.starts_with(b"//") || !are_all(link, is_plain) {
        return None;
    }
    // Mostly in the first bytes.
    let first = u8x16::new(*link.first_chunk()?).cmp_eq(u8x16::splat(b'?'));
    let end = match first.move_mask() {
        0 => memchr::memchr(b'?', link).unwrap_or(link.len()),
        signs => signs.trailing_zeros() as usize,
    };
    let (path, rest) = link.split_at_checked(end)?;
    let query = rest.get(1..).unwrap_or_default();
    Some(PathAndQuery { path, query })
}

/// The parts of a reference without line breaks that leads to a host, which is not the site's: its
/// own or that of the page's base.
pub(super) fn elsewhere(link: &[u8]) -> Option<PathAndQuery<'_>> {
    match split(link) {
        (Target::Elsewhere, _) => None,
        (Target::Authority(_) | Target::Relative, parts) => Some(parts),
    }
}

fn target(place: &[u8]) -> (Target<'_>, &[u8]) {
    let Some((scheme, rest)) = scheme(place) else {
        return match leading_slashes(place) {
            0 | 1 => (Target::Relative, place),
            slashes => authority(place, slashes),
        };
    };
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return (Target::Elsewhere, &[]);
    }
    match leading_slashes(rest) {
        // "http:path" is relative on a page of that scheme and names a host on one of the other;
        // the scheme of the page is not known here.
        0 | 1 => (Target::Elsewhere, &[]),
        slashes => authority(rest, slashes),
    }
}

/// The scheme and what follows its colon (RFC 3986, 3.1).
fn scheme(place: &[u8]) -> Option<(&[u8], &[u8])> {
    if !place.first()?.is_ascii_alphabetic() {
        return None;
    }
    let in_scheme = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
    let end = place.iter().position(|b| !in_scheme(b))?;
    let (scheme, rest) = place.split_at_checked(end)?;
    Some((scheme, rest.strip_prefix(b":")?))
}

/// Whether a reference has its content in itself, and leads nowhere.
pub(super) fn is_inline(link: &[u8]) -> bool {
    scheme(link).is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case(b"data") || scheme.eq_ignore_ascii_case(b"javascript")
    })
}

/// The number of slashes at the start. `\` is a slash in http URLs.
fn leading_slashes(place: &[u8]) -> usize {
    place
        .iter()
        .take_while(|b| matches!(b, b'/' | b'\\'))
        .count()
}

/// The authority behind `from` slashes, and the path behind that.
fn authority(place: &[u8], from: usize) -> (Target<'_>, &[u8]) {
    let authority = place.get(from..).unwrap_or_default();
    let end = memchr::memchr2(b'/', b'\\', authority).unwrap_or(authority.len());
    let (authority, path) = authority.split_at_checked(end).unwrap_or((authority, &[]));
    (Target::Authority(authority), path)
}

/// The path to which the path of a reference leads, which is not empty, on a page at the path
/// `base` (URL Standard, 4.4, path state): without dots, with `/` for `\`.
pub(super) fn resolved<'a>(path: &'a [u8], base: &[u8]) -> Cow<'a, [u8]> {
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let is_absolute = path.first().is_some_and(is_slash);
    if is_absolute && memchr::memchr3(b'.', b'%', b'\\', path).is_none() {
        return Cow::Borrowed(path);
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    if !is_absolute {
        let end = base.iter().rposition(is_slash).unwrap_or_default();
        let folder = base.get(1..end).unwrap_or_default();
        if end > 0 {
            for step in folder.split(is_slash) {
                enter(&mut segments, step);
            }
        }
    }
    let own = path.get(usize::from(is_absolute)..).unwrap_or_default();
    let mut steps = own.split(is_slash).peekable();
    while let Some(step) = steps.next() {
        if enter(&mut segments, step) && steps.peek().is_none() {
            segments.push(b"");
        }
    }
    let mut path = Vec::with_capacity(base.len() + own.len() + 2);
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    Cow::Owned(path)
}

/// Goes one step on in a path. Returns whether the step is dots.
fn enter<'a>(segments: &mut Vec<&'a [u8]>, step: &'a [u8]) -> bool {
    let mut rest = step;
    let mut dots = 0;
    loop {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => break,
        };
        dots += 1;
    }
    let is_dots = rest.is_empty() && matches!(dots, 1 | 2);
    if !is_dots {
        segments.push(step);
    } else if dots == 2 {
        segments.pop();
    }
    is_dots
}

/// Whether a reference has its own scheme or host, so that no base changes where it leads.
pub(crate) fn is_absolute(link: &[u8]) -> bool {
    scheme(link).is_some() || leading_slashes(link) > 1
}

/// The URL in the value of a Refresh header or of `<meta http-equiv=refresh content=…>`:
/// `5; url=next.php`, `0;URL='next.php'` (HTML Standard, 4.2.5.3, "shared declarative refresh
/// steps"). `None`: it has none, as in a bare `5`.
pub fn refresh_target(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let digits = value
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let rest = value.get(digits..)?;
    let after_time = rest.trim_ascii_start();
    let separated = after_time
        .strip_prefix(b";")
        .or_else(|| after_time.strip_prefix(b","));
    if digits == 0 || (separated.is_none() && rest.len() == after_time.len()) {
        return None;
    }
    let url = separated.unwrap_or(after_time).trim_ascii_start();
    let named = match url.split_at_checked(3) {
        Some((word, rest)) if word.eq_ignore_ascii_case(b"url") => rest
            .trim_ascii_start()
            .strip_prefix(b"=")
            .map(<[u8]>::trim_ascii_start),
        _ => None,
    };
    let url = named.unwrap_or(url);
    let url = match url.split_first() {
        Some((quote @ (b'"' | b'\''), rest)) => {
            rest.get(..memchr::memchr(*quote, rest).unwrap_or(rest.len()))?
        }
        _ => url,
    };
    (!url.is_empty()).then_some(url)
}
