//! The session id of a request: the first place of `from=` that has one decides.

use std::borrow::Cow;

use sticky_core::directive::{Place, QueryRule};
use sticky_core::http::header_value;
use sticky_core::http::multipart;
use sticky_core::url::{ExtractedId, Names};

use crate::ngx::request::{Body, Request};

/// So many bytes of a posted form are searched.
const SEARCHED: usize = 64 * 1024;

/// The session id of a request, decoded. `None`: it has none, or several in one place, or no memory is
/// left.
pub fn find<'r>(r: Request<'r>, rule: &QueryRule) -> Option<&'r [u8]> {
    for place in &rule.from {
        // Nearly all ids come in a plain query, where nothing needs decoding.
        let carried = match place {
            Place::Query => match rule.names.in_plain_query(r.args()) {
                Some(Some(id)) => return Some(id),
                Some(None) if r.is_main() => continue,
                _ => in_place(r, &rule.names, place),
            },
            Place::Form if !r.has_body() => continue,
            _ => in_place(r, &rule.names, place),
        };
        if carried != ExtractedId::Absent {
            return decoded(r, carried);
        }
    }
    None
}

/// The parameter of `mode=rewrite` in a request, decoded: in its query, as it is now or as the client
/// sent it, or in the posted form.
pub fn server_value<'r>(r: Request<'r>, names: &Names) -> Option<&'r [u8]> {
    let sent = r.main().unparsed_uri();
    let sent = sent.split(|byte| *byte == b'#').next().unwrap_or_default();
    let sent = sent.splitn(2, |byte| *byte == b'?').nth(1);
    let places: [&dyn Fn() -> ExtractedId<'r>; 3] = [
        &|| in_place(r, names, &Place::Query),
        &|| names.in_query(sent.unwrap_or_default()),
        &|| in_place(r, names, &Place::Form),
    ];
    let mut carried = places.into_iter().map(|place| place());
    decoded(r, carried.find(|carried| *carried != ExtractedId::Absent)?)
}

fn decoded<'r>(r: Request<'r>, carried: ExtractedId<'r>) -> Option<&'r [u8]> {
    match carried {
        ExtractedId::Id(Cow::Borrowed(id)) => Some(id),
        ExtractedId::Id(Cow::Owned(id)) => r.pool()?.copy(&id),
        ExtractedId::Absent | ExtractedId::Conflict => None,
    }
}

#[inline(never)]
fn in_place<'r>(r: Request<'r>, names: &Names, place: &Place) -> ExtractedId<'r> {
    match place {
        Place::Query => match names.in_query(r.args()) {
            // A subrequest (auth_request, SSI) belongs to the session of its request.
            ExtractedId::Absent if !r.is_main() => names.in_query(r.main().args()),
            found => found,
        },
        Place::Form => match r.body(SEARCHED) {
            Some(body) => in_body(names, r.body_type(), body),
            None => ExtractedId::Absent,
        },
        Place::Path => names.in_path(r.unparsed_path()),
        Place::Cookie => names.in_cookies(r.cookies()),
        Place::Header(name) => names.in_header(r.header_values(name)),
    }
}

fn in_body<'r>(names: &Names, media_type: &[u8], body: Body<'r>) -> ExtractedId<'r> {
    match body.bytes {
        Cow::Borrowed(bytes) => in_form(names, media_type, bytes, body.is_whole),
        Cow::Owned(bytes) => in_form(names, media_type, &bytes, body.is_whole).into_owned(),
    }
}

fn in_form<'a>(
    names: &Names,
    media_type: &[u8],
    body: &'a [u8],
    is_whole: bool,
) -> ExtractedId<'a> {
    if let Some(fields) = multipart::fields(media_type, body) {
        return names.in_fields(fields);
    }
    if !header_value::is_value(media_type, b"application/x-www-form-urlencoded") {
        return ExtractedId::Absent;
    }
    if is_whole {
        return names.in_form(body);
    }
    // The last pair may be cut.
    let end = body.iter().rposition(|byte| *byte == b'&').unwrap_or(0);
    names.in_form(body.get(..end).unwrap_or_default())
}
