//! Media types, as far as they decide how a body is read.

use crate::http::header_value::{is_value, value_of};

/// Whether it is HTML, in either of its two syntaxes, or the XHTML of WAP.
#[inline]
pub fn is_page(media_type: &[u8]) -> bool {
    const XHTML: &[u8] = b"application/xhtml+xml";
    is_value(media_type, b"text/html") || media_type.len() >= XHTML.len() && is_xhtml(media_type)
}

#[inline(never)]
fn is_xhtml(media_type: &[u8]) -> bool {
    is_value(media_type, b"application/xhtml+xml")
        || is_value(media_type, b"application/vnd.wap.xhtml+xml")
}

/// Whether it is JSON: `application/json`, `text/json`, any type that ends in `+json` (RFC 6839,
/// 3.1), and `application/x-ndjson`, with a JSON text per line.
pub fn is_json(media_type: &[u8]) -> bool {
    let subtype = subtype(media_type);
    subtype.eq_ignore_ascii_case(b"json")
        || subtype.eq_ignore_ascii_case(b"x-ndjson")
        || ends_with(subtype, b"+json")
}

/// Whether it is the type of a script that browsers run, as the tag names it: JavaScript, a module.
pub fn is_script(media_type: &[u8]) -> bool {
    let kinds: [&[u8]; 7] = [
        b"",
        b"module",
        b"text/javascript",
        b"application/javascript",
        b"text/ecmascript",
        b"application/ecmascript",
        b"application/x-javascript",
    ];
    kinds
        .iter()
        .any(|kind| media_type.eq_ignore_ascii_case(kind))
}

/// Whether it is a type of the payloads of older versions of Engine.IO, which much else has, too:
/// `application/octet-stream`, JavaScript.
pub fn is_of_engine_io(media_type: &[u8]) -> bool {
    let kinds: [&[u8]; 3] = [
        b"application/octet-stream",
        b"text/javascript",
        b"application/javascript",
    ];
    kinds.iter().any(|kind| is_value(media_type, kind))
}

/// Whether it is XML: `application/xml`, `text/xml`, any type that ends in `+xml` (RFC 7303).
pub fn is_xml(media_type: &[u8]) -> bool {
    let subtype = subtype(media_type);
    subtype.eq_ignore_ascii_case(b"xml") || ends_with(subtype, b"+xml")
}

/// Whether it is a posted form, with files or without.
pub fn is_form(media_type: &[u8]) -> bool {
    is_value(media_type, b"application/x-www-form-urlencoded")
        || is_value(media_type, b"multipart/form-data")
}

/// Whether it is text for people or scripts: `text/…`, XML, JavaScript, JSON, playlists of HLS.
pub fn is_text(media_type: &[u8]) -> bool {
    let subtype = subtype(media_type);
    let kinds: [&[u8]; 9] = [
        b"xml",
        b"javascript",
        b"x-javascript",
        b"ecmascript",
        b"x-www-form-urlencoded",
        b"vnd.apple.mpegurl",
        b"x-mpegurl",
        b"mpegurl",
        b"vnd.apple.mpegurl.audio",
    ];
    let essence = value_of(media_type);
    let is_top_level = essence
        .get(..5)
        .is_some_and(|top| top.eq_ignore_ascii_case(b"text/"));
    is_top_level
        || is_json(media_type)
        || ends_with(subtype, b"+xml")
        || kinds.iter().any(|kind| subtype.eq_ignore_ascii_case(kind))
}

fn subtype(media_type: &[u8]) -> &[u8] {
    let essence = value_of(media_type);
    let slash = memchr::memchr(b'/', essence);
    slash
        .and_then(|at| essence.get(at + 1..))
        .unwrap_or_default()
}

fn ends_with(subtype: &[u8], suffix: &[u8]) -> bool {
    let at = subtype.len().checked_sub(suffix.len());
    at.and_then(|at| subtype.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}
