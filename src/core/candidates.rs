//! Which of several ids of a request decides where it goes: the first one with a live session whose
//! server can be used, else the first one with a live session, else the first.
//!
//! A client may send ids that have nothing to do with each other, or of which it needs one only:
//! browsers send the cookies of one name for `/` and for `/app`, those of the longer path first; a
//! link may have had an id when the application has appended its own.

use std::ops::ControlFlow;

/// How many different ids of a request are looked at: a bound on the work that a client can cause.
pub const MAX_CANDIDATES: usize = 8;

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It names no live session.
    Unknown,
    /// Its session is live, but the session's server cannot be used.
    Unusable,
    /// It leads to a server.
    Usable,
}

/// The ids of one request, offered in the order in which they count. `K` tells different ones
/// apart, `T` is what was found of one.
///
/// ```
/// use sticky_core::candidates::{Candidates, Standing};
///
/// let mut candidates = Candidates::none();
/// for (id, standing) in [("stale", Standing::Unknown), ("good", Standing::Usable)] {
///     if candidates.offer(id, || (standing, id)).is_break() {
///         break;
///     }
/// }
/// assert_eq!(candidates.decided(), Some("good"));
/// ```
#[derive(Debug)]
pub struct Candidates<K, T> {
    seen: [Option<K>; MAX_CANDIDATES],
    usable: Option<T>,
    live: Option<T>,
    first: Option<T>,
}

impl<K: PartialEq, T> Candidates<K, T> {
    /// None so far.
    pub fn none() -> Self {
        Self {
            seen: [const { None }; MAX_CANDIDATES],
            usable: None,
            live: None,
            first: None,
        }
    }

    /// The next id; `judge` is called unless it has been offered before. A break: no later id
    /// changes the decision.
    pub fn offer(&mut self, id: K, judge: impl FnOnce() -> (Standing, T)) -> ControlFlow<()> {
        if self.seen.iter().flatten().any(|seen| *seen == id) {
            return ControlFlow::Continue(());
        }
        let Some(place) = self.seen.iter_mut().find(|place| place.is_none()) else {
            return ControlFlow::Break(());
        };
        *place = Some(id);
        match judge() {
            (Standing::Usable, found) => {
                self.usable = Some(found);
                return ControlFlow::Break(());
            }
            (Standing::Unusable, found) if self.live.is_none() => self.live = Some(found),
            (Standing::Unknown, found) if self.first.is_none() => self.first = Some(found),
            (Standing::Unusable | Standing::Unknown, _) => {}
        }
        match self.seen.last() {
            Some(Some(_)) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    /// What was found of the id that decides. `None`: there was none.
    pub fn decided(self) -> Option<T> {
        self.usable.or(self.live).or(self.first)
    }
}
