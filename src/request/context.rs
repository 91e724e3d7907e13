//! What is remembered of a request while it is served, from the choice of its server to the end of
//! its response. Everything else of this floor, and the filters above it, read and write it.

use std::cell::{Cell, RefCell};

use sticky_core::directive::OnFailure;
use sticky_core::events::{BodyEnd, Move, Reader, Skip, Source, Status};
use sticky_core::happened::Happened;
use sticky_core::read_body::ReadBody;
use sticky_core::rewrite::PageRewriter;
use sticky_core::scan::body::BodyLearner;
use sticky_core::scan::places::{Places, RefusedIds};
use sticky_core::scan::Learner;
use sticky_core::table::{Epoch, Key, PeerId, Registration};

use crate::config::nginx_forms::NginxForm;
use crate::config::peer_index::{IndexView, Peer, PeerIndex};
use crate::config::share;
use crate::config::types::{Rule, Sticky};
use crate::ngx::accel_redirect::SavedFinalize;
use crate::ngx::chain::{Held, Input, Output};
use crate::ngx::header::Header;
use crate::ngx::open::{self, Place};
use crate::ngx::pace;
use crate::ngx::peers::PeerList;
use crate::ngx::request::Request;

use super::status::Tries;
use super::trace::Trace;
use super::usable::{self, Unavailable};
use super::watched::Watched;

/// What is remembered of a request while it is served. Every request of a sticky upstream has one:
/// the larger it is, the more often nginx needs another block of memory for a request.
pub struct RequestContext<'r> {
    /// The request.
    pub request: Request<'r>,
    /// The upstream that serves it.
    pub sticky: &'r Sticky<'r>,
    /// The upstream's peers.
    pub peers: PeerList,
    /// The key of the session id that the request carries: of several the one that decides.
    pub request_key: Cell<Option<Key>>,
    /// That id, decoded; in `mode=cookie` what the application has in the cookie of the request
    /// (`transfer`), with the delimiter in front. Empty: nothing.
    pub carried: Cell<&'r [u8]>,
    /// The peer that held the request's session when the request came.
    pub holder: Cell<Option<PeerId>>,
    /// The epoch of the registry in which that was looked up, once an attempt was made at it.
    pub epoch: Cell<Epoch>,
    /// That peer, where it is known already and stays as it is.
    pub found: Cell<Option<&'r Peer>>,
    /// Name of the peer that answered.
    pub answered: Answered<'r>,
    /// The ids that its response has handed out.
    pub learned: Cell<Option<&'r LearnedIds<'r>>>,
    /// Its page while it is being rewritten.
    pub page: Cell<Option<&'r Page>>,
    /// What `mode=discover` has seen of it.
    pub watched: Cell<Option<&'r Watched<'r>>>,
    /// State of nginx's own form of the directive, if the upstream has one.
    #[cfg(not(nginx_since = "1.29.6"))]
    pub nginx_sticky: Option<&'r NginxSticky<'r>>,
    /// How its attempts at servers went.
    pub tries: Tries,
    /// What became of its session.
    pub status: Cell<Status>,
    /// What became of the attempt at the session's server.
    pub holder_state: Cell<HolderState>,
    /// What it has to do with a session that a request has entered.
    pub entry: Cell<Entry>,
    /// Whether the body of its response is read or rewritten.
    pub awaits_body: Cell<bool>,
    /// What was noted of sessions so far; [`RequestContext::happened`] tells all.
    pub noted: Happened,
    /// The protocol's own callback for the end of the exchange.
    pub finalize: SavedFinalize,
    /// For the time in which it is open.
    pub open: Place<'r>,
    /// What its debug lines need, if there are to be any.
    pub trace: Cell<Option<&'r Trace<'r>>>,
}

/// The name of the peer that has answered, once one has. No name is empty.
#[derive(Default)]
pub struct Answered<'r>(Cell<&'r [u8]>);

impl<'r> Answered<'r> {
    /// The name.
    #[inline(always)]
    pub fn get(&self) -> Option<&'r [u8]> {
        Some(self.0.get()).filter(|name| !name.is_empty())
    }

    /// Sets it.
    #[inline(always)]
    pub fn set(&self, name: &'r [u8]) {
        self.0.set(name);
    }
}

impl<'r> RequestContext<'r> {
    /// The upstream's peers as they are now.
    #[inline]
    pub fn peer_index(&self) -> IndexView<'r> {
        self.sticky.peer_index(self.peers)
    }

    /// The peer that the client is told to come back to: the one that answered and is called `name`,
    /// or the session's own, where that keeps the session.
    #[inline(always)]
    pub fn peer_to_show<'d>(&self, index: &'d PeerIndex<'_>, name: &[u8]) -> Option<&'d Peer>
    where
        'r: 'd,
    {
        match (self.holder_state.get(), self.holder.get()) {
            (HolderState::Steered, Some(_)) if self.found.get().is_some() => self.found.get(),
            (HolderState::Kept, Some(holder)) => index.by_number(holder),
            _ => index.answering(self.request, name),
        }
    }

    /// What a session is learned under that the peer called `name` has begun, which answers the
    /// request. `None`: the zone has no number left for it.
    #[inline]
    pub fn answering(&self, name: &[u8]) -> Option<Registration> {
        let fixed = self.sticky.fixed_index();
        let peer = fixed.and_then(|index| index.answering_as_built(self.request));
        match peer {
            Some(peer) => Some(peer),
            None => self.answering_otherwise(name),
        }
    }

    #[inline(never)]
    fn answering_otherwise(&self, name: &[u8]) -> Option<Registration> {
        let index = self.peer_index();
        match index.answering(self.request, name) {
            Some(peer) => self.registration(&index, peer),
            // It has left meanwhile.
            None => self.sticky.rule.sessions()?.registration_of(name),
        }
    }

    /// The same for a peer of the index.
    pub fn registration(&self, index: &PeerIndex<'_>, peer: &Peer) -> Option<Registration> {
        let registration = index.registration(peer);
        if registration.is_none() {
            self.log_no_number();
        }
        registration
    }

    /// Logged once in each worker.
    #[cold]
    fn log_no_number(&self) {
        self.noted.skip(Skip::Refused);
        if let Some(sessions) = self.sticky.rule.sessions() {
            if !self.sticky.logged_no_number.replace(true) {
                sessions.log_no_number();
            }
        }
    }

    /// Whether the server of the request's session is still known by the number that it had. Else
    /// nothing is learned or moved with it.
    #[inline]
    pub fn is_holder_current(&self) -> bool {
        match (self.holder.get(), self.sticky.rule.sessions()) {
            (Some(holder), Some(sessions)) => {
                let since = match self.peer_index() {
                    // Or later, if that was noted.
                    IndexView::Fixed(index) => index.epoch().max(self.epoch.get()),
                    IndexView::Now(_) => self.epoch.get(),
                };
                sessions.is_same_since(holder, since)
            }
            _ => true,
        }
    }

    /// For each attempt, whether the request had an id and went to its server: `NEW`, `HIT` or
    /// `MISS`, separated as in `$upstream_addr`.
    pub fn tries(&self) -> String {
        self.tries.listed(self.request)
    }

    /// What has happened to sessions, as far as the response has been read.
    pub fn happened(&self) -> &Happened {
        if self.learned.get().is_some_and(LearnedIds::has_given_up) {
            self.noted.skip(Skip::GivenUp);
        }
        self.noted_so_far()
    }

    /// The same without a look at what reads the body.
    pub fn noted_so_far(&self) -> &Happened {
        if self.learned.get().is_some_and(LearnedIds::were_skipped) {
            self.noted.skip(Skip::Cap);
        }
        &self.noted
    }

    /// How far the body of the response was read by now.
    pub fn read_body(&self) -> ReadBody {
        match (self.page.get(), self.learned.get()) {
            (Some(page), _) => page.read(),
            (None, Some(ids)) => ids.read(),
            (None, None) => ReadBody::default(),
        }
    }

    /// A session has begun, of which `source` has shown the id.
    #[inline(always)]
    pub fn note_learned(&self, key: Key, source: Source) {
        self.noted.learn(source);
        if self.sticky.watches_first.get() {
            self.sticky.end_watch();
        }
        if let Some(trace) = self.trace.get() {
            self.trace_learned(trace, key, source);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_learned(&self, trace: &Trace<'_>, key: Key, source: Source) {
        trace.learn(source, self.hash_of(key));
    }

    /// For how many seconds the session of the request has existed, or had when it ended.
    pub fn age(&self) -> Option<u32> {
        if let Some(age) = self.noted.age_at_end() {
            return Some(age);
        }
        let key = self.request_key.get()?;
        match &self.sticky.rule {
            Rule::Query(rule, sessions, _) if self.holder.get().is_some() => {
                sessions.age(key, &sessions.limits())
            }
            Rule::NginxForm(form) if is_session_known(self.status.get()) => {
                let learn = form.learn.as_ref()?;
                let sessions = learn.sessions.get()?;
                sessions.age(key, &sessions.limits())
            }
            _ => None,
        }
    }

    /// A session has begun at the server of that number, or moved there.
    #[inline(always)]
    pub fn arrived(&self, server: PeerId) {
        if self.sticky.counts_arrivals.get() {
            share::arrived(self.sticky, &self.peer_index(), server);
        }
    }

    /// What logs show of the session: of the id that the request has, else of the first one that
    /// the response has begun.
    pub fn id_hash(&self) -> Option<u32> {
        let begun = || self.learned.get()?.begun().next();
        let key = self.request_key.get().or_else(begun)?;
        self.hash_of(key)
    }

    /// What logs show of the session of a key.
    pub fn hash_of(&self, key: Key) -> Option<u32> {
        self.sticky.rule.sessions()?.shown(key)
    }

    /// Whether an operator wanted the request's session to leave its server: the time of a drain is
    /// over, or the session was moved to no server.
    pub fn is_planned(&self) -> bool {
        let Some(holder) = self.holder.get() else {
            return false;
        };
        let sessions = self.sticky.rule.sessions();
        let index = self.peer_index();
        sessions.is_some_and(|sessions| sessions.is_at_nobody(holder))
            || index
                .by_number(holder)
                .is_some_and(|peer| self.sticky.is_drained(peer))
    }

    /// Why a session leaves a server that another one stands in for.
    pub fn why_lost(&self, holder: PeerId) -> Move {
        match self.peer_index().by_number(holder) {
            Some(peer) if self.sticky.is_drained(peer) => Move::Drained,
            Some(_) => Move::Failed,
            None => Move::Left,
        }
    }

    /// Why a session moves that is at that server, and not because of its own request.
    pub fn why_moved(&self, holder: PeerId) -> Move {
        let index = self.peer_index();
        match index.by_number(holder) {
            Some(peer) if self.sticky.is_drained(peer) => Move::Drained,
            Some(peer) if usable::check(self.peers, peer.handle).is_ok() => Move::Balanced,
            Some(_) => Move::Failed,
            None => Move::Left,
        }
    }

    /// Whether the session of `key` [is ahead](crate::zone::sessions::Sessions::is_ahead). Where
    /// servers come and go (`resolve`), one that is not known has left.
    #[cold]
    pub fn has_ahead(&self, key: Key) -> bool {
        match &self.sticky.rule {
            Rule::Query(rule, sessions, _) if !self.peers.may_change() => {
                sessions.is_ahead(key, &sessions.limits())
            }
            _ => false,
        }
    }

    /// Whether a server that this upstream does not know is one of another upstream of its share: then
    /// its sessions count as none here, and stay.
    #[cold]
    pub fn is_foreign(&self, holder: PeerId) -> bool {
        share::has_elsewhere(self.sticky, holder)
    }

    /// Whether the server of a session has left the upstream, or cannot be used. One that is merely
    /// full keeps its sessions, and so does one that is not known here, if the session `is_ahead`;
    /// with `on_failure=keep` also one that is down or has failed.
    pub fn is_lost(&self, holder: PeerId, is_ahead: impl Fn() -> bool) -> bool {
        let index = self.peer_index();
        match index.by_number(holder) {
            None => !self.is_foreign(holder) && !is_ahead(),
            Some(peer) if self.sticky.is_drained(peer) => true,
            Some(peer) => match usable::check(self.peers, peer.handle) {
                Err(Unavailable::Left | Unavailable::Drained) => true,
                Err(Unavailable::Failed) => self.sticky.rule.on_failure() == OnFailure::Move,
                Ok(()) | Err(Unavailable::Full) => false,
            },
        }
    }
}

/// Whether the session of a request with that status has been found.
fn is_session_known(status: Status) -> bool {
    matches!(
        status,
        Status::Hit | Status::Gone | Status::Full | Status::Foreign
    )
}

/// What became of the attempt at the server that holds a request's session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HolderState {
    /// None was made yet, or the request has no session.
    Untried,
    /// The request went to it.
    Steered,
    /// It has left, or cannot be used: the session goes to the peer that answers.
    Lost,
    /// It keeps the session, and the next request may reach it again: it is merely busy, or known
    /// to a newer configuration only, or down or failed under `on_failure=keep`.
    Kept,
    /// It is in another upstream of the share, and keeps the session, which counts as none here.
    Foreign,
}

impl HolderState {
    /// Whether the session stays although another server answers.
    pub fn keeps_session(self) -> bool {
        matches!(self, HolderState::Kept | HolderState::Foreign)
    }
}

/// What a request has to do with a session that a request has entered, and that no answer has kept
/// so far (`learn=request`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// Nothing, or no more.
    None,
    /// It has found one: its answer may keep it.
    Found,
    /// It has entered it: its answer may keep it, else the session ends with the exchange.
    Own,
}

/// Most pages have one id or two, and these in many places.
const SETTLED: usize = 8;

/// So many sessions that one response has begun live as long as it is open.
const BEGUN: usize = 4;

/// The ids that a response has handed out, and the scanner of its body. Made only for responses
/// that have an id in their header, or a body that may.
pub struct LearnedIds<'r> {
    /// The peer that gives the response.
    pub peer: Registration,
    /// Places for new ones.
    pub places: Places,
    /// Those that got no place.
    pub refused: Cell<Option<&'r RefusedIds>>,
    /// Keys of sessions that need no further look, each in the place that its bits choose.
    settled: [Cell<Option<Key>>; SETTLED],
    /// Keys of the first sessions that it has begun, for the case that it stays open.
    begun: [Cell<Option<Key>>; BEGUN],
    /// What reads the body.
    pub scanner: Cell<Option<&'r Scanner>>,
    /// How far it has read, once it is not there any more and that is not counted yet.
    read: Cell<ReadBody>,
    /// What of the body waits until it is read.
    pub waiting: Cell<Option<&'r Waiting>>,
}

/// The rest of a body that is read in a later turn of the event loop.
#[derive(Default)]
pub struct Waiting {
    /// Its buffers.
    pub held: RefCell<Held>,
    /// Where the request waits.
    pub place: pace::Place,
}

impl Waiting {
    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        !self.held.borrow().is_empty()
    }
}

/// What reads a response's body, until it has read enough.
pub type Scanner = Cell<Option<BodyLearner>>;

impl LearnedIds<'_> {
    /// None so far, of a response that `peer` gives.
    #[inline(always)]
    pub fn none_of(peer: Registration) -> Self {
        Self {
            peer,
            places: Places::default(),
            refused: Cell::default(),
            settled: [const { Cell::new(None) }; SETTLED],
            begun: [const { Cell::new(None) }; BEGUN],
            scanner: Cell::default(),
            read: Cell::default(),
            waiting: Cell::default(),
        }
    }

    /// What reads the body has come to an end.
    pub fn end(&self, read: ReadBody) {
        self.read.set(read);
    }

    /// Whether the session of `key` was noted as settled.
    pub fn is_settled(&self, key: Key) -> bool {
        let place = self.settled.get(key.get() as usize % SETTLED);
        place.is_some_and(|place| place.get() == Some(key))
    }

    /// Notes that nothing more is to be learned of the session of `key`.
    pub fn settle(&self, key: Key) {
        if let Some(place) = self.settled.get(key.get() as usize % SETTLED) {
            place.set(Some(key));
        }
    }

    /// Notes that the response has begun the session of `key`.
    pub fn begin(&self, key: Key, open: &Place<'_>) {
        if self.begun().next().is_none() {
            open::keep(open);
        }
        if let Some(vacant) = self.begun.iter().find(|place| place.get().is_none()) {
            vacant.set(Some(key));
        }
    }

    /// The same of its first one.
    #[inline(always)]
    pub fn begin_first(&self, key: Key, open: &Place<'_>) {
        open::keep(open);
        let [first, ..] = &self.begun;
        first.set(Some(key));
    }

    /// Keys of the sessions that it has begun.
    pub fn begun(&self) -> impl Iterator<Item = Key> + '_ {
        self.begun.iter().filter_map(Cell::get)
    }

    /// Whether what reads the body has given up.
    fn has_given_up(&self) -> bool {
        let has_given_up = self.with_learner(|learner| learner.has_given_up());
        has_given_up.unwrap_or_default()
    }

    /// How far the body was read by now.
    fn read(&self) -> ReadBody {
        let so_far = self.with_learner(|learner| learner.read());
        so_far.unwrap_or(self.read.get())
    }

    /// Calls a function with what reads the body, while it is there.
    pub fn with_learner<T>(&self, f: impl FnOnce(&BodyLearner) -> T) -> Option<T> {
        let scanner = self.scanner.get()?;
        let learner = scanner.take()?;
        let value = f(&learner);
        scanner.set(Some(learner));
        Some(value)
    }

    /// Whether an id was not learned for want of a place.
    pub fn were_skipped(&self) -> bool {
        self.refused.get().is_some_and(RefusedIds::is_any_left)
    }
}

/// A page that is being rewritten.
pub struct Page {
    /// What rewrites it.
    pub rewriter: RefCell<PageRewriter>,
    /// The buffers that it comes in.
    pub input: RefCell<Input>,
    /// The buffers that it is sent in.
    pub output: Output,
    /// A part of it has come and is not rewritten yet.
    pub is_held: Cell<bool>,
    /// Where the request waits if there was no time for it.
    pub place: pace::Place,
    /// How many bytes of it were read.
    pub bytes: Cell<u64>,
    /// How far it was read, once it has ended.
    pub end: Cell<Option<BodyEnd>>,
}

impl Page {
    /// How far it was read by now.
    fn read(&self) -> ReadBody {
        let so_far = || match self.rewriter.borrow().has_given_up() {
            true => BodyEnd::GivenUp,
            false => BodyEnd::Ended,
        };
        let end = self.end.get().unwrap_or_else(so_far);
        let mut body = ReadBody::of_bytes(self.bytes.get());
        body.note(Reader::Rewrite, end);
        body
    }
}

/// What is remembered of a request of an upstream with one of nginx's own forms of the directive.
pub struct NginxSticky<'r> {
    /// The form.
    pub form: &'r NginxForm<'r>,
    /// What the request says of its server or session; empty when it says nothing.
    pub id: &'r [u8],
    /// The key of that session.
    pub key: Option<Key>,
    /// `sticky_secret` for this request.
    pub secret: Option<&'r [u8]>,
    /// `sticky_strict on`.
    pub strict: bool,
    /// The holder of the session, as the latest attempt has found it.
    pub holder: Cell<Option<PeerId>>,
    /// The epoch of the registry in which that was looked up.
    pub epoch: Cell<Epoch>,
    /// That holder is merely busy.
    pub is_full: Cell<bool>,
    /// The peer that the latest attempt has gone to.
    pub taken: Cell<Option<Registration>>,
    /// The cookie that the response gets.
    pub set_cookie: Cell<Option<Header<'r>>>,
}
