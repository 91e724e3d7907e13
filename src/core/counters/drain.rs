//! Servers that get no new sessions.
//!
//! A server's drain is one word, so that whoever reads it has all of it: who has begun it, and until
//! when the server keeps its sessions. An upstream has a mark that some of its servers may be
//! drained, or have as many sessions as they may, so that requests need not look at each.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst};

use super::digest::Digest;

/// Who has begun a drain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DrainedBy {
    /// An operator.
    Hand,
    /// The server itself, by a response.
    Server,
}

/// A server gets no new sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// Who has begun it.
    pub by: DrainedBy,
    /// From this second since 1970 on, its own sessions go elsewhere, too. `None`: they stay.
    pub until: Option<u64>,
}

/// Kinds of drains: the lowest bits of the word. The others are `until`, 0 for `None`.
const KIND_BITS: u32 = 2;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
const BY_HAND: u64 = 1;
const BY_SERVER: u64 = 2;

/// A server that the configuration has not named for so many seconds is not drained any more when it
/// comes back.
pub const FORGOTTEN_AFTER: u64 = 3600;

impl Drain {
    /// Whether its own sessions go elsewhere, too.
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    const fn word(self) -> u64 {
        let kind = match self.by {
            DrainedBy::Hand => BY_HAND,
            DrainedBy::Server => BY_SERVER,
        };
        let until = match self.until {
            // The highest bits are free until 10^11 years from now.
            Some(until) => until << KIND_BITS,
            None => 0,
        };
        until | kind
    }

    fn of(word: u64) -> Option<Self> {
        let by = match word & KIND_MASK {
            BY_HAND => DrainedBy::Hand,
            BY_SERVER => DrainedBy::Server,
            // Whatever bytes are there.
            _ => return None,
        };
        let until = word >> KIND_BITS;
        Some(Drain {
            by,
            until: (until != 0).then_some(until),
        })
    }
}

/// A drain as a state file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptDrain {
    /// The server.
    pub server: Digest,
    /// See [`Drain::word`].
    word: u64,
    /// When it began, in seconds since 1970.
    since: u64,
}

impl KeptDrain {
    /// As two numbers of 16 bytes.
    pub fn records(&self) -> [u128; 2] {
        let pair = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let [low, high] = self.server.words();
        [pair(low, high), pair(self.word, self.since)]
    }

    /// The drain of two such numbers, whatever they are.
    pub fn of_records([server, drain]: [u128; 2]) -> Self {
        Self {
            server: Digest::of_words([server as u64, (server >> 64) as u64]),
            word: drain as u64,
            since: (drain >> 64) as u64,
        }
    }
}

/// What an entry of a server keeps of its drain.
#[derive(Clone, Copy, Debug)]
pub struct DrainCells<'a> {
    /// See [`Drain::word`].
    pub(super) drain: &'a AtomicU64,
    /// When it began, in seconds since 1970.
    pub(super) since: &'a AtomicU64,
    /// When the configuration was last known to name the server, in seconds since 1970.
    pub(super) seen: &'a AtomicU64,
}

/// Mark of an upstream that some of its servers may be drained, or have as many sessions as they may.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a>(pub(super) &'a AtomicU64);

/// Bits of a mark.
const DRAINED: u64 = 1;
const FULL: u64 = 2;

impl Mark<'_> {
    /// Whether some of its servers may get no new sessions.
    #[inline(always)]
    pub fn is_set(self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Whether some of its servers may be drained.
    #[inline(always)]
    pub fn may_have_drains(self) -> bool {
        self.0.load(Relaxed) & DRAINED != 0
    }

    /// Some of its servers are drained.
    pub fn set_drains(self) {
        self.set(DRAINED);
    }

    /// Takes the mark of drains away if there is none. It is taken away first: whoever drains a server
    /// meanwhile sets it after that.
    pub fn clear_drains_unless(self, is_any: impl FnOnce() -> bool) {
        self.clear(DRAINED);
        if is_any() {
            self.set(DRAINED);
        }
    }

    /// A server has as many sessions as it may.
    pub fn set_full(self) {
        if self.0.load(Relaxed) & FULL == 0 {
            self.set(FULL);
        }
    }

    /// Whether any server has as many sessions as it may, as `is_any` says: it is asked again once the
    /// mark is taken away, for what has come meanwhile.
    pub fn see_full(self, is_any: impl Fn() -> bool) {
        if !is_any() {
            if self.0.load(Relaxed) & FULL == 0 {
                return;
            }
            self.clear(FULL);
            if !is_any() {
                return;
            }
        }
        self.set_full();
    }

    fn set(self, bit: u64) {
        self.0.fetch_or(bit, SeqCst);
    }

    fn clear(self, bit: u64) {
        self.0.fetch_and(!bit, SeqCst);
    }
}

impl DrainCells<'_> {
    /// The server's drain.
    #[inline]
    pub fn drain(&self) -> Option<Drain> {
        Drain::of(self.drain.load(Acquire))
    }

    /// When it began, in seconds since 1970.
    pub fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// The drain of the server with that digest, for a state file. `None`: it has none.
    pub fn keep(&self, server: Digest) -> Option<KeptDrain> {
        let word = self.drain.load(Acquire);
        Drain::of(word).map(|_| KeptDrain {
            server,
            word,
            since: self.since(),
        })
    }

    /// Goes on with what a state file has, unless the server is drained already.
    pub fn restore(&self, kept: &KeptDrain, now: u64, mark: Mark<'_>) {
        if Drain::of(kept.word).is_none() || self.drain().is_some() {
            return;
        }
        self.since.store(kept.since, Relaxed);
        self.seen.store(now, Relaxed);
        self.drain.store(kept.word, SeqCst);
        mark.set(DRAINED);
    }

    /// An operator drains the server, whoever has drained it before.
    pub fn begin_by_hand(&self, until: Option<u64>, now: u64, mark: Mark<'_>) {
        let by = DrainedBy::Hand;
        self.begin(Drain { by, until }, now, mark, |_| true);
    }

    /// An operator has drained the server at another nginx, whoever has drained it before.
    pub fn begin_elsewhere(&self, until: Option<u64>, since: u64, now: u64, mark: Mark<'_>) {
        self.begin_by_hand(until, now, mark);
        self.since.store(since, Relaxed);
    }

    /// The server announces that it wants no new sessions. Returns whether that begins a drain: the
    /// one of an operator stays as it is.
    pub fn begin_by_server(&self, now: u64, mark: Mark<'_>) -> bool {
        let by = DrainedBy::Server;
        let until = None;
        self.begin(Drain { by, until }, now, mark, |known| known.is_none())
    }

    fn begin(
        &self,
        drain: Drain,
        now: u64,
        mark: Mark<'_>,
        may: impl Fn(Option<Drain>) -> bool,
    ) -> bool {
        let known = self.drain.load(Acquire);
        if !may(Drain::of(known)) {
            return false;
        }
        if Drain::of(known).is_none() {
            self.since.store(now, Relaxed);
        }
        self.seen.store(now, Relaxed);
        let begun = self
            .drain
            .compare_exchange(known, drain.word(), SeqCst, Relaxed);
        mark.set(DRAINED);
        // Another process was faster: an operator's word is the last one.
        if begun.is_err() && drain.by == DrainedBy::Hand {
            self.drain.store(drain.word(), SeqCst);
            return true;
        }
        begun.is_ok()
    }

    /// An operator puts the server back. Returns what it was.
    pub fn end_by_hand(&self) -> Option<Drain> {
        Drain::of(self.drain.swap(0, SeqCst))
    }

    /// The server announces that it wants new sessions. Returns whether that ends a drain: not that
    /// of an operator.
    pub fn end_by_server(&self) -> bool {
        let announced = Drain {
            by: DrainedBy::Server,
            until: None,
        };
        self.drain
            .compare_exchange(announced.word(), 0, SeqCst, Relaxed)
            .is_ok()
    }

    /// The configuration names the server. If it has not done so for long, it is not drained any
    /// more.
    pub fn see(&self, now: u64) {
        if self.drain().is_none() {
            return;
        }
        let seen = self.seen.swap(now, Relaxed);
        if now.saturating_sub(seen) > FORGOTTEN_AFTER {
            self.drain.store(0, SeqCst);
        }
    }
}
