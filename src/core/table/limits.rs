//! When a session expires, and when its word is worth rewriting.

use super::session::{Session, Stage};
use super::tick::{Tick, LAST_TICK};
use super::word::Word;

/// See [`Limits::fresh`].
#[derive(Clone, Copy, Debug)]
pub struct Fresh(u64);

impl Fresh {
    /// Whether the session in a word is live and not due, where one look tells: it is in use, was seen
    /// a moment ago, and nothing else ends it. Nearly all that requests ask for are so. `passed` are the
    /// seconds since the epoch; before that, it is a negative number in two's complement.
    #[inline(always)]
    pub fn is(self, word: Word, passed: u64) -> bool {
        // A `seen` that is still to come makes the difference larger than any limit.
        passed.wrapping_sub(word.seen().into()) < self.0 && word.is_in_use()
    }
}

/// How long a session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Idle limit in seconds, greater than 0.
    pub expires: Tick,
    /// Absolute limit in seconds, from the moment of learning.
    pub lifetime: Option<Tick>,
}

impl Limits {
    /// Whether the session is still found at `now`. A session expires exactly `expires` seconds
    /// after it was last seen. A clock that lags behind `seen` makes nothing expire.
    #[inline]
    pub fn is_live(&self, session: &Session, now: Tick) -> bool {
        let now = now.min(LAST_TICK);
        now.saturating_sub(session.seen) < self.expires
            && self
                .lifetime
                .is_none_or(|lifetime| now.saturating_sub(session.created) < lifetime)
    }

    /// The least advance of `seen` for which a word is rewritten: a 64th of the idle limit, so
    /// that a busy session is read and not written.
    #[inline]
    pub fn touch_interval(&self) -> Tick {
        (self.expires / 64).max(1)
    }

    /// [`Limits::refreshed`] by a request that has brought the id. In a crowded table, where the
    /// order of last use decides which session is evicted, `seen` is written every second:
    /// otherwise a flood of invented ids could overtake busy sessions while their `seen` is not
    /// written.
    #[inline]
    pub fn touched(
        &self,
        session: &Session,
        now: Tick,
        is_crowded: impl FnOnce() -> bool,
    ) -> Option<Session> {
        self.refreshed(session, now, true).or_else(|| {
            (now > session.seen && is_crowded()).then_some(Session {
                seen: now,
                ..*session
            })
        })
    }

    /// Whether [`Limits::touched`] has anything to write: mostly not.
    #[inline(always)]
    pub fn is_due(&self, session: &Session, now: Tick, is_crowded: impl FnOnce() -> bool) -> bool {
        self.is_refresh_due(session, now, true) || (now > session.seen && is_crowded())
    }

    /// For how long one look at a word tells that its session is live and not due.
    pub fn fresh(&self) -> Fresh {
        Fresh(match self.lifetime {
            None => (self.expires / 64).into(),
            Some(_) => 0,
        })
    }

    /// Limits under which a session lives as long as under either: in a zone that several upstreams
    /// share, no upstream may reuse the word of another's session earlier.
    pub fn longer(self, other: Limits) -> Limits {
        Limits {
            expires: self.expires.max(other.expires),
            lifetime: self.lifetime.zip(other.lifetime).map(|(a, b)| a.max(b)),
        }
    }

    /// Limits after which the sweep frees the word of an expired session: the idle limit once more,
    /// at least an hour. Until then a request with its id learns that the session has expired. A
    /// new session may reuse the word at once.
    pub fn retention(self) -> Limits {
        const AT_LEAST: Tick = 3600;
        let longer = self.expires.max(AT_LEAST);
        Limits {
            expires: self.expires.saturating_add(longer),
            lifetime: self
                .lifetime
                .map(|lifetime| lifetime.saturating_add(longer)),
        }
    }

    /// `session` after a request (`confirm`) or a response at `now`, or `None` when the change is
    /// too small to be written.
    #[inline]
    pub fn refreshed(&self, session: &Session, now: Tick, confirm: bool) -> Option<Session> {
        let is_due = self.is_refresh_due(session, now, confirm);
        let confirms = confirm && !session.confirmed;
        // At least 1: `created` must be able to lie before it, and there is no tick before 0.
        let seen = session.seen.max(now).max(Tick::from(confirms));
        is_due.then_some(Session {
            seen,
            // A request that comes back in the second of learning counts as well.
            created: match confirms {
                true => session.created.min(seen.saturating_sub(1)),
                false => session.created,
            },
            confirmed: session.confirmed || confirm,
            stage: match (session.stage, confirm) {
                (Stage::Kept, true) => Stage::Settled,
                (stage, _) => stage,
            },
            ..*session
        })
    }

    /// Whether the change is large enough to be written.
    #[inline(always)]
    pub(super) fn is_refresh_due(&self, session: &Session, now: Tick, confirm: bool) -> bool {
        let in_use = session.is_in_use();
        let confirms = confirm && !session.confirmed;
        let returns = confirm && !in_use && now > session.created;
        // If no request has come back, `seen` stays: it would make the session one in use.
        let may_advance = confirm || session.confirmed == in_use;
        let is_old = may_advance && now.saturating_sub(session.seen) >= self.touch_interval();
        is_old || returns || confirms
    }
}
