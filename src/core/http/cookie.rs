//! Finds a cookie that a client sent, and writes one for it to keep.
//!
//! Nothing is decoded and nothing is copied: a cookie that this module sets comes back byte for
//! byte.

use std::borrow::Cow;

use memchr::memchr;
use memchr::memmem::Finder;
use wide::u8x16;

use super::cookie_expiry::civil_date;
pub use super::cookie_expiry::{is_deletion, is_sent_to};
use super::header_value::{trim_end, trim_start};
use crate::blocks::{first_such, has_semicolon, has_such};

/// The value of the first cookie `name` in the values of the Cookie headers (RFC 6265 section 5.4).
///
/// Pairs are separated by `;` only. Spaces and tabs around the name and the value are not part of
/// them; double quotes and further `=` are part of the value. The name is compared whole and
/// case-sensitively. A pair without `=` is no cookie; one with an empty value is.
///
/// ```
/// use sticky_core::http::cookie;
///
/// let headers = [&b"lang=en; route=ab12"[..], b"theme=dark"];
/// assert_eq!(cookie::find(headers.into_iter(), b"route"), Some(&b"ab12"[..]));
/// assert_eq!(cookie::find(headers.into_iter(), b"Route"), None);
/// ```
#[inline]
pub fn find<'a>(
    mut header_values: impl Iterator<Item = &'a [u8]>,
    name: &[u8],
) -> Option<&'a [u8]> {
    header_values.find_map(|header| next_value(header, name).map(|(value, _)| value))
}

/// The same in the value of a Cookie header that has this one alone, with nothing around it. `None`:
/// it is not there, or there is more to look at.
#[inline]
pub fn value_alone<'a>(header_value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = header_value.strip_prefix(name)?.strip_prefix(b"=")?;
    let (first, last) = (value.first()?, value.last()?);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    (!is_blank(first) && !is_blank(last) && !has_semicolon(value)).then_some(value)
}

/// The values of all cookies `name`, by the same rules. A client may have several, for different
/// paths or domains; it sends those of the longest path first (RFC 6265 section 5.4).
pub fn values_of<'a, 'n, H: Iterator<Item = &'a [u8]>>(
    header_values: H,
    name: &'n [u8],
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n, H> {
    header_values.flat_map(move |header| {
        let mut rest = Some(header);
        std::iter::from_fn(move || {
            let (value, after) = next_value(rest?, name)?;
            rest = after;
            Some(value)
        })
    })
}

/// The values of all cookies `name` in one Cookie header, by the same rules; `finder` finds the name
/// as bytes, which costs much less than to look at each pair.
pub fn values_found<'a, 'n>(
    header: &'a [u8],
    name: &'n [u8],
    finder: &'n Finder<'_>,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    debug_assert_eq!(finder.needle(), name);
    let finder = finder.as_ref();
    let mut from = 0;
    std::iter::from_fn(move || loop {
        let at = from + finder.find(header.get(from..)?)?;
        from = at + name.len().max(1);
        // A pair begins at the start, or behind a semicolon.
        let before = trim_end(header.get(..at)?);
        if before.is_empty() || before.ends_with(b";") {
            if let Some((value, _)) = first_value(header.get(at..)?, name) {
                return Some(value);
            }
        }
    })
}

/// The value of the cookie `name` if a Set-Cookie header sets it (RFC 6265 section 5.2): it ends at
/// the first `;`, and the rules of [`find`] hold.
pub fn value_set<'a>(header_value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    first_value(trim_start(header_value), name).map(|(value, _)| value)
}

/// The same of a header that begins with the cookie, sets it to 16 bytes or more with attributes, nothing in
/// which needs decoding, and certainly does not [delete](is_deletion) it: as most servers write it. `None`:
/// it is no such header.
#[inline]
pub fn plain_value_set<'a>(header_value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = header_value.strip_prefix(name)?.strip_prefix(b"=")?;
    let end = first_such(value, |block| {
        let is_blank = block.min(u8x16::splat(b' ')).cmp_eq(block);
        is_blank | block.cmp_eq(u8x16::splat(b';')) | block.cmp_eq(u8x16::splat(b'%'))
    })?;
    let (value, attributes) = value.split_at_checked(end.unwrap_or(value.len()))?;
    if !matches!(attributes, [] | [b';', ..]) {
        return None;
    }
    // The names of the attributes that delete have this letter, and no other has.
    let may_delete =
        has_such(attributes, |byte| byte | b' ' == b'x') && has_x_within_word(attributes);
    (!may_delete && !value.is_empty()).then_some(value)
}

/// Unlike that of `SameSite=Lax`.
#[inline(never)]
fn has_x_within_word(attributes: &[u8]) -> bool {
    let ends = |at: usize| matches!(attributes.get(at + 1), None | Some(b';'));
    memchr::memchr2_iter(b'x', b'X', attributes).any(|at| !ends(at))
}

/// The values of the Cookie headers as one, without the cookies of these names. `None`: nothing is
/// left.
///
/// ```
/// use sticky_core::http::cookie::without;
///
/// let names = [b"route"[..].into()];
/// let headers = [&b"a=1; route=x; b=2"[..]];
/// assert_eq!(without(headers.into_iter(), &names).as_deref(), Some(&b"a=1; b=2"[..]));
/// ```
pub fn without<'a>(
    header_values: impl Iterator<Item = &'a [u8]>,
    names: &[Box<[u8]>],
) -> Option<Cow<'a, [u8]>> {
    let mut left: Option<Cow<'a, [u8]>> = None;
    for header in header_values {
        let is_named = |pair: &[u8]| {
            let pair = trim_start(pair);
            names.iter().any(|name| first_value(pair, name).is_some())
        };
        let pairs = || header.split(|byte| *byte == b';');
        if left.is_none() && !pairs().any(is_named) {
            left = (!header.is_empty()).then_some(Cow::Borrowed(header));
            continue;
        }
        for pair in pairs().filter(|pair| !is_named(pair)) {
            let pair = trim_end(trim_start(pair));
            if pair.is_empty() {
                continue;
            }
            match &mut left {
                None => left = Some(Cow::Owned(pair.to_vec())),
                Some(before) => {
                    let before = before.to_mut();
                    before.extend_from_slice(b"; ");
                    before.extend_from_slice(pair);
                }
            }
        }
    }
    left
}

/// Whether a text can be the name of a cookie or the value of an attribute without ending it early
/// or beginning another header.
pub fn is_safe(text: &[u8]) -> bool {
    !text
        .iter()
        .any(|&byte| byte.is_ascii_control() || matches!(byte, b' ' | b';' | b','))
}

/// The cookie attribute SameSite (RFC 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// The browser sends the cookie with no request from another site.
    Strict,
    /// From another site, only with requests that navigate here.
    Lax,
    /// With every request. Browsers require Secure, too.
    None,
}

impl SameSite {
    /// The value that a variable names, in any case.
    pub fn named(name: &[u8]) -> Option<SameSite> {
        let all = [
            (&b"strict"[..], SameSite::Strict),
            (b"lax", SameSite::Lax),
            (b"none", SameSite::None),
        ];
        let named = all
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value)
    }
}

/// What follows `name=value` in a Set-Cookie header. The parts are written as they are: the
/// directive refuses those that would break the header.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// The attribute Domain.
    pub domain: Option<&'a [u8]>,
    /// The attribute Expires, in seconds since 1970 UTC. Without it, the browser keeps the cookie
    /// until it is closed.
    pub expires: Option<i64>,
    /// The attribute Path; not written when empty.
    pub path: &'a [u8],
    /// The attribute Secure.
    pub secure: bool,
    /// The attribute HttpOnly.
    pub httponly: bool,
    /// The attribute SameSite.
    pub samesite: Option<SameSite>,
    /// The attribute Partitioned (draft-cutler-httpbis-partitioned-cookies).
    pub partitioned: bool,
}

impl Attributes<'_> {
    /// Appends them in the order and the spelling of nginx-sticky-module-ng
    /// (`ngx_http_sticky_misc_set_cookie()`), and those that it does not have after its own.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(domain) = self.domain {
            out.extend_from_slice(b"; Domain=");
            out.extend_from_slice(domain);
        }
        if let Some(at) = self.expires {
            out.extend_from_slice(b"; Expires=");
            write_date(at, out);
        }
        if !self.path.is_empty() {
            out.extend_from_slice(b"; Path=");
            out.extend_from_slice(self.path);
        }
        if self.secure {
            out.extend_from_slice(b"; Secure");
        }
        if self.httponly {
            out.extend_from_slice(b"; HttpOnly");
        }
        out.extend_from_slice(match self.samesite {
            Some(SameSite::Strict) => b"; SameSite=Strict",
            Some(SameSite::Lax) => b"; SameSite=Lax",
            Some(SameSite::None) => b"; SameSite=None",
            None => b"",
        });
        if self.partitioned {
            out.extend_from_slice(b"; Partitioned");
        }
    }
}

/// Appends a time in the form of the attribute Expires: `Thu, 01-Jan-1970 00:00:00 GMT`.
///
/// `at` is in seconds since 1970 UTC. A time before 1970 is written as 1970, which has passed as
/// well. A time after the year 9999 is written as the end of that year, because browsers read four
/// digits.
pub fn write_date(at: i64, out: &mut Vec<u8>) {
    const END_OF_9999: i64 = 253_402_300_799;
    const WEEKDAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];

    let at = at.clamp(0, END_OF_9999).unsigned_abs();
    let (days, second) = (at / 86_400, at % 86_400);
    let (year, month, day) = civil_date(days);

    // By hand: format!() would cost more than all the rest of a new cookie.
    let digits =
        |out: &mut Vec<u8>, n: u64| out.extend([b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
    let weekday = WEEKDAYS.get((days % 7) as usize).copied();
    out.extend_from_slice(weekday.unwrap_or_default());
    out.extend_from_slice(b", ");
    digits(out, day);
    out.push(b'-');
    out.extend_from_slice(month);
    out.push(b'-');
    digits(out, year / 100);
    digits(out, year % 100);
    for (separator, n) in [
        (b' ', second / 3_600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(separator);
        digits(out, n);
    }
    out.extend_from_slice(b" GMT");
}

/// The same as nginx writes it (`ngx_http_cookie_time()`): until 2037 with two digits of the year,
/// for old browsers.
pub fn write_short_date(at: i64, out: &mut Vec<u8>) {
    const FIRST_OF_2038: i64 = 2_145_916_800;
    // "Thu, 01-Jan-" stands before the year.
    const YEAR: usize = 12;

    let start = out.len();
    write_date(at, out);
    if at < FIRST_OF_2038 {
        out.drain(start + YEAR..start + YEAR + 2);
    }
}

/// The value of the first pair with this name, and the pairs after it.
#[inline]
fn next_value<'a>(mut pairs: &'a [u8], name: &[u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let initial = name.first();
    loop {
        pairs = trim_start(pairs);
        // Nearly all pairs have another name, and mostly the first byte tells.
        if pairs.first() == initial {
            if let Some(found) = first_value(pairs, name) {
                return Some(found);
            }
        }
        pairs = pairs.get(memchr(b';', pairs)? + 1..)?;
    }
}

/// The value of the first of these pairs, if it has this name, and the pairs after it. Spaces
/// before the name are not skipped.
#[inline]
fn first_value<'a>(pairs: &'a [u8], name: &[u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    match trim_start(pairs.strip_prefix(name)?).split_first() {
        Some((b'=', value)) if !name.is_empty() => {
            let (value, after) = match memchr(b';', value) {
                Some(end) => (value.get(..end)?, value.get(end + 1..)),
                None => (value, None),
            };
            Some((trim_end(trim_start(value)), after))
        }
        _ => None,
    }
}
