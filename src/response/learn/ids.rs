//! The ids that a response hands out, as they are entered into the session table.

use sticky_core::events::{Move, Skip, Source, Status};
use sticky_core::scan::places::RefusedIds;
use sticky_core::scan::FoundIn;
use sticky_core::table::{Claim, Key, Learned, Limits, LookUp};

use crate::config::types::Rule;
use crate::ngx::request::Request;
use crate::request::context::{LearnedIds, RequestContext};
use crate::zone::sessions::Sessions;

/// The ids learned from this response, none at the first call.
#[inline]
pub(super) fn learned_ids<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    name: &[u8],
) -> Option<&'r LearnedIds<'r>> {
    match context.learned.get() {
        None => begin(r, context, name),
        ids => ids,
    }
}

#[inline(never)]
fn begin<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    name: &[u8],
) -> Option<&'r LearnedIds<'r>> {
    let peer = context.answering(name)?;
    let ids = r.pool()?.vacant()?.fill(LearnedIds::none_of(peer));
    context.learned.set(Some(ids));
    Some(ids)
}

/// Enters a session that the response hands out into the table, for the peer that gives the response.
/// Returns whether the id need not be handed out again.
pub(super) fn learn_id<'r>(
    context: &RequestContext<'r>,
    ids: &LearnedIds<'r>,
    id: &[u8],
    FoundIn { class, source }: FoundIn,
) -> bool {
    let Rule::Query(_, sessions, _) = &context.sticky.rule else {
        return true;
    };
    // The request's own session at its own server was looked up a moment ago.
    if id == context.carried.get() && context.holder.get() == Some(ids.peer.number) {
        return true;
    }
    let whole = sessions.whole();
    let key = match whole {
        Some(whole) => Some(whole.key(id)),
        None => sessions.key(id),
    };
    let Some(key) = key else { return true };
    if ids.is_settled(key) {
        return true;
    }
    let is_carried = context.request_key.get() == Some(key);
    // Pages show the ids of sessions that their server has.
    let is_unchanged =
        whole.is_some_and(|it| it.is_unchanged_at(key, ids.peer.number, &sessions.limits()));
    if is_unchanged && !is_carried {
        settle(ids, key);
        return true;
    }
    // Only new ids need a place.
    let mut needs_place = !is_carried;
    if needs_place && !ids.places.has_room(class) {
        needs_place = false;
        let is_known = matches!(sessions.look_up(key, &sessions.limits()), LookUp::Found(_));
        if !is_known && !is_repeated(context, ids, key) {
            return false;
        }
    }
    // Then the table cannot say whether it is the request's own server that holds the session.
    if is_carried && !context.is_holder_current() {
        return true;
    }
    let is_moved_by_request = is_carried
        && !context.holder_state.get().keeps_session()
        && !is_foreign_by_now(context, sessions, key, &sessions.limits());
    let claim = if is_moved_by_request {
        Claim::RequestCarried {
            holder: context.holder.get(),
        }
    } else {
        Claim::ResponseOnly
    };
    let learned = sessions.learn(key, &ids.peer, claim, &sessions.limits(), &mut |holder| {
        context.is_lost(holder, || context.has_ahead(key))
    });
    settle(ids, key);
    if needs_place && matches!(learned, Learned::New { .. } | Learned::Refused) {
        ids.places.take(class);
    }
    match learned {
        // First: nearly all are such.
        Learned::New { .. } => {
            ids.begin(key, &context.open);
            begun(context, ids, key, source);
        }
        Learned::Moved { from } => {
            context.arrived(ids.peer.number);
            context.noted.move_session(match is_carried {
                true => Move::Balanced,
                false => context.why_moved(from),
            });
        }
        Learned::Refused => context.noted.skip(Skip::Refused),
        Learned::Same | Learned::Kept { .. } => {}
    }
    true
}

/// Notes that nothing more is to be learned of the session of `key`.
#[inline(always)]
fn settle(ids: &LearnedIds<'_>, key: Key) {
    ids.settle(key);
    if let Some(refused) = ids.refused.get() {
        refused.forget(key);
    }
}

/// Notes that a session has begun.
#[inline(always)]
fn begun(context: &RequestContext<'_>, ids: &LearnedIds<'_>, key: Key, source: Source) {
    context.arrived(ids.peer.number);
    context.note_learned(key, source);
    if context.status.get() == Status::None {
        context.status.set(Status::New);
    }
}

/// The first id in the header of a response whose request has none is mostly that of a new session:
/// learns that in a short way. False: nothing was learned, and [`learn_id`] is to be called.
#[inline(always)]
pub(super) fn learn_first<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    peer: &[u8],
    id: &[u8],
    FoundIn { class, source }: FoundIn,
) -> bool {
    let Rule::Query(_, sessions, _) = &context.sticky.rule else {
        return false;
    };
    let (Some(whole), None, None) = (
        sessions.whole(),
        context.learned.get(),
        context.request_key.get(),
    ) else {
        return false;
    };
    let Some(ids) = begin(r, context, peer) else {
        return false;
    };
    let key = whole.key(id);
    if whole.begin(key, &ids.peer, &sessions.limits()) != Some(true) {
        return false;
    }
    ids.settle(key);
    ids.places.take(class);
    ids.begin_first(key, &context.open);
    begun(context, ids, key, source);
    true
}

/// Whether the session is at a server of another upstream of the share, which may have learned it
/// while the request was served.
#[inline]
fn is_foreign_by_now(
    context: &RequestContext<'_>,
    sessions: &Sessions<'_>,
    key: Key,
    limits: &Limits,
) -> bool {
    if !context.sticky.is_in_share() {
        return false;
    }
    match sessions.look_up(key, limits) {
        LookUp::Found(session) => {
            let is_known = context.peer_index().by_number(session.peer).is_some();
            !is_known && context.is_foreign(session.peer)
        }
        LookUp::Unknown | LookUp::Expired => false,
    }
}

/// Whether a new id whose class is full was met before and gets one of the places for such ids. If
/// not, it is remembered.
#[cold]
fn is_repeated<'r>(context: &RequestContext<'r>, ids: &LearnedIds<'r>, key: Key) -> bool {
    if ids.refused.get().is_none() {
        context.noted.refuse_place();
        let pool = context.request.pool();
        ids.refused
            .set(pool.and_then(|pool| pool.place(RefusedIds::default())));
    }
    let Some(refused) = ids.refused.get() else {
        return false;
    };
    let has_place = ids.places.take_repeated(key, refused);
    if !has_place {
        refused.note(key);
    }
    has_place
}
