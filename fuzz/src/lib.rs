//! Common to the fuzz targets: how an input is split, and the rules for all readers of outside
//! bytes. Each target compares what is read with an oracle: the same rule in naive code, or a
//! parser of another crate.

pub mod json;
#[path = "../../src/core/tests/pages/oracle.rs"]
pub mod oracle;
pub mod pairs;
pub mod pieces;
pub mod seals;
#[path = "../../src/core/tests/xml/mod.rs"]
pub mod xml;

use sticky_core::url::{LinkPart, Names, Site};
use url::{ParseError, Url};

/// The names that the first byte of an input chooses from: the usual one, one within another, one
/// that links may write with an escape, one that is no literal at all, those of paths.
const NAMES: [&[&[u8]]; 8] = [
    &[b"sid"],
    &[b"sid", b"id", b"xsid"],
    &[b"$sid", b"PHPSESSID"],
    &[b"!", b"a"],
    &[b"(S)"],
    &[b"(S)", b"sid"],
    &[b"jsessionid", b"JSESSIONID"],
    &[b":sid", b"s:"],
];

/// The host whose pages are read.
pub const HOST: &str = "shop.example";

/// The names chosen by a byte; with bit 3 searched in paths, too.
pub fn names(choice: u8) -> (&'static [&'static [u8]], Names) {
    let plain = NAMES[usize::from(choice) % NAMES.len()];
    let names = Names::new(plain.iter().map(|name| (*name).into()).collect());
    let parts = match choice & 0x08 {
        0 => vec![LinkPart::Query],
        _ => vec![LinkPart::Path, LinkPart::Query],
    };
    (plain, names.in_parts(parts))
}

/// The delimiter of ids, with bit 5 of the byte.
pub fn delimiter(choice: u8) -> Option<u8> {
    (choice & 0x20 != 0).then_some(b'.')
}

/// The site of [`HOST`], with another host, and all subdomains of a third.
pub fn site() -> Site {
    let others = [b"www.example"[..].into(), b".static.example"[..].into()];
    Site::new(HOST.as_bytes(), &others)
}

/// A link on a page of http, as the URL Standard reads it. The crate url takes the host of
/// `///host` for empty; the Standard skips all slashes ("special authority ignore slashes state").
pub fn joined(page: &Url, link: &str) -> Result<Url, ParseError> {
    let plain: String = link.chars().filter(|c| !"\t\r\n".contains(*c)).collect();
    let plain = plain.trim_matches(|c| c <= ' ');
    let rest = plain.trim_start_matches(['/', '\\']);
    if plain.len() - rest.len() > 2 && ["http", "https"].contains(&page.scheme()) {
        return page.join(&format!("//{rest}"));
    }
    page.join(link)
}

/// Whether [`site`] has this host, according to docs/directives.md.
pub fn is_own_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // A host that is nothing but what stands behind a name is none.
    let below = host.strip_suffix(".static.example");
    [HOST, "www.example", "static.example"].contains(&&*host)
        || below.is_some_and(|name| !name.is_empty())
}

/// Where the relative links of a page lead that has this `<base href>` (HTML Standard, 4.2.3, "set
/// the frozen base URL").
pub fn based(page: &Url, href: &str) -> Url {
    match joined(page, href) {
        Ok(base) if !["data", "javascript"].contains(&base.scheme()) => base,
        _ => page.clone(),
    }
}

/// Whether the module may take a base that does not count for one to another host: where that
/// depends on the scheme of the page, or on what a browser takes for a host.
pub fn is_ambiguous_base(page: &Url, href: &str) -> bool {
    let plain = href.trim_start_matches(|c| c <= ' ').to_ascii_lowercase();
    let plain = plain.replace(['\t', '\r', '\n'], "");
    let is_of_http = ["http:", "https:", "/", "\\"]
        .iter()
        .any(|start| plain.starts_with(start));
    is_ambiguous(href)
        || match joined(page, href) {
            Ok(_) => false,
            Err(ParseError::EmptyHost | ParseError::InvalidPort) => !is_of_http,
            Err(_) => true,
        }
}

/// Links of the site in which the module finds nothing, as documented: a scheme without a host,
/// whose meaning depends on the page's scheme, and hosts that IDNA would map.
pub fn is_ambiguous(link: &str) -> bool {
    let link: String = link.chars().filter(|c| !"\t\r\n".contains(*c)).collect();
    let link = link.trim_matches(|c| c <= ' ').to_ascii_lowercase();
    let link = link.replace('\\', "/");
    let after_scheme = ["http:", "https:"]
        .iter()
        .find_map(|scheme| link.strip_prefix(scheme));
    if after_scheme.is_some_and(|rest| !rest.starts_with("//")) {
        return true;
    }
    let authority = after_scheme.unwrap_or(&link).trim_start_matches('/');
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_ascii() || authority.contains('%') || authority.contains("xn--")
}
