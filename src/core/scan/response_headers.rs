//! Finds the URLs and the session ids in the header of a response.

#[cfg(test)]
use super::learn_set::HeaderPart;
use super::learn_set::LearnSet;
use crate::events::Source;
use crate::http::cookie;
use crate::url::{refresh_target, Names, MAX_SEARCHED};

/// How long the names are of the headers that are learned from, a bit for each: most headers of a
/// response have a name of another length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameLengths(u64);

impl NameLengths {
    /// The longest that is told apart; all that are longer count as such.
    const LONGEST: usize = u64::BITS as usize - 1;

    /// Those of the headers that are `learn`ed from.
    pub fn of(learn: &LearnSet) -> Self {
        names(learn).fold(Self::default(), Self::with)
    }

    /// These, and that of another name.
    pub fn with(self, name: &[u8]) -> Self {
        Self(self.0 | 1 << name.len().min(Self::LONGEST))
    }

    /// Whether a name of that length is one of them.
    #[inline(always)]
    pub fn have(self, length: usize) -> bool {
        self.0 >> length.min(Self::LONGEST) & 1 != 0
    }
}

/// The headers that are `learn`ed from, in small letters.
pub fn names(learn: &LearnSet) -> impl Iterator<Item = &[u8]> {
    let links: [&[u8]; 4] = [b"location", b"content-location", b"refresh", b"link"];
    let links = links.into_iter().filter(|_| learn.location);
    let cookies = (!learn.cookies.is_empty()).then_some(&b"set-cookie"[..]);
    let own = learn.headers.iter().map(|header| &*header.name);
    links.chain(cookies).chain(own)
}

/// Calls `visit` with every id that the header `name: value` holds as such: the value of a cookie,
/// unless the header deletes it, the whole value of the header, or one of its parameters; and with
/// which source of `learn=` that is. `now` is Unix time in seconds.
pub fn ids_in_header(
    learn: &LearnSet,
    names: &Names,
    (name, value): (&[u8], &[u8]),
    now: impl Fn() -> i64,
    mut visit: impl FnMut(&[u8], Source),
) {
    if !learn.cookies.is_empty() && name.eq_ignore_ascii_case(b"set-cookie") {
        let mut own = learn.cookies.iter();
        if let Some(id) = own.find_map(|own| cookie::value_set(value, own)) {
            let id = names.id_in_cookie(id);
            if let Some(id) = id.filter(|_| !cookie::is_deletion(value, now())) {
                visit(&id, Source::Cookie);
            }
        }
    }
    for own in &learn.headers {
        if !name.eq_ignore_ascii_case(&own.name) {
            continue;
        }
        match &own.parameter {
            None => names
                .id_in(value.trim_ascii())
                .into_iter()
                .for_each(|id| visit(id, Source::Header)),
            Some(parameter) => names
                .ids_in_parameters(std::iter::once(value), parameter)
                .for_each(|id| visit(&id, Source::Header)),
        }
    }
}

/// Calls `visit` with every URL reference that the header `name: value` holds: the value of
/// Location (RFC 9110, 10.2.2) and Content-Location (8.7), those in angle brackets in Link (RFC
/// 8288, 3), and the URL of Refresh (HTML Standard, "shared declarative refresh steps"). Other
/// headers hold none.
pub fn urls_in_header<'a>(name: &[u8], value: &'a [u8], mut visit: impl FnMut(&'a [u8])) {
    match name.len() {
        8 if is_location(name) => visit(value),
        16 if name.eq_ignore_ascii_case(b"content-location") => visit(value),
        7 if name.eq_ignore_ascii_case(b"refresh") => {
            if let Some(url) = refresh_target(value) {
                visit(url);
            }
        }
        4 if name.eq_ignore_ascii_case(b"link") => {
            let mut rest = value.get(..MAX_SEARCHED).unwrap_or(value);
            while let Some(start) = rest.iter().position(|&byte| byte == b'<') {
                let after = rest.get(start + 1..).unwrap_or_default();
                let Some(end) = after.iter().position(|&byte| byte == b'>') else {
                    break;
                };
                // One without a URL leads to the page itself.
                if end > 0 {
                    visit(after.get(..end).unwrap_or_default());
                }
                rest = after.get(end + 1..).unwrap_or_default();
            }
        }
        _ => {}
    }
}

/// Whether a name is that of the header which mostly has an id, in any case: all eight bytes are
/// compared at once.
#[inline]
pub fn is_location(name: &[u8]) -> bool {
    // Sets what tells a small letter from a capital, and makes no other byte a letter.
    const SMALL: u64 = u64::from_ne_bytes([b' '; 8]);
    const LOCATION: u64 = u64::from_ne_bytes(*b"location");
    <[u8; 8]>::try_from(name).is_ok_and(|name| u64::from_ne_bytes(name) | SMALL == LOCATION)
}

/// Whether a name is that of the header which sets a cookie, in any case, in two looks.
#[inline]
pub fn is_set_cookie(name: &[u8]) -> bool {
    const SMALL: u64 = u64::from_ne_bytes([b' '; 8]);
    const START: u64 = u64::from_ne_bytes(*b"set-cook");
    const END: u64 = u64::from_ne_bytes(*b"t-cookie");
    let is = |block: &[u8; 8], wanted| u64::from_ne_bytes(*block) | SMALL == wanted;
    // What makes letters small makes another byte a hyphen.
    name.len() == 10
        && name.get(3) == Some(&b'-')
        && name.first_chunk().is_some_and(|block| is(block, START))
        && name.last_chunk().is_some_and(|block| is(block, END))
}

#[cfg(test)]
mod tests {
    use super::{is_set_cookie, urls_in_header, HeaderPart, LearnSet, NameLengths, MAX_SEARCHED};

    #[test]
    fn lengths_are_those_of_the_names() {
        let long = [b'x'; 70];
        let header = |name: &[u8]| HeaderPart {
            name: name.into(),
            parameter: None,
        };
        let lengths = |learn: &LearnSet| {
            let lengths = NameLengths::of(learn);
            (0..100).filter(|n| lengths.have(*n)).collect::<Vec<_>>()
        };
        let mut learn = LearnSet::default();
        assert_eq!(lengths(&learn), []);
        learn.location = true;
        assert_eq!(lengths(&learn), [4, 7, 8, 16]);
        learn.cookies.push(b"sid"[..].into());
        assert_eq!(lengths(&learn), [4, 7, 8, 10, 16]);
        learn.headers.push(header(b"www-authenticate"));
        learn.headers.push(header(b"x-session-id"));
        assert_eq!(lengths(&learn), [4, 7, 8, 10, 12, 16]);
        learn.headers.push(header(&long));
        let all = [4, 7, 8, 10, 12, 16].into_iter().chain(63..100);
        assert_eq!(lengths(&learn), all.collect::<Vec<_>>());
        assert!(NameLengths::default().with(b"set-cookie").have(10));
    }

    fn urls<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
        let mut urls = Vec::new();
        urls_in_header(name.as_bytes(), value.as_bytes(), |url| {
            urls.push(std::str::from_utf8(url).unwrap());
        });
        urls
    }

    #[test]
    fn so_much_of_a_header_is_searched() {
        let links = |count: usize| "<?sid=1>".repeat(count);
        let most = MAX_SEARCHED / links(1).len();
        for (count, found) in [(most, most), (most + 1, most), (10 * most, most)] {
            assert_eq!(urls("link", &links(count)).len(), found, "{count} links");
        }
    }

    #[test]
    fn the_header_of_cookies_is_known_in_any_case() {
        for is in ["set-cookie", "Set-Cookie", "SET-COOKIE", "sEt-cOOkiE"] {
            assert!(is_set_cookie(is.as_bytes()), "{is}");
        }
        for is_not in [
            "",
            "set-cooki",
            "set-cookie2",
            "set_cookie",
            "set\rcookie",
            "set-coo\u{b}ie",
            "sit-cookie",
            "set-cookia",
            "et-cookie-",
        ] {
            assert!(!is_set_cookie(is_not.as_bytes()), "{is_not:?}");
        }
        for at in 0..10 {
            for byte in 0..=u8::MAX {
                let mut name = *b"Set-Cookie";
                name[at] = byte;
                let expected = name.eq_ignore_ascii_case(b"set-cookie");
                assert_eq!(is_set_cookie(&name), expected, "{name:?}");
            }
        }
    }

    #[test]
    fn urls_are_found_in_headers() {
        for (name, value, expected) in [
            ("Location", "/a?sid=1", &["/a?sid=1"][..]),
            ("LOCATION", "http://h/a", &["http://h/a"]),
            ("l\u{4f}cation", "/a", &["/a"]),
            ("l\u{f}cation", "/a", &[]),
            ("l/cation", "/a", &[]),
            ("content-location", "/b", &["/b"]),
            ("Refresh", "5; url=/a?sid=1", &["/a?sid=1"]),
            ("Refresh", "0;URL='/a b'", &["/a b"]),
            ("Refresh", "0, url = \"/q\" trailing", &["/q"]),
            ("Refresh", "3; /plain", &["/plain"]),
            ("Refresh", "3", &[]),
            ("Refresh", "3;", &[]),
            ("Refresh", "3; url=", &[]),
            (
                "Link",
                "</a>; rel=next, <b?sid=1>; rel=\"prev\"",
                &["/a", "b?sid=1"],
            ),
            ("Link", "<>, </a>", &["/a"]),
            ("Link", "<unfinished", &[]),
            ("Link", "none", &[]),
            ("X-Location", "/a", &[]),
            ("Set-Cookie", "sid=1", &[]),
        ] {
            assert_eq!(urls(name, value), expected, "{name}: {value}");
        }
    }
}
