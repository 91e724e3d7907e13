//! From one table into another: a reload has changed the size of the zone, nginx was started again,
//! or two nginx serve side by side while the binary is upgraded.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::claim::Learned;
use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::lines;
use super::look_up::Current;
use super::parts::in_parts;
use super::registry::Registration;
use super::restore::{Histogram, Import, Imported, SeenRange};
use super::session::{PeerId, Session};
use super::tick::Tick;
use super::translation::Translation;
use super::word::Word;
use super::{FoundWord, Table, ATTEMPTS, LINE};

/// A walk misses a session that a worker of a table in use relocates from ahead of the walk to
/// behind it. So the walk is repeated as long as there were relocations, and misses a session only
/// if it moved at the wrong moment in every walk.
const WALKS: usize = 4;

/// The words of another table, by the numbers that peers have in this one.
struct Source<'s, 'a> {
    table: &'s Table<'a>,
    /// By their numbers there. `None`: the same.
    peers: Option<Vec<Option<PeerId>>>,
    threads: usize,
}

impl Source<'_, '_> {
    /// Does work on all words, in so many threads.
    fn in_parts<R: Send>(
        &self,
        work: impl Fn(&mut dyn Iterator<Item = FoundWord>) -> R + Sync,
    ) -> Vec<R> {
        in_parts(self.table.capacity(), self.threads, |part| {
            let words = self.table.words_in(part);
            work(&mut words.filter_map(|found| self.as_here(found)))
        })
    }

    /// None of a server that was registered this moment: the next walk has it, if any.
    #[inline]
    fn as_here(&self, found: FoundWord) -> Option<FoundWord> {
        let Some(peers) = &self.peers else {
            return Some(found);
        };
        let there = found.word.peer().get() as usize;
        let peer = peers.get(there).copied().flatten()?;
        Some(FoundWord {
            word: found.word.with_peer(peer),
            ..found
        })
    }
}

/// The result of merging a session of another table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// It was not in this table.
    New,
    /// It was in this table, see [`Table::merge`].
    Known,
    /// It has expired.
    Expired,
    /// There is no place for it.
    Full,
}

impl Table<'_> {
    /// Copies every word of `other`, a table of the same zone in another size, with the same
    /// SipHash key and epoch. See [`Table::restore`]; of two words of one key, the one that ranks
    /// higher stays. Returns how many sessions were added.
    pub fn copy_from(&self, other: &Table) -> usize {
        self.copy_from_in(other, 1)
    }

    /// The same in so many threads at once. In a process of nginx, all signals are to be blocked.
    pub fn copy_from_in(&self, other: &Table, threads: usize) -> usize {
        let mut copied = 0;
        // Nothing is there yet that a word could be a copy of.
        let mut is_empty = self.is_unused();
        let numbers = Translation::into(self.registry);
        for _ in 0..WALKS {
            let before = other.counters.relocated.load(Acquire);
            if let Some(registry) = other.registry {
                let all = registry
                    .registrations()
                    .filter_map(|server| Some((server.number, server.fingerprint()?)));
                numbers.learn(&all.collect::<Vec<_>>());
            }
            let source = Source {
                table: other,
                peers: self.registry.map(|_| numbers.peers()),
                threads,
            };
            copied += self.fill_from(&source, is_empty);
            is_empty = false;
            if other.counters.relocated.load(Acquire) == before {
                break;
            }
        }
        copied
    }

    /// One walk through another table.
    fn fill_from(&self, source: &Source<'_, '_>, is_empty: bool) -> usize {
        let seen = source.in_parts(|words| {
            let mut seen = SeenRange::default();
            words.for_each(|found| seen.add(found.word.seen()));
            seen
        });
        let nothing = SeenRange::default();
        let seen = seen.into_iter().fold(nothing, SeenRange::and);
        let histogram = (seen.count > self.easily_filled()).then(|| {
            let histograms = source.in_parts(|words| {
                let mut histogram = Histogram::new(seen);
                words.for_each(|found| histogram.add(found.word.seen(), found.word.is_in_use()));
                histogram
            });
            let nothing = Histogram::new(seen);
            histograms.iter().fold(nothing, Histogram::and)
        });
        self.counters.note_use();
        let mut copied = 0;
        for pass in self.passes(seen, histogram) {
            let counts = source.in_parts(|words| {
                let mut import = Import::new(self, &pass.policy);
                let (mut put, mut newcomers) = (0, 0);
                for found in words {
                    if !pass.has(found.word.seen(), found.word.is_in_use()) {
                        continue;
                    }
                    match is_empty && self.put_in_order(&found) {
                        true => {
                            put += 1;
                            newcomers += u64::from(found.word.is_newcomer());
                        }
                        false => import.add(found.key, &found.word.session()),
                    }
                }
                self.counters.newcomers.fetch_add(newcomers, Relaxed);
                put + import.finish()
            });
            copied += counts.into_iter().sum::<usize>();
        }
        copied
    }

    /// Puts a word into the line here that corresponds to the one in which it is there, if that has a
    /// free place. The lines of both tables are in the order of the same bits of keys, so that both
    /// are walked through in that order, and no memory is waited for. Whether it is done.
    fn put_in_order(&self, found: &FoundWord) -> bool {
        let (first, second) = self.lines_of(found.key);
        let index = if found.is_second { second } else { first };
        let Some(line) = self.line(index) else {
            return false;
        };
        let mut words = [0; 2 * LINE];
        // Both halves are the same line.
        let places = lines::load(line, line, found.key.get(), &mut words);
        let free = places.empty.trailing_zeros() as usize;
        // Of another copy of it, the higher one stays.
        let is_free = free < LINE && places.of_key == 0;
        is_free
            && self.exchange(
                index * LINE + free,
                words.get(free).copied().unwrap_or_default(),
                found.word.bits(),
            )
    }

    /// [`Table::merge`] of a session whose registered peer here is `peer`.
    pub fn merge_of(
        &self,
        key: Key,
        peer: &Registration,
        session: &Session,
        limits: &Limits,
        now: Tick,
        is_thorough: bool,
    ) -> Merged {
        let session = Session {
            peer: peer.number,
            ..*session
        };
        let merged = self.merge(key, &session, limits, now, is_thorough);
        match merged {
            Merged::New => {
                let is_kept = self.keep_if_held(peer, || {
                    self.forget(key);
                });
                if is_kept {
                    merged
                } else {
                    Merged::Full
                }
            }
            merged => merged,
        }
    }

    /// Merges a session of another nginx, whose table has the same SipHash key, into this one,
    /// which may be in use. Of two of one key, one whose server is gone or failed here goes, see
    /// [`Table::with_usable_servers`]. Else that began earlier stays: within the coarseness of
    /// [`Session::created`] the one in use, then the one seen later. Evicts no live session. A place
    /// is searched for in many lines if `is_thorough`.
    pub fn merge(
        &self,
        key: Key,
        session: &Session,
        limits: &Limits,
        now: Tick,
        is_thorough: bool,
    ) -> Merged {
        let limits = self.zone_limits.unwrap_or(*limits);
        if !limits.is_live(session, now) {
            return Merged::Expired;
        }
        let policy = EvictionPolicy::Merge {
            limits,
            now,
            is_thorough,
        };
        let change = |known, other| self.merged(known, other);
        match self.import(key, session, &limits, now, &policy, change) {
            Imported::Inserted(_) => {
                // A worker may have learned it at the same moment.
                self.wins_insertion(key, Word::new(key, session), &limits, now);
                Merged::New
            }
            Imported::Known => Merged::Known,
            Imported::Full => Merged::Full,
        }
    }

    /// Changes the session of a key, or inserts it by that policy, to be as it is in a table that
    /// decides. `peer` is its peer here. The result is that of learning it.
    pub(super) fn follow(
        &self,
        key: Key,
        peer: &Registration,
        session: &Session,
        limits: &Limits,
        policy: &EvictionPolicy,
        now: Tick,
    ) -> Learned {
        let session = Session {
            peer: peer.number,
            ..*session
        };
        let copies = self.without_journal();
        for _ in 0..ATTEMPTS {
            let view = self.find(key, limits, now);
            if let Current::Live(index, known) = view.current {
                let Some(new) = known.followed_by(&session) else {
                    return Learned::Same;
                };
                if self.replace(&view, key, index, &new, limits, now).is_none() {
                    continue;
                }
                let is_kept = self.keep_if_held(peer, || {
                    copies.reassign(key, peer.number, known.peer, limits, now);
                });
                return match is_kept {
                    true if known.peer == peer.number => Learned::Same,
                    true => Learned::Moved { from: known.peer },
                    false => Learned::Refused,
                };
            }
            let word = Word::new(key, &session);
            match self.insert(&view, word, policy, false) {
                Placed::Raced => {}
                Placed::Full => break,
                Placed::Inserted(evicted) => {
                    self.wins_insertion(key, word, limits, now);
                    let is_kept = self.keep_if_held(peer, || {
                        self.forget(key);
                    });
                    return match is_kept {
                        true => Learned::New { evicted },
                        false => Learned::Refused,
                    };
                }
            }
        }
        Learned::Refused
    }

    /// What becomes of a live session here after that of another nginx has come, if it changes.
    fn merged(&self, known: Word, other: Word) -> Option<Session> {
        let (ours, theirs) = (known.session(), other.session());
        let coarseness = known.coarseness().max(other.coarseness());
        let stays = if ours.peer == theirs.peer {
            Session {
                created: ours.created.min(theirs.created),
                ..ours
            }
        } else {
            let by_server = self.stays_as_usable(ours.peer, theirs.peer);
            let is_ours = by_server.or_else(|| ours.stays_before(&theirs, coarseness));
            let is_ours = is_ours.unwrap_or_else(|| {
                // As both nginx see it.
                self.order_of(ours.peer) > self.order_of(theirs.peer)
            });
            if is_ours {
                ours
            } else {
                theirs
            }
        };
        // Either way the client uses the id.
        ours.followed_by(&Session {
            seen: ours.seen.max(theirs.seen),
            confirmed: ours.confirmed || theirs.confirmed,
            stage: ours.stage.max(theirs.stage),
            ..stays
        })
    }

    /// An order of servers that does not depend on their numbers.
    fn order_of(&self, peer: PeerId) -> u128 {
        let registered = self.registry.and_then(|it| it.registration(peer));
        match registered.and_then(|server| server.fingerprint()) {
            Some(fingerprint) => fingerprint.bits(),
            None => peer.get().into(),
        }
    }
}
