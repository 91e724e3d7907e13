//! Sessions that begin with a request (`learn=request`): their id was made by the client, or is of
//! an application that hands it out nowhere.
//!
//! The session is entered when the request's server is chosen. Whoever finds that another request
//! was faster gives its server back and follows. As long as no answer has kept the session, it goes
//! along when a request is tried at another server.

use sticky_core::events::{Skip, Source, Status};
use sticky_core::table::{Claim, Learned, LookUp, PeerId, Stage};

use crate::config::types::Rule;
use crate::ngx::balancer::{Attempt, Choice};

use super::context::{Entry, HolderState, RequestContext};
use super::usable::{self, Bound, Unavailable};

/// How often a request may be late for its session's server. Each time another one was faster.
const RACES: usize = 8;

impl RequestContext<'_> {
    /// Chooses the server of a request whose id is unknown, or whose session no answer has kept.
    #[cold]
    #[inline(never)]
    pub(super) fn choose_entering(&self, attempt: &Attempt<'_>) -> Choice {
        let (Rule::Query(_, sessions, _), Some(key)) = (&self.sticky.rule, self.request_key.get())
        else {
            return Choice::Balance;
        };
        if self.holder_state.get() == HolderState::Foreign {
            return Choice::Balance;
        }
        let was_tried = self.holder_state.get() == HolderState::Steered;
        if was_tried && attempt.follows_closed_connection() {
            let again = self.target().map(|peer| usable::take_again(attempt, peer));
            if again == Some(Ok(())) {
                return Choice::Taken;
            }
        }
        let failed = self.holder.get().filter(|_| was_tried);
        // A moment ago there was none.
        let mut is_unknown =
            self.holder_state.get() == HolderState::Untried && self.holder.get().is_none();
        for _ in 0..RACES {
            let found = match is_unknown {
                true => LookUp::Unknown,
                false => sessions.look_up(key, &sessions.limits()),
            };
            is_unknown = false;
            let mut from = None;
            if let LookUp::Found(session) = found {
                if session.stage != Stage::Entered {
                    return self.choose_kept(attempt, session.peer, failed);
                }
                if self.is_elsewhere(session.peer) {
                    self.entry.set(Entry::None);
                    self.holder.set(Some(session.peer));
                    self.found.set(None);
                    self.holder_state.set(HolderState::Foreign);
                    self.status.set(Status::Foreign);
                    return Choice::Balance;
                }
                if failed != Some(session.peer) {
                    match self.follow(attempt, session.peer) {
                        Ok(()) => return Choice::Taken,
                        // It is merely busy, or known to a newer configuration only.
                        Err(Unavailable::Full) => return Choice::Balance,
                        Err(_) => sessions.touch(key, &sessions.limits()),
                    }
                }
                if self.entry.get() == Entry::Found {
                    self.status.set(Status::Gone);
                }
                from = Some(session.peer);
            }
            let Some(chosen) = attempt.ask() else {
                return Choice::Balance;
            };
            let index = self.peer_index();
            let Some(peer) = index.by_key(chosen) else {
                return self.without_session();
            };
            let peer = match self.balance_factor() {
                None => peer,
                Some(factor) => {
                    attempt.give_back(peer.handle);
                    match attempt.take_or_another(peer.handle, &Bound(factor)) {
                        Ok(taken) => match index.by_key(taken) {
                            Some(peer) => peer,
                            None => return self.without_session(),
                        },
                        Err(_) => continue,
                    }
                }
            };
            let Some(registration) = self.registration(&index, peer) else {
                return self.without_session();
            };
            let claim = Claim::Request { from };
            match sessions.learn(key, &registration, claim, &sessions.limits(), &mut |_| {
                false
            }) {
                Learned::Kept { .. } => attempt.give_back(peer.handle),
                Learned::Refused => {
                    self.noted.skip(Skip::Refused);
                    return self.without_session();
                }
                learned => {
                    if !matches!(learned, Learned::Same) {
                        self.arrived(registration.number);
                    }
                    if matches!(learned, Learned::New { .. }) {
                        self.entry.set(Entry::Own);
                        self.note_learned(key, Source::Request);
                    } else if self.entry.get() == Entry::None {
                        self.entry.set(Entry::Found);
                    }
                    if let Learned::Moved { from } = learned {
                        self.noted.move_session(self.why_lost(from));
                    }
                    drop(index);
                    self.goes_to(registration.number);
                    return Choice::Balance;
                }
            }
        }
        self.without_session()
    }

    /// Takes the server where another request has entered the session.
    fn follow(&self, attempt: &Attempt<'_>, holder: PeerId) -> Result<(), Unavailable> {
        if self.entry.get() == Entry::None {
            self.entry.set(Entry::Found);
        }
        self.goes_to(holder);
        let taken = match self.target() {
            Some(peer) => self.take_bounded(attempt, peer),
            None if self.is_ahead() => Err(Unavailable::Full),
            None => Err(Unavailable::Left),
        };
        match taken {
            Ok(()) if self.holder_state.get() == HolderState::Kept => {}
            Ok(()) => self.status.set(Status::Hit),
            Err(Unavailable::Full) => {
                self.status.set(Status::Full);
                self.holder_state.set(HolderState::Kept);
            }
            Err(_) => {
                self.status.set(Status::Gone);
                self.holder_state.set(HolderState::Untried);
            }
        }
        taken
    }

    /// An answer to another request has kept the session meanwhile, at `holder`.
    fn choose_kept(&self, attempt: &Attempt<'_>, holder: PeerId, failed: Option<PeerId>) -> Choice {
        self.entry.set(Entry::None);
        if failed != Some(holder) && self.holder.get() != Some(holder) {
            self.goes_to(holder);
            self.holder_state.set(HolderState::Untried);
        }
        let choice = self.choose_bounded(attempt);
        if choice == Choice::Taken && self.holder_state.get() == HolderState::Steered {
            self.status.set(Status::Hit);
        }
        choice
    }

    fn goes_to(&self, holder: PeerId) {
        self.holder.set(Some(holder));
        self.found.set(None);
        self.holder_state.set(HolderState::Steered);
        // Notes the epoch of that number.
        let _ = self.target();
    }

    /// The session cannot be entered: the request is balanced as any without one.
    fn without_session(&self) -> Choice {
        self.holder.set(None);
        self.found.set(None);
        self.holder_state.set(HolderState::Untried);
        Choice::Balance
    }
}
