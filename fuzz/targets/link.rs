//! Links, and the headers that hold them, against a parser of the URL Standard: no id is taken from
//! a link that leads elsewhere, none is missed, and it is that of the request for the link. First
//! byte: the names; with bit 4 the first line is the page's `<base href>`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::response_headers;
use sticky_core::url::{refresh_target, ExtractedId, Names, Site};
use sticky_fuzz::{
    based, is_ambiguous, is_ambiguous_base, is_own_host, joined, names, pairs, site,
};
use url::{ParseError, Url};

/// The page with the links; the module does not know its scheme.
const PAGES: [&str; 2] = [
    "http://shop.example/shop/page?old=1#top",
    "https://shop.example/shop/page?old=1#top",
];

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let (_, names) = names(*choice);
    let page = Page {
        names,
        searches_paths: choice & 0x08 != 0,
        site: site(),
        base: None,
    };
    if choice & 0x10 != 0 {
        if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            page.based(&rest[..end]).read(&rest[end + 1..]);
        }
        return;
    }
    page.read(rest);
    for header in ["Location", "Content-Location", "Link", "Refresh", "X-Link"] {
        response_headers::urls_in_header(header.as_bytes(), rest, |link| page.read(link));
    }
    let target = refresh_target(rest);
    assert_eq!(target, refresh_by_the_standard(rest));
});

struct Page<'a> {
    names: Names,
    searches_paths: bool,
    site: Site,
    base: Option<&'a [u8]>,
}

impl<'a> Page<'a> {
    fn based(mut self, href: &'a [u8]) -> Self {
        self.site.rebase(href);
        Self {
            base: Some(href),
            ..self
        }
    }

    fn read(&self, link: &[u8]) {
        let extracted = self.names.in_link(link, &self.site);
        pairs::assert_usable(&extracted);
        let Ok(link) = std::str::from_utf8(link) else {
            return;
        };
        for page in PAGES {
            let page = Url::parse(page).expect("a URL");
            let href = match self.base.map(std::str::from_utf8) {
                Some(Err(_)) => return,
                Some(Ok(href)) => Some(href),
                None => None,
            };
            let base = href.map_or_else(|| page.clone(), |href| based(&page, href));
            let Some(expected) = self.expected(&base, link) else {
                continue;
            };
            if extracted == expected {
                continue;
            }
            // A base may have another id in its path.
            if self.base.is_some() && self.searches_paths && expected != ExtractedId::Absent {
                continue;
            }
            let is_missed = extracted == ExtractedId::Absent;
            let has_ambiguous_base = href.is_some_and(|href| is_ambiguous_base(&page, href));
            // "#top", to the base itself.
            let is_to_base = href.is_some() && !link.contains('?');
            assert!(
                is_missed && (is_to_base || is_ambiguous(link) || has_ambiguous_base),
                "{extracted:?}, not {expected:?}, in {link:?} on {base}"
            );
        }
    }

    /// The id that a browser would send. `None`: that cannot be told.
    fn expected(&self, base: &Url, link: &str) -> Option<ExtractedId<'static>> {
        let url = match joined(base, link) {
            Ok(url) => url,
            // To an invalid name: no browser follows it, so an id found in it does no harm.
            Err(ParseError::IdnaError | ParseError::InvalidDomainCharacter) => return None,
            Err(_) => return Some(ExtractedId::Absent),
        };
        let is_own =
            ["http", "https"].contains(&url.scheme()) && url.host_str().is_some_and(is_own_host);
        // The path in the request line.
        let path = url.path().as_bytes();
        if !is_own {
            return Some(ExtractedId::Absent);
        }
        if self.searches_paths {
            // A browser resolves dots: "/a;sid=1/../b" becomes a request for "/b".
            let lower = link.to_ascii_lowercase();
            if lower.contains("/.")
                || lower.contains("\\.")
                || lower.contains("%2e")
                || lower.starts_with('.')
            {
                return None;
            }
            let extracted = self.names.in_path(path);
            if extracted != ExtractedId::Absent {
                return Some(extracted.into_owned());
            }
        }
        let query = url.query().unwrap_or_default().as_bytes();
        Some(self.names.in_query(query).into_owned())
    }
}

/// HTML Standard, 4.2.5.3, shared declarative refresh steps, step by step.
fn refresh_by_the_standard(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value.trim_ascii();
    let has_time = rest.first().is_some_and(u8::is_ascii_digit) || rest.first() == Some(&b'.');
    if !has_time {
        return None;
    }
    while let [b'0'..=b'9' | b'.', after @ ..] = rest {
        rest = after;
    }
    match rest.first()? {
        b';' | b',' => {}
        byte if byte.is_ascii_whitespace() => {}
        _ => return None,
    }
    rest = rest.trim_ascii_start();
    if let [b';' | b',', after @ ..] = rest {
        rest = after.trim_ascii_start();
    }
    if let [b'u' | b'U', b'r' | b'R', b'l' | b'L', after @ ..] = rest {
        match after.trim_ascii_start() {
            [b'=', after @ ..] => rest = after.trim_ascii_start(),
            _ => return Some(rest),
        }
    }
    if let [quote @ (b'"' | b'\''), after @ ..] = rest {
        rest = after.split(|byte| byte == quote).next()?;
    }
    (!rest.is_empty()).then_some(rest)
}
