//! What operators see: the answers of a location with `sticky_status`.

mod discovery;
mod gather;
pub mod hands;
mod servers;
mod statsd;

use sticky_core::operator::action::MAX_BODY;
use sticky_core::status::{self, media_type, Form, Notice, Query, Writing};

use crate::config::counted;
use crate::config::types::{LocationConf, MainConf, StatusPage};
use crate::ngx::background_task;
use crate::ngx::chain::Code;
use crate::ngx::cycle::Cycle;
use crate::ngx::process::{self, Role};
use crate::ngx::request::{Head, Method, Reply, Request, WithBody};
use crate::ngx::upstream::Upstream;

use gather::Gathered;
use hands::Outcome;

/// Sent with each answer: nothing keeps it, and nothing takes it for another type.
const CACHE_CONTROL: (&[u8], &[u8]) = (b"Cache-Control", b"no-store");
const NO_SNIFFING: (&[u8], &[u8]) = (b"X-Content-Type-Options", b"nosniff");
const POLICY: &[u8] = b"Content-Security-Policy";
const ALLOW: (&[u8], &[u8]) = (b"Allow", b"GET, HEAD");

/// Of so many upstreams a thread counts the sessions that is started at a time.
const COUNTED_AT_ONCE: usize = 128;

/// What is left to be done in a second, in this order.
#[derive(Clone, Copy, Default)]
pub enum Duties {
    #[default]
    Hands,
    Statsd,
    /// From the upstream of that number on.
    Drains(usize),
    Discovery,
    /// From the upstream of that number on.
    Limits(usize),
}

/// Does what is to be done every second in every worker, as long as it `may_go_on`, or one step of it.
/// Returns what is left.
pub fn go_on(running: Cycle<'_>, duties: Duties, may_go_on: &dyn Fn() -> bool) -> Option<Duties> {
    let main = running.main_conf::<MainConf<'_>>()?;
    match duties {
        Duties::Hands => {
            hands::tick(main);
            statsd::begin(main);
            Some(Duties::Statsd)
        }
        Duties::Statsd if statsd::go_on(main, may_go_on) => Some(Duties::Statsd),
        Duties::Statsd => {
            let is_first = matches!(process::role(), Role::Worker(0) | Role::Single);
            is_first.then_some(Duties::Drains(0))
        }
        Duties::Drains(from) => {
            let next = hands::see_drains(main, from, may_go_on);
            Some(next.map_or(Duties::Discovery, Duties::Drains))
        }
        Duties::Discovery => {
            discovery::tick(main);
            (!process::is_draining()).then_some(Duties::Limits(0))
        }
        Duties::Limits(from) => counted::see_limits(main, from, may_go_on).map(Duties::Limits),
    }
}

/// Called before a worker ends.
pub fn leave_worker(running: Cycle<'_>) {
    background_task::stop_all();
    if let Some(main) = running.main_conf::<MainConf<'_>>() {
        hands::leave(main);
        statsd::leave(main);
    }
}

/// Answers a request.
pub fn answer(r: Request<'_>) -> Reply {
    let path = r.path();
    let base = Some(r.location_name()).filter(|base| path.starts_with(base));
    let form = Form::of(path, base);
    let code = match r.method() {
        Method::Get | Method::Head => match form {
            Some(form) => return show(r, form, 200, None),
            None => refuse(
                r,
                form,
                404,
                "There is no such page: expected nothing, /json or /metrics.",
            ),
        },
        Method::Post => return post(r, form),
        Method::Other => refuse(r, form, 405, "Expected GET, HEAD or POST."),
    };
    Reply::of(code)
}

/// Something is to be done.
fn post(r: Request<'_>, form: Option<Form>) -> Reply {
    let refused = match form {
        Some(Form::Page | Form::Json) => {
            // Before the body is read, of which there may be much.
            let is_large = r
                .body_length()
                .is_some_and(|length| length > MAX_BODY as u64);
            match with_page(r, |page| hands::may_act(r, page).err()) {
                Some(None) if is_large => {
                    let hands::Refused(status, why) = hands::too_large();
                    refuse(r, form, status, &why)
                }
                Some(None) => return r.read_body::<Posted>(),
                Some(Some(why)) => refuse(r, form, 403, &why.to_string()),
                None => Code::FAILED,
            }
        }
        Some(Form::Metrics) => refuse(r, form, 405, "Expected GET or HEAD."),
        None => refuse(r, form, 404, "Expected nothing, or /json."),
    };
    Reply::of(refused)
}

/// A POST whose body has come.
struct Posted;

impl WithBody for Posted {
    fn handle(r: Request<'_>) -> Reply {
        let path = r.path();
        let base = Some(r.location_name()).filter(|base| path.starts_with(base));
        let form = Form::of(path, base);
        let Some(outcome) = with_page(r, |page| hands::carry_out(r, page)) else {
            return Reply::of(Code::FAILED);
        };
        if form == Some(Form::Json) {
            return Reply::of(match outcome {
                Ok(Outcome::Done(done)) => {
                    let text = status::done(&done);
                    send(r, 200, media_type::JSON, &[], |out| out(&text))
                }
                Ok(Outcome::Ask(question, _)) => refuse(r, form, 409, &question),
                Err(hands::Refused(status, why)) => refuse(r, form, status, &why),
            });
        }
        let (status, notice) = match outcome {
            Ok(Outcome::Done(done)) => (200, Notice::Done(sentence(&done.text))),
            Ok(Outcome::Ask(text, parameters)) => (200, Notice::Ask(text, parameters)),
            Err(hands::Refused(status, why)) => (status, Notice::Refused(sentence(&why))),
        };
        show(r, Form::Page, status, Some(notice))
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}

/// Calls a function with what the directive of the location says.
fn with_page<'r, T>(r: Request<'r>, f: impl FnOnce(&StatusPage<'r>) -> T) -> Option<T> {
    let number = r.loc_conf::<LocationConf>()?.status.get()?;
    let pages = r.main_conf::<MainConf<'_>>()?.status_pages.borrow();
    pages.get(number).map(f)
}

fn show(r: Request<'_>, form: Form, status: u16, notice: Option<Notice>) -> Reply {
    let shown = with_page(r, |page| {
        let shows_all = page.rule.upstreams.is_empty();
        (
            page.upstreams.clone(),
            hands::may_act(r, page).ok(),
            shows_all,
        )
    });
    let Some((upstreams, operator, shows_all)) = shown else {
        return Reply::of(Code::FAILED);
    };
    let chosen = Query(r.args()).upstream();
    let is_known = |name: &Vec<u8>| upstreams.iter().any(|us| us.name() == name);
    if chosen.as_ref().is_some_and(|name| !is_known(name)) {
        return Reply::of(refuse(
            r,
            Some(form),
            404,
            "No upstream of that name is shown here.",
        ));
    }
    let chosen = chosen.as_deref();
    let is_chosen = |us: &Upstream<'_>| chosen.is_none_or(|name| us.name() == name);
    let chosen_ones: Vec<_> = upstreams.into_iter().filter(is_chosen).collect();
    let mut uncounted = chosen_ones.clone().into_iter();
    let mut gathered = Gathered::new(chosen_ones);
    gathered.about.notice = notice;
    if shows_all && chosen.is_none() {
        gathered.about.cluster = r.main_conf().and_then(gather::cluster);
    }
    let (media_type, mut writing) = match form {
        Form::Page => {
            gathered.about.token = operator.and_then(|operator| hands::token_now(r, &operator));
            (media_type::PAGE, Writing::page(r.path(), chosen))
        }
        Form::Json => (media_type::JSON, Writing::json()),
        Form::Metrics => (media_type::METRICS, Writing::metrics()),
    };
    with_head(status, media_type, &[], |head| {
        r.reply_in_turns(head, move |out| {
            // For the next look at it: a count takes longer than a request may.
            let some: Vec<_> = uncounted.by_ref().take(COUNTED_AT_ONCE).collect();
            if let (Some(main), false) = (r.main_conf::<MainConf<'_>>(), some.is_empty()) {
                counted::start_counts(main, &some);
            }
            writing.go_on(&gathered, out)
        })
    })
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
    with_head(status, media_type, more, |head| {
        r.reply::<LocationConf>(head, write)
    })
}

/// Calls a function with the header of an answer.
fn with_head<T>(
    status: u16,
    media_type: &'static [u8],
    more: &[(&'static [u8], &'static [u8])],
    f: impl FnOnce(Head<'_>) -> T,
) -> T {
    let policy = status::content_security_policy().as_bytes();
    let headers = [&[CACHE_CONTROL, NO_SNIFFING, (POLICY, policy)], more].concat();
    f(Head {
        status,
        media_type,
        headers: &headers,
    })
}
