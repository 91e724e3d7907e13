//! The session ids of a request, in the order of `from=`. Nearly all requests have one at most, so
//! the first one is asked for alone, and all of them only where its session is not live.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use sticky_core::directive::{CheapPlaces, Place, QueryRule};
use sticky_core::discover::look;
use sticky_core::http::credentials;
use sticky_core::http::header_value;
use sticky_core::http::media_type;
use sticky_core::http::multipart;
use sticky_core::scan::json::MemberPaths;
use sticky_core::scan::xml::XmlNames;
use sticky_core::url::{BytePair, Met, Names, MAX_ID};

use crate::config::types::{MainConf, Sticky};
use crate::ngx::admission;
use crate::ngx::log::Level;
use crate::ngx::request::{Body, Request};
use crate::ngx::wide::may_have_pair;

/// So many bytes of a body are searched.
const SEARCHED: usize = 64 * 1024;

/// Called with each id, decoded, until it breaks.
type Visit<'v, 'r> = dyn FnMut(Cow<'r, [u8]>) -> ControlFlow<()> + 'v;

/// The same of a body, with the index of the member or element.
type VisitOfBody<'v> = dyn FnMut(usize, Vec<u8>) -> ControlFlow<()> + 'v;

/// The first id of a request.
pub enum First<'r> {
    /// It has none.
    None,
    /// This one, and the places from the one of this index on may have further ones.
    Id(&'r [u8], usize),
    /// It is in a body of JSON or XML, if there is one. That is read once for all ids.
    InBody,
}

/// The first id of a request.
#[inline]
pub fn first<'r>(r: Request<'r>, rule: &QueryRule) -> First<'r> {
    if !rule.begins_with_query {
        return first_elsewhere(r, rule);
    }
    // Nearly all ids come in a plain query, where nothing needs decoding.
    match rule.names.in_plain_query(r.args()) {
        Some(Some(id)) => First::Id(id, 1),
        Some(None) if r.is_as_sent() && is_rest_empty(r, rule) => First::None,
        None => match first_in_query(r, &rule.names) {
            Some(id) => First::Id(id, 0),
            None => first_behind_query(r, rule),
        },
        Some(None) => first_in_odd_query(r, rule),
    }
}

/// Where the arguments as they are now have no id, but perhaps those that the client sent.
#[inline(never)]
fn first_in_odd_query<'r>(r: Request<'r>, rule: &QueryRule) -> First<'r> {
    let id = match r.is_as_sent() {
        true => None,
        false => first_in_query(r, &rule.names),
    };
    match id {
        Some(id) => First::Id(id, 0),
        None => first_behind_query(r, rule),
    }
}

/// Where the query comes first and has none.
#[inline(never)]
fn first_behind_query<'r>(r: Request<'r>, rule: &QueryRule) -> First<'r> {
    let may = match &rule.cheap {
        Some(cheap) => May::of(r, rule, cheap),
        None => May::have_any(),
    };
    match may.any() {
        true => first_in_turn(r, rule, 1, may),
        false => First::None,
    }
}

/// The id of a request that has one Cookie header, with nothing in it but the session's cookie, where
/// cookies come first. `None`: there is more to look at.
#[inline(always)]
pub fn in_only_cookie<'r>(r: Request<'r>, rule: &QueryRule) -> Option<&'r [u8]> {
    if !rule.cheap.as_ref()?.begin_with_cookie {
        return None;
    }
    let mut headers = r.cookies();
    match (headers.next(), headers.next()) {
        (Some(header), None) => rule.names.in_cookie_alone(header),
        _ => None,
    }
}

/// Where another place comes first.
#[inline(never)]
fn first_elsewhere<'r>(r: Request<'r>, rule: &QueryRule) -> First<'r> {
    let Some(cheap) = &rule.cheap else {
        return first_in_turn(r, rule, 0, May::have_any());
    };
    let may = May::of(r, rule, cheap);
    if may.cookie && cheap.begin_with_cookie {
        if let Some(id) = in_plain_cookies(r, &rule.names) {
            return First::Id(id, 0);
        }
    }
    if may.any() {
        return first_in_turn(r, rule, 0, may);
    }
    if !cheap.query {
        return First::None;
    }
    match rule.names.in_plain_query(r.args()) {
        // The others have none.
        Some(Some(id)) => First::Id(id, rule.from.len()),
        Some(None) if r.is_as_sent() => First::None,
        _ => match first_in_query(r, &rule.names) {
            // Others of the query may follow.
            Some(id) => First::Id(id, 0),
            None => First::None,
        },
    }
}

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
            path: cheap.path && rule.names.may_be_in_request_path(r.unparsed_uri()),
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

/// The same, place by place, from the one of this index on.
#[inline(never)]
fn first_in_turn<'r>(r: Request<'r>, rule: &QueryRule, from: usize, may: May) -> First<'r> {
    let names = &rule.names;
    for (at, place) in rule.from.iter().enumerate().skip(from) {
        match place {
            Place::Query if r.args().is_empty() && r.is_as_sent() => {}
            Place::Query => {
                if let Some(id) = first_in_query(r, names) {
                    return First::Id(id, at);
                }
            }
            Place::Form | Place::Json(_) | Place::Xml(_) if !may.body || !r.has_body() => {}
            Place::Json(_) if media_type::is_json(r.body_type()) => return First::InBody,
            Place::Xml(_) if media_type::is_xml(r.body_type()) => return First::InBody,
            Place::Json(_) | Place::Xml(_) => {}
            Place::Segment(prefix) => {
                let id = names.id_in_segment(prefix, r.unparsed_uri());
                if let Some(id) = id.and_then(|id| kept(r, id)) {
                    return First::Id(id, at + 1);
                }
            }
            Place::Cookie if !may.cookie => {}
            Place::Cookie => {
                let id = names.first_in_cookies(r.cookies());
                if let Some(id) = id.and_then(|id| kept(r, id)) {
                    return First::Id(id, at);
                }
            }
            Place::Path if !may.path || !names.may_be_in_path(r.unparsed_uri()) => {}
            _ => {
                if let Some(id) = first_in_place(r, names, place) {
                    return First::Id(id, at);
                }
            }
        }
    }
    First::None
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

/// Whether it is plain that none of the places from the one of this index on has an id.
#[inline]
pub fn are_empty_from(r: Request<'_>, rule: &QueryRule, at: usize) -> bool {
    #[inline(never)]
    fn are_others_empty(r: Request<'_>, rule: &QueryRule, at: usize) -> bool {
        let places = rule.from.get(at..).unwrap_or_default();
        places.is_empty() || places.iter().all(Place::is_in_body) && !r.has_body()
    }
    at == 1 && is_rest_empty(r, rule) || are_others_empty(r, rule, at)
}

/// Whether all places but the first one are in a body that the request does not have.
#[inline(always)]
pub fn is_rest_empty(r: Request<'_>, rule: &QueryRule) -> bool {
    rule.rest_is_in_body && !r.has_body()
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

/// What was met since the last call that counts as no id. That one was too long is said once in
/// each worker, as an id that is not learned or not found looks like a fault elsewhere.
#[inline]
pub fn take_met(r: Request<'_>, sticky: &Sticky<'_>, names: &Names) -> Option<Met> {
    #[cold]
    #[inline(never)]
    fn take(r: Request<'_>, sticky: &Sticky<'_>, names: &Names) -> Met {
        let met = names.take_met();
        if met.too_long && !sticky.logged_too_long.replace(true) {
            log_too_long(r, sticky);
        }
        met
    }
    names.have_met_any().then(|| take(r, sticky, names))
}

#[cold]
fn log_too_long(r: Request<'_>, sticky: &Sticky<'_>) {
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
        Place::Json(members) => in_json(r, names, members, &mut |_, id| visit(Cow::Owned(id))),
        Place::Xml(elements) => in_xml(r, names, elements, &mut |_, id| visit(Cow::Owned(id))),
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
    // Else it is not read, which takes time where nginx has it in a file.
    if !media_type::is_form(media_type) {
        return ControlFlow::Continue(());
    }
    in_body(r, |body| match body.bytes {
        Cow::Borrowed(bytes) => in_form(names, media_type, bytes, body.is_whole, visit),
        Cow::Owned(bytes) => in_form(names, media_type, &bytes, body.is_whole, &mut |id| {
            visit(Cow::Owned(id.into_owned()))
        }),
    })
}

/// Whether the body of a request may be read for an id when its server is chosen.
pub fn may_be_in_body(r: Request<'_>) -> bool {
    r.will_have_body() && look::reads_request(r.body_type())
}

/// Has the beginning of the body read, if there is a body.
fn in_body<'r>(r: Request<'r>, read: impl FnOnce(Body<'r>) -> ControlFlow<()>) -> ControlFlow<()> {
    let Some(body) = r.body(SEARCHED) else {
        return ControlFlow::Continue(());
    };
    let length = body.bytes.len();
    let visited = read(body);
    admission::was_read(r, length);
    visited
}

fn in_json(
    r: Request<'_>,
    names: &Names,
    members: &Arc<MemberPaths>,
    visit: &mut VisitOfBody<'_>,
) -> ControlFlow<()> {
    if !media_type::is_json(r.body_type()) {
        return ControlFlow::Continue(());
    }
    in_body(r, |body| {
        members.visit_with_member(names, &body.bytes, visit)
    })
}

fn in_xml(
    r: Request<'_>,
    names: &Names,
    elements: &Arc<XmlNames>,
    visit: &mut VisitOfBody<'_>,
) -> ControlFlow<()> {
    if !media_type::is_xml(r.body_type()) {
        return ControlFlow::Continue(());
    }
    in_body(r, |body| {
        elements.visit_with_name(names, &body.bytes, visit)
    })
}

/// Whether a place of `from=` is in the body, and not all of that was searched.
#[cold]
pub fn may_be_out_of_reach(r: Request<'_>, rule: &QueryRule) -> bool {
    let media_type = r.body_type();
    let is_there = |place: &Place| match place {
        Place::Json(_) => media_type::is_json(media_type),
        Place::Xml(_) => media_type::is_xml(media_type),
        Place::Form => media_type::is_form(media_type),
        _ => false,
    };
    rule.from.iter().any(is_there) && !r.body(SEARCHED).is_some_and(|body| body.is_whole)
}

/// What `$sticky_from` calls the member or element of a body that has an id for which `is_wanted`.
pub fn place_in_body(
    r: Request<'_>,
    names: &Names,
    place: &Place,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let mut found = None;
    let mut visit = |index: usize, id: Vec<u8>| match is_wanted(&id) {
        true => {
            found = Some(index);
            ControlFlow::Break(())
        }
        false => ControlFlow::Continue(()),
    };
    let name = match place {
        Place::Json(members) => {
            // Whether it has broken, found tells.
            let _ = in_json(r, names, members, &mut visit);
            members.text(found?)?
        }
        Place::Xml(elements) => {
            let _ = in_xml(r, names, elements, &mut visit);
            elements.name(found?)?.to_vec()
        }
        _ => return None,
    };
    Some([&*place.label(), b":", &*name].concat())
}

/// What `$sticky_from` calls the place in the body of a request, without a look at it: with a name
/// where it can only be one.
pub fn body_place(r: Request<'_>, rule: &QueryRule) -> Option<Vec<u8>> {
    let media_type = r.body_type();
    let is_there = |place: &&Place| match place {
        Place::Json(_) => media_type::is_json(media_type),
        Place::Xml(_) => media_type::is_xml(media_type),
        Place::Form => media_type::is_form(media_type),
        _ => false,
    };
    let place = rule.from.iter().find(is_there)?;
    let name = match place {
        Place::Json(members) if members.text(1).is_none() => members.text(0),
        Place::Xml(elements) if elements.name(1).is_none() => elements.name(0).map(<[u8]>::to_vec),
        Place::Form => {
            let mut names = rule.names.one_by_one().map(|(name, _)| name.to_vec());
            names.next().filter(|_| names.next().is_none())
        }
        _ => None,
    };
    let label = place.label();
    Some(match name {
        Some(name) => [&*label, b":", &*name].concat(),
        None => label,
    })
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
