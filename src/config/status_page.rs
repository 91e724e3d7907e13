//! `sticky_status`: which upstreams a location shows.

use sticky_core::directive::status::{self, Rw};

use crate::ngx::complex::Text;
use crate::ngx::conf::Conf;
use crate::ngx::upstream::Upstream;

use super::error::Refusal;
use super::types::{LocationConf, MainConf, StatusPage, UpstreamConf};

/// The directive `sticky_status`. `false`: it is a duplicate.
pub fn set(cf: Conf<'_>, location: &LocationConf) -> Result<bool, Refusal> {
    if location.status.get().is_some() {
        return Ok(false);
    }
    let rule = status::parse(&cf.words()).map_err(Refusal::Status)?;
    let main = cf.main_conf::<MainConf<'_>>().ok_or(Refusal::Reported)?;
    let variable = match &rule.rw {
        Some(Rw::Variable(text)) => {
            let text = Text::compile(cf, text).ok_or(Refusal::Reported)?;
            Some(main.add_variable(text))
        }
        Some(Rw::Here) | None => None,
    };
    let mut pages = main.status_pages.borrow_mut();
    location.status.set(Some(pages.len()));
    pages.push(StatusPage {
        rule,
        variable,
        at: cf.position(),
        upstreams: Vec::new(),
    });
    Ok(true)
}

/// What is said of a directive that answers the location's requests, and stands before ours.
pub const REPLACES: &str =
    "\"sticky_status\" answers all requests of this location, what else would \
                            answer them (\"proxy_pass\" and the like) is without effect";

/// The location's requests are answered by what stands behind the directive.
pub fn warn_replaced(cf: Conf<'_>, location: &LocationConf) {
    let (Some(number), Some(main)) = (location.status.get(), cf.main_conf::<MainConf<'_>>()) else {
        return;
    };
    if let Some(page) = main.status_pages.borrow().get(number) {
        cf.warn_elsewhere(format_args!(
            "\"sticky_status\" is without effect, a directive behind it (\"proxy_pass\" and the \
             like) answers the requests of the location{}",
            page.at
        ));
    }
}

/// Called when all upstreams are known.
pub fn complete<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let is_sticky = |us: &Upstream<'c>| {
        let conf = us.srv_conf::<UpstreamConf<'c>>();
        conf.is_some_and(|conf| conf.sticky.get().is_some())
    };
    let sticky: Vec<Upstream<'c>> = cf.upstreams().into_iter().filter(is_sticky).collect();
    for page in main.status_pages.borrow_mut().iter_mut() {
        let names = &page.rule.upstreams;
        let unknown = names
            .iter()
            .find(|name| !sticky.iter().any(|us| us.name() == name.as_slice()));
        if let Some(name) = unknown {
            let known: Vec<&[u8]> = sticky.iter().map(|us| us.name()).collect();
            return Err(Refusal::NotSticky {
                name: name.clone(),
                hint: status::hint(name, &known),
                at: page.at.to_string(),
            });
        }
        let is_shown =
            |us: &Upstream<'c>| names.is_empty() || names.iter().any(|name| us.name() == name);
        page.upstreams = sticky.iter().copied().filter(is_shown).collect();
    }
    Ok(())
}
