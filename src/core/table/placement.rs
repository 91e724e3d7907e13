//! Which place a new word takes.

use std::sync::atomic::Ordering::Relaxed;

use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::limits::Limits;
use super::look_up::{Current, View};
use super::relocation::{Node, SEARCH, SHORT_SEARCH};
use super::session::Session;
use super::tick::Tick;
use super::victim::duplicate;
use super::word::Word;
use super::{test_points, Table, LINE};

impl Table<'_> {
    /// Inserts `word`, whose key has no live session in `view`. Once several attempts have failed,
    /// it no longer `is_patient`: it does not wait until duplicates are removed.
    pub(super) fn insert(
        &self,
        view: &View,
        word: Word,
        policy: &EvictionPolicy,
        is_patient: bool,
    ) -> Placed {
        self.counters.note_use();
        let key = word.key();
        let index_of = |wanted: &dyn Fn(Word) -> bool| {
            view.words
                .iter()
                .position(|bits| wanted(Word::from_bits(*bits)))
        };

        let own = match view.current {
            Current::Absent => None,
            Current::Live(..) | Current::Expired => index_of(&|other| other.key() == key),
        };
        let free = own.or_else(|| free_place(view.empty)).or_else(|| {
            let expiry = policy.expiry();
            index_of(&|w| expiry.has_expired(w))
        });
        match free {
            Some(index) => self.take(view.place(index), view.bits(index), word, policy),
            None => self.make_room(view, word, policy, is_patient),
        }
    }

    /// Inserts `word`, in whose two lines every place is taken. Apart from the rest, which most new
    /// sessions need not pay for.
    #[inline(never)]
    fn make_room(
        &self,
        view: &View,
        word: Word,
        policy: &EvictionPolicy,
        is_patient: bool,
    ) -> Placed {
        let most_lines = match policy {
            EvictionPolicy::Spare => return Placed::Full,
            EvictionPolicy::Learn { .. } if self.has_just_evicted(policy) => SHORT_SEARCH,
            EvictionPolicy::Merge { is_thorough, .. } if !is_thorough => SHORT_SEARCH,
            _ => SEARCH,
        };
        let mut nodes = [Node::default(); SEARCH];
        let found = self.search(view, policy, &mut nodes, most_lines);
        let is_far = |target: &Node| usize::from(target.parent) >= SHORT_SEARCH;
        if let (EvictionPolicy::Learn { now, .. }, true) =
            (policy, found.free.as_ref().is_none_or(is_far))
        {
            self.counters.note_crowded(*now);
        }
        if let Some(target) = found.free {
            return self.relocate(&nodes, target, word, policy);
        }

        let nodes = nodes.get(..found.known).unwrap_or_default();
        match policy {
            EvictionPolicy::Learn { limits, now } => {
                let judged = nodes.get(..found.near).unwrap_or_default();
                if let Some(key) = duplicate(judged) {
                    // If it is not removed, another worker was faster: there may be a free place now.
                    if self.remove_duplicate(key, limits, *now) || is_patient {
                        return Placed::Raced;
                    }
                }
                match self.victim(judged) {
                    Some((index, node)) if index < view.words.len() => {
                        self.take(node.place, node.bits, word, policy)
                    }
                    Some((_, node)) => self.relocate(nodes, *node, word, policy),
                    None => Placed::Full,
                }
            }
            EvictionPolicy::Copy => {
                let priority = |word: Word| (word.is_in_use(), word.seen());
                let own = nodes.iter().take(view.words.len());
                let least = own.min_by_key(|node| priority(Word::from_bits(node.bits)));
                let least = least.map(|node| (node, priority(Word::from_bits(node.bits))));
                match (least, found.unused) {
                    (Some((_, (true, _))), Some(target)) if word.is_in_use() => {
                        self.relocate(nodes, target, word, policy)
                    }
                    (Some((node, lowest)), _) if lowest < priority(word) => {
                        self.take(node.place, node.bits, word, policy)
                    }
                    _ => Placed::Full,
                }
            }
            EvictionPolicy::Merge { .. } | EvictionPolicy::Spare => Placed::Full,
        }
    }

    /// Whether a live session was evicted in this second. The first eviction in a second always
    /// follows a whole search, so short searches end when they are not needed any more.
    fn has_just_evicted(&self, policy: &EvictionPolicy) -> bool {
        match policy {
            EvictionPolicy::Learn { now, .. } => {
                self.counters.last_eviction.load(Relaxed) == u64::from(*now) + 1
            }
            EvictionPolicy::Copy | EvictionPolicy::Spare | EvictionPolicy::Merge { .. } => false,
        }
    }

    /// Leaves one of several copies of a live session, which two relocations at once have made and
    /// no request has removed yet. One of them must first outrank the others: of equals, each might
    /// be the one that another worker relies on. Returns whether a copy was removed.
    fn remove_duplicate(&self, key: Key, limits: &Limits, now: Tick) -> bool {
        let view = self.find(key, limits, now);
        let Current::Live(index, session) = view.current else {
            return false;
        };
        test_points::at("remove duplicate: decided");
        let new = Session {
            seen: session.seen.saturating_add(1),
            ..session
        };
        self.replace(&view, key, index, &new, limits, now) == Some(true)
    }

    fn take(&self, place: usize, old: u128, word: Word, policy: &EvictionPolicy) -> Placed {
        let replaced = Word::from_bits(old);
        if replaced.is_empty() {
            return match self.fill(place, old, word) {
                true => Placed::Inserted(None),
                false => Placed::Raced,
            };
        }
        if !self.swap(place, old, word.bits()) {
            return Placed::Raced;
        }
        Placed::Inserted(self.count_replaced(replaced, word, policy))
    }
}

/// One of the free places, in the emptier of the two lines, which keeps space in both for longest.
#[inline(always)]
pub(super) fn free_place(free: u32) -> Option<usize> {
    /// How many of four bits are set.
    const COUNTS: [u8; 1 << LINE] = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];
    if free == 0 {
        return None;
    }
    let (first, second) = (free & LINE_MASK, free >> LINE);
    let count = |line: u32| COUNTS.get(line as usize).copied().unwrap_or_default();
    let more_in_second = count(second) > count(first);
    let line = if more_in_second {
        second << LINE
    } else {
        first
    };
    Some(line.trailing_zeros() as usize)
}

/// The bits of the places of a line.
const LINE_MASK: u32 = (1 << LINE) - 1;
