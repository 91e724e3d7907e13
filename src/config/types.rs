//! What the module keeps for the whole of `http`, for each upstream and for each location.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sticky_core::counters::{Drain, OwnCounters, SessionLimit};
use sticky_core::digest;
use sticky_core::directive::status::StatusRule;
use sticky_core::directive::{
    CookieRule, DiscoverRule, NoFallback, OnFailure, Place, QueryRule, RewriteRule, ZoneChoice,
};
use sticky_core::scan::readers::Readers;
use sticky_core::table::Fingerprint;
use sticky_core::url::Names;

use crate::ngx::clock;
use crate::ngx::complex::Text;
use crate::ngx::conf::Position;
use crate::ngx::exchange::Exchange;
use crate::ngx::hook::Hook;
use crate::ngx::peers::PeerList;
use crate::ngx::upstream::Upstream;
use crate::zone::cluster::ClusterZone;
use crate::zone::counters::{self, CountersZone, UpstreamCounters};
use crate::zone::samples::{SamplesZone, Watch};
use crate::zone::sessions::Sessions;

use super::cluster::{ClusterConf, ClusteredZone};
use super::cluster_drains::ClusterDrains;
use super::cookie_variables::CookieVariables;
use super::doubts::Doubt;
use super::nginx_forms::NginxForm;
#[cfg(nginx_since = "1.29.6")]
use super::nginx_forms::NginxLearn;
use super::peer_index::{ClientView, IndexView, Peer, PeerIndex};
use super::statsd::Statsd;

/// What the module keeps for each upstream block.
#[derive(Default)]
pub struct UpstreamConf<'c> {
    /// What the `sticky` directive says, where there is one.
    pub sticky: OnceCell<Sticky<'c>>,
    /// The callbacks that our own replace.
    pub hook: Hook,
    /// `sticky_secret`.
    pub secret: OnceCell<Text<'c>>,
    /// `sticky_strict`.
    pub strict: Cell<Option<bool>>,
    /// The directive of a balancer that cannot be steered, and where it stands.
    pub foreign_balancer: Cell<Option<(&'static str, Position<'c>)>>,
    /// Its directives of this module as they may be shown, in their order.
    pub shown: RefCell<Vec<&'c [u8]>>,
    /// What its `sticky` directive leaves to be looked at.
    pub doubts: RefCell<Vec<Doubt<'c>>>,
    /// Each `route=` in a `server` directive, and where it stands.
    pub route_lines: RefCell<Vec<(&'c [u8], Position<'c>)>>,
    /// `route=` of each `server` directive, where nginx does not know it itself.
    pub routes: RefCell<Vec<Option<Box<[u8]>>>>,
    /// `max_sessions=` of each `server` directive.
    pub limits: RefCell<Vec<Option<SessionLimit>>>,
    /// Where the first of those stands.
    pub limited_at: Cell<Option<Position<'c>>>,
    /// Its sessions are those of other nginx, too (`sticky_cluster`).
    pub is_clustered: Cell<bool>,
}

impl<'c> UpstreamConf<'c> {
    /// `sticky_strict on`.
    pub fn is_strict(&self) -> bool {
        self.strict.get() == Some(true)
    }

    /// The `sticky` directive, if this module carries it out. Since 1.29.6 nginx does that itself for
    /// its own forms, unless they use what it does not know.
    pub fn active(&self) -> Option<&Sticky<'c>> {
        let sticky = self.sticky.get()?;
        #[cfg(nginx_since = "1.29.6")]
        if let Rule::NginxForm(form) = &sticky.rule {
            let learn = form.learn.as_ref();
            let is_ours = |learn: &NginxLearn<'_>| {
                learn.rule.norefresh
                    || learn.rule.max_sessions.is_some()
                    || self.limited_at.get().is_some()
                    || self.is_clustered.get()
            };
            if !sticky.is_dry_run
                && !learn.is_some_and(is_ours)
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
    /// How requests find their server.
    pub rule: Rule<'c>,
    /// Requests are not steered, and nothing is sent: `dry_run`.
    pub is_dry_run: bool,
    /// Where the directive stands.
    pub at: Position<'c>,
    /// The other upstreams that have the same sessions (`share=`), once all are known.
    pub sharers: OnceCell<Vec<Upstream<'c>>>,
    /// What the registry calls those of their servers that never change, from the first use on.
    pub sharers_servers: OnceCell<BTreeSet<Fingerprint>>,
    /// What is counted of it, once the configuration is complete.
    pub counters: OnceCell<UpstreamCounters<'c>>,
    /// Where this worker counts, from the first use on.
    pub own_counters: OnceCell<OwnCounters<'c>>,
    /// Whether it is counted which of its servers sessions come to: here, or in another upstream of the
    /// share, some may have so many only.
    pub counts_arrivals: Cell<bool>,
    /// Its first responses are looked at, none of which has given an id so far, see
    /// [`FirstCells`](sticky_core::counters::FirstCells).
    pub watches_first: Cell<bool>,
    /// The index of peers that never change, from the first use on.
    pub(super) fixed: OnceCell<PeerIndex<'c>>,
    /// The index of peers that come and go (`resolve`).
    pub(super) changing: RefCell<PeerIndex<'c>>,
    /// The attributes of each Set-Cookie.
    pub attributes: RefCell<CookieAttributes>,
    /// This worker has logged that bodies have a Content-Encoding that it cannot read.
    pub logged_encoding: Cell<bool>,
    /// It has logged that a session id is too long.
    pub logged_too_long: Cell<bool>,
    /// It has logged that the rest of a page is not rewritten.
    pub logged_broken_page: Cell<bool>,
    /// It has logged that the zone has no number left for a server.
    pub logged_no_number: Cell<bool>,
    /// Which locations hide headers that ids are learned from.
    pub hiding: HidingConfs,
    /// It has logged that the balancer cannot be steered.
    pub logged_unknown_balancer: Cell<bool>,
}

impl Sticky<'_> {
    /// Whether other upstreams have the same sessions (`share=`).
    #[inline]
    pub fn is_in_share(&self) -> bool {
        self.sharers.get().is_some_and(|others| !others.is_empty())
    }

    /// An id was seen: its first responses are not looked at any more.
    #[cold]
    pub fn end_watch(&self) {
        self.watches_first.set(false);
        if let Some(first) = self.counters.get().and_then(UpstreamCounters::first) {
            first.end();
        }
    }

    /// Whether some of its servers may be drained: they get no new sessions.
    #[inline(always)]
    pub fn may_have_drains(&self) -> bool {
        let counters = self.counters.get();
        counters.is_some_and(UpstreamCounters::may_have_drains)
    }

    /// Whether some of its servers may get no new sessions: drained, or at their limit.
    #[inline(always)]
    pub fn may_avoid(&self) -> bool {
        let counters = self.counters.get();
        counters.is_some_and(UpstreamCounters::may_avoid)
    }

    /// Whether a peer's server has as many sessions as it may.
    pub fn is_full(&self, peer: &Peer) -> bool {
        let counters = self.counters.get().zip(peer.counters);
        counters.is_some_and(|(counters, server)| counters.is_full(server))
    }

    /// The drain of a peer's server.
    pub fn drain(&self, peer: &Peer) -> Option<Drain> {
        self.counters.get()?.drain(peer.counters?)
    }

    /// Whether also a peer's own sessions go elsewhere by now.
    #[inline]
    pub fn is_drained(&self, peer: &Peer) -> bool {
        let is_over = |drain: Drain| drain.is_over(counters::now());
        self.may_have_drains() && self.drain(peer).is_some_and(is_over)
    }

    /// This worker's index of the upstream's peers, rebuilt when they have changed.
    #[inline]
    pub fn peer_index(&self, peers: PeerList) -> IndexView<'_> {
        match self.fixed.get() {
            Some(index) => IndexView::Fixed(index),
            None => self.current(peers),
        }
    }

    /// The same, where peers never change and were indexed before.
    #[inline(always)]
    pub fn fixed_index(&self) -> Option<&PeerIndex<'_>> {
        self.fixed.get()
    }

    /// The same, of peers that this worker has met with a request, as [`RoundRobin::of`] shows them.
    ///
    /// [`RoundRobin::of`]: crate::ngx::balancer::RoundRobin::of
    pub fn met_peers(&self) -> Option<(PeerList, IndexView<'_>)> {
        let fixed = self.fixed.get().and_then(PeerIndex::list);
        let list = fixed.or_else(|| self.changing.borrow().list())?;
        Some((list, self.peer_index(list)))
    }

    #[inline(never)]
    fn current(&self, peers: PeerList) -> IndexView<'_> {
        let known = self.changing.borrow();
        if known.is_of(peers) {
            return IndexView::Now(known);
        }
        drop(known);
        let conf = self.us.srv_conf::<UpstreamConf<'_>>();
        let routes = conf.map(|conf| conf.routes.borrow());
        let read = PeerIndex::read(
            peers,
            self.us,
            routes.as_deref().map_or(&[], Vec::as_slice),
            matches!(self.rule, Rule::NginxForm(_)),
            self.rule.sessions(),
            |label| self.counters.get()?.server(label),
            |position, name, route| self.rule.client_view(position, name, route),
        );
        if !peers.may_change() {
            return IndexView::Fixed(self.fixed.get_or_init(|| read));
        }
        // While the old index is in use, it is returned as it is.
        if let Ok(mut index) = self.changing.try_borrow_mut() {
            *index = read;
        }
        IndexView::Now(self.changing.borrow())
    }
}

/// Remembers of a few locations whether they hide any of the headers that ids are learned from.
#[derive(Default)]
pub struct HidingConfs {
    /// The [key](Exchange::conf_key) of one that does not.
    latest: Cell<usize>,
    /// That of a location, plus 1 if it does, in the place that its bits choose.
    known: [Cell<usize>; 8],
}

impl HidingConfs {
    /// Whether the location of `exchange` hides any of these headers.
    #[inline]
    pub fn hides_any<'h, N: Iterator<Item = &'h [u8]>>(
        &self,
        exchange: Exchange<'_>,
        names: impl FnOnce() -> N,
    ) -> bool {
        exchange.conf_key() != self.latest.get() && self.look_up(exchange, names)
    }

    /// Whether it is known of the location of `exchange` that it hides none, as that was asked last.
    #[inline(always)]
    pub fn hides_none_as_known(&self, exchange: Exchange<'_>) -> bool {
        exchange.conf_key() == self.latest.get()
    }

    #[cold]
    #[inline(never)]
    fn look_up<'h, N: Iterator<Item = &'h [u8]>>(
        &self,
        exchange: Exchange<'_>,
        names: impl FnOnce() -> N,
    ) -> bool {
        let key = exchange.conf_key();
        // Structures of several hundred bytes.
        let Some(place) = self.known.get((key >> 8) % self.known.len()) else {
            return false;
        };
        if place.get() & !1 != key {
            let hides = names().any(|name| exchange.hides(name));
            place.set(key | usize::from(hides));
        }
        let hides = place.get() & 1 != 0;
        if !hides {
            self.latest.set(key);
        }
        hides
    }
}

/// The mode, with what it needs at run time.
#[allow(clippy::large_enum_variant)] // One for each upstream; a box would be a step more.
pub enum Rule<'c> {
    /// `mode=cookie`.
    Cookie(CookieRule, CookieVariables<'c>),
    /// `mode=query`.
    Query(QueryRule, Sessions<'c>, Readers),
    /// `mode=rewrite`.
    Rewrite(RewriteRule),
    /// `mode=discover`.
    Discover(Discovery<'c>),
    /// One of nginx's own forms.
    NginxForm(NginxForm<'c>),
}

/// What `mode=discover` needs.
pub struct Discovery<'c> {
    /// As the directive says.
    pub rule: DiscoverRule,
    /// What was seen, once the configuration is complete.
    pub watch: OnceCell<Watch<'c>>,
}

impl<'c> Rule<'c> {
    /// The session table, where there is one.
    pub fn sessions(&self) -> Option<&Sessions<'c>> {
        match self {
            Rule::Cookie(..) | Rule::Rewrite(_) | Rule::Discover(_) => None,
            Rule::Query(_, sessions, _) => Some(sessions),
            Rule::NginxForm(form) => form.learn.as_ref()?.sessions.get(),
        }
    }

    /// Whether it looks for ids in bodies of requests, too.
    pub fn reads_bodies(&self) -> bool {
        match self {
            Rule::Query(rule, ..) => rule.from.iter().any(Place::is_in_body),
            Rule::Rewrite(_) | Rule::Discover(_) => true,
            Rule::Cookie(..) | Rule::NginxForm(_) => false,
        }
    }

    /// Whether all workers know how many sessions each server has.
    pub fn counts_sessions(&self) -> bool {
        match self {
            Rule::Cookie(..) | Rule::Rewrite(_) | Rule::Discover(_) => false,
            Rule::Query(rule, ..) => rule.zone != ZoneChoice::Off,
            Rule::NginxForm(form) => form.learn.is_some(),
        }
    }

    /// How many sessions each server may have that does not say so itself.
    pub fn max_sessions(&self) -> Option<SessionLimit> {
        match self {
            Rule::Cookie(..) | Rule::Rewrite(_) | Rule::Discover(_) => None,
            Rule::Query(rule, ..) => rule.max_sessions,
            Rule::NginxForm(form) => form.learn.as_ref()?.rule.max_sessions,
        }
    }

    /// What clients see of the peer at `position` with that name and `route=`.
    fn client_view(&self, position: usize, name: &[u8], route: Option<Box<[u8]>>) -> ClientView {
        match self {
            Rule::Cookie(rule, variables) => {
                let value = rule.recipe.value(position, name);
                let pair = [&rule.name, &b"="[..], &value].concat();
                let mut set_cookie = Vec::new();
                if rule.expires.is_none() && !rule.transfer && variables.is_empty() {
                    set_cookie.extend_from_slice(&pair);
                    rule.attributes(None).write(&mut set_cookie);
                }
                ClientView {
                    value,
                    pair,
                    set_cookie,
                }
            }
            Rule::Rewrite(rule) => ClientView {
                value: rule.recipe.value(position, name),
                ..ClientView::default()
            },
            Rule::Query(..) | Rule::Discover(_) => ClientView::default(),
            Rule::NginxForm(_) => ClientView {
                value: route.map_or_else(|| digest::server_id(name), <[u8]>::into_vec),
                ..ClientView::default()
            },
        }
    }

    /// What becomes of a session while its server is down or has failed.
    pub fn on_failure(&self) -> OnFailure {
        match self {
            Rule::Cookie(rule, _) => rule.on_failure,
            Rule::Query(rule, ..) => rule.on_failure,
            Rule::Rewrite(rule) => rule.on_failure,
            Rule::Discover(_) | Rule::NginxForm(_) => OnFailure::Move,
        }
    }

    /// What the directive says of requests whose server cannot be used: `no_fallback`.
    pub fn no_fallback(&self) -> Option<NoFallback> {
        match self {
            Rule::Cookie(rule, _) => rule.no_fallback,
            Rule::Query(rule, ..) => rule.no_fallback,
            Rule::Rewrite(rule) => rule.no_fallback,
            Rule::Discover(_) | Rule::NginxForm(_) => None,
        }
    }
}

/// What the module keeps for the whole of `http`.
#[derive(Default)]
pub struct MainConf<'c> {
    /// What is to be looked at once the configuration is complete.
    pub doubts: RefCell<Vec<Doubt<'c>>>,
    /// The zone of counters, if any upstream is sticky.
    pub counters: OnceCell<&'c CountersZone>,
    /// The zone of what `mode=discover` has seen, if any upstream has it.
    pub samples: OnceCell<&'c SamplesZone>,
    /// The sticky upstreams.
    pub sticky: RefCell<Vec<Upstream<'c>>>,
    /// The upstreams that have their sessions in each zone.
    pub by_zone: RefCell<BTreeMap<&'c [u8], Vec<Upstream<'c>>>>,
    /// Names of the parameters that `mode=rewrite` puts into links.
    pub own_parameters: RefCell<Vec<Arc<Names>>>,
    /// Names of the cookies that `mode=cookie` and `sticky cookie` set.
    pub own_cookies: RefCell<Vec<Box<[u8]>>>,
    /// The texts with variables of all directives, by their numbers in the rules.
    pub variables: RefCell<Vec<Text<'c>>>,
    /// What each `sticky_status` shows, by the numbers in the locations.
    pub status_pages: RefCell<Vec<StatusPage<'c>>>,
    /// `sticky_statsd`.
    pub statsd: OnceCell<Statsd>,
    /// `sticky_cluster`.
    pub cluster: OnceCell<ClusterConf<'c>>,
    /// The zone of the cluster, if any zone takes part.
    pub cluster_zone: OnceCell<&'c ClusterZone>,
    /// The zones whose sessions other nginx have, too, once all are known.
    pub clustered: RefCell<Vec<ClusteredZone<'c>>>,
    /// The servers whose drains other nginx have, too, once the configuration is complete.
    pub cluster_drains: OnceCell<ClusterDrains<'c>>,
}

/// What a `sticky_status` directive says.
pub struct StatusPage<'c> {
    /// Its words.
    pub rule: StatusRule,
    /// The variable of `rw=`: its number among [`MainConf::variables`].
    pub variable: Option<usize>,
    /// Where it stands.
    pub at: Position<'c>,
    /// The upstreams that it shows, once all are known.
    pub upstreams: Vec<Upstream<'c>>,
}

impl<'c> MainConf<'c> {
    /// Gives a text with variables its number.
    pub fn add_variable(&self, text: Text<'c>) -> usize {
        let mut known = self.variables.borrow_mut();
        known.push(text);
        known.len() - 1
    }

    /// The text with variables of this number.
    pub fn variable(&self, number: usize) -> Option<Text<'c>> {
        self.variables.borrow().get(number).copied()
    }

    /// Shows the sticky upstreams from that number on as long as it `may_go_on`, some of them in any
    /// case. Returns the number of the next one, if there is one.
    pub fn each_from(
        &self,
        from: usize,
        may_go_on: &dyn Fn() -> bool,
        mut show: impl FnMut(Upstream<'c>),
    ) -> Option<usize> {
        /// Upstreams between two looks at the clock.
        const AT_ONCE: usize = 16;

        let upstreams = self.sticky.borrow();
        for (at, us) in upstreams.iter().enumerate().skip(from) {
            if at != from && at % AT_ONCE == 0 && !may_go_on() {
                return Some(at);
            }
            show(*us);
        }
        None
    }
}

/// What the module keeps for each location. `None`: not set on this level.
#[derive(Default)]
pub struct LocationConf {
    /// `sticky_no_fallback`.
    pub no_fallback: Cell<Option<bool>>,
    /// `sticky_hide_cookie`.
    pub hide_cookie: Cell<Option<bool>>,
    /// `sticky_drain_on`: the number of its text among [`MainConf::variables`].
    pub drain_on: Cell<Option<usize>>,
    /// `sticky_status`: its number in [`MainConf::status_pages`]. Not inherited.
    pub status: Cell<Option<usize>>,
}

impl LocationConf {
    /// Takes over what the enclosing level sets and this one does not.
    pub fn inherit(&self, outer: &Self) {
        self.no_fallback
            .set(self.no_fallback.get().or(outer.no_fallback.get()));
        self.hide_cookie
            .set(self.hide_cookie.get().or(outer.hide_cookie.get()));
        self.drain_on
            .set(self.drain_on.get().or(outer.drain_on.get()));
    }
}

/// The attributes of an upstream's cookies, as text. Only the time in them changes, once a second.
#[derive(Default)]
pub struct CookieAttributes {
    text: Vec<u8>,
    expires: Option<i64>,
    is_written: bool,
}

impl CookieAttributes {
    /// The attributes of a cookie that is set now.
    pub fn now(&mut self, rule: &CookieRule) -> &[u8] {
        // Without a limit, the time is not asked for.
        let expires = rule
            .expires
            .and_then(|_| rule.expires_at(clock::unix_seconds()));
        if !self.is_written || self.expires != expires {
            self.text.clear();
            rule.attributes(expires).write(&mut self.text);
            self.expires = expires;
            self.is_written = true;
        }
        &self.text
    }
}
