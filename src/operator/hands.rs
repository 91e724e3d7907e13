//! What operators do by hand: who may, and what becomes of it.

mod by_hand;
mod running;

use sticky_core::directive::status::Rw;
use sticky_core::http::header_value::is_value;
use sticky_core::operator::access::{check_here, says_yes, Origin, Refusal, Visitor};
use sticky_core::operator::action::{Action, Order, MAX_BODY};
use sticky_core::operator::token;
use sticky_core::status::Done;

use crate::config::counted;
use crate::config::types::{LocationConf, MainConf, StatusPage, UpstreamConf};
use crate::ngx::log::Level;
use crate::ngx::request::Request;
use crate::zone::counters;

use by_hand::ByHand;
pub use running::{leave, see_drains, tick};

use super::servers::servers_of;

/// Why nothing is done: a status of HTTP, and a sentence.
pub struct Refused(pub u16, pub String);

impl Refused {
    fn new(status: u16, why: impl ToString) -> Self {
        Self(status, why.to_string())
    }
}

/// What becomes of an order.
pub enum Outcome {
    /// It is done.
    Done(Done),
    /// The operator is asked whether it is meant.
    Ask(String, Vec<(&'static str, Vec<u8>)>),
}

/// Headers of proxies.
const FORWARDED: [&[u8]; 3] = [b"forwarded", b"x-forwarded-for", b"via"];

/// Who does something.
pub struct Operator {
    /// As the log has it.
    who: String,
    /// What his tokens are for: no other page, and nobody else.
    scope: Vec<u8>,
}

/// Whether a request may do something, and who it is.
pub fn may_act(r: Request<'_>, page: &StatusPage<'_>) -> Result<Operator, Refusal> {
    let scope_of = |value: &[u8]| {
        let number = r.loc_conf::<LocationConf>().and_then(|it| it.status.get());
        [&number.unwrap_or_default().to_le_bytes()[..], value].concat()
    };
    let address = r.connected_address();
    match &page.rule.rw {
        None => Err(Refusal::ReadOnly),
        Some(Rw::Variable(_)) => {
            let main = r.main_conf::<MainConf<'_>>();
            let variable = main.and_then(|main| main.variable(page.variable?));
            let value = variable.and_then(|text| text.evaluate_anew(r));
            let value = value.unwrap_or_default();
            if !says_yes(value) {
                return Err(Refusal::Variable);
            }
            let (who, address) = (value.escape_ascii(), address.escape_ascii());
            Ok(Operator {
                who: format!("\"{who}\" at {address}"),
                scope: scope_of(value),
            })
        }
        Some(Rw::Here) => {
            let has = |name: &&[u8]| r.header_values(name).next().is_some();
            check_here(&Visitor {
                origin: Origin::of(address),
                is_forwarded: r.has_proxy_protocol() || FORWARDED.iter().any(has),
                host: r.host(),
            })?;
            Ok(Operator {
                who: address.escape_ascii().to_string(),
                scope: scope_of(b""),
            })
        }
    }
}

/// The secret of the tokens.
fn secret(r: Request<'_>) -> Option<(u64, u64)> {
    counters::secret(r.main_conf::<MainConf<'_>>()?.counters.get()?)
}

/// The token of the forms of a page that is sent now.
pub fn token_now(r: Request<'_>, operator: &Operator) -> Option<String> {
    Some(token::token(secret(r)?, &operator.scope, counters::now()))
}

/// Carries out the order in the body of a request.
pub fn carry_out(r: Request<'_>, page: &StatusPage<'_>) -> Result<Outcome, Refused> {
    let Operator { who, scope } = may_act(r, page).map_err(|why| Refused::new(403, why))?;
    if !is_value(r.body_type(), b"application/x-www-form-urlencoded") {
        let why = "expected Content-Type application/x-www-form-urlencoded";
        return Err(Refused::new(415, why));
    }
    let body = r.body(MAX_BODY);
    let (body, is_whole) = body.map_or_else(Default::default, |it| (it.bytes, it.is_whole));
    if !is_whole && !body.is_empty() {
        return Err(too_large());
    }
    let order = Order::parse(&body).map_err(|why| Refused::new(400, why))?;
    let is_client = r.header_values(b"x-sticky").any(|value| value == b"1");
    let is_form = || {
        let given = order.token.as_deref().unwrap_or_default();
        secret(r).is_some_and(|secret| token::is_valid(secret, &scope, given, counters::now()))
    };
    if !is_client && !is_form() {
        return Err(Refused::new(403, Refusal::Token));
    }
    let conf = page
        .upstreams
        .iter()
        .find(|us| us.name() == order.upstream)
        .and_then(|us| us.srv_conf::<UpstreamConf<'_>>());
    let Some(conf) = conf else {
        return Err(Refused::new(404, "no upstream of that name is shown here"));
    };
    let Some(sticky) = conf.active() else {
        let why = "nginx itself serves the sessions of this upstream";
        return Err(Refused::new(409, why));
    };
    let by_hand = ByHand {
        sticky,
        servers: servers_of(sticky.us, conf, sticky),
    };
    if !is_client && order.action.is_destructive() && !order.is_confirmed {
        return Ok(by_hand.ask(&order));
    }
    let done = by_hand.act(&order.action)?;
    if let Some(main) = r.main_conf::<MainConf<'_>>() {
        if let Action::Drain { server, .. } | Action::Undrain { server } = &order.action {
            let drains = main.cluster_drains.get();
            drains.inspect(|drains| drains.ordered(&order.upstream, server));
        }
        // Whoever looks next sees what has come of it.
        counted::start_counts(main, &[sticky.us]);
    }
    r.log().write(
        Level::Notice,
        format_args!("sticky: {who}: {}", done.text.trim_end_matches('.')),
    );
    Ok(Outcome::Done(done))
}

/// A body that is larger than any order.
pub fn too_large() -> Refused {
    Refused::new(413, format_args!("expected at most {MAX_BODY} bytes"))
}
