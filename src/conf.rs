//! Directive words to configuration: of an upstream, and of a location.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;

use sticky_core::directive::{self, CookieRule, DirectiveError, Mode, QueryRule, ZoneChoice};
use sticky_core::table;

use crate::module;
use crate::ngx::conf::Conf;
use crate::ngx::hook::{self, Hook};
use crate::ngx::shm::{Zone, ZoneError};
use crate::upstream::{Directory, Steering};
use crate::zone::{self, Sessions};

/// What the module keeps for each upstream block.
#[derive(Default)]
pub struct UpstreamConf<'c> {
    /// What the `sticky` directive says, where there is one.
    pub sticky: OnceCell<Sticky<'c>>,
    /// Our place among the upstream's balancers.
    pub hook: Hook,
}

/// A sticky upstream.
pub struct Sticky<'c> {
    /// The upstream's name.
    pub upstream: &'c [u8],
    /// How requests find their peer.
    pub rule: Rule<'c>,
    /// This worker's map of the upstream's peers.
    pub directory: RefCell<Directory>,
    /// This worker has said that bodies are compressed.
    pub said_compressed: Cell<bool>,
    /// This worker has said that the balancer cannot be steered.
    pub said_unknown_balancer: Cell<bool>,
}

/// The mode, with what it needs at run time.
pub enum Rule<'c> {
    /// `mode=cookie`.
    Cookie(CookieRule),
    /// `mode=query`.
    Query(QueryRule, Sessions<'c>),
}

impl Rule<'_> {
    /// The directive says `no_fallback`.
    pub fn no_fallback(&self) -> bool {
        match self {
            Rule::Cookie(rule) => rule.no_fallback,
            Rule::Query(rule, _) => rule.no_fallback,
        }
    }
}

/// What the module keeps for each location. `None`: not set on this level.
#[derive(Default)]
pub struct LocationConf {
    /// `sticky_no_fallback`.
    pub no_fallback: Cell<Option<bool>>,
    /// `sticky_hide_cookie`.
    pub hide_cookie: Cell<Option<bool>>,
}

impl LocationConf {
    /// Takes over what the enclosing level sets and this one does not.
    pub fn inherit(&self, outer: &Self) {
        self.no_fallback
            .set(self.no_fallback.get().or(outer.no_fallback.get()));
        self.hide_cookie
            .set(self.hide_cookie.get().or(outer.hide_cookie.get()));
    }
}

/// Why a directive is refused. Displays as nginx writes it before the file and the line.
pub enum Refusal {
    /// The directive stands twice in one block.
    Duplicate,
    /// The words are wrong.
    Words(DirectiveError),
    /// The session table needs 128-bit atomics.
    NotLockFree,
    /// Another module has taken the upstream over.
    NotHooked(Vec<u8>),
    /// No memory is left, or nginx has written why.
    Reported,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Duplicate => write!(f, "\"sticky\" directive is duplicate"),
            Refusal::Words(error) => error.fmt(f),
            Refusal::NotLockFree => write!(
                f,
                "\"sticky mode=query\" needs a processor with 128-bit atomic instructions to share \
                 sessions between workers, use \"zone=off\" with \"worker_processes 1\""
            ),
            Refusal::NotHooked(upstream) => write!(
                f,
                "\"sticky\" has no effect in upstream \"{}\", another module balances it",
                upstream.escape_ascii()
            ),
            Refusal::Reported => write!(f, "\"sticky\" directive failed"),
        }
    }
}

/// The directive `sticky`.
pub fn sticky(cf: Conf<'_>) -> Result<(), Refusal> {
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = module::upstream_conf(us).ok_or(Refusal::Reported)?;
    if conf.sticky.get().is_some() {
        return Err(Refusal::Duplicate);
    }
    let rule = match directive::parse(&cf.words()).map_err(Refusal::Words)? {
        Mode::Cookie(rule) => Rule::Cookie(rule),
        Mode::Query(rule) => {
            let sessions = sessions(cf, us.name(), &rule)?;
            Rule::Query(rule, sessions)
        }
    };
    let sticky = Sticky {
        upstream: us.name(),
        rule,
        directory: RefCell::default(),
        said_compressed: Cell::new(false),
        said_unknown_balancer: Cell::new(false),
    };
    conf.sticky.set(sticky).map_err(|_| Refusal::Duplicate)
}

fn sessions<'c>(
    cf: Conf<'c>,
    upstream: &'c [u8],
    rule: &QueryRule,
) -> Result<Sessions<'c>, Refusal> {
    let (name, size) = match &rule.zone {
        ZoneChoice::Off => return Ok(Sessions::local(upstream, rule.limits)),
        // A name of its own kind: `zone NAME size` of the upstream is another zone.
        ZoneChoice::Own => ([b"sticky:", upstream].concat(), zone::DEFAULT_SIZE),
        ZoneChoice::Named { name, size } => (name.clone(), size.unwrap_or(0)),
    };
    if !table::is_lock_free() {
        return Err(Refusal::NotLockFree);
    }
    let name = cf
        .pool()
        .and_then(|pool| pool.copy(&name))
        .ok_or(Refusal::Reported)?;
    match Zone::add(cf, name, size, module::tag(), zone::adopt) {
        Ok(zone) => Ok(Sessions::shared(zone, upstream, rule.limits)),
        Err(ZoneError::Reported | ZoneError::OutOfMemory) => Err(Refusal::Reported),
    }
}

/// When the configuration was read, before the upstreams are initialised.
pub fn complete(cf: Conf<'_>) {
    let mut tables: Vec<&Sessions<'_>> = Vec::new();
    for us in cf.upstreams() {
        let Some(sticky) = module::upstream_conf(us).and_then(|conf| conf.sticky.get()) else {
            continue;
        };
        if let Rule::Query(_, sessions) = &sticky.rule {
            sessions.default_size();
            tables.push(sessions);
        }
        hook::around::<Steering>(us);
    }
    for table in &tables {
        tables.iter().for_each(|other| table.share(other));
    }
}

/// Some upstream of the configuration is sticky; every one of them will be asked.
pub fn is_used(cf: Conf<'_>) -> Result<bool, Refusal> {
    let mut is_used = false;
    for us in cf.upstreams() {
        if module::upstream_conf(us).is_some_and(|conf| conf.sticky.get().is_some()) {
            if !hook::is_hooked::<Steering>(us) {
                return Err(Refusal::NotHooked(us.name().to_vec()));
            }
            is_used = true;
        }
    }
    Ok(is_used)
}
