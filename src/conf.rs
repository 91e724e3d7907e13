//! Directive words to configuration: of an upstream, and of a location.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

#[cfg(not(nginx_since = "1.29.6"))]
use ngx::core::NGX_CONF_OK;
use sticky_core::directive::native::NativeRule;
use sticky_core::directive::{self, CookieRule, Mode, QueryRule, RewriteRule, ZoneChoice};
use sticky_core::scan::readers::Readers;
use sticky_core::table;
use sticky_core::url::Names;

use crate::cookie::Attributes;
use crate::directory::{Directory, Known};
use crate::module;
use crate::native::{Learn, Native};
use crate::ngx::complex::Text;
use crate::ngx::conf::Conf;
use crate::ngx::hook::{self, Hook};
use crate::ngx::peers::PeerList;
#[cfg(not(nginx_since = "1.29.6"))]
use crate::ngx::peers::DRAINING;
use crate::ngx::shm::ZoneError;
use crate::ngx::upstream::Upstream;
use crate::state;
use crate::upstream::Steering;
use crate::zone::{self, Sessions, TableZone};

mod refusal;

pub use refusal::Refusal;

/// What the module keeps for each upstream block.
#[derive(Default)]
pub struct UpstreamConf<'c> {
    /// What the `sticky` directive says, where there is one.
    pub sticky: OnceCell<Sticky<'c>>,
    /// Our place among the upstream's balancers.
    pub hook: Hook,
    /// `sticky_secret`.
    pub secret: OnceCell<Text<'c>>,
    /// `sticky_strict`.
    pub strict: Cell<Option<bool>>,
    /// `route=` of each `server` directive, where nginx does not know it itself.
    pub routes: RefCell<Vec<Option<Box<[u8]>>>>,
}

impl<'c> UpstreamConf<'c> {
    /// `sticky_strict on`.
    pub fn is_strict(&self) -> bool {
        self.strict.get() == Some(true)
    }

    /// The `sticky` directive, where it is ours to follow. Since 1.29.6, nginx's own forms are
    /// nginx's business, unless they use what nginx does not know.
    pub fn engaged(&self) -> Option<&Sticky<'c>> {
        let sticky = self.sticky.get()?;
        #[cfg(nginx_since = "1.29.6")]
        if let Rule::Native(native) = &sticky.rule {
            let learn = native.learn.as_ref();
            if !learn.is_some_and(|learn| learn.rule.norefresh)
                && self.secret.get().is_none()
                && !self.is_strict()
            {
                return None;
            }
        }
        Some(sticky)
    }
}

/// A sticky upstream.
pub struct Sticky<'c> {
    /// The upstream.
    pub us: Upstream<'c>,
    /// Its name.
    pub upstream: &'c [u8],
    /// How requests find their peer.
    pub rule: Rule<'c>,
    /// The map of peers that stay as they are, from the first use on.
    fixed: OnceCell<Directory>,
    /// That of peers that come and go.
    directory: RefCell<Directory>,
    /// What follows the value in each Set-Cookie.
    pub attributes: RefCell<Attributes>,
    /// This worker has said that bodies are compressed in a way that it cannot read.
    pub said_compressed: Cell<bool>,
    /// That the rest of a page is not rewritten.
    pub said_given_up: Cell<bool>,
    /// This worker has said that the balancer cannot be steered.
    pub said_unknown_balancer: Cell<bool>,
}

impl Sticky<'_> {
    /// This worker's map of the upstream's peers, read again when they have changed.
    #[inline]
    pub fn directory(&self, peers: PeerList) -> Known<'_> {
        match self.fixed.get() {
            Some(directory) => Known::Fixed(directory),
            None => self.renewed(peers),
        }
    }

    #[inline(never)]
    fn renewed(&self, peers: PeerList) -> Known<'_> {
        let known = self.directory.borrow();
        if known.is_of(peers) {
            return Known::Now(known);
        }
        drop(known);
        let read = Directory::read(peers, self.us, &self.rule);
        if !peers.may_change() {
            return Known::Fixed(self.fixed.get_or_init(|| read));
        }
        // Whoever asks while it is in use gets it as it is.
        if let Ok(mut directory) = self.directory.try_borrow_mut() {
            *directory = read;
        }
        Known::Now(self.directory.borrow())
    }
}

/// The mode, with what it needs at run time.
pub enum Rule<'c> {
    /// `mode=cookie`.
    Cookie(CookieRule),
    /// `mode=query`.
    Query(QueryRule, Sessions<'c>, Readers),
    /// `mode=rewrite`.
    Rewrite(RewriteRule),
    /// One of nginx's own forms.
    Native(Native<'c>),
}

impl<'c> Rule<'c> {
    /// The session table, where there is one.
    fn sessions(&self) -> Option<&Sessions<'c>> {
        match self {
            Rule::Cookie(_) | Rule::Rewrite(_) => None,
            Rule::Query(_, sessions, _) => Some(sessions),
            Rule::Native(native) => native.learn.as_ref()?.sessions.get(),
        }
    }

    /// The directive says `no_fallback`.
    pub fn no_fallback(&self) -> bool {
        match self {
            Rule::Cookie(rule) => rule.no_fallback,
            Rule::Query(rule, ..) => rule.no_fallback,
            Rule::Rewrite(rule) => rule.no_fallback,
            Rule::Native(_) => false,
        }
    }
}

/// What the module keeps for the whole of `http`.
#[derive(Default)]
pub struct MainConf {
    /// Names of the parameters that `mode=rewrite` puts into links.
    pub own_parameters: RefCell<Vec<Arc<Names>>>,
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
            let readers = Readers::new(&rule.learn, &rule.names);
            Rule::Query(rule, sessions, readers)
        }
        Mode::Rewrite(rule) => Rule::Rewrite(rule),
        Mode::Native(rule) => Rule::Native(native(cf, us, rule)?),
    };
    let sticky = Sticky {
        us,
        upstream: us.name(),
        rule,
        fixed: OnceCell::new(),
        directory: RefCell::default(),
        attributes: RefCell::default(),
        said_compressed: Cell::new(false),
        said_given_up: Cell::new(false),
        said_unknown_balancer: Cell::new(false),
    };
    conf.sticky.set(sticky).map_err(|_| Refusal::Duplicate)
}

/// One of nginx's own forms. Where nginx has them too, it gets the words first.
fn native<'c>(cf: Conf<'c>, us: Upstream<'c>, rule: NativeRule) -> Result<Native<'c>, Refusal> {
    #[cfg(nginx_since = "1.29.6")]
    let is_ours = matches!(&rule, NativeRule::Learn(learn) if learn.norefresh);
    #[cfg(not(nginx_since = "1.29.6"))]
    let is_ours = true;
    #[cfg(nginx_since = "1.29.6")]
    if !is_ours {
        hook::beside_built_in::<Steering>(us, || cf.pass_on(module::tag()))
            .map_err(Refusal::Passed)?;
    }
    let native = Native::new(cf, rule).ok_or(Refusal::Reported)?;
    if let Some(learn) = native.learn.as_ref().filter(|_| is_ours) {
        for other in cf.upstreams() {
            let conf = module::upstream_conf(other);
            let sessions = conf.and_then(|conf| conf.sticky.get()?.rule.sessions());
            if sessions.and_then(Sessions::zone_name) == Some(&learn.rule.zone) {
                return Err(Refusal::ZoneInUse {
                    zone: learn.rule.zone.clone(),
                    upstream: other.name().to_vec(),
                });
            }
        }
        learned_in(cf, us.name(), learn, &learn.rule.zone)?;
    }
    Ok(native)
}

/// Gives `sticky learn` the zone that its sessions are in.
fn learned_in<'c>(
    cf: Conf<'c>,
    upstream: &'c [u8],
    learn: &Learn<'c>,
    zone: &[u8],
) -> Result<(), Refusal> {
    let (limits, size) = (learn.rule.limits, learn.rule.size);
    let sessions = Sessions::shared(table_zone(cf, zone, size)?, upstream, limits);
    // Set once: the directive is read once.
    let _ = learn.sessions.set(sessions);
    Ok(())
}

/// The directive `sticky_secret`. `false`: it is a duplicate.
pub fn secret(cf: Conf<'_>) -> Result<bool, Refusal> {
    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = module::upstream_conf(us).ok_or(Refusal::Reported)?;
    let words = cf.words();
    let word = words.first().copied().unwrap_or_default();
    let text = Text::compile(cf, word).ok_or(Refusal::Reported)?;
    Ok(conf.secret.set(text).is_ok())
}

/// The directive `server` of an upstream, before nginx knew `route=` and `drain`: takes these words
/// away, and lets `pass_on` do the rest.
#[cfg(not(nginx_since = "1.29.6"))]
pub fn server(cf: Conf<'_>) -> Result<(), Refusal> {
    use sticky_core::directive::native::server_words;

    let us = cf.upstream().ok_or(Refusal::Reported)?;
    let conf = module::upstream_conf(us).ok_or(Refusal::Reported)?;
    let words = cf.words();
    let parameters = words.get(1..).unwrap_or_default();
    let (found, ours) = server_words(parameters).map_err(Refusal::Server)?;
    if found.drain && !us.supports_down() {
        return Err(Refusal::NoDrain);
    }
    if ours.contains(&true) {
        let keep: Vec<bool> = std::iter::once(true)
            .chain(ours.iter().map(|is_ours| !is_ours))
            .collect();
        cf.retain_words(&keep);
    }
    let position = us.servers().len();
    let code = cf.pass_on(module::tag());
    if code != NGX_CONF_OK {
        return Err(Refusal::Passed(code));
    }
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

fn sessions<'c>(
    cf: Conf<'c>,
    upstream: &'c [u8],
    rule: &QueryRule,
) -> Result<Sessions<'c>, Refusal> {
    let (name, size) = match &rule.zone {
        ZoneChoice::Off => return Ok(Sessions::local(upstream)),
        // A name of its own kind: `zone NAME size` of the upstream is another zone.
        ZoneChoice::Own => ([b"sticky:", upstream].concat(), zone::DEFAULT_SIZE),
        ZoneChoice::Named { name, size } => (name.clone(), size.unwrap_or(0)),
    };
    let zone = table_zone(cf, &name, size)?;
    if let Some(word) = &rule.state {
        state::keep(cf, zone, word).map_err(Refusal::State)?;
    }
    Ok(Sessions::shared(zone, upstream, rule.limits))
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

/// When the configuration was read, before the upstreams are initialised.
pub fn complete(cf: Conf<'_>, main: &MainConf) -> Result<(), Refusal> {
    for us in cf.upstreams() {
        let Some(conf) = module::upstream_conf(us) else {
            continue;
        };
        are_used(us, conf)?;
        let Some(sticky) = conf.engaged() else {
            continue;
        };
        if let Rule::Native(Native {
            learn: Some(learn), ..
        }) = &sticky.rule
        {
            if learn.sessions.get().is_none() {
                // The zone that the directive names is nginx's own module's by now.
                learned_in(cf, us.name(), learn, &[b"sticky:", us.name()].concat())?;
            }
        }
        if let Rule::Rewrite(rule) = &sticky.rule {
            let mut known = main.own_parameters.borrow_mut();
            known.push(Arc::clone(&rule.names));
        }
        if let Some(sessions) = sticky.rule.sessions() {
            sessions.default_size();
        }
        hook::around::<Steering>(us);
    }
    Ok(())
}

/// Every directive of the upstream does something.
fn are_used(us: Upstream<'_>, conf: &UpstreamConf<'_>) -> Result<(), Refusal> {
    let rule = conf.sticky.get().map(|sticky| &sticky.rule);
    let names_servers = matches!(rule, Some(Rule::Native(native)) if native.learn.is_none());
    let (directive, needed) = if conf.secret.get().is_some() && !names_servers {
        ("sticky_secret", "\"sticky cookie\" or \"sticky route\"")
    } else if conf.strict.get().is_some() && rule.is_none() {
        ("sticky_strict", "\"sticky\"")
    } else {
        return Ok(());
    };
    Err(Refusal::Idle {
        directive,
        upstream: us.name().to_vec(),
        needed,
    })
}

/// Some upstream of the configuration is sticky; every one of them will be asked.
pub fn is_used(cf: Conf<'_>) -> Result<bool, Refusal> {
    let mut is_used = false;
    for us in cf.upstreams() {
        if module::upstream_conf(us).is_some_and(|conf| conf.engaged().is_some()) {
            if !hook::is_hooked::<Steering>(us) {
                return Err(Refusal::NotHooked(us.name().to_vec()));
            }
            is_used = true;
        }
    }
    Ok(is_used)
}
