//! The directives of an upstream: from their words to its configuration.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use ngx::core::NGX_CONF_OK;
use sticky_core::counters::SessionLimit;
use sticky_core::directive::nginx_forms::NginxRule;
use sticky_core::directive::server_parameters::{self, ServerError};
use sticky_core::directive::{self, Mode, QueryRule, ZoneChoice};
use sticky_core::scan::readers::Readers;
use sticky_core::table;

use crate::ngx::complex::Text;
use crate::ngx::conf::{Conf, Position};
use crate::ngx::cycle::Cycle;
use crate::ngx::hook::{self, Policy};
use crate::ngx::owned::Owned;
use crate::ngx::shm::ZoneError;
use crate::ngx::upstream::Upstream;
use crate::zone::sessions::{Scope, Sessions, DEFAULT_SIZE};
use crate::zone::table_zone::TableZone;

use super::cluster;
use super::cluster_zone;
use super::clustered;
use super::cookie_variables::CookieVariables;
use super::counted;
use super::discovery;
use super::doubts::Doubt;
use super::error::Refusal;
use super::key_file;
use super::nginx_forms::{NginxForm, NginxLearn};
use super::share;
use super::state_file;
use super::statsd;
use super::status_page;
use super::types::{Discovery, HidingConfs, LocationConf, MainConf, Rule, Sticky, UpstreamConf};

/// The bit in `down` of a server that gets only the requests of its own sessions: that of
/// NGX_HTTP_UPSTREAM_DRAINING (since nginx 1.29.6). Balancers before that take it for `down`.
pub const DRAINING: usize = 8;

/// The directive `sticky`.
pub fn sticky<P: Policy>(cf: Conf<'_>) -> Result<(), Refusal> {
    if !cf.is_in_upstream() {
        return Err(Refusal::Outside("sticky"));
    }
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = us.srv_conf::<UpstreamConf<'_>>().ok_or(Refusal::Reported)?;
    if conf.sticky.get().is_some() {
        return Err(Refusal::Duplicate);
    }
    let mode = parse(cf)?;
    show(cf, conf, b"sticky")?;
    for doubt in directive::warnings(&mode, &cf.words()) {
        cf.warn(format_args!("{doubt}"));
    }
    note_cookie(cf, &mode)?;
    let is_dry_run = mode.is_dry_run();
    let rule = match mode {
        Mode::Cookie(rule) => {
            let variables = CookieVariables::new(cf, &rule, us.name()).ok_or(Refusal::Reported)?;
            Rule::Cookie(rule, variables)
        }
        Mode::Query(mut rule) => {
            compile_variables(cf, &mut rule)?;
            share::check(cf, us, &rule)?;
            let sessions = sessions(cf, us, &rule)?;
            let mut doubts = conf.doubts.borrow_mut();
            if rule.zone == ZoneChoice::Off {
                doubts.push(Doubt::local_zone(cf, us.name()));
            }
            let state = rule.state.as_deref();
            doubts.extend(state.and_then(|word| Some(Doubt::state_file(cf, cf.full_name(word)?))));
            let readers = Readers::new(&rule.learn, &rule.response_names);
            Rule::Query(*rule, sessions, readers)
        }
        Mode::Rewrite(rule) => Rule::Rewrite(rule),
        Mode::Discover(rule) => Rule::Discover(Discovery {
            rule,
            watch: OnceCell::new(),
        }),
        Mode::Nginx { rule, .. } => Rule::NginxForm(nginx_form::<P>(cf, us, rule, is_dry_run)?),
    };
    let sticky = Sticky {
        us,
        upstream: us.name(),
        rule,
        is_dry_run,
        at: cf.position(),
        sharers: OnceCell::new(),
        sharers_servers: OnceCell::new(),
        counters: OnceCell::new(),
        own_counters: OnceCell::new(),
        counts_arrivals: Cell::new(false),
        watches_first: Cell::new(false),
        fixed: OnceCell::new(),
        changing: RefCell::default(),
        attributes: RefCell::default(),
        logged_encoding: Cell::new(false),
        logged_too_long: Cell::new(false),
        logged_broken_page: Cell::new(false),
        logged_unknown_balancer: Cell::new(false),
        logged_no_number: Cell::new(false),
        hiding: HidingConfs::default(),
    };
    conf.sticky.set(sticky).map_err(|_| Refusal::Duplicate)
}

/// Keeps the words of the directive, without secrets, for the pages of operators.
pub fn show<'c>(cf: Conf<'c>, conf: &UpstreamConf<'c>, name: &[u8]) -> Result<(), Refusal> {
    let line = directive::shown(name, &cf.words());
    let line = cf.pool().and_then(|pool| pool.copy(&line));
    conf.shown.borrow_mut().push(line.ok_or(Refusal::Reported)?);
    Ok(())
}

/// Notes the name of a cookie that clients send for nginx alone.
fn note_cookie(cf: Conf<'_>, mode: &Mode) -> Result<(), Refusal> {
    let name = match mode {
        // The application's own cookie has that name.
        Mode::Cookie(rule) if rule.transfer => return Ok(()),
        Mode::Cookie(rule) => &rule.name,
        Mode::Nginx {
            rule: NginxRule::Cookie(rule),
            ..
        } => &rule.name,
        _ => return Ok(()),
    };
    let main = cf.main_conf::<MainConf<'_>>().ok_or(Refusal::Reported)?;
    let mut known = main.own_cookies.borrow_mut();
    if !known.iter().any(|known| **known == **name) {
        known.push(name.as_slice().into());
    }
    Ok(())
}

/// Compiles the texts with variables of a directive, and gives them their numbers.
fn compile_variables(cf: Conf<'_>, rule: &mut QueryRule) -> Result<(), Refusal> {
    let main = cf.main_conf::<MainConf<'_>>().ok_or(Refusal::Reported)?;
    let mut known = main.variables.borrow_mut();
    rule.number_variables_from(known.len());
    for text in &rule.variables {
        known.push(Text::compile(cf, text).ok_or(Refusal::Reported)?);
    }
    Ok(())
}

fn parse(cf: Conf<'_>) -> Result<Mode, Refusal> {
    let words = cf.words();
    let Some(file) = directive::key_file(&words) else {
        return directive::parse(&words).map_err(Refusal::Words);
    };
    // What is wrong with the words themselves comes first.
    directive::parse_with_key(&words, b"any").map_err(Refusal::Words)?;
    let key = key_file::read(cf, file).map_err(Refusal::Key)?;
    directive::parse_with_key(&words, &key).map_err(Refusal::Words)
}

/// One of nginx's own forms. An nginx that knows them itself gets the words first.
fn nginx_form<'c, P: Policy>(
    cf: Conf<'c>,
    us: Upstream<'c>,
    rule: NginxRule,
    is_dry_run: bool,
) -> Result<NginxForm<'c>, Refusal> {
    #[cfg(nginx_since = "1.29.6")]
    let is_ours = is_dry_run
        || matches!(&rule, NginxRule::Learn(learn)
            if learn.norefresh || learn.max_sessions.is_some());
    #[cfg(not(nginx_since = "1.29.6"))]
    let is_ours = {
        let _ = is_dry_run;
        true
    };
    #[cfg(nginx_since = "1.29.6")]
    if !is_ours {
        hook::beside_built_in::<P>(us, || cf.pass_on(<UpstreamConf<'_> as Owned>::module()))
            .map_err(Refusal::Passed)?;
    }
    let form = NginxForm::new(cf, rule).ok_or(Refusal::Reported)?;
    if let Some(learn) = form.learn.as_ref().filter(|_| is_ours) {
        for other in cf.upstreams() {
            let conf = other.srv_conf::<UpstreamConf<'_>>();
            let sessions = conf.and_then(|conf| conf.sticky.get()?.rule.sessions());
            if sessions.and_then(Sessions::zone_name) == Some(&learn.rule.zone) {
                return Err(Refusal::ZoneInUse {
                    zone: learn.rule.zone.clone(),
                    upstream: other.name().to_vec(),
                });
            }
        }
        create_learn_zone(cf, us.name(), learn, &learn.rule.zone)?;
    }
    Ok(form)
}

/// Creates the zone for the sessions of `sticky learn`.
fn create_learn_zone<'c>(
    cf: Conf<'c>,
    upstream: &'c [u8],
    learn: &NginxLearn<'c>,
    zone: &[u8],
) -> Result<(), Refusal> {
    let (limits, size) = (learn.rule.limits, learn.rule.size);
    let zone = table_zone(cf, zone, size)?;
    let sessions = Sessions::shared(zone, Scope::Upstream(upstream), limits);
    // It is empty: the directive is read once.
    let _ = learn.sessions.set(sessions);
    Ok(())
}

/// The directive `sticky_secret`. `false`: it is a duplicate.
pub fn secret(cf: Conf<'_>) -> Result<bool, Refusal> {
    if !cf.is_in_upstream() {
        return Err(Refusal::Outside("sticky_secret"));
    }
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = us.srv_conf::<UpstreamConf<'_>>().ok_or(Refusal::Reported)?;
    let words = cf.words();
    let word = words.first().copied().unwrap_or_default();
    show(cf, conf, b"sticky_secret")?;
    let text = Text::compile(cf, word).ok_or(Refusal::Reported)?;
    Ok(conf.secret.set(text).is_ok())
}

/// The directive `sticky_drain_on` of a location or what encloses it. `false`: it is there already.
pub fn drain_on(cf: Conf<'_>, location: &LocationConf) -> Result<bool, Refusal> {
    let main = cf.main_conf::<MainConf<'_>>().ok_or(Refusal::Reported)?;
    let words = cf.words();
    let word = words.first().copied().unwrap_or_default();
    if !word.contains(&b'$') {
        return Err(Refusal::NoVariable {
            directive: "sticky_drain_on",
            value: word.to_vec(),
        });
    }
    let text = Text::compile(cf, word).ok_or(Refusal::Reported)?;
    let number = Some(main.add_variable(text));
    Ok(location.drain_on.replace(number).is_none())
}

/// The directive `sticky_statsd`. `false`: it is there already.
pub fn statsd(cf: Conf<'_>) -> Result<bool, Refusal> {
    let main = cf.main_conf::<MainConf<'_>>().ok_or(Refusal::Reported)?;
    let statsd = statsd::read(cf).map_err(Refusal::Statsd)?;
    Ok(main.statsd.set(statsd).is_ok())
}

/// The directive `sticky_cluster`. `false`: it is there already.
pub fn cluster<'c>(cf: Conf<'c>) -> Result<bool, Refusal> {
    let main = cf.main_conf::<MainConf<'c>>().ok_or(Refusal::Reported)?;
    let cluster = cluster::read(cf).map_err(Refusal::Cluster)?;
    Ok(main.cluster.set(cluster).is_ok())
}

/// The directive `server` of an upstream, for an nginx that does not know `route=` and `drain`: takes
/// these words and `max_sessions=` out and passes the rest on to nginx.
#[cfg(not(nginx_since = "1.29.6"))]
pub fn server(cf: Conf<'_>) -> Result<(), Refusal> {
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = us.srv_conf::<UpstreamConf<'_>>().ok_or(Refusal::Reported)?;
    let words = cf.words();
    let parameters = words.get(1..).unwrap_or_default();
    refuse_foreign(parameters)?;
    let (found, ours) = server_parameters::parse(parameters).map_err(Refusal::Server)?;
    let (limit, of_limit) =
        server_parameters::session_limit(parameters).map_err(Refusal::Server)?;
    if found.drain && !us.supports_down() {
        return Err(Refusal::NoDrain);
    }
    let ours: Vec<bool> = ours.iter().zip(of_limit).map(|(a, b)| *a || b).collect();
    hide(cf, &ours);
    let position = us.servers().len();
    pass_on(cf)?;
    note_route(cf, conf, parameters);
    note_limit(cf, conf, position, limit);
    if found.drain {
        us.set_down(DRAINING);
    }
    if let Some(route) = found.route {
        let mut routes = conf.routes.borrow_mut();
        routes.resize(position, None);
        routes.push(Some(route.into()));
    }
    Ok(())
}

/// The directive `server` of an upstream, for an nginx that knows `route=` and `drain`: takes
/// `max_sessions=` out and passes the rest on to nginx.
#[cfg(nginx_since = "1.29.6")]
pub fn server(cf: Conf<'_>) -> Result<(), Refusal> {
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = us.srv_conf::<UpstreamConf<'_>>().ok_or(Refusal::Reported)?;
    let words = cf.words();
    let parameters = words.get(1..).unwrap_or_default();
    refuse_foreign(parameters)?;
    let (limit, ours) = server_parameters::session_limit(parameters).map_err(Refusal::Server)?;
    hide(cf, &ours);
    let position = us.servers().len();
    pass_on(cf)?;
    note_route(cf, conf, parameters);
    note_limit(cf, conf, position, limit);
    Ok(())
}

/// Takes those words behind `server ADDRESS` out that are ours.
fn hide(cf: Conf<'_>, ours: &[bool]) {
    if ours.contains(&true) {
        let keep: Vec<bool> = std::iter::once(true)
            .chain(ours.iter().map(|is_ours| !is_ours))
            .collect();
        cf.retain_words(&keep);
    }
}

/// Notes `max_sessions=` of the `server` directive at that position.
fn note_limit<'c>(
    cf: Conf<'c>,
    conf: &UpstreamConf<'c>,
    position: usize,
    limit: Option<SessionLimit>,
) {
    if limit.is_some() {
        let mut limits = conf.limits.borrow_mut();
        limits.resize(position, None);
        limits.push(limit);
        if conf.limited_at.get().is_none() {
            conf.limited_at.set(Some(cf.position()));
        }
    }
}

fn note_route<'c>(cf: Conf<'c>, conf: &UpstreamConf<'c>, parameters: &[&'c [u8]]) {
    let mut words = parameters.iter();
    if let Some(route) = words.find_map(|word| word.strip_prefix(b"route=")) {
        conf.route_lines.borrow_mut().push((route, cf.position()));
    }
}

/// Warns of servers whose sessions cannot be told from those of another one.
fn warn_of_routes(cf: Conf<'_>, us: Upstream<'_>, lines: &[(&[u8], Position<'_>)]) {
    let mut known = HashSet::new();
    for (route, at) in lines {
        if !known.insert(route) {
            cf.warn_elsewhere(format_args!(
                "\"route={}\" is that of another server, too: \"sticky\" cannot tell their \
                 sessions apart, upstream \"{}\"{at}",
                route.escape_ascii(),
                us.name().escape_ascii()
            ));
        }
    }
}

fn refuse_foreign(parameters: &[&[u8]]) -> Result<(), Refusal> {
    match server_parameters::hint(parameters) {
        Some(hint) => Err(Refusal::Server(ServerError::Text(hint))),
        None => Ok(()),
    }
}

/// Passes a directive on to the module that it is of.
fn pass_on(cf: Conf<'_>) -> Result<(), Refusal> {
    let code = cf.pass_on(<UpstreamConf<'_> as Owned>::module());
    if code == NGX_CONF_OK {
        Ok(())
    } else {
        Err(Refusal::Passed(code))
    }
}

/// The directive `fair`, of a third-party balancer whose choice cannot be steered.
pub fn fair(cf: Conf<'_>) -> Result<(), Refusal> {
    // Of another module, a directive of this name may be something else.
    const MODULE: &[u8] = b"ngx_http_upstream_fair_module";

    if cf.next_module(<UpstreamConf<'_> as Owned>::module()) == Some(MODULE) {
        let us = cf.upstream().ok_or(Refusal::Reported)?;
        let conf = us.srv_conf::<UpstreamConf<'_>>().ok_or(Refusal::Reported)?;
        conf.foreign_balancer.set(Some(("fair", cf.position())));
    }
    pass_on(cf)
}

/// The directive of Tengine that does the same, unless a module of this nginx has it.
pub fn session_sticky(cf: Conf<'_>) -> Result<(), Refusal> {
    let ours = <UpstreamConf<'_> as Owned>::module();
    if cf.next_module(ours).is_none() {
        return Err(Refusal::Tengine);
    }
    pass_on(cf)
}

fn sessions<'c>(cf: Conf<'c>, us: Upstream<'c>, rule: &QueryRule) -> Result<Sessions<'c>, Refusal> {
    let scope = share::scope(cf, us, rule)?;
    let (name, size) = match &rule.zone {
        ZoneChoice::Off => {
            return Sessions::local(us.name(), rule.limits).ok_or(Refusal::NoRandomNumbers)
        }
        // The prefix keeps it apart from the upstream's own `zone NAME SIZE`.
        ZoneChoice::Own => ([b"sticky:", scope.name()].concat(), DEFAULT_SIZE),
        ZoneChoice::Named { name, size } => (name.clone(), size.unwrap_or(0)),
    };
    let zone = table_zone(cf, &name, size)?;
    if let Some(word) = &rule.state {
        state_file::set(cf, zone, word).map_err(Refusal::State)?;
    }
    Ok(Sessions::shared(zone, scope, rule.limits))
}

fn table_zone<'c>(cf: Conf<'c>, name: &[u8], size: usize) -> Result<&'c TableZone, Refusal> {
    if !table::is_lock_free() {
        return Err(Refusal::NotLockFree);
    }
    let name = cf
        .pool()
        .and_then(|pool| pool.copy(name))
        .ok_or(Refusal::Reported)?;
    TableZone::add(cf, name, size)
        .map_err(|(ZoneError::Reported | ZoneError::OutOfMemory)| Refusal::Reported)
}

/// Called when a configuration is complete, also when it is only tested.
pub fn warn(new: Cycle<'_>) {
    if let Some(main) = new.main_conf::<MainConf<'_>>() {
        for doubt in main.doubts.take() {
            doubt.check(new);
        }
    }
}

/// Called when the configuration has been read, before the upstreams are initialised.
pub fn complete<'c, P: Policy>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    for us in cf.upstreams() {
        let Some(conf) = us.srv_conf::<UpstreamConf<'_>>() else {
            continue;
        };
        conf.is_clustered.set(main.cluster.get().is_some());
        check_effect(us, conf)?;
        main.doubts.borrow_mut().append(&mut conf.doubts.take());
        let Some(sticky) = conf.active() else {
            continue;
        };
        if let Some((directive, at)) = conf.foreign_balancer.get() {
            return Err(Refusal::Balancer {
                directive,
                upstream: us.name().to_vec(),
                at: at.to_string(),
            });
        }
        if let Rule::NginxForm(NginxForm {
            learn: Some(learn), ..
        }) = &sticky.rule
        {
            if learn.sessions.get().is_none() {
                // nginx's own module has created the zone that the directive names.
                create_learn_zone(cf, us.name(), learn, &[b"sticky:", us.name()].concat())?;
            }
        }
        if matches!(sticky.rule, Rule::Query(..) | Rule::NginxForm(_)) {
            warn_of_routes(cf, us, &conf.route_lines.borrow());
        }
        if let Rule::Rewrite(rule) = &sticky.rule {
            let mut known = main.own_parameters.borrow_mut();
            known.push(Arc::clone(&rule.names));
        }
        if let Some(sessions) = sticky.rule.sessions() {
            sessions.default_size();
            if let Some(zone) = sessions.zone_name() {
                let mut by_zone = main.by_zone.borrow_mut();
                by_zone.entry(zone).or_default().push(us);
            }
        }
        main.sticky.borrow_mut().push(us);
        hook::outermost::<P>(us);
    }
    status_page::complete(cf, main)?;
    share::complete(cf)?;
    clustered::complete(cf, main)?;
    cluster_zone::add(cf, main)?;
    discovery::add_zone(cf, main)?;
    counted::add_zone(cf, main)
}

/// Refuses directives that have no effect in the upstream.
fn check_effect(us: Upstream<'_>, conf: &UpstreamConf<'_>) -> Result<(), Refusal> {
    let rule = conf.sticky.get().map(|sticky| &sticky.rule);
    if let (Some(at), false) = (
        conf.limited_at.get(),
        rule.is_some_and(Rule::counts_sessions),
    ) {
        return Err(Refusal::NoLimit {
            upstream: us.name().to_vec(),
            at: at.to_string(),
        });
    }
    let names_servers = matches!(rule, Some(Rule::NginxForm(form)) if form.learn.is_none());
    let (directive, needed) = if conf.secret.get().is_some() && !names_servers {
        ("sticky_secret", "\"sticky cookie\" or \"sticky route\"")
    } else if conf.strict.get().is_some() && rule.is_none() {
        ("sticky_strict", "\"sticky\"")
    } else {
        return Ok(());
    };
    Err(Refusal::NoEffect {
        directive,
        upstream: us.name().to_vec(),
        needed,
    })
}

/// Whether any upstream is sticky. Refuses one that another module has taken over.
pub fn is_used<P: Policy>(cf: Conf<'_>) -> Result<bool, Refusal> {
    let mut is_used = false;
    for us in cf.upstreams() {
        if us
            .srv_conf::<UpstreamConf<'_>>()
            .is_some_and(|conf| conf.active().is_some())
        {
            if !hook::is_hooked::<P>(us) {
                return Err(Refusal::NotHooked(us.name().to_vec()));
            }
            is_used = true;
        }
    }
    Ok(is_used)
}

/// Whether any sticky upstream reads bodies of requests.
pub fn reads_bodies(cf: Conf<'_>) -> bool {
    cf.upstreams().iter().any(|us| {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        conf.and_then(UpstreamConf::active)
            .is_some_and(|sticky| sticky.rule.reads_bodies())
    })
}
