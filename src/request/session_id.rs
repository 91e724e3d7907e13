//! The session ids of a request, in the order of `from=`. Nearly all requests have one at most, so
//! the first one is asked for alone, and all of them only where its session is not live.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use sticky_core::directive::{CheapPlaces, Place, QueryRule};
use sticky_core::http::credentials;
use sticky_core::http::header_value;
use sticky_core::http::media_type;
use sticky_core::http::multipart;
use sticky_core::scan::json::MemberPaths;
use sticky_core::scan::xml::XmlNames;
use sticky_core::url::{BytePair, Names, MAX_ID};

use crate::config::types::{MainConf, Sticky};
use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::ngx::wide::may_have_pair;

/// So many bytes of a body are searched.
const SEARCHED: usize = 64 * 1024;

/// Called with each id, decoded, until it breaks.
type Visit<'v, 'r> = dyn FnMut(Cow<'r, [u8]>) -> ControlFlow<()> + 'v;

/// The first id of a request, and the places that may have further ones.
#[inline(always)]
pub fn first<'r, 'p>(r: Request<'r>, rule: &'p QueryRule) -> Option<(&'r [u8], &'p [Place])> {
    let all = rule.from.as_slice();
    let Some(cheap) = &rule.cheap else {
        return first_in_turn(r, &rule.names, all, May::have_any());
    };
    if cheap.begin_with_query {
        return first_in_query_or(r, rule, cheap);
    }
    let may = May::of(r, rule, cheap);
    if may.cookie && cheap.begin_with_cookie {
        if let Some(id) = in_plain_cookies(r, &rule.names) {
            return Some((id, all));
        }
    }
    if may.any() {
        return first_in_turn(r, &rule.names, all, may);
    }
    if !cheap.query {
        return None;
    }
    match rule.names.in_plain_query(r.args()) {
        Some(Some(id)) => Some((id, &[])),
        Some(None) if r.is_as_sent() => None,
        _ => Some((first_in_query(r, &rule.names)?, &QUERY)),
    }
}

/// The same where the query comes first.
#[inline(always)]
fn first_in_query_or<'r, 'p>(
    r: Request<'r>,
    rule: &'p QueryRule,
    cheap: &CheapPlaces,
) -> Option<(&'r [u8], &'p [Place])> {
    let [_, others @ ..] = rule.from.as_slice() else {
        return None;
    };
    // Nearly all ids come in a plain query, where nothing needs decoding.
    match rule.names.in_plain_query(r.args()) {
        Some(Some(id)) => return Some((id, others)),
        Some(None) if r.is_as_sent() => {}
        _ => {
            if let Some(id) = first_in_query(r, &rule.names) {
                return Some((id, &rule.from));
            }
        }
    }
    let may = May::of(r, rule, cheap);
    if !may.any() {
        return None;
    }
    first_in_turn(r, &rule.names, others, may)
}

/// Where an id is the last of its place, others of the query may follow.
const QUERY: [Place; 1] = [Place::Query];

#[inline(never)]
fn in_plain_cookies<'r>(r: Request<'r>, names: &Names) -> Option<&'r [u8]> {
    let mut headers = r.cookies();
    match (headers.next(), headers.next()) {
        (Some(header), None) => names.first_in_plain_cookies(header),
        _ => None,
    }
}

/// Places that a quick look has found empty have no id.
#[derive(Clone, Copy)]
struct May {
    body: bool,
    cookie: bool,
    path: bool,
}

impl May {
    #[inline(always)]
    fn of(r: Request<'_>, rule: &QueryRule, cheap: &CheapPlaces) -> Self {
        Self {
            body: cheap.body && r.has_body(),
            cookie: cheap.cookie && may_be_in_cookies(r, &rule.names),
            path: cheap.path && rule.names.may_be_in_path(r.unparsed_uri()),
        }
    }

    fn have_any() -> Self {
        Self {
            body: true,
            cookie: true,
            path: true,
        }
    }

    #[inline(always)]
    fn any(self) -> bool {
        self.body | self.cookie | self.path
    }
}

/// The same, place by place.
#[inline(never)]
fn first_in_turn<'r, 'p>(
    r: Request<'r>,
    names: &Names,
    from: &'p [Place],
    may: May,
) -> Option<(&'r [u8], &'p [Place])> {
    let mut places = from;
    while let [place, others @ ..] = places {
        match place {
            Place::Query if r.args().is_empty() && r.is_as_sent() => {}
            Place::Query => {
                if let Some(id) = first_in_query(r, names) {
                    return Some((id, places));
                }
            }
            Place::Form | Place::Json(_) | Place::Xml(_) if !may.body || !r.has_body() => {}
            Place::Segment(prefix) => {
                if let Some(id) = names.id_in_segment(prefix, r.unparsed_uri()) {
                    return Some((kept(r, id)?, others));
                }
            }
            Place::Cookie if !may.cookie => {}
            Place::Cookie => {
                if let Some(id) = names.first_in_cookies(r.cookies()) {
                    return Some((kept(r, id)?, places));
                }
            }
            Place::Path if !may.path || !names.may_be_in_path(r.unparsed_uri()) => {}
            _ => {
                if let Some(id) = first_in_place(r, names, place) {
                    return Some((id, places));
                }
            }
        }
        places = others;
    }
    None
}

/// Whether a cookie may have one of the names: a quick look.
#[inline(always)]
fn may_be_in_cookies(r: Request<'_>, names: &Names) -> bool {
    #[inline(never)]
    fn may_have(header: &[u8], names: &Names) -> bool {
        let may_have =
            |pair: &BytePair| may_have_pair(header, pair.first, pair.second, pair.distance);
        match names.pairs_in_cookies() {
            [pair] => may_have(pair),
            pairs => pairs.iter().any(may_have),
        }
    }
    for header in r.cookies() {
        if may_have(header, names) {
            return true;
        }
    }
    false
}

#[inline(never)]
fn first_in_query<'r>(r: Request<'r>, names: &Names) -> Option<&'r [u8]> {
    match names.first_in_query(r.args()) {
        Some(id) => kept(r, id),
        None if r.is_as_sent() => None,
        None => first_in_place(r, names, &Place::Query),
    }
}

#[inline(never)]
fn first_in_place<'r>(r: Request<'r>, names: &Names, place: &Place) -> Option<&'r [u8]> {
    let mut first = None;
    let _ = in_place(r, names, place, &mut |id| {
        first = Some(id);
        ControlFlow::Break(())
    });
    kept(r, first?)
}

/// Whether it is plain that none of these places has an id.
#[inline]
pub fn are_empty(r: Request<'_>, places: &[Place]) -> bool {
    match places {
        [] => true,
        [Place::Form] => !r.has_body(),
        places => places.iter().all(Place::is_in_body) && !r.has_body(),
    }
}

/// Visits all ids.
#[inline(never)]
pub fn visit<'r>(r: Request<'r>, rule: &QueryRule, visit: &mut Visit<'_, 'r>) -> ControlFlow<()> {
    for place in &rule.from {
        in_place(r, &rule.names, place, visit)?;
    }
    ControlFlow::Continue(())
}

/// Visits the values of the parameter of `mode=rewrite`: in the query, as it is now or as the
/// client sent it, then in the posted form.
pub fn visit_server_values<'r>(
    r: Request<'r>,
    names: &Names,
    visit: &mut Visit<'_, 'r>,
) -> ControlFlow<()> {
    in_place(r, names, &Place::Query, visit)?;
    in_place(r, names, &Place::Form, visit)
}

/// An id for as long as the request lives. `None`: no memory is left.
pub fn kept<'r>(r: Request<'r>, id: Cow<'r, [u8]>) -> Option<&'r [u8]> {
    match id {
        Cow::Borrowed(id) => Some(id),
        Cow::Owned(id) => r.pool()?.copy(&id),
    }
}

/// Says once, in each worker, that an id was too long, as an id that is not learned or not found
/// looks like a fault elsewhere.
#[inline]
pub fn note_too_long(r: Request<'_>, sticky: &Sticky<'_>, names: &Names) {
    if names.have_met_too_long() && !sticky.logged_too_long.get() {
        log_too_long(r, sticky);
    }
}

#[cold]
fn log_too_long(r: Request<'_>, sticky: &Sticky<'_>) {
    sticky.logged_too_long.set(true);
    r.log().write(
        Level::Error,
        format_args!(
            "sticky: a session id of more than {MAX_ID} bytes counts as none, upstream \"{}\"",
            sticky.upstream.escape_ascii()
        ),
    );
}

/// Visits the ids of one place.
pub fn in_place<'r>(
    r: Request<'r>,
    names: &Names,
    place: &Place,
    visit: &mut Visit<'_, 'r>,
) -> ControlFlow<()> {
    match place {
        Place::Query => in_arguments(r, names, visit),
        Place::Form => in_form_body(r, names, visit),
        Place::Path => names.ids_in_path(r.unparsed_path()).try_for_each(visit),
        Place::Segment(prefix) => {
            let id = names.id_in_segment(prefix, r.unparsed_uri());
            id.into_iter().try_for_each(visit)
        }
        Place::Cookie => names.ids_in_cookies(r.cookies()).try_for_each(visit),
        Place::Header(name) => names
            .ids_in_headers(r.header_values(name))
            .try_for_each(visit),
        Place::Json(members) => in_json(r, names, members, visit),
        Place::Xml(elements) => in_xml(r, names, elements, visit),
        Place::HeaderParameter { header, name } => names
            .ids_in_parameters(r.header_values(header), name)
            .try_for_each(visit),
        Place::Bearer => {
            let values = r.header_values(b"authorization");
            let tokens = values.filter_map(credentials::bearer);
            names.ids_in_headers(tokens).try_for_each(visit)
        }
        Place::Variable(number) => {
            let text = r
                .main_conf()
                .and_then(|main: &MainConf<'r>| main.variable(*number));
            let value = text.and_then(|text| text.evaluate(r));
            names.ids_in_headers(value.into_iter()).try_for_each(visit)
        }
    }
}

/// The arguments as they are now. Where these have no id, those of its request for a subrequest
/// (`auth_request`, SSI), which belongs to that session; then those that the client sent, for
/// `rewrite` and `set $args` may have dropped the id.
fn in_arguments<'r>(r: Request<'r>, names: &Names, visit: &mut Visit<'_, 'r>) -> ControlFlow<()> {
    let of_main = (!r.is_main()).then(|| r.main().args());
    let sent = (!r.is_as_sent()).then(|| r.unparsed_args());
    for args in [Some(r.args()), of_main, sent].into_iter().flatten() {
        let mut has_any = false;
        names.ids_in_query(args).try_for_each(|id| {
            has_any = true;
            visit(id)
        })?;
        if has_any {
            break;
        }
    }
    ControlFlow::Continue(())
}

fn in_form_body<'r>(r: Request<'r>, names: &Names, visit: &mut Visit<'_, 'r>) -> ControlFlow<()> {
    let media_type = r.body_type();
    let is_urlencoded = header_value::is_value(media_type, b"application/x-www-form-urlencoded");
    // Else it is not read, which takes time where nginx has it in a file.
    if !is_urlencoded && !header_value::is_value(media_type, b"multipart/form-data") {
        return ControlFlow::Continue(());
    }
    let Some(body) = r.body(SEARCHED) else {
        return ControlFlow::Continue(());
    };
    match body.bytes {
        Cow::Borrowed(bytes) => in_form(names, media_type, bytes, body.is_whole, visit),
        Cow::Owned(bytes) => in_form(names, media_type, &bytes, body.is_whole, &mut |id| {
            visit(Cow::Owned(id.into_owned()))
        }),
    }
}

fn in_json<'r>(
    r: Request<'r>,
    names: &Names,
    members: &Arc<MemberPaths>,
    visit: &mut Visit<'_, 'r>,
) -> ControlFlow<()> {
    if !media_type::is_json(r.body_type()) {
        return ControlFlow::Continue(());
    }
    match r.body(SEARCHED) {
        Some(body) => members.visit_ids(names, &body.bytes, &mut |id| visit(Cow::Owned(id))),
        None => ControlFlow::Continue(()),
    }
}

fn in_xml<'r>(
    r: Request<'r>,
    names: &Names,
    elements: &Arc<XmlNames>,
    visit: &mut Visit<'_, 'r>,
) -> ControlFlow<()> {
    if !media_type::is_xml(r.body_type()) {
        return ControlFlow::Continue(());
    }
    match r.body(SEARCHED) {
        Some(body) => elements.visit_ids(names, &body.bytes, &mut |id| visit(Cow::Owned(id))),
        None => ControlFlow::Continue(()),
    }
}

fn in_form<'a>(
    names: &Names,
    media_type: &[u8],
    body: &'a [u8],
    is_whole: bool,
    visit: &mut Visit<'_, 'a>,
) -> ControlFlow<()> {
    if let Some(fields) = multipart::fields(media_type, body) {
        return names.ids_in_fields(fields).try_for_each(visit);
    }
    if !header_value::is_value(media_type, b"application/x-www-form-urlencoded") {
        return ControlFlow::Continue(());
    }
    let body = if is_whole {
        body
    } else {
        // The last pair may be cut.
        let end = body.iter().rposition(|byte| *byte == b'&').unwrap_or(0);
        body.get(..end).unwrap_or_default()
    };
    names.ids_in_form(body).try_for_each(visit)
}
