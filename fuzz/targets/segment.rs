//! Ids that are a segment of a path: in requests against the same rules in naive code, in links
//! against a parser of the URL Standard. First byte: the prefix; with bit 4 the first line is the
//! page's `<base href>`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_core::url::{ExtractedId, LinkPart, Names, SegmentPrefix, Site};
use sticky_fuzz::pairs::{assert_usable, unescaped};
use sticky_fuzz::{based, delimiter, is_ambiguous, is_ambiguous_base, is_own_host, joined, site};
use url::{ParseError, Url};

const PREFIXES: [&str; 8] = [
    "/s/",
    "/shop/",
    "/*/",
    "/shop/*/",
    "/*/s/",
    "/",
    "/a%20b/",
    "/shop/api/s/",
];

/// Of the page, which the module is told.
const PAGE: &str = "/shop/api/page";

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let text = PREFIXES[usize::from(*choice) % PREFIXES.len()];
    let prefix = SegmentPrefix::new(text.as_bytes()).expect("a valid prefix");
    let in_request = prefix.value_in(rest).map(|value| value.into_owned());
    assert_eq!(in_request, naive(text, rest), "{text}");

    // Whatever is taken for a prefix, its own text leads to an empty segment behind it.
    if let Some(prefix) = SegmentPrefix::new(rest) {
        assert_eq!(prefix.value_in(rest).as_deref(), Some(&b""[..]));
    }

    let names = Names::new(Vec::new())
        .with_segments(vec![prefix])
        .in_parts(vec![LinkPart::Segment(0)])
        .cut_at(delimiter(*choice));
    let site = site().at(PAGE.as_bytes());
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) if choice & 0x10 != 0 => {
            let mut based = site;
            based.rebase(&rest[..end]);
            let Ok(base) = std::str::from_utf8(&rest[..end]) else {
                return;
            };
            check(&names, text, &based, Some(base), &rest[end + 1..]);
        }
        _ => check(&names, text, &site, None, rest),
    }
});

fn naive(prefix: &str, url: &[u8]) -> Option<Vec<u8>> {
    let path = url.split(|byte| b"?#".contains(byte)).next()?;
    let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
    let inner = prefix.strip_prefix('/')?;
    for step in inner
        .strip_suffix('/')
        .into_iter()
        .flat_map(|steps| steps.split('/'))
    {
        let segment = unescaped(segments.next()?);
        if step != "*" && segment != unescaped(step.as_bytes()) {
            return None;
        }
    }
    segments.next().map(unescaped)
}

fn check(names: &Names, prefix: &str, site: &Site, base: Option<&str>, link: &[u8]) {
    let extracted = names.in_link(link, site);
    assert_usable(&extracted);
    let Ok(link) = std::str::from_utf8(link) else {
        return;
    };
    if [Some(link), base].into_iter().flatten().any(has_drive) {
        return;
    }
    for scheme in ["http", "https"] {
        let page = format!("{scheme}://shop.example{PAGE}?old=1#top");
        let page = Url::parse(&page).expect("a URL");
        let has_ambiguous_base = base.is_some_and(|base| is_ambiguous_base(&page, base));
        let base = base.map_or_else(|| page.clone(), |base| based(&page, base));
        let url = match joined(&base, link) {
            Ok(url) => url,
            Err(ParseError::IdnaError | ParseError::InvalidDomainCharacter) => continue,
            Err(_) => {
                assert_eq!(extracted, ExtractedId::Absent, "{link:?}");
                continue;
            }
        };
        let is_own =
            ["http", "https"].contains(&url.scheme()) && url.host_str().is_some_and(is_own_host);
        let expected = naive(prefix, url.path().as_bytes()).filter(|_| is_own);
        let expected = match expected.and_then(|value| names_cut(names, &value)) {
            Some(id) => ExtractedId::Id(id.into()),
            None => ExtractedId::Absent,
        };
        if extracted == expected {
            continue;
        }
        // Where the host or the scheme is read otherwise, as the target for links allows; a link
        // without a path, to the page itself or its base.
        let is_missed = extracted == ExtractedId::Absent;
        let is_to_page = url.path() == base.path();
        assert!(
            is_missed && (is_to_page || is_ambiguous(link) || has_ambiguous_base),
            "{extracted:?}, not {expected:?}, in {link:?} on {base}"
        );
    }
}

/// Whether a segment is the letter of a drive of Windows. The crate url does not take it out for
/// `..` in a URL of http either; the Standard only keeps it in one of file ("shorten a url's path").
fn has_drive(reference: &str) -> bool {
    let plain = reference.replace(['\t', '\r', '\n'], "");
    let mut segments = plain.split(['/', '\\']).map(str::as_bytes);
    segments.any(|segment| matches!(segment, [b'A'..=b'Z' | b'a'..=b'z', b':' | b'|']))
}

/// The id in a value, which is cut at the delimiter.
fn names_cut(names: &Names, value: &[u8]) -> Option<Vec<u8>> {
    names.id_in(value).map(<[u8]>::to_vec)
}
