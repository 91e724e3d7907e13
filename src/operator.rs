//! What operators see: the answers of a location with `sticky_status`.

mod gather;

use sticky_core::status::{self, media_type, Form, Query};

use crate::config::counted;
use crate::config::types::{LocationConf, MainConf};
use crate::ngx::chain::Code;
use crate::ngx::request::{Head, Method, Request};
use crate::ngx::upstream::Upstream;

/// Sent with each answer: nothing keeps it, and nothing takes it for another type.
const CACHE_CONTROL: (&[u8], &[u8]) = (b"Cache-Control", b"no-store");
const NO_SNIFFING: (&[u8], &[u8]) = (b"X-Content-Type-Options", b"nosniff");
const POLICY: &[u8] = b"Content-Security-Policy";
const ALLOW: (&[u8], &[u8]) = (b"Allow", b"GET, HEAD");

/// Answers a request.
pub fn answer(r: Request<'_>) -> Code {
    let path = r.path();
    let base = Some(r.location_name()).filter(|base| path.starts_with(base));
    let form = Form::of(path, base);
    match r.method() {
        Method::Get | Method::Head => match form {
            Some(form) => show(r, form),
            None => refuse(
                r,
                form,
                404,
                "There is no such page: expected nothing, /json or /metrics.",
            ),
        },
        Method::Post => refuse(r, form, 403, "Nothing can be changed here."),
        Method::Other => refuse(r, form, 405, "Expected GET or HEAD."),
    }
}

fn show(r: Request<'_>, form: Form) -> Code {
    let Some(upstreams) = shown(r) else {
        return Code::FAILED;
    };
    let chosen = Query(r.args()).upstream();
    let is_known = |name: &Vec<u8>| upstreams.iter().any(|us| us.name() == name);
    if chosen.as_ref().is_some_and(|name| !is_known(name)) {
        return refuse(
            r,
            Some(form),
            404,
            "No upstream of that name is shown here.",
        );
    }
    let chosen = chosen.as_deref();
    let is_chosen = |us: &Upstream<'_>| chosen.is_none_or(|name| us.name() == name);
    let chosen_ones: Vec<_> = upstreams.into_iter().filter(is_chosen).collect();
    if let Some(main) = r.main_conf::<MainConf<'_>>() {
        // For the next look at it: a count takes longer than a request may.
        counted::start_counts(main, &chosen_ones);
    }
    let report = gather::report(chosen_ones.into_iter());
    match form {
        Form::Page => send(r, 200, media_type::PAGE, &[], |out| {
            status::page(&report, r.path(), chosen, out);
        }),
        Form::Json => send(r, 200, media_type::JSON, &[], |out| {
            status::json(&report, out);
        }),
        Form::Metrics => send(r, 200, media_type::METRICS, &[], |out| {
            status::metrics(&report, out);
        }),
    }
}

/// The upstreams of the location.
fn shown(r: Request<'_>) -> Option<Vec<Upstream<'_>>> {
    let number = r.loc_conf::<LocationConf>()?.status.get()?;
    let pages = r.main_conf::<MainConf<'_>>()?.status_pages.borrow();
    Some(pages.get(number)?.upstreams.clone())
}

/// Says why, in the form that was asked for.
fn refuse(r: Request<'_>, form: Option<Form>, code: u16, why: &str) -> Code {
    let allow = [ALLOW];
    let more: &[_] = if code == 405 { &allow } else { &[] };
    match form {
        Some(Form::Json) => {
            let text = status::refusal(code, why);
            send(r, code, media_type::JSON, more, |out| out(&text))
        }
        _ => send(r, code, media_type::TEXT, more, |out| {
            out(why.as_bytes());
            out(b"\n");
        }),
    }
}

fn send(
    r: Request<'_>,
    status: u16,
    media_type: &'static [u8],
    more: &[(&'static [u8], &'static [u8])],
    write: impl FnOnce(&mut dyn FnMut(&[u8])),
) -> Code {
    let policy = status::content_security_policy().as_bytes();
    let headers = [&[CACHE_CONTROL, NO_SNIFFING, (POLICY, policy)], more].concat();
    let head = Head {
        status,
        media_type,
        headers: &headers,
    };
    r.reply::<LocationConf>(head, write)
}
