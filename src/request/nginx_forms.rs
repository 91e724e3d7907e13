//! nginx's own forms of the directive, `sticky cookie|route|learn`, with Angie's additions.
//!
//! Variables of a request name its server, or a session of the table. Each attempt goes to that server
//! if it can be used, else to the balancer's choice. Then the cookie is set, or the session learned
//! once the server has answered. Three things differ from our own modes, as in nginx: the id is looked
//! up again for each attempt, a server is named by its id (`route=`, or the MD5 of its address), and
//! a backup server is used only when no other is left.

use std::cell::Cell;

use sticky_core::digest;
use sticky_core::table::{Claim, Learned, LookUp};

use crate::config::nginx_forms::{NginxForm, NginxLearn};
use crate::ngx::balancer::{Choice, Steer, Try};
use crate::ngx::clock;
use crate::ngx::complex::{Text, Variable};
use crate::ngx::peers::{PeerKey, Unusable};
use crate::ngx::request::Request;

use super::context::{NginxSticky, RequestContext};
use super::status::Status;

fn first<'r>(variables: &[Variable], r: Request<'r>) -> &'r [u8] {
    let mut values = variables.iter().filter_map(|variable| variable.value(r));
    values.next().unwrap_or_default()
}

impl<'r> NginxSticky<'r> {
    /// Evaluates the variables of a request. `None`: no memory is left.
    #[inline(never)]
    pub fn begin(
        r: Request<'r>,
        form: &'r NginxForm<'r>,
        secret: Option<Text<'r>>,
        strict: bool,
    ) -> Option<Self> {
        let id = first(&form.lookup, r);
        let sessions = form.learn.as_ref().and_then(|learn| learn.sessions.get());
        Some(Self {
            form,
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

    /// Whether the request names a server or a session.
    pub fn has_id(&self) -> bool {
        !self.id.is_empty()
    }

    /// Whether sessions are learned as soon as the header of the response has come.
    pub fn learns_from_header(&self) -> bool {
        let learn = self.form.learn.as_ref();
        learn.is_some_and(|learn| learn.rule.after_header)
    }

    /// Gives a try to the server that the request or its session names.
    #[inline(never)]
    pub fn choose(&self, context: &RequestContext<'r>, attempt: &Try<'_>) -> Choice {
        self.taken.set(None);
        if self.id.is_empty() {
            return Choice::Balance;
        }
        let found = {
            let index = context.peer_index();
            let sid = match &self.form.learn {
                Some(learn) => match self.look_up(learn) {
                    LookUp::Found(session) => {
                        self.holder.set(Some(session.peer));
                        index.by_id(session.peer).map(|peer| &peer.value[..])
                    }
                    over => {
                        self.holder.set(None);
                        context.status.set(match over {
                            LookUp::Expired => Status::Expired,
                            _ => Status::Miss,
                        });
                        return Choice::Balance;
                    }
                },
                None => match self.secret {
                    Some(secret) => index.find(|sid| digest::salted(sid, secret) == self.id),
                    None => Some(self.id),
                },
            };
            sid.map(|sid| (sid.to_vec(), index.bearers(sid)))
        };
        let steered = match &found {
            Some((sid, bearers)) => attempt.follow(context.peers, sid, *bearers),
            None => Err(Unusable::Gone),
        };
        self.is_full.set(steered == Err(Unusable::Full));
        let is_known = found.is_some_and(|(_, bearers)| bearers.is_some());
        context.status.set(match steered {
            Ok(()) => Status::Hit,
            Err(_) if is_known || self.form.learn.is_some() => Status::Gone,
            Err(_) => Status::Miss,
        });
        match steered {
            Ok(()) => Choice::Steered,
            Err(_) if self.strict => Choice::Refuse,
            Err(_) => Choice::Balance,
        }
    }

    /// Does not prolong the session. Only a response does, so that a session whose server has replaced
    /// the id ends.
    fn look_up(&self, learn: &NginxLearn<'_>) -> LookUp {
        match (learn.sessions.get(), self.key) {
            (Some(sessions), Some(key)) => sessions.look_up(key, &learn.rule.limits),
            _ => LookUp::Unknown,
        }
    }

    /// An attempt goes to `peer`: sets the cookie. `None`: no memory is left.
    #[inline(never)]
    pub fn taken(&self, context: &RequestContext<'r>, peer: PeerKey) -> Option<()> {
        let index = context.peer_index();
        // A peer that was added this very moment has no cookie yet.
        let Some(peer) = index.by_key(peer) else {
            return Some(());
        };
        self.taken.set(Some(peer.id));
        let Some(cookie) = &self.form.cookie else {
            return Some(());
        };
        let r = context.request;
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
        if context.status.get() == Status::None {
            context.status.set(Status::New);
        }
        Some(())
    }

    /// The peer has answered: learns the session that the response or the request names.
    ///
    /// Unlike in nginx, a live session stays at its server unless the request had its id, or if the
    /// server is merely full; and no session is learned when the server gave no answer, or one with 5xx.
    #[inline(never)]
    pub fn learn(&self, context: &RequestContext<'r>) {
        let (Some(learn), Some(peer)) = (&self.form.learn, self.taken.get()) else {
            return;
        };
        let Some(sessions) = learn.sessions.get() else {
            return;
        };
        let limits = &learn.rule.limits;
        let created = first(&learn.create, context.request);
        let created = (!created.is_empty())
            .then(|| sessions.key(created))
            .flatten();
        let Some(key) = created.or(self.key) else {
            return;
        };
        let status = context
            .request
            .upstream()
            .map_or(0, |exchange| exchange.answer());
        let may_learn = (1..500).contains(&status);
        let is_of_request = Some(key) == self.key;
        let from = self.holder.get().filter(|_| is_of_request);
        let is_ahead = || !context.peers.may_change() && sessions.is_ahead(key, limits);
        let is_unknown = |from| context.peer_index().by_id(from).is_none();
        let stays = self.is_full.get()
            || from.is_some_and(|from| from == peer || is_unknown(from) && is_ahead());
        match from {
            Some(from) if !stays && may_learn => {
                sessions.reassign(key, from, peer, limits);
            }
            Some(_) => sessions.touch(key, limits),
            None if created.is_some() && may_learn => {
                let claim = if is_of_request {
                    Claim::RequestCarried { holder: None }
                } else {
                    Claim::ResponseOnly
                };
                let learned = sessions.learn(key, peer, claim, limits, &mut |holder| {
                    context.is_lost(holder, is_ahead)
                });
                if matches!(learned, Learned::New { .. }) && context.status.get() == Status::None {
                    context.status.set(Status::New);
                }
            }
            None => {}
        }
    }
}
