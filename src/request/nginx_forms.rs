//! nginx's own forms of the directive, `sticky cookie|route|learn`, with Angie's additions.
//!
//! Variables of a request name its server, or a session of the table. Each attempt goes to that
//! server if it can be used, else to the balancer's choice. Then the cookie is set, or the session
//! learned once the server has answered. Three things differ from our own modes, as in nginx: the
//! id is looked up again for each attempt, a server is named by its id (`route=`, or the MD5 of its
//! address), and a backup server is used only when no other is left.

use std::cell::Cell;

use sticky_core::digest;
use sticky_core::events::{Move, Skip, Source, Status};
use sticky_core::table::{Claim, Learned, LookUp};

use crate::config::nginx_forms::{NginxForm, NginxLearn};
use crate::config::peer_index::Candidates;
#[cfg(not(nginx_since = "1.29.6"))]
use crate::ngx::balancer::List;
use crate::ngx::balancer::{Attempt, Choice};
use crate::ngx::clock;
use crate::ngx::complex::{Text, Variable};
#[cfg(not(nginx_since = "1.29.6"))]
use crate::ngx::peers::PeerHandle;
use crate::ngx::peers::{PeerKey, PeerList};
use crate::ngx::request::Request;

use super::context::{NginxSticky, RequestContext};
use super::usable::{self, Unavailable};

fn first<'r>(variables: &[Variable], r: Request<'r>) -> &'r [u8] {
    let mut values = variables.iter().filter_map(|variable| variable.value(r));
    values.next().unwrap_or_default()
}

/// Takes a peer with the server id `sid` as nginx's own `sticky` does: one that has not been tried
/// yet, a backup peer only when no primary peer is left. `candidates` are the peers with that id.
#[cfg(nginx_since = "1.29.6")]
fn take(
    attempt: &Attempt<'_>,
    peers: PeerList,
    sid: &[u8],
    candidates: Candidates,
) -> Result<(), Unavailable> {
    if attempt.take_by_sid(sid) {
        return Ok(());
    }
    let peer = candidates.primary.or(candidates.backup);
    usable::check(peers, peer.ok_or(Unavailable::Left)?)?;
    Err(Unavailable::Failed)
}

/// Takes a peer with the server id `sid` as nginx's own `sticky` of later versions does
/// (`ngx_http_upstream_get_rr_peer_by_sid()`): one that has not been tried yet, of the list that
/// the balancer is at, which goes on to the backup peers when no primary peer is left. `candidates`
/// are the peers with that id.
#[cfg(not(nginx_since = "1.29.6"))]
fn take(
    attempt: &Attempt<'_>,
    peers: PeerList,
    _sid: &[u8],
    candidates: Candidates,
) -> Result<(), Unavailable> {
    let take = |peer: Option<PeerHandle>| {
        attempt.take_untried(peer.ok_or(Unavailable::Left)?, usable::test)
    };
    if attempt.list().ok_or(Unavailable::Left)? == List::Backup {
        return take(candidates.backup);
    }
    let primary = take(candidates.primary);
    let (Err(why), Some(backup)) = (primary, candidates.backup) else {
        return primary;
    };
    // One that the balancer would choose: it passes by servers that are being drained.
    if attempt.has_untried(|peer| peer.down == 0 && usable::test(peer).is_ok()) {
        return Err(why);
    }
    usable::check(peers, backup)?;
    attempt.go_to_backup()?;
    take(candidates.backup)
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
            epoch: Cell::default(),
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

    /// Gives an attempt to the server that the request or its session names.
    #[inline(never)]
    pub fn choose(&self, context: &RequestContext<'r>, attempt: &Attempt<'_>) -> Choice {
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
                        context.holder.set(Some(session.peer));
                        index.by_number(session.peer).map(|peer| &peer.value[..])
                    }
                    over => {
                        self.holder.set(None);
                        context.holder.set(None);
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
            sid.map(|sid| {
                let is_drained = context.sticky.may_have_drains()
                    && index
                        .peers()
                        .any(|peer| *peer.value == *sid && context.sticky.is_drained(peer));
                (sid.to_vec(), index.candidates(sid), is_drained)
            })
        };
        let is_drained = found.as_ref().is_some_and(|(_, _, is_drained)| *is_drained);
        let taken = match &found {
            Some(_) if is_drained => Err(Unavailable::Drained),
            Some((_, candidates, _)) if context.sticky.is_dry_run => {
                let peer = candidates.primary.or(candidates.backup);
                let peer = peer.ok_or(Unavailable::Left);
                peer.and_then(|peer| usable::check(context.peers, peer))
            }
            Some((sid, candidates, _)) => take(attempt, context.peers, sid, *candidates),
            None => Err(Unavailable::Left),
        };
        self.is_full.set(taken == Err(Unavailable::Full));
        let is_known = found.is_some_and(|(_, candidates, _)| candidates.is_some());
        context.status.set(match taken {
            Ok(()) => Status::Hit,
            Err(Unavailable::Full) => Status::Full,
            Err(_) if is_known || self.form.learn.is_some() => Status::Gone,
            Err(_) => Status::Miss,
        });
        match taken {
            _ if context.sticky.is_dry_run => Choice::Balance,
            Ok(()) => Choice::Taken,
            Err(_) if self.strict && !is_drained => Choice::Refuse,
            Err(_) => Choice::Balance,
        }
    }

    /// Does not prolong the session. Only a response does, so that a session whose server has
    /// replaced the id ends.
    fn look_up(&self, learn: &NginxLearn<'_>) -> LookUp {
        match (learn.sessions.get(), self.key) {
            (Some(sessions), Some(key)) => {
                self.epoch.set(sessions.epoch());
                sessions.look_up(key, &sessions.limits())
            }
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
        self.taken.set(context.registration(&index, peer));
        let Some(cookie) = &self.form.cookie else {
            return Some(());
        };
        let r = context.request;
        if context.sticky.is_dry_run {
            if context.status.get() == Status::None {
                context.status.set(Status::New);
            }
            return Some(());
        }
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
    /// server is merely full; and no session is learned when the server gave no answer, or one with
    /// 5xx.
    #[inline(never)]
    pub fn learn(&self, context: &RequestContext<'r>) {
        let (Some(learn), Some(peer)) = (&self.form.learn, self.taken.get()) else {
            return;
        };
        let Some(sessions) = learn.sessions.get() else {
            return;
        };
        let limits = &sessions.limits();
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
        let holder_is_current = self
            .holder
            .get()
            .is_none_or(|holder| sessions.is_same_since(holder, self.epoch.get()));
        let may_learn = (1..500).contains(&status) && holder_is_current;
        let is_of_request = Some(key) == self.key;
        let from = self.holder.get().filter(|_| is_of_request);
        let is_ahead = || !context.peers.may_change() && sessions.is_ahead(key, limits);
        let is_unknown = |from| context.peer_index().by_number(from).is_none();
        // In a dry run the request has not gone to its server, which could have been used.
        let is_there = context.sticky.is_dry_run && context.status.get() == Status::Hit;
        let stays = self.is_full.get()
            || is_there
            || from.is_some_and(|from| from == peer.number || is_unknown(from) && is_ahead());
        match from {
            Some(from) if !stays && may_learn => {
                let why = context.why_lost(from);
                // One that an operator has moved to no server is counted already.
                let is_counted = sessions.is_at_nobody(from);
                if sessions.reassign(key, from, &peer, limits) {
                    context.arrived(peer.number);
                    if !is_counted {
                        context.noted.move_session(why);
                    }
                }
            }
            Some(_) => sessions.touch(key, limits),
            None if created.is_some() && may_learn => {
                let claim = if is_of_request {
                    Claim::RequestCarried { holder: None }
                } else {
                    Claim::ResponseOnly
                };
                let learned = sessions.learn(key, &peer, claim, limits, &mut |holder| {
                    context.is_lost(holder, is_ahead)
                });
                match learned {
                    Learned::New { .. } => {
                        context.arrived(peer.number);
                        context.note_learned(key, Source::Create);
                        if context.status.get() == Status::None {
                            context.status.set(Status::New);
                        }
                    }
                    Learned::Moved { from } => {
                        context.arrived(peer.number);
                        context.noted.move_session(match is_of_request {
                            true => Move::Balanced,
                            false => context.why_moved(from),
                        });
                    }
                    Learned::Refused => context.noted.skip(Skip::Refused),
                    Learned::Same | Learned::Kept { .. } => {}
                }
            }
            None => {}
        }
    }
}
