//! Finds values that look like ids in requests and responses.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::json;
use super::page::{self, Found};
use super::{is_shown, looks_like_id, Kind, Part, MAX_NAME};
use crate::events::Source;
use crate::http::header_value::{is_value, parameters};
use crate::http::media_type::{is_form, is_json, is_page, is_text, is_xml};
use crate::http::multipart;
use crate::scan::character_references;
use crate::scan::{Found as FoundId, Learner};

/// So much of a body is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// So many values of a request are kept.
pub const OF_REQUEST: usize = 24;

/// So many of a response.
pub const OF_RESPONSE: usize = 64;

/// Takes the name of a place, and a value there that looks like an id.
pub type Visit<'v> = dyn FnMut(Kind, &[u8], &[u8]) + 'v;

/// What a request has.
pub struct Request<'a> {
    /// Its path, undecoded.
    pub path: &'a [u8],
    /// Its query, without the question mark.
    pub query: &'a [u8],
    /// Its Content-Type.
    pub body_type: &'a [u8],
    /// The beginning of its body.
    pub body: &'a [u8],
}

/// Names of headers whose values are none of an application's ids.
const COMMON: [&[u8]; 35] = [
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-disposition",
    b"content-encoding",
    b"content-length",
    b"content-md5",
    b"content-security-policy",
    b"content-type",
    b"cookie",
    b"date",
    b"digest",
    b"etag",
    b"expires",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"last-modified",
    b"origin",
    b"referer",
    b"sec-websocket-accept",
    b"sec-websocket-key",
    b"server",
    b"traceparent",
    b"tracestate",
    b"user-agent",
    b"via",
    b"x-amzn-trace-id",
    b"x-request-id",
];

/// Whether the body of a request of this type is looked at.
pub fn reads_request(media_type: &[u8]) -> bool {
    is_json(media_type) || is_xml(media_type) || is_form(media_type)
}

/// Looks at the path, the query and the body of a request.
pub fn request(it: &Request<'_>, visit: &mut Visit<'_>) {
    parts_of(it.path, it.query, None, visit);
    if is_json(it.body_type) {
        members(it.body, None, visit);
    } else if is_xml(it.body_type) {
        elements(it.body, None, visit);
    } else if let Some(fields) = multipart::fields(it.body_type, it.body) {
        for field in fields {
            visit_id(
                Kind::of_request(Part::Form),
                &field.name,
                field.value,
                visit,
            );
        }
    } else if is_value(it.body_type, b"application/x-www-form-urlencoded") {
        pairs(it.body, Kind::of_request(Part::Form), visit);
    }
}

/// Looks at a header of a request. `name` in any case.
pub fn request_header(name: &[u8], value: &[u8], visit: &mut Visit<'_>) {
    let name = name.to_ascii_lowercase();
    match &name[..] {
        b"cookie" => {
            for pair in value.split(|byte| *byte == b';') {
                let mut parts = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
                let (name, value) = (parts.next().unwrap_or_default(), parts.next());
                let value = value.unwrap_or_default();
                visit_id(Kind::of_request(Part::Cookie), name, value, visit);
            }
        }
        b"authorization" => match value.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                visit_id(Kind::of_request(Part::Bearer), b"", token, visit);
            }
            Some((scheme, _)) if scheme.eq_ignore_ascii_case(b"digest ") => {
                digest(&name, value, None, visit);
            }
            _ => {}
        },
        _ if COMMON.contains(&&name[..]) || name.starts_with(b"x-forwarded") => {}
        _ => visit_id(Kind::of_request(Part::Header), &name, value, visit),
    }
}

/// Looks at a header of a response. `name` in any case.
pub fn response_header(name: &[u8], value: &[u8], visit: &mut Visit<'_>) {
    let name = name.to_ascii_lowercase();
    match &name[..] {
        b"set-cookie" => {
            let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
            let mut parts = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            let kind = Kind::of_response(Part::Cookie, Source::Cookie);
            visit_id(kind, name, value.unwrap_or_default(), visit);
        }
        b"location" | b"content-location" => link(value, Source::Location, visit),
        b"refresh" => {
            if let Some(at) = memchr::memchr(b'=', value) {
                link(
                    value.get(at + 1..).unwrap_or_default(),
                    Source::Location,
                    visit,
                );
            }
        }
        b"www-authenticate" => digest(&name, value, Some(Source::Header), visit),
        _ if COMMON.contains(&&name[..]) => {}
        _ => visit_id(
            Kind::of_response(Part::Header, Source::Header),
            &name,
            value,
            visit,
        ),
    }
}

/// Whether a body of this type is looked at.
pub fn reads(media_type: &[u8]) -> bool {
    is_page(media_type) || is_json(media_type) || is_text(media_type) || is_events(media_type)
}

/// Whether it is a stream of events.
pub fn is_events(media_type: &[u8]) -> bool {
    is_value(media_type, b"text/event-stream")
}

/// Looks at the beginning of the body of a response.
pub fn body(media_type: &[u8], text: &[u8], visit: &mut Visit<'_>) {
    if is_page(media_type) {
        page::read(text, &mut |found| match found {
            Found::Link(value) => link(&decoded(value), Source::Html, visit),
            Found::Field(name, value) => {
                let kind = Kind::of_response(Part::Form, Source::Html);
                visit_id(kind, &decoded(name), &decoded(value), visit);
            }
            Found::Literal(name, value) => {
                let kind = Kind::of_response(Part::Literal, Source::Script);
                visit_id(kind, name, value, visit);
            }
        });
    } else if is_events(media_type) {
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
                continue;
            };
            match data.first() {
                Some(b'{' | b'[') => members(data, Some(Source::Sse), visit),
                _ => link(data, Source::Sse, visit),
            }
        }
    } else if is_json(media_type) {
        members(text, Some(Source::Json), visit);
    } else if is_xml(media_type) {
        elements(text, Some(Source::Xml), visit);
    } else {
        // Engine.IO: a packet type before the object.
        let packet = text.trim_ascii();
        let digits = packet
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let packet = packet.get(digits..).unwrap_or_default();
        if packet.starts_with(b"{\"") {
            members(packet, Some(Source::Json), visit);
            return;
        }
        for line in text.split(|byte| byte.is_ascii_whitespace()) {
            if line.iter().any(|byte| matches!(byte, b'?' | b'/')) {
                link(line, Source::Text, visit);
            }
        }
    }
}

/// Without character references.
fn decoded(value: &[u8]) -> Vec<u8> {
    let mut scratch = Vec::new();
    character_references::decoded(value, &mut scratch).to_vec()
}

/// A nonce of Digest.
fn digest(header: &[u8], value: &[u8], source: Option<Source>, visit: &mut Visit<'_>) {
    let part = Part::HeaderParameter;
    // Parameters of a challenge are divided by commas, those that the reader knows by semicolons.
    let rest = value.get(7..).unwrap_or_default().iter();
    let rest = rest.map(|byte| if *byte == b',' { b';' } else { *byte });
    let all: Vec<u8> = b"digest; ".iter().copied().chain(rest).collect();
    for (name, nonce) in parameters(&all) {
        if name.eq_ignore_ascii_case(b"nonce") {
            visit_id(
                Kind { part, source },
                &[header, b":nonce"].concat(),
                &nonce,
                visit,
            );
        }
    }
}

/// The parts of a link, whichever host it leads to.
fn link(link: &[u8], source: Source, visit: &mut Visit<'_>) {
    let link = link.split(|byte| *byte == b'#').next().unwrap_or_default();
    let rest = match memchr::memmem::find(link, b"://") {
        Some(at) if at < 8 => {
            let rest = link.get(at + 3..).unwrap_or_default();
            match memchr::memchr2(b'/', b'?', rest) {
                Some(path) => rest.get(path..).unwrap_or_default(),
                None => return,
            }
        }
        _ => link,
    };
    let mut parts = rest.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next());
    parts_of(path, query.unwrap_or_default(), Some(source), visit);
}

/// The parameters and segments of a path, and the parameters of a query.
fn parts_of(path: &[u8], query: &[u8], source: Option<Source>, visit: &mut Visit<'_>) {
    let kind = |part| Kind { part, source };
    pairs(query, kind(Part::Query), visit);
    let mut prefix = Vec::new();
    for (at, segment) in path.split(|byte| *byte == b'/').enumerate() {
        let mut parameters = segment.split(|byte| *byte == b';');
        let own = parameters.next().unwrap_or_default();
        for pair in parameters {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            visit_id(kind(Part::Path), name, value.unwrap_or_default(), visit);
        }
        // A relative link says not where its path begins.
        let is_absolute = at > 0 && path.starts_with(b"/");
        let value: Cow<'_, [u8]> = percent_decode(own).into();
        // `/` is no prefix that tells anything from anything else.
        let is_id = looks_like_id(&value);
        if is_absolute && is_id && prefix.len() > 1 && is_shown(&prefix) {
            visit(kind(Part::Segment), &prefix, &value);
        }
        match is_id || is_number(own) {
            true => prefix.push(b'*'),
            false => prefix.extend_from_slice(own),
        }
        prefix.push(b'/');
        if prefix.len() > MAX_NAME {
            break;
        }
    }
}

/// A segment that is one of many, though no id of a session.
fn is_number(segment: &[u8]) -> bool {
    segment.len() > 1 && segment.iter().all(u8::is_ascii_digit)
}

fn pairs(query: &[u8], kind: Kind, visit: &mut Visit<'_>) {
    for pair in query.split(|byte| *byte == b'&') {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let value: Cow<'_, [u8]> = percent_decode(value.unwrap_or_default()).into();
        visit_id(kind, name, &value, visit);
    }
}

fn members(text: &[u8], source: Option<Source>, visit: &mut Visit<'_>) {
    let kind = Kind {
        part: Part::Json,
        source,
    };
    json::strings(text, &mut |member| {
        visit_id(kind, &member.path, member.value, visit);
        if let Some(source) = source {
            let is_url = member.value.starts_with(b"/") || member.value.starts_with(b"http");
            if is_url {
                link(member.value, source, visit);
            }
        }
        true
    });
}

fn elements(text: &[u8], source: Option<Source>, visit: &mut Visit<'_>) {
    let part = Part::Xml;
    page::values(text, &mut |name, value| {
        visit_id(Kind { part, source }, name, value, visit);
    });
}

fn visit_id(kind: Kind, name: &[u8], value: &[u8], visit: &mut Visit<'_>) {
    let value = value.trim_ascii();
    if is_shown(name) && looks_like_id(value) {
        let value: Cow<'_, [u8]> = match kind.part {
            // As directives read it.
            Part::Cookie | Part::Path => percent_decode(value).into(),
            _ => Cow::Borrowed(value),
        };
        visit(kind, name, &value);
    }
}

/// Keeps the beginning of a body.
#[derive(Default)]
pub struct Beginning(Vec<u8>);

impl Beginning {
    /// What has come so far, [`MAX_BODY`] at most.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether no more is kept.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_BODY
    }
}

impl Learner for Beginning {
    fn feed(&mut self, piece: &[u8], _: &mut FoundId<'_>) {
        let room = MAX_BODY.saturating_sub(self.0.len());
        self.0.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn end(&mut self, _: &mut FoundId<'_>) {}
}
