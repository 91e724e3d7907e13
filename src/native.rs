//! nginx's own forms of the directive, `sticky cookie|route|learn`, with Angie's additions.
//!
//! A request's variables name a server, or a session that the table knows. Each try is given to that
//! server if it can be used, else to whom the balancer chooses; then the cookie is set, or the
//! session learned when the server has answered. What differs from our own modes is nginx's: an id
//! is looked up again for each try, servers are called by their id (`route=`, or the MD5 of their
//! address), and a backup server waits until no other is left.

use std::cell::{Cell, OnceCell};

use sticky_core::digest;
use sticky_core::directive::native::{NativeCookie, NativeLearn, NativeRule};
use sticky_core::key::Key;
use sticky_core::table::{Claim, Learned, LookUp};
use sticky_core::word::PeerId;

use crate::filter;
use crate::ngx::balancer::{Choice, Steer, Try};
use crate::ngx::clock;
use crate::ngx::complex::{Text, Variable};
use crate::ngx::conf::Conf;
use crate::ngx::header::Header;
use crate::ngx::peers::{PeerKey, Unusable};
use crate::ngx::request::Request;
use crate::status::Status;
use crate::upstream::Affinity;
use crate::zone::Sessions;

/// One of nginx's own forms, with what it needs at run time.
pub struct Native<'c> {
    /// The first that has a value decides.
    lookup: Vec<Variable>,
    cookie: Option<Cookie<'c>>,
    /// `sticky learn`.
    pub learn: Option<Learn<'c>>,
}

struct Cookie<'c> {
    rule: NativeCookie,
    domain: Option<Text<'c>>,
    samesite: Option<Text<'c>>,
}

/// What `sticky learn` needs.
pub struct Learn<'c> {
    create: Vec<Variable>,
    /// As the directive says.
    pub rule: NativeLearn,
    /// Set when the zone is known.
    pub sessions: OnceCell<Sessions<'c>>,
}

impl<'c> Native<'c> {
    /// Compiles what the words of a directive say. `None`: nginx has written why not.
    pub fn new(cf: Conf<'c>, rule: NativeRule) -> Option<Self> {
        let variables = |names: &[Vec<u8>]| -> Option<Vec<Variable>> {
            let mut names = names.iter();
            names.try_fold(Vec::new(), |mut all, name| {
                all.push(Variable::named(cf, name)?);
                Some(all)
            })
        };
        let native = match rule {
            NativeRule::Cookie(rule) => {
                let text = |text: &Option<Vec<u8>>| match text {
                    Some(text) => Text::compile(cf, text).map(Some),
                    None => Some(None),
                };
                Native {
                    lookup: variables(&[[b"cookie_", &rule.name[..]].concat()])?,
                    cookie: Some(Cookie {
                        domain: text(&rule.domain)?,
                        samesite: text(&rule.samesite)?,
                        rule,
                    }),
                    learn: None,
                }
            }
            NativeRule::Route(names) => Native {
                lookup: variables(&names)?,
                cookie: None,
                learn: None,
            },
            NativeRule::Learn(rule) => Native {
                lookup: variables(&rule.lookup)?,
                cookie: None,
                learn: Some(Learn {
                    create: variables(&rule.create)?,
                    rule,
                    sessions: OnceCell::new(),
                }),
            },
        };
        Some(native)
    }
}

fn first<'r>(variables: &[Variable], r: Request<'r>) -> &'r [u8] {
    let mut values = variables.iter().filter_map(|variable| variable.value(r));
    values.next().unwrap_or_default()
}

/// What is remembered of a request of such an upstream.
pub struct Follower<'r> {
    native: &'r Native<'r>,
    /// What the request says of its server or session; empty when it says nothing.
    id: &'r [u8],
    /// The key of that session.
    key: Option<Key>,
    /// `sticky_secret` for this request.
    secret: Option<&'r [u8]>,
    /// `sticky_strict on`.
    strict: bool,
    /// The holder of the session, as the latest try has found it.
    holder: Cell<Option<PeerId>>,
    /// That holder is merely busy.
    is_full: Cell<bool>,
    /// Whom the latest try has gone to.
    taken: Cell<Option<PeerId>>,
    set_cookie: Cell<Option<Header<'r>>>,
}

impl<'r> Follower<'r> {
    /// Reads what a request says. `None`: no memory is left.
    #[inline(never)]
    pub fn begin(
        r: Request<'r>,
        native: &'r Native<'r>,
        secret: Option<Text<'r>>,
        strict: bool,
    ) -> Option<Self> {
        let id = first(&native.lookup, r);
        let sessions = native.learn.as_ref().and_then(|learn| learn.sessions.get());
        Some(Self {
            native,
            id,
            key: sessions
                .filter(|_| !id.is_empty())
                .and_then(|at| at.key(id)),
            secret: match secret {
                Some(secret) => Some(secret.evaluate(r)?),
                None => None,
            },
            strict,
            holder: Cell::new(None),
            is_full: Cell::new(false),
            taken: Cell::new(None),
            set_cookie: Cell::new(None),
        })
    }

    /// The request says something of its server or session.
    pub fn has_id(&self) -> bool {
        !self.id.is_empty()
    }

    /// Sessions are learned from the header of the response.
    pub fn learns_from_header(&self) -> bool {
        let learn = self.native.learn.as_ref();
        learn.is_some_and(|learn| learn.rule.after_header)
    }

    /// Gives a try to the server that the request or its session names.
    #[inline(never)]
    pub fn choose(&self, affinity: &Affinity<'r>, attempt: &Try<'_>) -> Choice {
        self.taken.set(None);
        if self.id.is_empty() {
            return Choice::Balance;
        }
        let found = {
            let directory = affinity.directory();
            let sid = match &self.native.learn {
                Some(learn) => match self.look_up(learn) {
                    LookUp::Found(session) => {
                        self.holder.set(Some(session.peer));
                        directory.by_id(session.peer).map(|peer| &peer.value[..])
                    }
                    over => {
                        self.holder.set(None);
                        affinity.status.set(match over {
                            LookUp::Expired => Status::Expired,
                            _ => Status::Miss,
                        });
                        return Choice::Balance;
                    }
                },
                None => match self.secret {
                    Some(secret) => directory.find(|sid| digest::salted(sid, secret) == self.id),
                    None => Some(self.id),
                },
            };
            sid.map(|sid| (sid.to_vec(), directory.bearers(sid)))
        };
        let steered = match &found {
            Some((sid, bearers)) => attempt.follow(affinity.peers, sid, *bearers),
            None => Err(Unusable::Gone),
        };
        self.is_full.set(steered == Err(Unusable::Full));
        let is_known = found.is_some_and(|(_, bearers)| bearers.is_some());
        affinity.status.set(match steered {
            Ok(()) => Status::Hit,
            Err(_) if is_known || self.native.learn.is_some() => Status::Gone,
            Err(_) => Status::Miss,
        });
        match steered {
            Ok(()) => Choice::Steered,
            Err(_) if self.strict => Choice::Refuse,
            Err(_) => Choice::Balance,
        }
    }

    /// Only a response prolongs a session: one whose server hands out another id by now shall end.
    fn look_up(&self, learn: &Learn<'_>) -> LookUp {
        match (learn.sessions.get(), self.key) {
            (Some(sessions), Some(key)) => sessions.look_up(key, &learn.rule.limits),
            _ => LookUp::Unknown,
        }
    }

    /// A try has been given to a peer. `None`: no memory is left.
    #[inline(never)]
    pub fn taken(&self, affinity: &Affinity<'r>, peer: PeerKey) -> Option<()> {
        let directory = affinity.directory();
        // A peer that came this moment has no cookie yet.
        let Some(peer) = directory.by_key(peer) else {
            return Some(());
        };
        self.taken.set(Some(peer.id));
        let Some(cookie) = &self.native.cookie else {
            return Some(());
        };
        let r = affinity.request;
        let domain = match cookie.domain {
            Some(domain) => domain.evaluate(r)?,
            None => &[],
        };
        let samesite = match cookie.samesite {
            Some(samesite) => samesite.evaluate(r)?,
            None => &[],
        };
        let salted = self
            .secret
            .map(|secret| digest::salted(&peer.value, secret));
        let value = salted.as_deref().unwrap_or(&peer.value);
        let line = cookie
            .rule
            .set_cookie(value, domain, samesite, clock::unix_seconds());
        let line = r.pool()?.copy(&line)?;
        match self.set_cookie.get() {
            Some(header) => header.set_value(line),
            None => {
                let header = r.push_response_header(b"Set-Cookie", line)?;
                self.set_cookie.set(Some(header));
            }
        }
        if affinity.status.get() == Status::None {
            affinity.status.set(Status::New);
        }
        Some(())
    }

    /// The peer has answered: the session that the response or the request names is there.
    ///
    /// Unlike in nginx, a live session of another server stays where it is unless the request has
    /// carried it, and so does one whose server is merely full; what the server has not answered,
    /// or with 5xx, makes no session.
    #[inline(never)]
    pub fn learn(&self, affinity: &Affinity<'r>) {
        let (Some(learn), Some(peer)) = (&self.native.learn, self.taken.get()) else {
            return;
        };
        let Some(sessions) = learn.sessions.get() else {
            return;
        };
        let limits = &learn.rule.limits;
        let created = first(&learn.create, affinity.request);
        let created = (!created.is_empty())
            .then(|| sessions.key(created))
            .flatten();
        let Some(key) = created.or(self.key) else {
            return;
        };
        let status = affinity
            .request
            .upstream()
            .map_or(0, |exchange| exchange.answer());
        let teaches = (1..500).contains(&status);
        let is_carried = Some(key) == self.key;
        let from = self.holder.get().filter(|_| is_carried);
        let is_ahead = || !affinity.peers.may_change() && sessions.is_ahead(key, limits);
        let is_unknown = |from| affinity.directory().by_id(from).is_none();
        let stays = self.is_full.get()
            || from.is_some_and(|from| from == peer || is_unknown(from) && is_ahead());
        match from {
            Some(from) if !stays && teaches => {
                sessions.reassign(key, from, peer, limits);
            }
            Some(_) => sessions.touch(key, limits),
            None if created.is_some() && teaches => {
                let claim = if is_carried {
                    Claim::Carried { from: None }
                } else {
                    Claim::Stranger
                };
                let learned = sessions.learn(key, peer, claim, limits, &mut |holder| {
                    filter::is_lost(affinity, holder, is_ahead)
                });
                if matches!(learned, Learned::New { .. }) && affinity.status.get() == Status::None {
                    affinity.status.set(Status::New);
                }
            }
            None => {}
        }
    }
}
